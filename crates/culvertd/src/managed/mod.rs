//! Endpoints that are managed at run time: what the store and the configuration say about them is put in force, and
//! what came of it is noted in the store.

mod api;
mod backup;
mod devices;
mod environment;
mod follow;
mod plan;
mod resets;
#[cfg(test)]
mod samples;
#[cfg(test)]
pub(crate) use samples::sample_config;
mod wish;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use culvert_config::{Config, EndpointConfig, Environment};
use culvert_failure::describe;
use culvert_service as service;
use culvert_service::{Certificates, EndpointState, Registry, SecurityGroups, Snapshot, Stored};
use culvert_store::{EmbeddedStore, Options, Revision};
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use crate::endpoint::{Endpoint, Place};
use crate::fleet::{Done, Fleet, Outcome};
use devices::Devices;
use plan::{Around, Plan};

pub(crate) use api::ApiServer;
pub(crate) use backup::Backups;
pub(crate) use follow::follow;

/// Managed endpoints, stored and running.
pub(crate) struct Managed {
    registry: Registry,
    certificates: Certificates,
    security_groups: SecurityGroups,
    config: Environment,
    /// The same for the API; a reload replaces it.
    environment: Arc<ArcSwap<service::Environment>>,
    backups: Backups,
    fleet: Fleet,
    devices: Devices,
}

/// What putting stored endpoints in force came to.
pub(crate) struct Applied {
    /// The store's revision that is in force.
    pub(crate) revision: Revision,
    /// What was done, a sentence each.
    pub(crate) done: Vec<String>,
    /// What could not be done and why, a sentence each.
    pub(crate) failed: Vec<String>,
}

impl Managed {
    /// Opens the store of the managed endpoints; none runs yet.
    ///
    /// # Errors
    /// Fails when the store can't be used.
    pub(crate) fn open(config: &Config) -> Result<(Self, EmbeddedStore)> {
        let path = config.store_path();
        std::fs::create_dir_all(&config.state_dir)
            .with_context(|| format!("Failed to make {}", config.state_dir.display()))?;
        let store = EmbeddedStore::open(&path, Options::default(), Instant::now)
            .with_context(|| format!("Failed to open the store {}", path.display()))?;
        let shared: Arc<dyn culvert_store::Store> = Arc::new(store.clone());
        let environment = environment::environment(&config.environment);
        let managed = Self {
            registry: Registry::new(Arc::clone(&shared)),
            certificates: Certificates::new(Arc::clone(&shared)),
            security_groups: SecurityGroups::new(shared),
            config: config.environment.clone(),
            environment: Arc::new(ArcSwap::from_pointee(environment)),
            backups: Backups::new(store.clone(), &config.state_dir),
            fleet: Fleet::default(),
            devices: Devices::default(),
        };
        Ok((managed, store))
    }

    /// The stored endpoints.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What writes backups of the store.
    pub(crate) fn backups(&self) -> Backups {
        self.backups.clone()
    }

    /// Uses other networks, security groups and directories from now on. What runs is changed by the next
    /// [`Self::apply`].
    pub(crate) fn replace_environment(&mut self, config: Environment) {
        self.environment
            .store(Arc::new(environment::environment(&config)));
        self.config = config;
    }

