//! The tables of the file, and what is in them.

use redb::{ReadableTable, TableDefinition};

use super::fault::Fault;
use crate::key::{Key, Value};
use crate::lease::LeaseId;
use crate::record::{KeyValue, Revision};
use crate::watch::Change;

/// A key's create revision, mod revision, version, lease (0: none) and value.
pub(super) type Record = (u64, u64, u64, u64, &'static [u8]);

/// A changed key, its record now, and its record before.
pub(super) type Event = (&'static [u8], Option<Record>, Option<Record>);

/// Every key there is.
pub(super) const KEYS: TableDefinition<'_, &[u8], Record> = TableDefinition::new("keys");

/// The history: revision and place within it. No revision is left out between the oldest and the newest.
pub(super) const LOG: TableDefinition<'_, (u64, u32), Event> = TableDefinition::new("log");

/// Leases: id and time to live in milliseconds.
pub(super) const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");

/// The keys of each lease.
pub(super) const LEASE_KEYS: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("lease_keys");

/// Numbers of the whole store, by the names below.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The format of the file. This name and the type of [`META`] never change.
pub(super) const SCHEMA: &str = "schema";
/// The newest revision.
pub(super) const REVISION: &str = "revision";
/// The newest revision that [`LOG`] has forgotten.
pub(super) const COMPACTED: &str = "compacted";
/// About how many bytes [`LOG`] holds.
pub(super) const HISTORY_BYTES: &str = "history_bytes";
/// The lease that was granted last.
pub(super) const LAST_LEASE: &str = "last_lease";

/// One of the store's numbers; 0 if it was never set.
pub(super) fn number(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, Fault> {
    Ok(meta.get(name)?.map_or(0, |value| value.value()))
}

/// Which part of the past is there: the newest revision, and the newest forgotten one.
pub(super) struct Span {
    pub(super) current: Revision,
    pub(super) compacted: Revision,
}

impl Span {
    pub(super) fn read(meta: &impl ReadableTable<&'static str, u64>) -> Result<Self, Fault> {
        Ok(Self {
            current: Revision(number(meta, REVISION)?),
            compacted: Revision(number(meta, COMPACTED)?),
        })
    }
}

pub(super) fn to_record(kv: &KeyValue) -> (u64, u64, u64, u64, &[u8]) {
    (
        kv.create_revision.0,
        kv.mod_revision.0,
        kv.version,
        kv.lease.map_or(0, |lease| lease.0),
        kv.value.as_bytes(),
    )
}

pub(super) fn from_record(key: &[u8], record: (u64, u64, u64, u64, &[u8])) -> KeyValue {
    let (create, modified, version, lease, value) = record;
    KeyValue {
        key: Key::from(key),
        value: Value::from(value),
        create_revision: Revision(create),
        mod_revision: Revision(modified),
        version,
        lease: (lease != 0).then_some(LeaseId(lease)),
    }
}

pub(super) fn from_event(event: <Event as redb::Value>::SelfType<'_>) -> Change {
    let (key, current, previous) = event;
    Change {
        key: Key::from(key),
        current: current.map(|record| from_record(key, record)),
        previous: previous.map(|record| from_record(key, record)),
    }
}
