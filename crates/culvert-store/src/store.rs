//! The interface of a store, shaped like etcd's.

use std::time::Duration;

use crate::error::StoreError;
use crate::key::KeyRange;
use crate::lease::{Lease, LeaseId};
use crate::record::{KeyValue, Revision};
use crate::txn::{Txn, TxnResponse};
use crate::watch::Watch;

/// What to read.
#[derive(Clone, Debug)]
pub struct RangeRequest {
    /// Which keys.
    pub range: KeyRange,
    /// At most so many.
    pub limit: Option<usize>,
    /// As of this revision; `None`: the present.
    pub revision: Option<Revision>,
}

impl From<KeyRange> for RangeRequest {
    fn from(range: KeyRange) -> Self {
        Self {
            range,
            limit: None,
            revision: None,
        }
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeResponse {
    /// The store's revision, also if an older one was asked for. Watch from [`Revision::next`] of it to miss nothing.
    pub revision: Revision,
    /// The keys, in order.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut keys off.
    pub more: bool,
}

/// An ordered key-value store with revisions, transactions, watches and leases.
///
/// Calls block (on a disk, on a network): never call them on a thread that serves an async runtime, but
/// through [`crate::StoreHandle`].
pub trait Store: Send + Sync {
    /// Reads keys as of one revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] and [`StoreError::FutureRevision`] for a revision that is not there.
    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, StoreError>;

    /// Carries out a transaction. When this returns, what it did is durable.
    ///
    /// # Errors
    ///
    /// Those of [`Txn::check`], and [`StoreError::LeaseNotFound`]: nothing was done then.
    /// After [`StoreError::Backend`] it is unknown whether it was: read before doing it again.
    fn txn(&self, txn: &Txn) -> Result<TxnResponse, StoreError>;

    /// Watches a range, beginning with the changes of revision `from`; `None`: with the next change.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] if changes since `from` were forgotten.
    fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<Box<dyn Watch>, StoreError>;

    /// Forgets the history up to and with a revision. Repeating it is harmless.
    ///
    /// # Errors
    ///
    /// [`StoreError::FutureRevision`].
    fn compact(&self, revision: Revision) -> Result<(), StoreError>;

    /// Grants a lease. The store chooses its id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Ttl`].
    fn grant(&self, ttl: Duration) -> Result<Lease, StoreError>;

    /// Lets a lease live for its whole time again. Do it at a third of that time.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseNotFound`]: it ran out or was revoked.
    fn keep_alive(&self, lease: LeaseId) -> Result<Lease, StoreError>;

    /// How long a lease lives.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseNotFound`]: it ran out or was revoked.
    fn lease(&self, lease: LeaseId) -> Result<Lease, StoreError>;

    /// Ends a lease and deletes its keys, in one revision. Returns the store's revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseNotFound`].
    fn revoke(&self, lease: LeaseId) -> Result<Revision, StoreError>;
}
