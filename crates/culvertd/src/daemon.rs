//! The daemon's life: start everything, then wait for signals, requests and failures, then stop everything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use culvert_admin::{AdminSocket, ReloadReport};
use culvert_config::{Config, EndpointConfig};
use culvert_control::tls::TlsClock;
use culvert_crypto::SystemEntropy;
use culvert_crypto::auth_token::TokenKey;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use crate::admin::Admin;
use crate::clock;
use crate::endpoint::{Endpoint, Place, ProcessKeys};

/// A control thread that gave no sign of life for this long is stuck; the service manager is no longer told that all is
/// well.
const STUCK: Duration = Duration::from_secs(15);

/// Running endpoints and what they are made from.
pub(crate) struct Daemon {
    path: PathBuf,
    place: Place,
    endpoints: Vec<Endpoint>,
}

/// Runs until a signal ends it.
///
/// # Errors
/// Fails when something can't be started, or when an endpoint fails for good.
pub(crate) async fn run(config: Config) -> Result<()> {
    let (fatal, mut failures) = mpsc::channel(4);
    let place = place(&config, fatal)?;
    std::fs::create_dir_all(&config.run_dir)
        .with_context(|| format!("Failed to make {}", config.run_dir.display()))?;
    let socket = AdminSocket::bind(&config.admin_socket)?;
    let mut daemon = Daemon {
        path: config.path.clone(),
        place,
        endpoints: Vec::new(),
    };
    if let Err(error) = daemon.start_all(config.endpoints).await {
        daemon.stop_all().await;
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
    let outcome = wait(&daemon, &mut failures).await;
    notify(&[NotifyState::Stopping]);
    serving.abort();
    // Waits for the task to drop the socket, so that its file is gone when the daemon is.
    drop(serving.await);
    daemon.lock().await.stop_all().await;
    tracing::info!("culvertd has stopped");
    outcome
}

fn place(config: &Config, fatal: mpsc::Sender<anyhow::Error>) -> Result<Place> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let token = TokenKey::generate(&mut SystemEntropy::new());
    Ok(Place {
        keys: ProcessKeys {
            token: Arc::new(token),
            clock: TlsClock::new(clock::now().unix),
        },
        workers: config.workers.map_or(cores, usize::from),
        run_dir: config.run_dir.clone(),
        fatal,
    })
}

/// Waits for a reason to stop; handles reloads meanwhile.
async fn wait(daemon: &Mutex<Daemon>, failures: &mut mpsc::Receiver<anyhow::Error>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("Failed to watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("Failed to watch for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("Failed to watch for SIGHUP")?;
    let mut watchdog = tokio::time::interval(watchdog_interval());
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]);
                if let Err(error) = daemon.lock().await.reload().await {
                    tracing::error!("the reload failed, the previous configuration stays in force: {error:#}");
                }
                notify(&[NotifyState::Ready]);
            }
            Some(error) = failures.recv() => return Err(error),
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

    /// Workers of each endpoint.
    fn is_alive(&self) -> bool {
        let stuck = self.endpoints.iter().find(|endpoint| endpoint.silence() > STUCK);
        if let Some(endpoint) = stuck {
            tracing::error!(endpoint = endpoint.name(), "the control thread is stuck");
        }
        stuck.is_none()
    }

    async fn start_all(&mut self, endpoints: Vec<EndpointConfig>) -> Result<()> {
        if endpoints.is_empty() {
            tracing::warn!(
                "no endpoint is configured; add an [[endpoint]] to {}",
                self.path.display()
            );
        }
        for config in endpoints {
            self.endpoints.push(Endpoint::start(config, &self.place).await?);
        }
        Ok(())
    }

    /// Reads the configuration again and puts in force what changed. Clients stay connected, except those of endpoints
    /// that are removed or whose sockets, device or addresses change.
    ///
    /// # Errors
    /// Fails when the configuration is wrong (nothing changes then) or an endpoint can't be changed (its previous
    /// configuration stays in force).
    pub(crate) async fn reload(&mut self) -> Result<ReloadReport> {
        let config = Config::load(&self.path)?;
        config.check_files()?;
        let mut report = ReloadReport {
            applied: Vec::new(),
            warnings: config.warnings.iter().map(ToString::to_string).collect(),
        };
        let wanted = |name: &str| config.endpoints.iter().any(|endpoint| endpoint.name == name);
        let (keep, remove): (Vec<_>, Vec<_>) = std::mem::take(&mut self.endpoints)
            .into_iter()
            .partition(|endpoint| wanted(endpoint.name()));
        self.endpoints = keep;
        for endpoint in remove {
            report
                .applied
                .push(format!("endpoint {} removed", endpoint.name()));
            endpoint.stop().await;
        }
        let mut first_error = None;
        for config in config.endpoints {
            let name = config.name.clone();
            match self.reload_endpoint(config).await {
                Ok(Some(what)) => report.applied.push(format!("endpoint {name} {what}")),
                Ok(None) => {}
                Err(error) => {
                    let error = error.context(format!("Failed to reload endpoint {name}"));
                    tracing::error!("{error:#}");
                    first_error.get_or_insert(error);
                }
            }
        }
        for what in &report.applied {
            tracing::info!("reload: {what}");
        }
        match first_error {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Returns what was done, or `None` when nothing had changed but files may have been read again.
    async fn reload_endpoint(&mut self, config: EndpointConfig) -> Result<Option<&'static str>> {
        let Some(index) = self
            .endpoints
            .iter()
            .position(|endpoint| endpoint.name() == config.name)
        else {
            self.endpoints.push(Endpoint::start(config, &self.place).await?);
            return Ok(Some("started"));
        };
        if self.endpoints[index].needs_restart(&config) {
            self.endpoints.remove(index).stop().await;
            self.endpoints
                .insert(index, Endpoint::start(config, &self.place).await?);
            return Ok(Some("restarted"));
        }
        let same = self.endpoints[index].config() == config;
        self.endpoints[index].apply(config).await?;
        Ok((!same).then_some("changed"))
    }

    async fn stop_all(&mut self) {
        for endpoint in self.endpoints.drain(..) {
            endpoint.stop().await;
        }
    }
}
