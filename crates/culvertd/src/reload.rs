//! Putting a changed configuration in force: everything is read and checked first, then the endpoints are changed.

use anyhow::{Error, Result, bail};
use culvert_admin::ReloadReport;
use culvert_api::Tls;
use culvert_config::{Config, EndpointConfig, Environment, LogGroup};
use culvert_failure::describe;

use crate::daemon::Daemon;
use crate::endpoint::{Prepared, check_ports};
use crate::fleet::{Outcome, Wish};
use crate::managed::{self, Managed};

impl Daemon {
    /// Reads the configuration again and puts in force what changed. Clients stay connected, except those of endpoints
    /// that are removed or whose sockets, device or addresses change.
    ///
    /// # Errors
    /// Fails when the configuration, a file it names or a port is unusable: nothing changes then. Fails too when the
    /// machine refuses a change only when it is made: the endpoint's previous configuration is then put in force again,
    /// and the other endpoints are changed as asked.
    pub(crate) async fn reload(&mut self) -> Result<ReloadReport> {
        let Plan {
            endpoints,
            environment,
            mut warnings,
        } = match self.prepare() {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(
                    "the reload is refused, the previous configuration stays in force: {}",
                    describe(&error)
                );
                return Err(error);
            }
        };
        for warning in &warnings {
            tracing::warn!("reload: {warning}");
        }
        let groups = environment.log_groups.clone();
        if let Err(error) = self.place.logs.open(&groups) {
            tracing::error!(
                "the reload is refused, the previous configuration stays in force: {}",
                describe(&error)
            );
            return Err(error);
        }
        let (mut applied, failed) = self.change_declared(endpoints).await;
        self.change_managed(environment, &mut applied, &mut warnings)
            .await?;
        self.retain_log_groups(&groups);
        if let Some(error) = failed {
            return Err(error);
        }
        tracing::info!(changes = applied.len(), "the configuration was reloaded");
        Ok(ReloadReport { applied, warnings })
    }

    /// Tells what a reload would do, and changes nothing.
    ///
    /// # Errors
    /// Fails when the configuration, a file it names or a port is unusable, as the reload would.
    pub(crate) async fn plan(&mut self) -> Result<ReloadReport> {
        let Plan {
            endpoints,
            environment,
            mut warnings,
        } = self.prepare()?;
        let others = endpoints.iter().map(|prepared| prepared.config.clone()).collect();
        let mut applied = managed::sentences(self.declared.preview(&wishes(endpoints)));
        if let Some(managed) = &mut self.managed {
            let preview = managed.preview(&environment, &self.place, &self.declared, others);
            let (mut would, mut impossible) = preview.await?;
            applied.append(&mut would);
            warnings.append(&mut impossible);
        }
        Ok(ReloadReport { applied, warnings })
    }

    /// Ends the log groups that are no longer declared, unless an endpoint that could not be changed still writes to one.
    fn retain_log_groups(&self, groups: &[LogGroup]) {
        let used: Vec<String> = self
            .endpoints()
            .filter_map(|endpoint| Some(endpoint.config().connection_log.as_ref()?.group.clone()))
            .collect();
        self.place.logs.retain(|name| {
            used.iter().any(|group| group == name) || groups.iter().any(|group| group.name == name)
        });
    }

    /// Reads and checks everything, and changes nothing.
    fn prepare(&self) -> Result<Plan> {
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
            self.check_beside_managed(endpoint)?;
            check_ports(endpoint, self.endpoints())?;
        }
        let endpoints = config
            .endpoints
            .into_iter()
            .map(|endpoint| Prepared::read(endpoint, &self.place))
            .collect::<Result<_>>()?;
        Ok(Plan {
            endpoints,
            environment: config.environment,
            warnings,
        })
    }

    /// Checks that a managed endpoint has nothing an endpoint of the configuration is to have.
    fn check_beside_managed(&self, endpoint: &EndpointConfig) -> Result<()> {
        for other in self.managed.iter().flat_map(Managed::endpoints) {
            if let Some(conflict) = endpoint.conflicts(&other.config()).into_iter().next() {
                bail!(
                    "endpoint {} can't run beside {}, which is managed at run time: {conflict}",
                    endpoint.name,
                    other.name()
                );
            }
        }
        Ok(())
    }

    /// Makes the endpoints of the configuration what it says. Returns what was done, and the first of the failures,
    /// which are all logged.
    async fn change_declared(&mut self, endpoints: Vec<Prepared>) -> (Vec<String>, Option<Error>) {
        let outcomes = self.declared.change(wishes(endpoints), &self.place).await;
        let (mut applied, mut failed) = (Vec::new(), None);
        for Outcome { name, done } in outcomes {
            match done {
                Ok(done) => applied.extend(done.name().map(|what| format!("endpoint {name} {what}"))),
                Err(error) => {
                    let error = error.context(format!("Failed to reload endpoint {name}"));
                    tracing::error!("{}", describe(&error));
                    failed.get_or_insert(error);
                }
            }
        }
        for what in &applied {
            tracing::info!("reload: {what}");
        }
        (applied, failed)
    }

    /// Gives the managed endpoints the surroundings the configuration now says.
    async fn change_managed(
        &mut self,
        environment: Environment,
        applied: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let Some(managed) = &mut self.managed else {
            return Ok(());
        };
        managed.replace_environment(environment);
        if let Some(Err(error)) = self.api_tls.as_ref().map(Tls::reload) {
            warnings.push(format!("the certificate of the API stays what it was: {error}"));
        }
        let mut outcome = self.apply_managed(true).await?;
        applied.append(&mut outcome.done);
        warnings.append(&mut outcome.failed);
        Ok(())
    }
}

fn wishes(endpoints: Vec<Prepared>) -> Vec<Wish> {
    let endpoints = endpoints.into_iter();
    endpoints
        .map(|prepared| Wish::Become(Box::new(prepared)))
        .collect()
}

/// A configuration that was read again and found good.
struct Plan {
    endpoints: Vec<Prepared>,
    environment: Environment,
    /// For people.
    warnings: Vec<String>,
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
        ("[api]", basis.api != config.api),
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
