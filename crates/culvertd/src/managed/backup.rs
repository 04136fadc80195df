//! Backups of the store while it is in use.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use culvert_admin::BackupReport;
use culvert_store::EmbeddedStore;
use tokio::task::spawn_blocking;

const PREFIX: &str = "backup-";

/// Tells the files of one daemon apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Writes backups of a store. They appear in the state folder, where the daemon may write whatever the service manager
/// forbids it elsewhere, and whoever asked takes them to where they belong.
#[derive(Clone)]
pub(crate) struct Backups {
    store: EmbeddedStore,
    folder: PathBuf,
}

impl Backups {
    /// Removes what was never taken away.
    pub(super) fn new(store: EmbeddedStore, folder: &Path) -> Self {
        remove_left(folder);
        Self {
            store,
            folder: folder.into(),
        }
    }

    /// Writes a backup.
    ///
    /// # Errors
    /// Fails when the store can't be read or the file can't be written.
    pub(crate) async fn write(self) -> Result<BackupReport> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{PREFIX}{number}"));
        spawn_blocking(move || {
            let contents = self.store.backup(&path).context("Failed to write a backup")?;
            Ok(BackupReport {
                path,
                keys: contents.keys,
            })
        })
        .await?
    }
}

fn remove_left(folder: &Path) {
    // A folder that can't be read is told of when it is used.
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use culvert_store::{KeyRange, Op, Options, RangeRequest, Store, Txn};

    use super::*;

    #[tokio::test]
    async fn a_backup_holds_what_is_there_and_what_was_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["backup-3", "backup-notes"] {
            std::fs::write(path(name), "").unwrap();
        }
        let store = EmbeddedStore::open(&path("store"), Options::default(), Instant::now).unwrap();
        store.txn(&Txn::new().then(Op::put("/a", "1"))).unwrap();
        let backups = Backups::new(store, folder.path());
        assert!(!path("backup-3").exists() && path("backup-notes").exists());
        let first = backups.clone().write().await.unwrap();
        let second = backups.write().await.unwrap();
        assert_ne!(first.path, second.path);
        assert_eq!(first.keys, 1);
        EmbeddedStore::restore(&first.path, &path("restored")).unwrap();
        let restored = EmbeddedStore::open(&path("restored"), Options::default(), Instant::now).unwrap();
        let found = restored
            .range(&RangeRequest::from(KeyRange::prefix("/")))
            .unwrap();
        assert_eq!(found.kvs[0].value, "1".into());
    }
}
