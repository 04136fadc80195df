//! Makes a store of a backup, which is verified before anything is replaced.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use redb::{ReadableTable, Table, WriteTransaction};

use super::fault::Fault;
use super::files::{self, failed};
use super::format::{Checksummed, Contents, DIGEST, FORMAT, MAGIC};
use super::schema;
use super::tables::{
    COMPACTED, KEYS, LAST_LEASE, LEASE_KEYS, LEASES, META, REVISION, from_record, to_record,
};
use crate::error::StoreError;
use crate::key::Key;
use crate::lease::check_ttl;
use crate::record::{KeyValue, Revision};
use crate::txn::MAX_TXN_BYTES;

/// Above what any counter reaches; etcd's are signed.
const LIMIT: u64 = i64::MAX as u64;

/// Builds a store beside `store` from a backup; when the backup turned out whole, replaces `store` with it.
pub(super) fn restore(backup: &Path, store: &Path) -> Result<Contents, StoreError> {
    let file = File::open(backup).map_err(failed("read the backup", backup))?;
    let input = Input {
        path: backup,
        bytes: Checksummed::new(BufReader::new(file)),
    };
    files::replace(store, |_| {
        let fresh = files::beside(store, ".new");
        schema::fill(&fresh, |transaction| fill(transaction, input)).map_err(|fault| fault.at(&fresh))
    })
}

struct Input<'p, R> {
    path: &'p Path,
    bytes: Checksummed<R>,
}

impl<R: Read> Input<'_, R> {
    fn damaged(&self, reason: impl Into<String>) -> Fault {
        Fault::Refused(StoreError::NotABackup {
            path: self.path.into(),
            reason: reason.into(),
        })
    }

    fn require(&self, holds: bool, otherwise: &str) -> Result<(), Fault> {
        if holds {
            Ok(())
        } else {
            Err(self.damaged(otherwise))
        }
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Checksummed<R>) -> io::Result<T>) -> Result<T, Fault> {
        read(&mut self.bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it ends too early"),
            _ => failed("read the backup", self.path)(error).into(),
        })
    }

    fn number(&mut self) -> Result<u64, Fault> {
        self.read(Checksummed::number)
    }

    fn length(&mut self) -> Result<u32, Fault> {
        let len = u32::from_be_bytes(self.read(Checksummed::array)?);
        self.require(
            len as usize <= MAX_TXN_BYTES,
            "it has a key or value that is too long",
        )?;
        Ok(len)
    }

    /// Checks that this is a backup at all. Returns what it claims to hold, and the lease granted last.
    fn header(&mut self) -> Result<(Contents, u64), Fault> {
        let magic: [u8; MAGIC.len()] = self.read(Checksummed::array)?;
        self.require(magic == MAGIC, "it is another kind of file")?;
        let format = u32::from_be_bytes(self.read(Checksummed::array)?);
        if format > FORMAT {
            return Err(Fault::Refused(StoreError::NewerSchema {
                path: self.path.into(),
                found: format.into(),
                supported: FORMAT.into(),
            }));
        }
        self.require(format == FORMAT, "it has an unknown format")?;
        let revision = Revision(self.number()?);
        let last_lease = self.number()?;
        let contents = Contents {
            revision,
            leases: self.number()?,
            keys: self.number()?,
        };
        let sound = (schema::FIRST_REVISION..LIMIT).contains(&revision.0) && last_lease < LIMIT;
        self.require(sound, "it has numbers that no store would have")?;
        Ok((contents, last_lease))
    }

    fn record(&mut self, newest: Revision) -> Result<KeyValue, Fault> {
        let (create, modified, version, lease) =
            (self.number()?, self.number()?, self.number()?, self.number()?);
        let (key_len, value_len) = (self.length()?, self.length()?);
        let key = self.read(|bytes| bytes.take(key_len))?;
        let value = self.read(|bytes| bytes.take(value_len))?;
        let sound = key_len > 0
            && 0 < create
            && create <= modified
            && modified <= newest.0
            && (1..LIMIT).contains(&version);
        self.require(sound, "it has a key that no store would hold")?;
        Ok(from_record(&key, (create, modified, version, lease, &value)))
    }

    /// Checks that everything read was what was written, and that nothing follows.
    fn end(self) -> Result<(), Fault> {
        let Self { path, bytes } = self;
        let (mut rest, digest) = bytes.finish();
        let mut tail = Vec::new();
        // One byte more than there should be tells whether there is more.
        rest.by_ref()
            .take(DIGEST as u64 + 1)
            .read_to_end(&mut tail)
            .map_err(failed("read the backup", path))?;
        if tail == digest {
            return Ok(());
        }
        Err(Fault::Refused(StoreError::NotABackup {
            path: path.into(),
            reason: "its checksum is wrong: it was changed or cut off".into(),
        }))
    }
}

fn fill(transaction: &WriteTransaction, mut input: Input<'_, impl Read>) -> Result<Contents, Fault> {
    let (contents, last_lease) = input.header()?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(REVISION, contents.revision.0)?;
    // There is no history: nothing up to this moment can be watched.
    meta.insert(COMPACTED, contents.revision.0)?;
    meta.insert(LAST_LEASE, last_lease)?;
    let mut leases = transaction.open_table(LEASES)?;
    for _ in 0..contents.leases {
        let (id, ttl) = (input.number()?, input.number()?);
        input.require(
            (1..=last_lease).contains(&id),
            "it has a lease that was never granted",
        )?;
        input.require(
            check_ttl(Duration::from_millis(ttl)).is_ok(),
            "it has a lease of a time that is not possible",
        )?;
        leases.insert(id, ttl)?;
    }
    fill_keys(transaction, &mut input, contents, &leases)?;
    input.end()?;
    Ok(contents)
}

fn fill_keys(
    transaction: &WriteTransaction,
    input: &mut Input<'_, impl Read>,
    contents: Contents,
    leases: &Table<'_, u64, u64>,
) -> Result<(), Fault> {
    let mut keys = transaction.open_table(KEYS)?;
    let mut lease_keys = transaction.open_table(LEASE_KEYS)?;
    let mut last: Option<Key> = None;
    for _ in 0..contents.keys {
        let kv = input.record(contents.revision)?;
        input.require(last.as_ref() < Some(&kv.key), "its keys are out of order")?;
        if let Some(lease) = kv.lease {
            input.require(leases.get(lease.0)?.is_some(), "it has a key of a lease it lacks")?;
            lease_keys.insert((lease.0, kv.key.as_bytes()), ())?;
        }
        keys.insert(kv.key.as_bytes(), to_record(&kv))?;
        last = Some(kv.key);
    }
    Ok(())
}
