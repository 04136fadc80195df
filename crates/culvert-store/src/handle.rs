//! A store for async code: its calls run on the runtime's threads for blocking work.

use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::error::StoreError;
use crate::key::KeyRange;
use crate::lease::{Lease, LeaseId};
use crate::record::Revision;
use crate::store::{RangeRequest, RangeResponse, Store};
use crate::txn::{Txn, TxnResponse};
use crate::watch::{Changes, Watch};

/// A [`Store`] for async code on a tokio runtime. Clones are the same store.
///
/// The methods are those of [`Store`]. Dropping a call's future doesn't take back what the call does: who drops
/// that of a transaction doesn't know whether it was carried out.
#[derive(Clone)]
pub struct StoreHandle {
    store: Arc<dyn Store>,
}

impl StoreHandle {
    /// Makes a store usable from async code.
    pub fn new(store: impl Store + 'static) -> Self {
        Self {
            store: Arc::new(store),
        }
    }

    /// [`Store::range`].
    pub async fn range(&self, request: impl Into<RangeRequest>) -> Result<RangeResponse, StoreError> {
        let request = request.into();
        self.call(move |store| store.range(&request)).await
    }

    /// [`Store::txn`].
    pub async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        self.call(move |store| store.txn(&txn)).await
    }

    /// [`Store::watch`].
    pub async fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<WatchHandle, StoreError> {
        let watch = self.call(move |store| store.watch(range, from)).await?;
        Ok(WatchHandle {
            state: WatchState::Idle(watch),
        })
    }

    /// [`Store::compact`].
    pub async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.call(move |store| store.compact(revision)).await
    }

    /// [`Store::grant`].
    pub async fn grant(&self, ttl: Duration) -> Result<Lease, StoreError> {
        self.call(move |store| store.grant(ttl)).await
    }

    /// [`Store::keep_alive`].
    pub async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, StoreError> {
        self.call(move |store| store.keep_alive(lease)).await
    }

    /// [`Store::lease`].
    pub async fn lease(&self, lease: LeaseId) -> Result<Lease, StoreError> {
        self.call(move |store| store.lease(lease)).await
    }

    /// [`Store::revoke`].
    pub async fn revoke(&self, lease: LeaseId) -> Result<Revision, StoreError> {
        self.call(move |store| store.revoke(lease)).await
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        spawn_blocking(move || work(&*store)).await.map_err(ended)?
    }
}

/// A call that never answered: the runtime stops, or the store has a bug whose panic goes on here.
fn ended(error: JoinError) -> StoreError {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => StoreError::Closed,
    }
}

/// A watch for async code.
pub struct WatchHandle {
    state: WatchState,
}

enum WatchState {
    Idle(Box<dyn Watch>),
    /// Survives a dropped call, so that what it reads isn't lost.
    Reading(JoinHandle<ReadOutcome>),
    /// Its runtime stopped.
    Ended,
}

type ReadOutcome = (Box<dyn Watch>, Result<Option<Changes>, StoreError>);

impl WatchHandle {
    /// Waits for the next changes. Loses nothing when dropped and called again, e.g. in `select!`.
    ///
    /// # Errors
    ///
    /// Those of [`Watch::try_next`].
    pub async fn next(&mut self) -> Result<Changes, StoreError> {
        loop {
            match &mut self.state {
                WatchState::Idle(watch) => {
                    watch.ready().await;
                    self.start_reading();
                }
                WatchState::Reading(task) => {
                    let outcome = task.await;
                    self.state = WatchState::Ended;
                    let (watch, changes) = outcome.map_err(ended)?;
                    self.state = WatchState::Idle(watch);
                    if let Some(changes) = changes? {
                        return Ok(changes);
                    }
                }
                WatchState::Ended => return Err(StoreError::Closed),
            }
        }
    }

    fn start_reading(&mut self) {
        if let WatchState::Idle(mut watch) = mem::replace(&mut self.state, WatchState::Ended) {
            self.state = WatchState::Reading(spawn_blocking(move || {
                let changes = watch.try_next();
                (watch, changes)
            }));
        }
    }
}
