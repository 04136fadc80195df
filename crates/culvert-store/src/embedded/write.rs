//! Changes the tables within one transaction of the file.

use std::time::Duration;

use redb::{ReadableTable, Table, WriteTransaction};

use super::Options;
use super::fault::Fault;
use super::history::{self, Log};
use super::read::scan;
use super::tables::{
    COMPACTED, HISTORY_BYTES, KEYS, LAST_LEASE, LEASE_KEYS, LEASES, LOG, META, REVISION, Record, Span,
    from_record, number, to_record,
};
use crate::error::StoreError;
use crate::key::{Key, KeyRange, Value};
use crate::lease::LeaseId;
use crate::record::{KeyValue, Revision};
use crate::txn::{Op, OpResult, Txn, TxnResponse};

/// The tables, open for one change of the store.
pub(super) struct Writer<'t> {
    keys: Table<'t, &'static [u8], Record>,
    log: Log<'t>,
    leases: Table<'t, u64, u64>,
    lease_keys: Table<'t, (u64, &'static [u8]), ()>,
    meta: Table<'t, &'static str, u64>,
    span: Span,
    /// How many keys this transaction changed so far.
    changes: u32,
    /// Bytes of history.
    bytes: u64,
    /// Whether anything was written.
    dirty: bool,
}

/// How a change ended.
pub(super) struct Outcome {
    /// Whether there is anything to commit.
    pub(super) dirty: bool,
    /// The store's revision after the commit.
    pub(super) revision: Revision,
}

impl<'t> Writer<'t> {
    pub(super) fn new(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        let meta = transaction.open_table(META)?;
        let span = Span::read(&meta)?;
        let bytes = number(&meta, HISTORY_BYTES)?;
        Ok(Self {
            keys: transaction.open_table(KEYS)?,
            log: transaction.open_table(LOG)?,
            leases: transaction.open_table(LEASES)?,
            lease_keys: transaction.open_table(LEASE_KEYS)?,
            meta,
            span,
            changes: 0,
            bytes,
            dirty: false,
        })
    }

    /// The revision of the store with what was done so far.
    pub(super) fn revision(&self) -> Revision {
        if self.changes == 0 {
            self.span.current
        } else {
            self.span.current.next()
        }
    }

    /// Carries out a transaction that was checked; `check_lease` refuses leases that don't live.
    pub(super) fn txn(
        &mut self,
        txn: &Txn,
        check_lease: impl Fn(LeaseId) -> Result<(), StoreError>,
    ) -> Result<TxnResponse, Fault> {
        let mut succeeded = true;
        for compare in &txn.compares {
            let record = self.record(&compare.key)?;
            succeeded = succeeded && compare.holds(record.as_ref());
        }
        let branch = if succeeded { &txn.success } else { &txn.failure };
        let mut results = Vec::with_capacity(branch.len());
        for op in branch {
            results.push(match op {
                Op::Put { key, value, lease } => {
                    lease.map_or(Ok(()), &check_lease)?;
                    OpResult::Put(self.put(key, value, *lease)?)
                }
                Op::Delete(range) => OpResult::Deleted(self.delete(range)?),
                Op::Get { range, limit } => OpResult::Got(scan(&self.keys, range, *limit)?.0),
            });
        }
        Ok(TxnResponse {
            succeeded,
            revision: self.revision(),
            results,
        })
    }

    /// Writes down a new lease.
    pub(super) fn grant(&mut self, ttl: Duration) -> Result<LeaseId, Fault> {
        let id = number(&self.meta, LAST_LEASE)? + 1;
        self.meta.insert(LAST_LEASE, id)?;
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.leases.insert(id, milliseconds)?;
        self.dirty = true;
        Ok(LeaseId(id))
    }

    /// Deletes a lease and its keys.
    pub(super) fn end_lease(&mut self, id: LeaseId) -> Result<(), Fault> {
        let mut keys = Vec::new();
        // No key is empty, so the first place of a lease is before all its keys.
        for entry in self
            .lease_keys
            .range::<(u64, &[u8])>((id.0, &[][..])..(id.0 + 1, &[][..]))?
        {
            keys.push(Key::from(entry?.0.value().1));
        }
        for key in keys {
            self.delete(&KeyRange::single(key.as_bytes()))?;
        }
        self.leases.remove(id.0)?;
        self.dirty = true;
        Ok(())
    }

    /// Forgets history.
    pub(super) fn compact(&mut self, upto: Revision) -> Result<(), Fault> {
        if upto > self.span.current {
            return Err(Fault::Refused(StoreError::FutureRevision {
                asked: upto,
                current: self.span.current,
            }));
        }
        if upto > self.span.compacted {
            let freed = history::forget(&mut self.log, upto)?;
            self.bytes = self.bytes.saturating_sub(freed);
            self.span.compacted = upto;
            self.dirty = true;
        }
        Ok(())
    }

    /// Writes down the store's numbers, and keeps the history within its limits.
    pub(super) fn finish(mut self, options: Options) -> Result<Outcome, Fault> {
        self.span.current = self.revision();
        if self.dirty {
            history::trim(&mut self.log, &mut self.span, &mut self.bytes, options)?;
            self.meta.insert(REVISION, self.span.current.0)?;
            self.meta.insert(COMPACTED, self.span.compacted.0)?;
            self.meta.insert(HISTORY_BYTES, self.bytes)?;
        }
        Ok(Outcome {
            dirty: self.dirty,
            revision: self.span.current,
        })
    }

    fn record(&self, key: &Key) -> Result<Option<KeyValue>, Fault> {
        let record = self.keys.get(key.as_bytes())?;
        Ok(record.map(|record| from_record(key.as_bytes(), record.value())))
    }

    fn put(&mut self, key: &Key, value: &Value, lease: Option<LeaseId>) -> Result<Option<KeyValue>, Fault> {
        let previous = self.record(key)?;
        let revision = self.span.current.next();
        let current = KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: previous.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(1, |kv| kv.version + 1),
            lease,
        };
        self.keys.insert(key.as_bytes(), to_record(&current))?;
        self.detach(previous.as_ref())?;
        if let Some(lease) = lease {
            self.lease_keys.insert((lease.0, key.as_bytes()), ())?;
        }
        self.log(key, Some(&current), previous.as_ref())?;
        Ok(previous)
    }

    fn delete(&mut self, range: &KeyRange) -> Result<Vec<KeyValue>, Fault> {
        let (found, _) = scan(&self.keys, range, None)?;
        for kv in &found {
            self.keys.remove(kv.key.as_bytes())?;
            self.detach(Some(kv))?;
            self.log(&kv.key, None, Some(kv))?;
        }
        Ok(found)
    }

    /// Takes a key off the lease it has.
    fn detach(&mut self, kv: Option<&KeyValue>) -> Result<(), Fault> {
        if let Some(kv) = kv
            && let Some(lease) = kv.lease
        {
            self.lease_keys.remove((lease.0, kv.key.as_bytes()))?;
        }
        Ok(())
    }

    fn log(
        &mut self,
        key: &Key,
        current: Option<&KeyValue>,
        previous: Option<&KeyValue>,
    ) -> Result<(), Fault> {
        let place = (self.span.current.next().0, self.changes);
        let event = (key.as_bytes(), current.map(to_record), previous.map(to_record));
        self.bytes += history::bytes(&event);
        self.log.insert(place, event)?;
        self.changes += 1;
        self.dirty = true;
        Ok(())
    }
}
