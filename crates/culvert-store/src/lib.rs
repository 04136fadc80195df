//! Where the management layer keeps its state: an ordered key-value store shaped like etcd's, in one file.
//! No knowledge of endpoints or rules, and nothing a packet ever waits for.
//!
//! - [`Store`] is the interface: ranges as of a revision, compare-and-set transactions, watches without gaps,
//!   and leases. Its meaning is etcd's, so that a cluster can take the place of the file.
//! - [`EmbeddedStore`] keeps it in one file. An acknowledged transaction survives a crash of the program at any
//!   instant; one that wasn't acknowledged is there as a whole or not at all.
//! - [`StoreHandle`] and [`WatchHandle`] make it usable from async code: the calls run on the runtime's threads
//!   for blocking work.
//!
//! A value may be a secret: files are for their owner only, and `Debug` never shows one.
//!
//! ```
//! # use culvert_store::*;
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("store.redb");
//! let store = EmbeddedStore::open(&path, Options::default(), std::time::Instant::now).unwrap();
//! let created = store.txn(&Txn::new().when(Compare::absent("/a")).then(Op::put("/a", "1"))).unwrap();
//! assert!(created.succeeded);
//! let changed = Compare::unchanged("/a", created.revision);
//! assert!(store.txn(&Txn::new().when(changed).then(Op::put("/a", "2"))).unwrap().succeeded);
//!
//! let before = RangeRequest { revision: Some(created.revision), ..KeyRange::prefix("/").into() };
//! assert_eq!(store.range(&before).unwrap().kvs[0].value, "1".into());
//! ```

#![forbid(unsafe_code)]

mod embedded;
mod error;
mod handle;
mod key;
mod lease;
mod record;
mod store;
mod txn;
mod watch;

pub use embedded::{Contents, EmbeddedStore, Options};
pub use error::StoreError;
pub use handle::{StoreHandle, WatchHandle};
pub use key::{Key, KeyRange, Value};
pub use lease::{Clock, Lease, LeaseId, MAX_TTL, MIN_TTL};
pub use record::{KeyValue, Revision};
pub use store::{RangeRequest, RangeResponse, Store};
pub use txn::{Compare, MAX_OPS, MAX_TXN_BYTES, Op, OpResult, Relation, Target, Txn, TxnResponse};
pub use watch::{Change, Changes, Watch};
