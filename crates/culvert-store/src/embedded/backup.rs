//! Writes a backup from one snapshot.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTableMetadata};

use super::fault::Fault;
use super::files::failed;
use super::format::{Checksummed, Contents, FORMAT, MAGIC};
use super::tables::{KEYS, LAST_LEASE, LEASES, META, REVISION, number};
use crate::record::Revision;

/// Writes what the store holds at this moment; writers are not held up. `path` is where the file will be.
pub(super) fn write(database: &Database, file: &mut File, path: &Path) -> Result<Contents, Fault> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let keys = transaction.open_table(KEYS)?;
    let leases = transaction.open_table(LEASES)?;
    let contents = Contents {
        revision: Revision(number(&meta, REVISION)?),
        keys: keys.len()?,
        leases: leases.len()?,
    };
    let trouble = |error: io::Error| Fault::from(failed("write the backup", path)(error));

    let mut out = Checksummed::new(BufWriter::new(file));
    header(&mut out, contents, number(&meta, LAST_LEASE)?).map_err(trouble)?;
    for entry in leases.range(0..)? {
        let (id, ttl) = entry?;
        out.put_number(id.value()).map_err(trouble)?;
        out.put_number(ttl.value()).map_err(trouble)?;
    }
    for entry in keys.range::<&[u8]>(..)? {
        let (key, value) = entry?;
        record(&mut out, key.value(), value.value()).map_err(trouble)?;
    }
    let (mut out, digest) = out.finish();
    out.write_all(&digest).map_err(trouble)?;
    out.flush().map_err(trouble)?;
    Ok(contents)
}

fn header(out: &mut Checksummed<impl Write>, contents: Contents, last_lease: u64) -> io::Result<()> {
    out.put(&MAGIC)?;
    out.put(&FORMAT.to_be_bytes())?;
    for number in [contents.revision.0, last_lease, contents.leases, contents.keys] {
        out.put_number(number)?;
    }
    Ok(())
}

fn record(
    out: &mut Checksummed<impl Write>,
    key: &[u8],
    record: (u64, u64, u64, u64, &[u8]),
) -> io::Result<()> {
    let (create, modified, version, lease, value) = record;
    for number in [create, modified, version, lease] {
        out.put_number(number)?;
    }
    for bytes in [key, value] {
        let len = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        out.put(&len.to_be_bytes())?;
    }
    out.put(key)?;
    out.put(value)
}
