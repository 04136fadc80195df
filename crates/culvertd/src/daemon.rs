//! The daemon's life: start everything, then wait for signals, requests and failures, then stop everything.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use culvert_admin::AdminSocket;
use culvert_api::Tls;
use culvert_config::Config;
use culvert_control::tls::TlsClock;
use culvert_tun::firewall;
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::connection_log::Writers;
use crate::endpoint::{Endpoint, Ledger, Memories, Place, Prepared, ProcessKeys};
use crate::fleet::Fleet;
use crate::managed::{self, ApiServer, Applied, Managed};
use crate::{clock, panics};

/// A control thread that gave no sign of life for this long is stuck; the service manager is no longer told that all is
/// well.
const STUCK: Duration = Duration::from_secs(15);

/// Running endpoints and what they are made from.
pub(crate) struct Daemon {
    /// The configuration the daemon started with, without its endpoints: these may change, the rest may not.
    pub(crate) basis: Config,
    pub(crate) place: Place,
    /// The endpoints of the configuration.
    pub(crate) declared: Fleet,
    /// Those that are managed at run time, if the configuration lets any be.
    pub(crate) managed: Option<Managed>,
    /// The certificate of the API, if it has one.
    pub(crate) api_tls: Option<Tls>,
    /// What last stood in the way of managed endpoints; it is logged once.
    complaints: Vec<String>,
}

/// A daemon whose configuration and files were found good, before it touched anything on the machine.
pub(crate) struct Start {
    config: Config,
    place: Place,
    endpoints: Vec<Prepared>,
    failures: mpsc::Receiver<Error>,
}

impl Start {
    /// Reads the files the configuration names.
    ///
    /// # Errors
    /// Fails when one can't be used; the message names it.
    pub(crate) fn prepare(mut config: Config) -> Result<Self> {
        let (fatal, failures) = mpsc::channel(4);
        let place = place(&config, fatal);
        let endpoints = std::mem::take(&mut config.endpoints)
            .into_iter()
            .map(|endpoint| Prepared::read(endpoint, &place))
            .collect::<Result<_>>()?;
        Ok(Self {
            config,
            place,
            endpoints,
            failures,
        })
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// Fails when something can't be started, or when an endpoint fails for good.
    pub(crate) async fn run(self) -> Result<()> {
        let Self {
            config,
            place,
            endpoints,
            mut failures,
        } = self;
        // First of all: a signal that comes during the start must not end the process half way.
        let mut signals = Signals::watch()?;
        panics::watch(place.fatal.clone());
        std::fs::create_dir_all(&config.run_dir)
            .with_context(|| format!("Failed to make {}", config.run_dir.display()))?;
        place.logs.open(&config.environment.log_groups)?;
        let socket = AdminSocket::bind(&config.admin_socket)?;
        let opened = match &config.api {
            Some(_) => Some(Managed::open(&config)?),
            None => None,
        };
        let (managed, store) = opened.unzip();
        let api = match (&config.api, &managed) {
            (Some(api), Some(managed)) => {
                let ledger = Arc::clone(&place.ledger);
                Some(ApiServer::bind(api, &config.run_dir, managed, ledger)?)
            }
            _ => None,
        };
        let mut daemon = Daemon {
            basis: config,
            place,
            declared: Fleet::default(),
            managed,
            api_tls: api.as_ref().and_then(ApiServer::tls),
            complaints: Vec::new(),
        };
        remove_orphans().await;
        let applied = match daemon.start_all(endpoints).await {
            Ok(applied) => applied,
            Err(error) => {
                daemon.stop().await;
                return Err(error);
            }
        };
        let mut tasks = JoinSet::new();
        if let Some(store) = store {
            tasks.spawn(store.expiry());
        }
        let registry = daemon.managed.as_ref().map(|managed| managed.registry().clone());
        let daemon = Arc::new(Mutex::new(daemon));
        if let (Some(registry), Some(applied)) = (registry, applied) {
            tasks.spawn(managed::follow(Arc::clone(&daemon), registry, applied));
        }
        let (stop_api, api_stopped) = watch::channel(false);
        let mut serving = JoinSet::new();
        if let Some(api) = api {
            api.start(&mut serving, &api_stopped);
        }
        let admin = Admin::new(Arc::clone(&daemon));
        tasks.spawn(async move { socket.serve(admin).await });
        notify(&[NotifyState::Ready]);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            "culvertd is ready"
        );
        let outcome = wait(&daemon, &mut signals, &mut failures).await;
        notify(&[NotifyState::Stopping]);
        // What was asked of the API is answered; it ends soon, whoever asks. Without it nobody receives this.
        let _ = stop_api.send(true);
        while serving.join_next().await.is_some() {}
        // A request that changes endpoints is carried out to its end first.
        let mut daemon = daemon.lock().await;
        // Waits for the tasks to drop their sockets, so that their files are gone when the daemon is.
        tasks.shutdown().await;
        daemon.stop().await;
        daemon.place.logs.close();
        tracing::info!("culvertd has stopped");
        outcome
    }
}