    /// The endpoints that run.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        self.fleet.endpoints()
    }

    /// Stops all endpoints; they stay in the store.
    pub(crate) async fn stop(self) {
        self.fleet.stop().await;
    }

    /// Makes the running endpoints what the store says, and notes in the store what came of it. `declared` are those of
    /// the configuration, which come first. With `reread`, files the configuration names are read again for endpoints
    /// that did not change.
    ///
    /// # Errors
    /// Fails when the store can't be read or written. What an endpoint can't become is no such error.
    pub(crate) async fn apply(&mut self, place: &Place, declared: &Fleet, reread: bool) -> Result<Applied> {
        let snapshot = self.read().await?;
        self.devices.retain(|id| find(&snapshot, id.as_str()).is_some());
        let environment = self.config.clone();
        let around = Around {
            environment: &environment,
            place,
            declared,
            others: declared.endpoints().iter().map(Endpoint::config).collect(),
            reread,
        };
        let plans = self.plans(&snapshot, &around);
        let mut reasons = Reasons::default();
        let (mut wishes, mut reset) = (Vec::new(), Vec::new());
        for (name, plan) in plans {
            if let Plan::Impossible(reason) = &plan {
                reasons.note(&name, reason.clone());
            }
            if plan.resets() {
                reset.push(name.clone());
            }
            wishes.extend(plan.wish(name));
        }
        let (mut done, mut changed) = (Vec::new(), HashSet::new());
        for Outcome { name, done: outcome } in self.fleet.change(wishes, place).await {
            match outcome {
                Ok(what) => {
                    if let Some(what) = what.name() {
                        done.push(format!("endpoint {name} {what}"));
                        changed.insert(name);
                    }
                }
                Err(error) => reasons.note(&name, describe(&error)),
            }
        }
        self.reset(&reset).await;
        self.forget_deleted(&snapshot, place);
        self.settle(&snapshot, &reasons, &changed).await?;
        let mut failed = reasons.sentences();
        failed.extend(wish::without_second_transport(&environment, &snapshot.endpoints));
        Ok(Applied {
            revision: snapshot.revision,
            done,
            failed,
        })
    }

    /// What [`Self::apply`] would do in other surroundings, beside these endpoints of the configuration: a sentence each,
    /// and what it could not do.
    ///
    /// # Errors
    /// Fails when the store can't be read.
    pub(crate) async fn preview(
        &mut self,
        environment: &Environment,
        place: &Place,
        declared: &Fleet,
        others: Vec<EndpointConfig>,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let snapshot = self.read().await?;
        let around = Around {
            environment,
            place,
            declared,
            others,
            reread: false,
        };
        let (mut reasons, mut wishes) = (Reasons::default(), Vec::new());
        for (name, plan) in self.plans(&snapshot, &around) {
            if let Plan::Impossible(reason) = &plan {
                reasons.note(&name, reason.clone());
            }
            wishes.extend(plan.wish(name));
        }
        let preview = self.fleet.preview(&wishes);
        let mut failed = reasons.sentences();
        failed.extend(wish::without_second_transport(environment, &snapshot.endpoints));
        Ok((sentences(preview), failed))
    }

    fn plans(&mut self, snapshot: &Snapshot, around: &Around<'_>) -> HashMap<String, Plan> {
        let mut plans = HashMap::new();
        // What the others have, each as it is until it is planned: older ones come first.
        let running = snapshot
            .endpoints
            .iter()
            .filter(|stored| wish::runs(&stored.endpoint));
        let mut beside: HashMap<String, EndpointConfig> = running
            .filter_map(|stored| self.fleet.get(stored.endpoint.id.as_str()))
            .map(|endpoint| (endpoint.name().to_owned(), endpoint.config()))
            .collect();
        for stored in &snapshot.endpoints {
            let name = stored.endpoint.id.to_string();
            let before = beside.remove(&name);
            let plan = self.plan(&stored.endpoint, snapshot, around, &beside);
            let after = plan.config().cloned().or(before);
            beside.extend(after.map(|config| (name.clone(), config)));
            plans.insert(name, plan);
        }
        plans
    }

    /// Ends the connections of endpoints whose change is to do so. One that was restarted has none.
    async fn reset(&self, names: &[String]) {
        for name in names {
            if let Some(endpoint) = self.fleet.get(name) {
                endpoint.restart_clients().await;
            }
        }
    }

    /// Removes what is kept outside the store of endpoints that are being deleted and don't run any more.
    fn forget_deleted(&self, snapshot: &Snapshot, place: &Place) {
        for Stored { endpoint, .. } in &snapshot.endpoints {
            if endpoint.state == EndpointState::Deleting && self.fleet.get(endpoint.id.as_str()).is_none() {
                place.keys.memories.forget(endpoint.id.as_str());
                place.ledger.forget(&endpoint.id);
            }
        }
    }

    async fn read(&self) -> Result<Snapshot> {
        let registry = self.registry.clone();
        let read = spawn_blocking(move || registry.snapshot()).await?;
        read.context("Failed to read the store")
    }

    /// Notes what came of the endpoints; those named were changed.
    async fn settle(&self, snapshot: &Snapshot, reasons: &Reasons, changed: &HashSet<String>) -> Result<()> {
        let registry = self.registry.clone();
        let settled: Vec<_> = snapshot
            .endpoints
            .iter()
            .map(|stored| {
                let id = stored.endpoint.id.clone();
                let reason = reasons.of(id.as_str()).map(str::to_owned);
                let changed = changed.contains(id.as_str());
                (id, stored.revision, reason, changed)
            })
            .collect();
        spawn_blocking(move || {
            for (id, revision, reason, changed) in settled {
                let outcome = reason.as_deref().map_or(Ok(()), Err);
                registry.settle(&id, revision, outcome, changed, OffsetDateTime::now_utc())?;
            }
            Ok::<_, service::ServiceError>(())
        })
        .await?
        .context("Failed to write the store")
    }
}

/// What would be done, a sentence each.
pub(crate) fn sentences(preview: Vec<(String, Done)>) -> Vec<String> {
    let told = preview
        .into_iter()
        .filter_map(|(name, done)| Some(format!("endpoint {name} would be {}", done.name()?)));
    let mut sentences: Vec<String> = told.collect();
    sentences.sort();
    sentences
}

/// Why endpoints could not become what was wished for.
#[derive(Default)]
struct Reasons(HashMap<String, String>);

impl Reasons {
    fn note(&mut self, endpoint: &str, reason: String) {
        self.0.insert(endpoint.to_owned(), reason);
    }

    fn of(&self, endpoint: &str) -> Option<&str> {
        self.0.get(endpoint).map(String::as_str)
    }

    fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self
            .0
            .iter()
            .map(|(endpoint, reason)| format!("endpoint {endpoint} can't become what it is to be: {reason}"))
            .collect();
        sentences.sort();
        sentences
    }
}

fn find<'s>(snapshot: &'s Snapshot, id: &str) -> Option<&'s Stored> {
    let mut endpoints = snapshot.endpoints.iter();
    endpoints.find(|stored| stored.endpoint.id.as_str() == id)
}
