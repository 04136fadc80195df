//! The store in one file, on redb.

mod backup;
mod fault;
mod files;
mod format;
mod history;
mod leases;
#[cfg(test)]
mod power_cut;
mod read;
mod restore;
mod schema;
mod tables;
mod watcher;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{Database, ReadableDatabase};
use tokio::sync::watch;

use crate::error::StoreError;
use crate::key::KeyRange;
use crate::lease::{Clock, Lease, LeaseId, check_ttl};
use crate::record::Revision;
use crate::store::{RangeRequest, RangeResponse, Store};
use crate::txn::{Txn, TxnResponse};
use crate::watch::Watch;

use fault::Fault;
use files::Lock;
pub use format::Contents;
use leases::LeaseTable;
use watcher::Watcher;
use write::Writer;

/// How often [`EmbeddedStore::expiry`] looks for leases that ran out: as often as etcd does.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);

/// How much history is kept for watches and for reading the past.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// At most so many revisions; the newest one is always kept.
    pub history_revisions: u64,
    /// At most about so many bytes.
    pub history_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_revisions: 10_000,
            history_bytes: 16 * 1024 * 1024,
        }
    }
}

/// A store in one file, for one process. Clones are the same store; the last one closes it.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    options: Options,
    clock: Box<dyn Clock>,
    database: Database,
    /// Leases and their deadlines. Whoever writes holds this from the first look to after the commit.
    leases: Mutex<LeaseTable>,
    /// The newest durable revision; wakes watches.
    revision: watch::Sender<Revision>,
    /// Released last.
    _lock: Lock,
}

impl EmbeddedStore {
    /// Opens the store, or makes an empty one. Converts it if an older program wrote it.
    ///
    /// Its leases have their whole time to live again: nobody could keep them alive in between.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`], [`StoreError::NewerSchema`], [`StoreError::OlderSchema`],
    /// [`StoreError::NotAStore`], [`StoreError::Io`] or [`StoreError::Backend`].
    pub fn open(path: &Path, options: Options, clock: impl Clock + 'static) -> Result<Self, StoreError> {
        let lock = Lock::take(path)?;
        if files::is_missing_or_empty(path)? {
            schema::create(path)?;
        }
        files::make_private(path)?;
        Self::with(schema::open(path)?, lock, path, options, clock)
    }

    /// The store that an open database holds.
    fn with(
        database: Database,
        lock: Lock,
        path: &Path,
        options: Options,
        clock: impl Clock + 'static,
    ) -> Result<Self, StoreError> {
        let (revision, granted) = leases::load(&database).map_err(|fault| fault.at(path))?;
        let mut table = LeaseTable::default();
        let now = clock.now();
        for (id, ttl) in granted {
            table.arm(id, ttl, now);
        }
        let inner = Inner {
            path: path.into(),
            options,
            clock: Box::new(clock),
            database,
            leases: Mutex::new(table),
            revision: watch::Sender::new(revision),
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Writes everything that is there now to a new file, for its owner only, while the store stays in use.
    /// The file appears whole or not at all; one of that name is replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::BackupOverStore`], [`StoreError::Io`] or [`StoreError::Backend`].
    pub fn backup(&self, path: &Path) -> Result<Contents, StoreError> {
        files::check_apart(path, &self.inner.path)?;
        files::replace(path, |file| {
            backup::write(&self.inner.database, file, path).map_err(|fault| fault.at(&self.inner.path))
        })
    }

    /// Makes the store at `path` the one that `backup` holds. The program that uses the store must be stopped.
    ///
    /// The backup is verified before the store is touched. A backup has no history: watches and readers of
    /// older revisions get [`StoreError::Compacted`].
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`], [`StoreError::NotABackup`], [`StoreError::NewerSchema`], [`StoreError::Io`] or
    /// [`StoreError::Backend`]; the store is as it was then.
    pub fn restore(backup: &Path, path: &Path) -> Result<Contents, StoreError> {
        let _lock = Lock::take(path)?;
        restore::restore(backup, path)
    }

    /// Revokes the leases that ran out. Somebody must call this: see [`Self::expiry`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Backend`].
    pub fn expire_leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        let mut leases = self.inner.lock_leases();
        let now = self.inner.clock.now();
        let mut expired = Vec::new();
        while let Some(id) = leases.first_due(now) {
            self.inner.end_lease(&mut leases, id)?;
            expired.push(id);
        }
        Ok(expired)
    }

