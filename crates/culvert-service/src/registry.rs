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
use time::OffsetDateTime;

use crate::endpoint::Endpoint;
use crate::error::ServiceError;
use crate::id::EndpointId;
use crate::record;

const PREFIX: &str = "/endpoint/";
const ANY_CHANGE: &str = "/endpoints";
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
    changed: Revision,
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

    /// Adds the endpoint that `make` makes in view of all others.
    ///
    /// # Errors
    /// What `make` refuses, and [`ServiceError`].
    pub fn add(
        &self,
        make: impl Fn(&[Endpoint]) -> Result<Endpoint, ApiError>,
    ) -> Result<Endpoint, ServiceError> {
        for _ in 0..TRIES {
            let snapshot = self.snapshot()?;
            let others: Vec<Endpoint> = snapshot
                .endpoints
                .into_iter()
                .map(|stored| stored.endpoint)
                .collect();
            let endpoint = make(&others)?;
            let txn = Txn::new().when(Compare::absent(key(&endpoint.id)));
            if self.commit(txn, snapshot.changed, &endpoint)? {
                return Ok(endpoint);
            }
        }
        Err(ServiceError::Contended)
    }

    /// Changes an endpoint, in view of all.
    ///
    /// # Errors
    /// `InvalidClientVpnEndpointId.NotFound`, what `change` refuses, and [`ServiceError`]. Nothing has changed then.
    pub fn change<T>(
        &self,
        id: &str,
        change: impl Fn(&mut Endpoint, &[Endpoint]) -> Result<T, ApiError>,
    ) -> Result<T, ServiceError> {
        for _ in 0..TRIES {
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
            let answer = change(&mut after, &all)?;
            if after == before.endpoint {
                return Ok(answer);
            }
            let txn = Txn::new().when(Compare::unchanged(key(&after.id), before.revision));
            if self.commit(txn, snapshot.changed, &after)? {
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

    /// Writes an endpoint under the conditions of `txn` and if no endpoint changed since. Returns whether it did.
    fn commit(&self, txn: Txn, changed: Revision, endpoint: &Endpoint) -> Result<bool, ServiceError> {
        let key = key(&endpoint.id);
        let value = record::write(&key, endpoint)?;
        let txn = txn
            .when(Compare::unchanged(ANY_CHANGE, changed))
            .then(Op::put(key, value))
            .then(Op::put(ANY_CHANGE, ""));
        Ok(self.store.txn(&txn)?.succeeded)
    }
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
mod tests {
    use std::time::Instant;

    use culvert_store::{EmbeddedStore, Options};
    use tempfile::TempDir;

    use super::*;
    use crate::endpoint::EndpointState;
    use crate::operations::samples::{NOW, endpoint, environment, id};

    fn open(folder: &TempDir) -> Registry {
        let path = folder.path().join("store.redb");
        Registry::new(Arc::new(
            EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap(),
        ))
    }

    /// An endpoint whose port is its own only if nobody has it.
    fn make(number: u8) -> impl Fn(&[Endpoint]) -> Result<Endpoint, ApiError> {
        move |others| {
            let mut made = endpoint();
            made.id = EndpointId::from_random([number; 9]);
            made.vpn_port = 1000 + others.len() as u16;
            Ok(made)
        }
    }

    fn associate(registry: &Registry, id_text: &str, subnet: &str, number: u8) -> Result<(), ServiceError> {
        registry.change(id_text, |endpoint, _| {
            endpoint
                .associate(&environment(), subnet, id(number), NOW)
                .map(drop)
        })
    }

    #[test]
    fn what_was_acknowledged_is_there_after_the_store_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder);
        let made = registry.add(make(1)).unwrap();
        associate(&registry, made.id.as_str(), "subnet-0000000a", 1).unwrap();
        let before = registry.snapshot().unwrap();
        drop(registry);
        let after = open(&folder).snapshot().unwrap();
        assert_eq!(after.endpoints, before.endpoints);
        assert_eq!(after.endpoints[0].endpoint.associations.len(), 1);
    }

    #[test]
    fn a_refused_change_and_an_unknown_endpoint_leave_everything_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder);
        let made = registry.add(make(1)).unwrap();
        let before = registry.snapshot().unwrap();
        let refused = associate(&registry, made.id.as_str(), "subnet-00000099", 1).unwrap_err();
        assert_eq!(refused.to_api().code, ErrorCode::SubnetIdNotFound);
        for unknown in ["cvpn-endpoint-0123456789abcdef0", "x", ""] {
            let refused = associate(&registry, unknown, "subnet-0000000a", 1).unwrap_err();
            assert_eq!(refused.to_api().code, ErrorCode::EndpointIdNotFound);
        }
        assert_eq!(registry.snapshot().unwrap().revision, before.revision);
    }

    #[test]
    fn only_what_was_seen_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder);
        let made = registry.add(make(1)).unwrap();
        associate(&registry, made.id.as_str(), "subnet-0000000a", 1).unwrap();
        let seen = registry.snapshot().unwrap().endpoints[0].revision;
        associate(&registry, made.id.as_str(), "subnet-0000000b", 2).unwrap();
        let state = || registry.snapshot().unwrap().endpoints[0].endpoint.state;
        registry.settle(&made.id, seen, Ok(()), NOW).unwrap();
        assert_eq!(
            state(),
            EndpointState::PendingAssociate,
            "the second change came in between"
        );
        let seen = registry.snapshot().unwrap().endpoints[0].revision;
        registry.settle(&made.id, seen, Ok(()), NOW).unwrap();
        assert_eq!(state(), EndpointState::Available);
        let settled = registry.snapshot().unwrap();
        let later = NOW + time::Duration::hours(1);
        registry
            .settle(&made.id, settled.endpoints[0].revision, Ok(()), later)
            .unwrap();
        assert_eq!(
            registry.snapshot().unwrap().revision,
            settled.revision,
            "nothing new to say"
        );
    }

    #[test]
    fn a_deleted_endpoint_is_gone_once_that_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder);
        let made = registry.add(make(1)).unwrap();
        let mut watch = registry.watch(registry.snapshot().unwrap().revision).unwrap();
        registry
            .change(made.id.as_str(), |endpoint, _| endpoint.delete())
            .unwrap();
        let seen = registry.snapshot().unwrap().endpoints[0].revision;
        registry.settle(&made.id, seen, Ok(()), NOW).unwrap();
        assert!(registry.snapshot().unwrap().endpoints.is_empty());
        let changed = watch.try_next().unwrap().unwrap();
        assert!(changed.changes[0].current.is_some());
        let gone = watch.try_next().unwrap().unwrap();
        assert!(gone.changes[0].current.is_none());
    }

    #[test]
    fn changes_at_once_all_count_and_see_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder);
        let made = registry.add(make(100)).unwrap();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (registry, id) = (registry.clone(), made.id.clone());
                scope.spawn(move || {
                    for step in 0..5 {
                        let tag = format!("{number}-{step}");
                        let change = |endpoint: &mut Endpoint, _: &[Endpoint]| {
                            endpoint.tags.insert(tag.clone(), String::new());
                            Ok(())
                        };
                        registry.change(id.as_str(), change).unwrap();
                    }
                    registry.add(make(number)).unwrap();
                });
            }
        });
        let endpoints = registry.snapshot().unwrap().endpoints;
        let tags = endpoints.iter().map(|stored| stored.endpoint.tags.len()).max();
        assert_eq!(tags, Some(20));
        let mut ports: Vec<u16> = endpoints.iter().map(|stored| stored.endpoint.vpn_port).collect();
        ports.sort_unstable();
        assert_eq!(
            ports,
            [1000, 1001, 1002, 1003, 1004],
            "each was made in view of those before"
        );
    }
}
