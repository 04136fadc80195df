//! The endpoints in the store.
//!
//! ```text
//! /endpoint/<id>   an endpoint with all that belongs to it
//! /endpoints       changed with every change of any endpoint: what must hold between endpoints is checked against it
//! ```
//!
//! A change reads, decides, and writes only if nobody wrote meanwhile; else it begins again.

use std::sync::Arc;

use culvert_query::{ApiError, ErrorCode};
use culvert_store::{
    Compare, Key, KeyRange, KeyValue, Op, RangeRequest, Revision, Store, StoreError, Txn, Watch,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::endpoint::Endpoint;
use crate::error::ServiceError;
use crate::id::EndpointId;
use crate::record;
use crate::repeat::Once;

const PREFIX: &str = "/endpoint/";
pub(crate) const ANY_CHANGE: &str = "/endpoints";
/// How often a change is tried. Each time it fails, another one succeeded.
const TRIES: usize = 50;

/// All endpoints as of one revision of the store.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The revision; watch from the next one to miss nothing.
    pub revision: Revision,
    /// The endpoints, by creation, then id.
    pub endpoints: Vec<Stored>,
    /// The revision of the last change of any of them.
    pub(crate) changed: Revision,
}

/// An endpoint as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The revision of its last change.
    pub revision: Revision,
}

/// The endpoints in the store. Calls block.
#[derive(Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
}

impl Registry {
    /// Endpoints in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// All endpoints.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn snapshot(&self) -> Result<Snapshot, ServiceError> {
        // One range for the endpoints and their mark: both as of the same revision.
        let range = RangeRequest::from(KeyRange::prefix("/endpoint"));
        let response = self.store.range(&range)?;
        let (mut endpoints, mut changed) = (Vec::new(), Revision::NONE);
        for kv in &response.kvs {
            if kv.key == Key::from(ANY_CHANGE) {
                changed = kv.mod_revision;
            } else if kv.key.as_bytes().starts_with(PREFIX.as_bytes()) {
                endpoints.push(stored(kv)?);
            }
        }
        endpoints.sort_by(|a: &Stored, b: &Stored| {
            (a.endpoint.created, &a.endpoint.id).cmp(&(b.endpoint.created, &b.endpoint.id))
        });
        Ok(Snapshot {
            revision: response.revision,
            endpoints,
            changed,
        })
    }

    /// Changes of endpoints behind this revision.
    ///
    /// # Errors
    /// [`StoreError::Compacted`].
    pub fn watch(&self, behind: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.store.watch(KeyRange::prefix(PREFIX), Some(behind.next()))
    }

    /// Adds the endpoint that `make` makes in view of all others. A repetition gets the first answer again.
    ///
    /// `make` may be called several times. What else it decides by, certificates for instance, it must read itself each
    /// time: only then is it as of the moment the endpoint is added.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch`, what `make` refuses, and [`ServiceError`].
    pub fn add<E: Into<ServiceError>>(
        &self,
        once: Once<'_>,
        make: impl Fn(&[Endpoint]) -> Result<Endpoint, E>,
    ) -> Result<Endpoint, ServiceError> {
        for _ in 0..TRIES {
            if let Some(answer) = once.answered(&*self.store)? {
                return Ok(answer);
            }
            let snapshot = self.snapshot()?;
            let others: Vec<Endpoint> = snapshot
                .endpoints
                .into_iter()
                .map(|stored| stored.endpoint)
                .collect();
            let endpoint = make(&others).map_err(Into::into)?;
            let txn = Txn::new().when(Compare::absent(key(&endpoint.id)));
            let txn = with_endpoint(txn, snapshot.changed, &endpoint)?;
            if once.commit(&*self.store, txn, &endpoint)? {
                return Ok(endpoint);
            }
        }
        Err(ServiceError::Contended)
    }

    /// Changes an endpoint, in view of all. A repetition gets the first answer again. `change` may be called several times,
    /// as [`Self::add`] says.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch`, `InvalidClientVpnEndpointId.NotFound`, what `change` refuses, and [`ServiceError`]. Nothing has changed then.
    pub fn change<T: Serialize + DeserializeOwned, E: Into<ServiceError>>(
        &self,
        once: Once<'_>,
        id: &str,
        change: impl Fn(&mut Endpoint, &[Endpoint]) -> Result<T, E>,
    ) -> Result<T, ServiceError> {
        for _ in 0..TRIES {
            if let Some(answer) = once.answered(&*self.store)? {
                return Ok(answer);
            }
            let snapshot = self.snapshot()?;
            let mut found = snapshot.endpoints.iter();
            let before = found
                .find(|stored| stored.endpoint.id.as_str() == id)
                .ok_or_else(|| not_found(id))?
                .clone();
            let all: Vec<Endpoint> = snapshot
                .endpoints
                .into_iter()
                .map(|stored| stored.endpoint)
                .collect();
            let mut after = before.endpoint.clone();
            let answer = change(&mut after, &all).map_err(Into::into)?;
            if after == before.endpoint && once.repeat.is_none() {
                return Ok(answer);
            }
            let txn = Txn::new().when(Compare::unchanged(key(&after.id), before.revision));
            let txn = with_endpoint(txn, snapshot.changed, &after)?;
            if once.commit(&*self.store, txn, &answer)? {
                return Ok(answer);
            }
        }
        Err(ServiceError::Contended)
    }

    /// Notes what came of putting an endpoint in force as it was at `revision`. Does nothing if it was changed since:
    /// that change is yet to be put in force.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn settle(
        &self,
        id: &EndpointId,
        revision: Revision,
        outcome: Result<(), &str>,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let key = key(id);
        let range = RangeRequest::from(KeyRange::single(key.clone()));
        let response = self.store.range(&range)?;
        let Some(kv) = response.kvs.first().filter(|kv| kv.mod_revision == revision) else {
            return Ok(());
        };
        let before = stored(kv)?.endpoint;
        let mut after = before.clone();
        let stays = after.settle(outcome, now);
        // That it was applied once more is not worth a change: whoever watches would apply it again.
        let news = before.applied.is_none() && after.applied.is_some();
        let mut later = before;
        later.applied = after.applied;
        if stays && !news && after == later {
            return Ok(());
        }
        let txn = Txn::new().when(Compare::unchanged(key.clone(), revision));
        let txn = if stays {
            txn.then(Op::put(key.clone(), record::write(&key, &after)?))
        } else {
            txn.then(Op::delete(key))
        };
        // If somebody was faster, that change comes to be settled in its turn.
        self.store.txn(&txn)?;
        Ok(())
    }
}

/// The transaction that, if no endpoint changed since, writes this one.
fn with_endpoint(txn: Txn, changed: Revision, endpoint: &Endpoint) -> Result<Txn, ServiceError> {
    let key = key(&endpoint.id);
    let value = record::write(&key, endpoint)?;
    Ok(txn
        .when(Compare::unchanged(ANY_CHANGE, changed))
        .then(Op::put(key, value))
        .then(Op::put(ANY_CHANGE, "")))
}

fn key(id: &EndpointId) -> Key {
    Key::from(format!("{PREFIX}{id}").as_str())
}

fn stored(kv: &KeyValue) -> Result<Stored, ServiceError> {
    Ok(Stored {
        endpoint: record::read(&kv.key, &kv.value)?,
        revision: kv.mod_revision,
    })
}

fn not_found(id: &str) -> ApiError {
    ApiError::new(
        ErrorCode::EndpointIdNotFound,
        format!("The Client VPN endpoint {id:?} does not exist"),
    )
}

#[cfg(test)]
mod tests;