/// Removes the firewall rules of a run that was killed: what it had on other devices, nobody would ever remove.
async fn remove_orphans() {
    match firewall::remove_orphans().await {
        Ok(devices) => {
            for device in devices {
                tracing::info!(device, "removed the firewall rules a former run left");
            }
        }
        // They match no packet, for their device is gone.
        Err(error) => tracing::warn!("firewall rules of a former run may stay behind: {error}"),
    }
}

fn place(config: &Config, fatal: mpsc::Sender<Error>) -> Place {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Place {
        keys: ProcessKeys {
            memories: Arc::new(Memories::new(config.state_dir.clone())),
            clock: TlsClock::new(clock::now().unix),
        },
        workers: config.workers.map_or(cores, usize::from),
        worker_cpus: config.worker_cpus.clone(),
        ledger: Arc::new(Ledger::new(Handle::current())),
        logs: Arc::new(Writers::new(config.state_dir.join("connection-log"))),
        moderation: config.moderation,
        ack_filter: config.ack_filter,
        offload: config.offload,
        run_dir: config.run_dir.clone(),
        fatal,
    }
}

/// The signals the daemon knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn watch() -> Result<Self> {
        let watch = |kind, name| signal(kind).with_context(|| format!("Failed to watch for {name}"));
        Ok(Self {
            terminate: watch(SignalKind::terminate(), "SIGTERM")?,
            interrupt: watch(SignalKind::interrupt(), "SIGINT")?,
            hangup: watch(SignalKind::hangup(), "SIGHUP")?,
        })
    }
}

/// Waits for a reason to stop; handles reloads meanwhile.
async fn wait(
    daemon: &Mutex<Daemon>,
    signals: &mut Signals,
    failures: &mut mpsc::Receiver<Error>,
) -> Result<()> {
    let mut watchdog = tokio::time::interval(watchdog_interval());
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            Some(error) = failures.recv() => return Err(error),
            _ = signals.hangup.recv() => {
                reloading();
                // What was done and what went wrong is logged there.
                drop(daemon.lock().await.reload().await);
                notify(&[NotifyState::Ready]);
            }
            _ = watchdog.tick() => {
                if daemon.lock().await.is_alive() {
                    notify(&[NotifyState::Watchdog]);
                }
            }
        }
    }
}

fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled()
        .map_or(Duration::from_secs(5), |limit| limit / 3)
        .max(Duration::from_millis(100))
}

fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(since) => notify(&[NotifyState::Reloading, since]),
        Err(error) => tracing::debug!(%error, "the service manager could not be told of the reload"),
    }
}

/// Tells the service manager; without one this does nothing.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

impl Daemon {
    /// The running endpoints, whatever their origin.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        let managed = self.managed.iter().flat_map(Managed::endpoints);
        self.declared.endpoints().iter().chain(managed)
    }

    fn is_alive(&self) -> bool {
        let stuck = self.endpoints().find(|endpoint| endpoint.silence() > STUCK);
        if let Some(endpoint) = stuck {
            tracing::error!(endpoint = endpoint.name(), "the control thread is stuck");
        }
        stuck.is_none()
    }

    /// Starts all endpoints. Returns what came of the managed ones, if any are.
    ///
    /// # Errors
    /// Fails when an endpoint of the configuration can't be started. A managed one that can't is no reason not to start:
    /// it can be changed.
    async fn start_all(&mut self, endpoints: Vec<Prepared>) -> Result<Option<Applied>> {
        if endpoints.is_empty() && self.managed.is_none() {
            tracing::warn!(
                "no endpoint is configured; add an [[endpoint]] to {}",
                self.basis.path.display()
            );
        }
        for prepared in endpoints {
            self.declared.start(prepared, &self.place).await?;
        }
        match self.managed {
            Some(_) => self.apply_managed(false).await.map(Some),
            None => Ok(None),
        }
    }

    /// Puts in force what the store says about managed endpoints. With `reread`, files the configuration names are read
    /// again for those that did not change.
    ///
    /// # Errors
    /// Fails when the store can't be used.
    pub(crate) async fn apply_managed(&mut self, reread: bool) -> Result<Applied> {
        let managed = self
            .managed
            .as_mut()
            .context("no endpoint is managed at run time")?;
        let applied = managed.apply(&self.place, &self.declared, reread).await?;
        for what in &applied.done {
            tracing::info!("{what}");
        }
        for complaint in applied
            .failed
            .iter()
            .filter(|text| !self.complaints.contains(text))
        {
            tracing::error!("{complaint}");
        }
        self.complaints.clone_from(&applied.failed);
        Ok(applied)
    }

    /// Stops all endpoints.
    async fn stop(&mut self) {
        let managed = self.managed.take();
        let declared = std::mem::take(&mut self.declared);
        let managed = async {
            if let Some(managed) = managed {
                managed.stop().await;
            }
        };
        tokio::join!(declared.stop(), managed);
    }
}
