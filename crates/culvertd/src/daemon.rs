//! The daemon's life: start everything, then wait for signals, requests and failures, then stop everything.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use culvert_admin::AdminSocket;
use culvert_config::Config;
use culvert_control::tls::TlsClock;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::endpoint::{Endpoint, Memories, Place, Prepared, ProcessKeys};
use crate::{clock, panics};

/// A control thread that gave no sign of life for this long is stuck; the service manager is no longer told that all is
/// well.
const STUCK: Duration = Duration::from_secs(15);

/// Running endpoints and what they are made from.
pub(crate) struct Daemon {
    /// The configuration the daemon started with, without its endpoints: these may change, the rest may not.
    pub(crate) basis: Config,
    pub(crate) place: Place,
    pub(crate) endpoints: Vec<Endpoint>,
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
        let socket = AdminSocket::bind(&config.admin_socket)?;
        let mut daemon = Daemon {
            basis: config,
            place,
            endpoints: Vec::new(),
        };
        if let Err(error) = daemon.start_all(endpoints).await {
            stop(daemon.endpoints).await;
            return Err(error);
        }
        let daemon = Arc::new(Mutex::new(daemon));
        let admin = Admin::new(Arc::clone(&daemon));
        let serving = tokio::spawn(async move { socket.serve(admin).await });
        notify(&[NotifyState::Ready]);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            "culvertd is ready"
        );
        let outcome = wait(&daemon, &mut signals, &mut failures).await;
        notify(&[NotifyState::Stopping]);
        // A request that changes endpoints is carried out to its end first.
        let endpoints = std::mem::take(&mut daemon.lock().await.endpoints);
        serving.abort();
        // Waits for the task to drop the socket, so that its file is gone when the daemon is.
        drop(serving.await);
        stop(endpoints).await;
        tracing::info!("culvertd has stopped");
        outcome
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
    /// The running endpoints.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    fn is_alive(&self) -> bool {
        let stuck = self.endpoints.iter().find(|endpoint| endpoint.silence() > STUCK);
        if let Some(endpoint) = stuck {
            tracing::error!(endpoint = endpoint.name(), "the control thread is stuck");
        }
        stuck.is_none()
    }

    async fn start_all(&mut self, endpoints: Vec<Prepared>) -> Result<()> {
        if endpoints.is_empty() {
            tracing::warn!(
                "no endpoint is configured; add an [[endpoint]] to {}",
                self.basis.path.display()
            );
        }
        for prepared in endpoints {
            self.endpoints.push(Endpoint::start(prepared, &self.place).await?);
        }
        Ok(())
    }
}

/// Stops endpoints, all at a time: each waits for its clients to hear the goodbye.
pub(crate) async fn stop(endpoints: Vec<Endpoint>) {
    let mut stopping: JoinSet<()> = endpoints.into_iter().map(Endpoint::stop).collect();
    while stopping.join_next().await.is_some() {}
}
