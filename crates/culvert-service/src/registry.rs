//! The endpoints in the store.
//!
//! ```text
//! /certificate/<uuid>   a certificate, see [`Certificates`](crate::Certificates)
//! /crl/<id>             the revocation list of an endpoint, DER
//! /ec2/<id>             a security group, see [`SecurityGroups`](crate::SecurityGroups)
//! /endpoint/<id>        an endpoint with all else that belongs to it
//! /endpoints            changed with every change of any endpoint: what must hold between endpoints is checked against it
//! ```
//!
//! In the order of keys they are neighbours, and nothing else may come between them: one range reads them all as of one
//! revision, and one watch sees all their changes.
//!
//! A change reads, decides, and writes only if nobody wrote meanwhile; else it begins again.

mod crl;
mod page_key;

use std::sync::Arc;

use culvert_query::{ApiError, ErrorCode};
use culvert_store::{
    Compare, Key, KeyRange, KeyValue, Op, RangeRequest, Revision, Store, StoreError, Txn, Watch,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::certificates;
use crate::crl::{Crl, Crls};
use crate::endpoint::Endpoint;
use crate::error::ServiceError;
use crate::id::EndpointId;
use crate::record;
use crate::repeat::Once;
use crate::retry::tries;
use crate::security_group::SecurityGroup;
use crate::security_groups;

pub(crate) use crl::crl_key;

const PREFIX: &str = "/endpoint/";
const CRL_PREFIX: &str = "/crl/";
pub(crate) const ANY_CHANGE: &str = "/endpoints";

/// All that endpoints are run with, as of one revision of the store.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The revision; watch from the next one to miss nothing.
    pub revision: Revision,
    /// The endpoints, by creation, then id.
    pub endpoints: Vec<Stored>,
    /// The certificates, by creation, then ARN.
    pub certificates: Vec<Certificate>,
    /// The revocation lists.
    pub crls: Crls,
    /// The security groups, by id; those of the configuration are not among them.
    pub security_groups: Vec<SecurityGroup>,
}

/// All endpoints as of one revision of the store.
pub(crate) struct Listing {
    /// The endpoints, by creation, then id.
    pub(crate) endpoints: Vec<Stored>,
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

    /// All that endpoints are run with. Whoever needs but the endpoints takes [`Self::endpoints`], which reads less.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn snapshot(&self) -> Result<Snapshot, ServiceError> {
        let range = KeyRange::new(certificates::PREFIX, behind(ANY_CHANGE));
        let response = self.store.range(&RangeRequest::from(range))?;
        let (mut endpoints, mut certificates, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Vec::new();
        for kv in response.kvs {
            if kv.key.as_bytes().starts_with(PREFIX.as_bytes()) {
                endpoints.push(stored(&kv)?);
            } else if kv.key.as_bytes().starts_with(certificates::PREFIX.as_bytes()) {
                certificates.push(certificates::read(kv)?);
            } else if kv.key.as_bytes().starts_with(security_groups::PREFIX.as_bytes()) {
                groups.push(record::read(&kv.key, &kv.value)?);
            } else if let Some(id) = crl::owner(&kv.key) {
                lists.push((id, Crl::from_der(kv.value.into_bytes())));
            }
        }
        sort(&mut endpoints);
        certificates::sort(&mut certificates);
        Ok(Snapshot {
            revision: response.revision,
            endpoints,
            certificates,
            crls: lists.into_iter().collect(),
            security_groups: groups,
        })
    }