    /// Revokes leases as they run out, until the store is closed. To be spawned on a tokio runtime.
    pub fn expiry(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = Arc::downgrade(&self.inner);
        async move {
            let mut ticks = tokio::time::interval(EXPIRY_INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                let expired = tokio::task::spawn_blocking(move || Self { inner }.expire_leases()).await;
                match expired {
                    Ok(Ok(expired)) => {
                        for lease in expired {
                            tracing::debug!(%lease, "lease ran out");
                        }
                    }
                    Ok(Err(error)) => tracing::warn!(%error, "leases that ran out cannot be ended"),
                    // The runtime stops.
                    Err(_) => return,
                }
            }
        }
    }
}

impl Inner {
    fn lock_leases(&self) -> MutexGuard<'_, LeaseTable> {
        // The table changes after a commit only, in one step: also after a panic it is what the file says.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction of the file. Durable when this returns, unless nothing was changed.
    fn write<T>(&self, work: impl FnOnce(&mut Writer<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let attempt = || -> Result<(T, Revision), Fault> {
            let transaction = self.database.begin_write()?;
            let mut writer = Writer::new(&transaction)?;
            let done = work(&mut writer)?;
            let outcome = writer.finish(self.options)?;
            if outcome.dirty {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok((done, outcome.revision))
        };
        let (done, revision) = attempt().map_err(|fault| fault.at(&self.path))?;
        self.revision.send_if_modified(|current| {
            let newer = revision > *current;
            *current = revision;
            newer
        });
        Ok(done)
    }

    /// Ends a lease that is in the table.
    fn end_lease(&self, leases: &mut LeaseTable, id: LeaseId) -> Result<Revision, StoreError> {
        let revision = self.write(|writer| {
            writer.end_lease(id)?;
            Ok(writer.revision())
        })?;
        leases.disarm(id);
        Ok(revision)
    }
}

impl Store for EmbeddedStore {
    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let read = || read::range(&self.inner.database.begin_read()?, request);
        read().map_err(|fault: Fault| fault.at(&self.inner.path))
    }

    fn txn(&self, txn: &Txn) -> Result<TxnResponse, StoreError> {
        txn.check()?;
        let leases = self.inner.lock_leases();
        let now = self.inner.clock.now();
        self.inner
            .write(|writer| writer.txn(txn, |lease| leases.lease(lease, now).map(|_| ())))
    }

    fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<Box<dyn Watch>, StoreError> {
        let watcher = Watcher::new(&self.inner, range, from).map_err(|fault| fault.at(&self.inner.path))?;
        Ok(Box::new(watcher))
    }

    fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let _leases = self.inner.lock_leases();
        self.inner.write(|writer| writer.compact(revision))
    }

    fn grant(&self, ttl: Duration) -> Result<Lease, StoreError> {
        check_ttl(ttl)?;
        let mut leases = self.inner.lock_leases();
        let id = self.inner.write(|writer| writer.grant(ttl))?;
        let now = self.inner.clock.now();
        leases.arm(id, ttl, now);
        leases.lease(id, now)
    }

    fn keep_alive(&self, lease: LeaseId) -> Result<Lease, StoreError> {
        let mut leases = self.inner.lock_leases();
        let now = self.inner.clock.now();
        let alive = leases.lease(lease, now)?;
        leases.arm(lease, alive.ttl, now);
        leases.lease(lease, now)
    }

    fn lease(&self, lease: LeaseId) -> Result<Lease, StoreError> {
        self.inner.lock_leases().lease(lease, self.inner.clock.now())
    }

    fn revoke(&self, lease: LeaseId) -> Result<Revision, StoreError> {
        let mut leases = self.inner.lock_leases();
        leases.lease(lease, self.inner.clock.now())?;
        self.inner.end_lease(&mut leases, lease)
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("path", &self.inner.path)
            .field("revision", &*self.inner.revision.borrow())
            .finish_non_exhaustive()
    }
}
