//! Putting a changed configuration in force: everything is read and checked first, then endpoints that must go are
//! stopped, those that can stay are changed, and new ones started.

use anyhow::{Error, Result};
use culvert_admin::ReloadReport;
use culvert_config::{Config, EndpointConfig};

use crate::daemon::{Daemon, stop};
use crate::endpoint::{Endpoint, Prepared, check_ports};

impl Daemon {
    /// Reads the configuration again and puts in force what changed. Clients stay connected, except those of endpoints
    /// that are removed or whose sockets, device or addresses change.
    ///
    /// # Errors
    /// Fails when the configuration, a file it names or a port is unusable: nothing changes then. Fails too when the
    /// machine refuses a change only when it is made: the endpoint's previous configuration is then put in force again,
    /// and the other endpoints are changed as asked.
    pub(crate) async fn reload(&mut self) -> Result<ReloadReport> {
        let (endpoints, warnings) = match self.prepare() {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(
                    "the reload is refused, the previous configuration stays in force: {error:#}"
                );
                return Err(error);
            }
        };
        for warning in &warnings {
            tracing::warn!("reload: {warning}");
        }
        let (applied, failed) = self.change(endpoints).await;
        for what in &applied {
            tracing::info!("reload: {what}");
        }
        if let Some(error) = failed {
            return Err(error);
        }
        tracing::info!(changes = applied.len(), "the configuration was reloaded");
        Ok(ReloadReport { applied, warnings })
    }

    /// Reads and checks everything, and changes nothing.
    fn prepare(&self) -> Result<(Vec<Prepared>, Vec<String>)> {
        let config = Config::load(&self.basis.path)?;
        let problems = config.check_files()?;
        let mut warnings: Vec<String> = config
            .warnings
            .iter()
            .chain(&problems)
            .map(|problem| format!("{}:{problem}", config.path.display()))
            .collect();
        warnings.extend(fixed(&self.basis, &config));
        for endpoint in &config.endpoints {
            check_ports(endpoint, &self.endpoints)?;
        }
        let endpoints = config
            .endpoints
            .into_iter()
            .map(|endpoint| Prepared::read(endpoint, &self.place))
            .collect::<Result<_>>()?;
        Ok((endpoints, warnings))
    }

    /// Makes the running endpoints those wanted. Returns what was done, and the first of the failures, which are all
    /// logged.
    async fn change(&mut self, wanted: Vec<Prepared>) -> (Vec<String>, Option<Error>) {
        let (mut applied, mut failed) = (Vec::new(), None);
        let mut previous = self.stop_outdated(&wanted, &mut applied).await;
        for prepared in wanted {
            let name = prepared.config.name.clone();
            let before = take(&mut previous, |config| config.name == name);
            match self.change_one(prepared, before).await {
                Ok(Some(what)) => applied.push(format!("endpoint {name} {what}")),
                Ok(None) => {}
                Err(error) => {
                    let error = error.context(format!("Failed to reload endpoint {name}"));
                    tracing::error!("{error:#}");
                    failed.get_or_insert(error);
                }
            }
        }
        (applied, failed)
    }

    /// Stops endpoints that are no longer wanted, and those that must be started anew; all before any is started, so
    /// that ports, devices and addresses may be exchanged. Returns what the latter were like.
    async fn stop_outdated(&mut self, wanted: &[Prepared], applied: &mut Vec<String>) -> Vec<EndpointConfig> {
        let (mut stay, mut leave, mut previous) = (Vec::new(), Vec::new(), Vec::new());
        for endpoint in self.endpoints.drain(..) {
            let after = wanted
                .iter()
                .find(|prepared| prepared.config.name == endpoint.name());
            match after {
                Some(after) if !endpoint.needs_restart(&after.config) => stay.push(endpoint),
                Some(_) => {
                    previous.push(endpoint.config());
                    leave.push(endpoint);
                }
                None => {
                    applied.push(format!("endpoint {} removed", endpoint.name()));
                    leave.push(endpoint);
                }
            }
        }
        self.endpoints = stay;
        stop(leave).await;
        previous
    }

    /// Changes or starts one endpoint. Returns what was done, or `None` when nothing had changed but files may have been
    /// read again.
    async fn change_one(
        &mut self,
        prepared: Prepared,
        before: Option<EndpointConfig>,
    ) -> Result<Option<&'static str>> {
        let running = self
            .endpoints
            .iter_mut()
            .find(|endpoint| endpoint.name() == prepared.config.name);
        if let Some(endpoint) = running {
            let same = endpoint.config() == prepared.config;
            endpoint.apply(prepared).await?;
            return Ok((!same).then_some("changed"));
        }
        match (Endpoint::start(prepared, &self.place).await, before) {
            (Ok(endpoint), before) => {
                self.endpoints.push(endpoint);
                Ok(Some(before.map_or("started", |_| "restarted")))
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(before)) => Err(self.restore(error, before).await),
        }
    }

    /// Starts an endpoint as it was before a change the machine refused. Returns the error to report.
    async fn restore(&mut self, refusal: Error, before: EndpointConfig) -> Error {
        let restored = match Prepared::read(before, &self.place) {
            Ok(prepared) => Endpoint::start(prepared, &self.place).await,
            Err(error) => Err(error),
        };
        match restored {
            Ok(endpoint) => {
                self.endpoints.push(endpoint);
                refusal.context("its previous configuration is in force again")
            }
            Err(error) => refusal.context(format!(
                "it is down, as its previous configuration can't be started again either ({error:#}); cure the cause and \
                 reload"
            )),
        }
    }
}

fn take<T>(from: &mut Vec<T>, which: impl FnMut(&T) -> bool) -> Option<T> {
    from.iter().position(which).map(|index| from.swap_remove(index))
}

/// What changed in the file but can't change in a running daemon.
fn fixed<'c>(basis: &'c Config, config: &'c Config) -> impl Iterator<Item = String> + 'c {
    [
        ("state_dir", basis.state_dir != config.state_dir),
        ("run_dir", basis.run_dir != config.run_dir),
        ("workers", basis.workers != config.workers),
        ("worker_cpus", basis.worker_cpus != config.worker_cpus),
        ("moderation", basis.moderation != config.moderation),
        ("ack_filter", basis.ack_filter != config.ack_filter),
        ("[offload]", basis.offload != config.offload),
        ("[log]", basis.log != config.log),
        ("[admin]", basis.admin_socket != config.admin_socket),
    ]
    .into_iter()
    .filter(|(_, changed)| *changed)
    .map(|(what, _)| format!("{what} has changed, which takes effect when culvertd is started anew"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_can_not_change_is_named() {
        let read = |text: &str| Config::from_str(text, "/etc/culvert/culvert.toml").unwrap();
        let before = read("workers = 2\n");
        assert_eq!(fixed(&before, &before.clone()).count(), 0);
        let after = read(
            "workers = 3\nworker_cpus = [0]\nmoderation = \"off\"\nack_filter = false\n[offload]\ntun = false\n[log]\nlevel = \"debug\"\n",
        );
        let named: Vec<String> = fixed(&before, &after).collect();
        for (what, message) in [
            "workers",
            "worker_cpus",
            "moderation",
            "ack_filter",
            "[offload]",
            "[log]",
        ]
        .iter()
        .zip(&named)
        {
            assert!(message.starts_with(&format!("{what} has changed")), "{named:?}");
        }
        assert_eq!(named.len(), 6, "{named:?}");
    }
}