    /// All endpoints, by creation, then id.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn endpoints(&self) -> Result<Vec<Stored>, ServiceError> {
        Ok(self.listing()?.endpoints)
    }

    /// All endpoints and their mark.
    pub(crate) fn listing(&self) -> Result<Listing, ServiceError> {
        let range = KeyRange::new(PREFIX, behind(ANY_CHANGE));
        let response = self.store.range(&RangeRequest::from(range))?;
        let (mut endpoints, mut changed) = (Vec::new(), Revision::NONE);
        for kv in &response.kvs {
            if kv.key == Key::from(ANY_CHANGE) {
                changed = kv.mod_revision;
            } else if kv.key.as_bytes().starts_with(PREFIX.as_bytes()) {
                endpoints.push(stored(kv)?);
            }
        }
        sort(&mut endpoints);
        Ok(Listing { endpoints, changed })
    }

    /// Changes behind this revision of what a [`Snapshot`] holds: endpoints, certificates, revocation lists and
    /// security groups.
    ///
    /// # Errors
    /// [`StoreError::Compacted`].
    pub fn watch(&self, behind: Revision) -> Result<Box<dyn Watch>, StoreError> {
        // Without the mark: certificates and endpoints that nobody changed move it, too.
        let range = KeyRange::new(certificates::PREFIX, ANY_CHANGE);
        self.store.watch(range, Some(behind.next()))
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
        for () in tries() {
            if let Some(answer) = once.answered(&*self.store)? {
                return Ok(answer);
            }
            let listing = self.listing()?;
            let others: Vec<Endpoint> = listing
                .endpoints
                .into_iter()
                .map(|stored| stored.endpoint)
                .collect();
            let endpoint = make(&others).map_err(Into::into)?;
            let txn = Txn::new().when(Compare::absent(key(&endpoint.id)));
            let txn = with_endpoint(txn, listing.changed, &endpoint)?;
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
        self.change_with(once, id, |endpoint, all| {
            change(endpoint, all).map(|answer| (answer, Vec::new()))
        })
    }

    /// As [`Self::change`], with operations on other keys that are carried out in one with it.
    fn change_with<T: Serialize + DeserializeOwned, E: Into<ServiceError>>(
        &self,
        once: Once<'_>,
        id: &str,
        change: impl Fn(&mut Endpoint, &[Endpoint]) -> Result<(T, Vec<Op>), E>,
    ) -> Result<T, ServiceError> {
        for () in tries() {
            if let Some(answer) = once.answered(&*self.store)? {
                return Ok(answer);
            }
            let listing = self.listing()?;
            let mut found = listing.endpoints.iter();
            let before = found
                .find(|stored| stored.endpoint.id.as_str() == id)
                .ok_or_else(|| not_found(id))?
                .clone();
            let all: Vec<Endpoint> = listing
                .endpoints
                .into_iter()
                .map(|stored| stored.endpoint)
                .collect();
            let mut after = before.endpoint.clone();
            let (answer, ops) = change(&mut after, &all).map_err(Into::into)?;
            if after == before.endpoint && once.repeat.is_none() {
                return Ok(answer);
            }
            let txn = Txn::new().when(Compare::unchanged(key(&after.id), before.revision));
            let txn = with_endpoint(txn, listing.changed, &after)?;
            let txn = ops.into_iter().fold(txn, Txn::then);
            if once.commit(&*self.store, txn, &answer)? {
                return Ok(answer);
            }
        }
        Err(ServiceError::Contended)
    }

    /// Notes what came of putting an endpoint in force as it was at `revision`, and whether what runs `changed` with it, be
    /// it for something the endpoint refers to. Does nothing if it was changed since: that change is yet to be put in
    /// force.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn settle(
        &self,
        id: &EndpointId,
        revision: Revision,
        outcome: Result<(), &str>,
        changed: bool,
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
        // That it was looked at once more is not worth a change: whoever watches would look again.
        let news = match outcome {
            Ok(()) => changed || before.applied.is_none(),
            Err(_) => before.applied.is_some(),
        };
        let mut later = before;
        later.applied = after.applied;
        if stays && !news && after == later {
            return Ok(());
        }
        let txn = Txn::new().when(Compare::unchanged(key.clone(), revision));
        let txn = if stays {
            txn.then(Op::put(key.clone(), record::write(&key, &after)?))
        } else {
            txn.then(Op::delete(key)).then(Op::delete(crl_key(id)))
        };
        // If somebody was faster, that change comes to be settled in its turn.
        self.store.txn(&txn)?;
        Ok(())
    }
}

/// The transaction that, if no endpoint changed since, writes this one, which is yet to be put in force.
fn with_endpoint(txn: Txn, changed: Revision, endpoint: &Endpoint) -> Result<Txn, ServiceError> {
    let key = key(&endpoint.id);
    let pending = Endpoint {
        applied: None,
        ..endpoint.clone()
    };
    let value = record::write(&key, &pending)?;
    Ok(txn
        .when(Compare::unchanged(ANY_CHANGE, changed))
        .then(Op::put(key, value))
        .then(Op::put(ANY_CHANGE, "")))
}

/// The first key behind this one.
fn behind(key: &str) -> Key {
    Key::from(format!("{key}\0"))
}

fn sort(endpoints: &mut [Stored]) {
    endpoints.sort_by(|a, b| (a.endpoint.created, &a.endpoint.id).cmp(&(b.endpoint.created, &b.endpoint.id)));
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
