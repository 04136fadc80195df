//! Running endpoints of one origin, and how they become those that are wanted: those that must go are stopped, those
//! that can stay are changed, and new ones started.

use anyhow::{Error, Result};
use culvert_config::EndpointConfig;
use culvert_failure::describe;
use tokio::task::JoinSet;

use crate::endpoint::{Endpoint, Place, Prepared};

/// Running endpoints, each with a name of its own.
#[derive(Default)]
pub(crate) struct Fleet {
    endpoints: Vec<Endpoint>,
}

/// What an endpoint is to be.
pub(crate) enum Wish {
    /// This, whether it runs already or not.
    Become(Box<Prepared>),
    /// What it is. One that doesn't run stays away.
    Stay(String),
}

impl Wish {
    fn name(&self) -> &str {
        match self {
            Self::Become(prepared) => &prepared.config.name,
            Self::Stay(name) => name,
        }
    }
}

/// What became of an endpoint that was to be changed.
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) name: String,
    /// What was done, or why nothing could be.
    pub(crate) done: Result<Done>,
}

/// What was done with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is as it was. Files it names may have been read again.
    Nothing,
    /// It was changed while it ran.
    Changed,
    /// It runs now.
    Started,
    /// It was stopped and started, as a part of it can't change while it runs.
    Restarted,
    /// It is gone.
    Removed,
}

impl Done {
    /// The word for logs and reports; `None` where there is nothing to tell.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Changed => Some("changed"),
            Self::Started => Some("started"),
            Self::Restarted => Some("restarted"),
            Self::Removed => Some("removed"),
        }
    }
}

impl Fleet {
    /// The endpoints.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoint of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name() == name)
    }

    /// Starts one more endpoint.
    ///
    /// # Errors
    /// Fails when an address, the device or a thread can't be had; nothing is left behind then.
    pub(crate) async fn start(&mut self, prepared: Prepared, place: &Place) -> Result<()> {
        self.endpoints.push(Endpoint::start(prepared, place).await?);
        Ok(())
    }

    /// What [`Self::change`] would do, as far as it can be known before.
    pub(crate) fn preview(&self, wishes: &[Wish]) -> Vec<(String, Done)> {
        let wished = |endpoint: &&Endpoint| wishes.iter().any(|wish| wish.name() == endpoint.name());
        let removed = self.endpoints.iter().filter(|endpoint| !wished(endpoint));
        let mut preview: Vec<(String, Done)> = removed
            .map(|endpoint| (endpoint.name().to_owned(), Done::Removed))
            .collect();
        for wish in wishes {
            let Wish::Become(prepared) = wish else { continue };
            let done = match self.get(wish.name()) {
                None => Done::Started,
                Some(endpoint) if endpoint.needs_restart(&prepared.config) => Done::Restarted,
                Some(endpoint) if endpoint.config() == prepared.config => Done::Nothing,
                Some(_) => Done::Changed,
            };
            preview.push((wish.name().to_owned(), done));
        }
        preview
    }

    /// Makes the running endpoints those wished for. Tells what became of each that was to become something and of each
    /// that is gone, as nobody wished for it.
    pub(crate) async fn change(&mut self, wishes: Vec<Wish>, place: &Place) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut previous = self.stop_outdated(&wishes, &mut outcomes).await;
        for wish in wishes {
            let Wish::Become(prepared) = wish else { continue };
            let name = prepared.config.name.clone();
            let before = take(&mut previous, |config| config.name == name);
            let done = self.change_one(*prepared, before, place).await;
            outcomes.push(Outcome { name, done });
        }
        outcomes
    }

    /// Stops all endpoints.
    pub(crate) async fn stop(self) {
        stop(self.endpoints).await;
    }

    /// Stops endpoints that nobody wishes for, and those that must be started anew; all before any is started, so
    /// that ports, devices and addresses may be exchanged. Returns what the latter were like.
    async fn stop_outdated(&mut self, wishes: &[Wish], outcomes: &mut Vec<Outcome>) -> Vec<EndpointConfig> {
        let (mut stay, mut leave, mut previous) = (Vec::new(), Vec::new(), Vec::new());
        for endpoint in self.endpoints.drain(..) {
            match wishes.iter().find(|wish| wish.name() == endpoint.name()) {
                Some(Wish::Become(after)) if endpoint.needs_restart(&after.config) => {
                    previous.push(endpoint.config());
                    leave.push(endpoint);
                }
                Some(_) => stay.push(endpoint),
                None => {
                    outcomes.push(Outcome {
                        name: endpoint.name().to_owned(),
                        done: Ok(Done::Removed),
                    });
                    leave.push(endpoint);
                }
            }
        }
        self.endpoints = stay;
        stop(leave).await;
        previous
    }

    /// Changes or starts one endpoint; `before` is what it was like if it was stopped to be started anew.
    async fn change_one(
        &mut self,
        prepared: Prepared,
        before: Option<EndpointConfig>,
        place: &Place,
    ) -> Result<Done> {
        let mut running = self.endpoints.iter_mut();
        if let Some(endpoint) = running.find(|endpoint| endpoint.name() == prepared.config.name) {
            let same = endpoint.config() == prepared.config;
            endpoint.apply(prepared).await?;
            return Ok(if same { Done::Nothing } else { Done::Changed });
        }
        match (self.start(prepared, place).await, before) {
            (Ok(()), before) => Ok(before.map_or(Done::Started, |_| Done::Restarted)),
            (Err(error), None) => Err(error),
            (Err(error), Some(before)) => Err(self.restore(error, before, place).await),
        }
    }

    /// Starts an endpoint as it was before a change the machine refused. Returns the error to report.
    async fn restore(&mut self, refusal: Error, before: EndpointConfig, place: &Place) -> Error {
        let restored = match Prepared::read(before, place) {
            Ok(prepared) => self.start(prepared, place).await,
            Err(error) => Err(error),
        };
        match restored {
            Ok(()) => refusal.context("its previous configuration is in force again"),
            Err(error) => refusal.context(format!(
                "it is down, as its previous configuration can't be started again either ({}); cure the cause and \
                 reload",
                describe(&error)
            )),
        }
    }
}

/// Stops endpoints, all at a time: each waits for its clients to hear the goodbye.
async fn stop(endpoints: Vec<Endpoint>) {
    let mut stopping: JoinSet<()> = endpoints.into_iter().map(Endpoint::stop).collect();
    while stopping.join_next().await.is_some() {}
}

fn take<T>(from: &mut Vec<T>, which: impl FnMut(&T) -> bool) -> Option<T> {
    from.iter().position(which).map(|index| from.swap_remove(index))
}
