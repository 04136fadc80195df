//! The format of the file: made, recognised, and converted step by step.

use std::path::Path;

use culvert_process::take_over;
use redb::{Builder, Database, ReadableDatabase, TableError, TableHandle, WriteTransaction};

use super::fault::Fault;
use super::files;
use super::tables::{KEYS, LEASE_KEYS, LEASES, LOG, META, REVISION, SCHEMA};
use crate::error::StoreError;

/// The format this program writes.
pub(super) const CURRENT: u64 = 1;

/// An empty store is at revision 1, as etcd's.
pub(super) const FIRST_REVISION: u64 = 1;

/// Page cache. The whole state of a large installation is some megabytes.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Leads from one format to the next, in the transaction that also writes the new number.
struct Migration {
    /// The format it starts from; it ends at the next one.
    from: u64,
    convert: fn(&WriteTransaction) -> Result<(), Fault>,
}

/// In order, without gaps, ending at [`CURRENT`]. There is only one format yet.
const MIGRATIONS: &[Migration] = &[];

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes an empty store. It appears whole or not at all: redb can't open a file that it began to make.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    files::replace(path, |_| {
        let fresh = files::beside(path, ".new");
        fill(&fresh, |_| Ok(())).map_err(|fault| fault.at(&fresh))
    })
}

/// Makes a store in an empty file, with what `more` adds.
pub(super) fn fill<T>(
    path: &Path,
    more: impl FnOnce(&WriteTransaction) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let database = builder().create(path)?;
    let done = initialize(&database, more)?;
    database.close()?;
    Ok(done)
}

/// Makes a store in an empty database, with what `more` adds.
pub(super) fn initialize<T>(
    database: &Database,
    more: impl FnOnce(&WriteTransaction) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = database.begin_write()?;
    {
        transaction.open_table(KEYS)?;
        transaction.open_table(LOG)?;
        transaction.open_table(LEASES)?;
        transaction.open_table(LEASE_KEYS)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(SCHEMA, CURRENT)?;
        meta.insert(REVISION, FIRST_REVISION)?;
    }
    let done = more(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Opens a store and leads it to the present format.
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    let open = || builder().open(path);
    let held = |error: &redb::DatabaseError| matches!(error, redb::DatabaseError::DatabaseAlreadyOpen);
    let database = take_over(open, held).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
            path: path.into(),
            holder: "another process".into(),
        },
        redb::DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            StoreError::NotAStore {
                path: path.into(),
                reason: error.to_string(),
            }
        }
        error => Fault::from(error).at(path),
    })?;
    lead_to(&database, path, MIGRATIONS, CURRENT)?;
    Ok(database)
}

fn lead_to(
    database: &Database,
    path: &Path,
    migrations: &[Migration],
    supported: u64,
) -> Result<(), StoreError> {
    let found = version(database).map_err(|fault| fault.at(path))?;
    let Some(found) = found else {
        return Err(StoreError::NotAStore {
            path: path.into(),
            reason: "it is a redb database of another program".into(),
        });
    };
    if found > supported {
        return Err(StoreError::NewerSchema {
            path: path.into(),
            found,
            supported,
        });
    }
    for from in found..supported {
        let Some(step) = migrations.iter().find(|step| step.from == from) else {
            return Err(StoreError::OlderSchema {
                path: path.into(),
                found,
            });
        };
        convert(database, step).map_err(|fault| fault.at(path))?;
        tracing::info!(path = %path.display(), from, to = from + 1, "converted the store");
    }
    Ok(())
}

/// The file's format; `None` if it has none.
fn version(database: &Database) -> Result<Option<u64>, Fault> {
    let transaction = database.begin_read()?;
    let named = |table: redb::UntypedTableHandle| table.name() == META.name();
    if !transaction.list_tables()?.any(named) {
        return Ok(None);
    }
    match transaction.open_table(META) {
        Ok(meta) => Ok(meta.get(SCHEMA)?.map(|version| version.value())),
        Err(TableError::TableTypeMismatch { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn convert(database: &Database, step: &Migration) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    (step.convert)(&transaction)?;
    transaction.open_table(META)?.insert(SCHEMA, step.from + 1)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;

    fn made(schema: u64) -> (tempfile::TempDir, std::path::PathBuf, Database) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        create(&path).unwrap();
        let database = builder().open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(META)
            .unwrap()
            .insert(SCHEMA, schema)
            .unwrap();
        transaction.commit().unwrap();
        (folder, path, database)
    }

    #[test]
    fn a_newer_format_is_refused_and_both_are_named() {
        let (_folder, path, database) = made(CURRENT + 6);
        drop(database);
        let error = open(&path).err().unwrap();
        assert!(matches!(
            error,
            StoreError::NewerSchema {
                found: 7,
                supported: 1,
                ..
            }
        ));
        let text = error.to_string();
        assert!(text.contains("format 7") && text.contains("up to 1") && text.contains("store.redb"));
    }

    #[test]
    fn steps_run_in_order_and_only_those_still_due() {
        const TRACE: TableDefinition<'_, u64, u64> = TableDefinition::new("trace");
        fn trace(transaction: &WriteTransaction, step: u64) -> Result<(), Fault> {
            let mut table = transaction.open_table(TRACE)?;
            let place = redb::ReadableTableMetadata::len(&table)?;
            table.insert(place, step)?;
            Ok(())
        }
        let migrations = [3, 2, 1].map(|from| Migration {
            from,
            convert: match from {
                1 => |transaction| trace(transaction, 1),
                2 => |transaction| trace(transaction, 2),
                _ => |transaction| trace(transaction, 3),
            },
        });
        let (_folder, path, database) = made(2);
        lead_to(&database, &path, &migrations, 4).unwrap();
        lead_to(&database, &path, &migrations, 4).unwrap();
        assert_eq!(version(&database).unwrap(), Some(4));
        let table = database.begin_read().unwrap().open_table(TRACE).unwrap();
        let steps = table.range(0..).unwrap().map(|entry| entry.unwrap().1.value());
        assert_eq!(steps.collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_failed_step_leaves_the_file_as_it_was() {
        let migrations = [Migration {
            from: 1,
            convert: |transaction| {
                transaction.delete_table(KEYS)?;
                Err(StoreError::Closed.into())
            },
        }];
        let (_folder, path, database) = made(1);
        assert!(lead_to(&database, &path, &migrations, 2).is_err());
        assert_eq!(version(&database).unwrap(), Some(1));
        assert!(database.begin_read().unwrap().open_table(KEYS).is_ok());
    }

    #[test]
    fn a_format_without_a_way_on_is_refused() {
        let (_folder, path, database) = made(1);
        let refused = lead_to(&database, &path, &[], 2);
        assert!(matches!(refused, Err(StoreError::OlderSchema { found: 1, .. })));
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "no database, but long enough to have a header".repeat(50)).unwrap();
        assert!(matches!(open(&path), Err(StoreError::NotAStore { .. })));
        let path = folder.path().join("foreign");
        builder().create(&path).unwrap().close().unwrap();
        assert!(matches!(open(&path), Err(StoreError::NotAStore { .. })));
    }
}
