//! The store's files: for their owner only, never half there, used by one process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use culvert_process::take_over;

use crate::error::StoreError;

const PRIVATE: u32 = 0o600;

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io {
        action,
        path: path.into(),
        source,
    }
}

/// `path` with something at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The right to use the store, released on drop.
///
/// A file of its own, because restoring replaces the store's file, and a lock on a replaced file locks nothing.
/// It stays there: a lock file that is deleted can be locked by two.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(store: &Path) -> Result<Self, StoreError> {
        let path = beside(store, ".lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(PRIVATE)
            .open(&path)
            .map_err(failed("open the lock", &path))?;
        match take_over(
            || file.try_lock(),
            |error| matches!(error, TryLockError::WouldBlock),
        ) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: store.into(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        // For whoever finds it locked.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // The name is a help only: without it the message is still true.
    let _ = file.take(32).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(process) if process == std::process::id() => "this process".into(),
        Ok(process) => format!("process {process}"),
        Err(_) => "another process".into(),
    }
}

/// Refuses to put a file in place of the store's own, under whatever name.
pub(super) fn check_apart(path: &Path, store: &Path) -> Result<(), StoreError> {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let Ok(there) = identity(path) else {
        return Ok(());
    };
    let own = [store.to_owned(), beside(store, ".lock")];
    if own.iter().any(|own| identity(own).is_ok_and(|own| own == there)) {
        return Err(StoreError::BackupOverStore { path: path.into() });
    }
    Ok(())
}

/// Whether there is nothing yet. A file of no bytes is as good as none.
pub(super) fn is_missing_or_empty(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// Takes the file from everybody but its owner.
pub(super) fn make_private(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(failed("look at", path))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE)).map_err(failed("make private", path))
}

/// Makes a new file with what `fill` writes, and puts it in place of `path`: after a crash at any instant
/// the old one is there or the new one, whole.
pub(super) fn replace<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let fresh = beside(path, ".new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &fresh)(error));
        }
        _ => {}
    }
    let filled = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(PRIVATE)
        .open(&fresh)
        .map_err(failed("create", &fresh))
        .and_then(|mut file| {
            let done = fill(&mut file)?;
            file.sync_all().map_err(failed("write", &fresh))?;
            fs::rename(&fresh, path).map_err(failed("replace", path))?;
            sync_folder(path)?;
            Ok(done)
        });
    if filled.is_err() {
        // What is half written is of no use; if it can't go now, the next one removes it.
        let _ = fs::remove_file(&fresh);
    }
    filled
}

/// Makes a rename in the file's folder durable.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync the folder", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        replace(&path, |file| {
            file.write_all(b"old").map_err(failed("write", &path))
        })
        .unwrap();
        let refused = replace(&path, |file| {
            file.write_all(b"half").map_err(failed("write", &path))?;
            Err::<(), _>(StoreError::Closed)
        });
        assert!(matches!(refused, Err(StoreError::Closed)));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_replacement_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "open to all").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, |_| Ok(())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
