//! What is to happen with one managed endpoint.

use std::collections::HashMap;

use culvert_config::{EndpointConfig, Environment, Resets};
use culvert_failure::describe;
use culvert_service::{Endpoint, Snapshot};

use super::wish::{Surroundings, runs};
use super::{Managed, resets};
use crate::endpoint::{Place, Prepared, check_ports};
use crate::fleet::{Fleet, Wish};

/// What is to happen with an endpoint.
pub(super) enum Plan {
    /// It isn't to run.
    Absent,
    /// It is what it should be.
    Stay,
    /// It is to become this.
    Become {
        /// What.
        prepared: Box<Prepared>,
        /// Whether that ends its connections though it need not.
        resets: bool,
    },
    /// It can't become what it should, for this reason. What runs goes on.
    Impossible(String),
}

impl Plan {
    /// Whether its connections are to end.
    pub(super) fn resets(&self) -> bool {
        matches!(self, Self::Become { resets: true, .. })
    }

    /// What it is to become, if it is to change.
    pub(super) fn config(&self) -> Option<&EndpointConfig> {
        match self {
            Self::Become { prepared, .. } => Some(&prepared.config),
            Self::Absent | Self::Stay | Self::Impossible(_) => None,
        }
    }

    /// What is wished for the endpoint of this name; `None`: that it doesn't run.
    pub(super) fn wish(self, name: String) -> Option<Wish> {
        match self {
            Self::Absent => None,
            Self::Stay | Self::Impossible(_) => Some(Wish::Stay(name)),
            Self::Become { prepared, .. } => Some(Wish::Become(prepared)),
        }
    }
}

/// What is decided by, beside the store.
pub(super) struct Around<'a> {
    /// Networks, security groups, directories, connect handlers.
    pub(super) environment: &'a Environment,
    /// What endpoints get from the daemon.
    pub(super) place: &'a Place,
    /// The running endpoints of the configuration.
    pub(super) declared: &'a Fleet,
    /// What the endpoints of the configuration are, or are to be. They come first.
    pub(super) others: Vec<EndpointConfig>,
    /// Whether files are read again for endpoints that did not change.
    pub(super) reread: bool,
}

impl Managed {
    /// Decides about one endpoint, `beside` all others that are managed. Reads what it needs and changes nothing.
    pub(super) fn plan(
        &mut self,
        endpoint: &Endpoint,
        snapshot: &Snapshot,
        around: &Around<'_>,
        beside: &HashMap<String, EndpointConfig>,
    ) -> Plan {
        if !runs(endpoint) {
            return Plan::Absent;
        }
        let taken = |name: &str| around.others.iter().any(|other| other.device == name);
        let exists = |name: &str| nix::net::if_::if_nametoindex(name).is_ok();
        let device = self.devices.of(&endpoint.id, taken, exists);
        let surroundings = Surroundings {
            environment: around.environment,
            certificates: &snapshot.certificates,
            crls: &snapshot.crls,
            security_groups: &snapshot.security_groups,
            endpoints: &snapshot.endpoints,
        };
        let config = match surroundings.config(endpoint, &device) {
            Ok(config) => config,
            Err(reason) => return Plan::Impossible(reason),
        };
        let running = self.fleet.get(endpoint.id.as_str());
        let before = running.map(|running| running.config());
        if !around.reread && before.as_ref() == Some(&config) {
            return Plan::Stay;
        }
        // Checked when they were made, but the configuration may have changed where they listen.
        let mut others = around.others.iter().chain(beside.values());
        if let Some(conflict) = others.find_map(|other| config.conflicts(other).into_iter().next()) {
            return Plan::Impossible(conflict.to_string());
        }
        let keeps_ports = running.is_some_and(|running| !running.needs_restart(&config));
        let held = self.fleet.endpoints().iter().chain(around.declared.endpoints());
        if !keeps_ports && let Err(error) = check_ports(&config, held) {
            return Plan::Impossible(describe(&error));
        }
        let strict = around.environment.account.resets == Resets::Strict;
        let resets = before.is_some_and(|before| strict && resets::ends_connections(&before, &config));
        match Prepared::read(config, around.place) {
            Ok(mut prepared) => {
                // Who is to connect anew learns of changed options then.
                prepared.settings.push.updates = !resets;
                Plan::Become {
                    prepared: Box::new(prepared),
                    resets,
                }
            }
            Err(error) => Plan::Impossible(describe(&error)),
        }
    }
}
