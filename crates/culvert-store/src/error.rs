//! Why a store refused or failed: cause, place and cure.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::key::Key;
use crate::lease::{LeaseId, MAX_TTL, MIN_TTL};
use crate::record::Revision;
use crate::txn::{MAX_OPS, MAX_TXN_BYTES};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The history that was asked for is forgotten.
    #[error(
        "the store's history before revision {oldest} is forgotten, and revision {asked} was asked for: read the keys anew and watch from there"
    )]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The first revision whose changes are still known.
        oldest: Revision,
    },
    /// The revision is yet to come.
    #[error(
        "revision {asked} was asked for, and the store is at {current}: was it restored from a backup? Read the keys anew"
    )]
    FutureRevision {
        /// What was asked for.
        asked: Revision,
        /// The store's revision.
        current: Revision,
    },
    /// There is no such lease.
    #[error("there is no lease {0}: it ran out or was revoked. Grant a new one and put its keys again")]
    LeaseNotFound(LeaseId),
    /// A time to live that no store keeps.
    #[error("a lease cannot live for {ttl:?}: choose {MIN_TTL:?} to {MAX_TTL:?}")]
    Ttl {
        /// What was asked for.
        ttl: Duration,
    },
    /// Keys have at least one byte.
    #[error("a key must not be empty")]
    EmptyKey,
    /// A branch of a transaction changes a key twice.
    #[error("one transaction changes {key} twice: leave one of the two out")]
    DuplicateKey {
        /// The key.
        key: Key,
    },
    /// A transaction has too many parts.
    #[error("a transaction has {ops} operations, and {MAX_OPS} are possible: split it")]
    TooManyOps {
        /// How many.
        ops: usize,
    },
    /// A transaction is too large.
    #[error("a transaction has {bytes} bytes of keys and values, and {MAX_TXN_BYTES} are possible: split it")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// The store was closed.
    #[error("the store is closed: the program is stopping")]
    Closed,
    /// Another process has the store open.
    #[error(
        "the store {} is in use by {holder}: stop it first, or ask it through its API instead",
        path.display()
    )]
    InUse {
        /// The store's file.
        path: PathBuf,
        /// Who, as far as is known.
        holder: String,
    },
    /// A newer program wrote the store or the backup.
    #[error(
        "{} has format {found}, and this program knows formats up to {supported}: use the version of Culvert that wrote it, or restore a backup made by this one",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest one this program knows.
        supported: u64,
    },
    /// The store has a format that no step leads on from.
    #[error(
        "the store {} has format {found}, which this program can no longer convert: use an older version of Culvert to convert it first",
        path.display()
    )]
    OlderSchema {
        /// The store's file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
    },
    /// The file is something else, or damaged.
    #[error("{} is no usable store ({reason}): restore a backup, or move it away to start with an empty store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is no backup, or damaged.
    #[error("{} is no usable backup ({reason}): nothing was restored. Use another backup", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A backup would replace the store it is made of.
    #[error("{} belongs to the store itself: choose another file for the backup", path.display())]
    BackupOverStore {
        /// Where the backup was to go.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What keeps the data failed.
    #[error(
        "the store {place} failed: {source}. Check its disk (space, health, permissions), then restart culvertd"
    )]
    Backend {
        /// The store's file or address.
        place: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
