//! The access keys in force: current without restarts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::file::{AccessKeyFile, read_with_stamp};
use super::record::AccessKeyError;
use crate::private_file::{Stamp, stamp};

/// The access keys of a file, which is looked at again with each lookup.
#[derive(Debug)]
pub struct AccessKeys {
    path: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    keys: Arc<AccessKeyFile>,
    /// Of the file last looked at, good or bad.
    stamp: Option<Stamp>,
}

impl AccessKeys {
    /// Reads the file. One that isn't there yet has no keys.
    ///
    /// # Errors
    /// As [`AccessKeyFile::read`]. Later on a broken file is logged and the last good one stays in force.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, AccessKeyError> {
        let path = path.into();
        let (keys, stamp) = read_with_stamp(&path)?;
        if keys.keys().is_empty() {
            tracing::warn!(path = %path.display(),
                "there are no access keys: nobody can sign a request; make one with `culvert access-key create`");
        }
        let keys = Arc::new(keys);
        Ok(Self {
            path,
            current: Mutex::new(Current { keys, stamp }),
        })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret of the key with this id, as the file has it now. A file that was removed has no keys.
    pub fn secret(&self, id: &str) -> Option<Zeroizing<String>> {
        let keys = self.keys();
        keys.find(id).map(|key| key.expose_secret().clone())
    }

    fn keys(&self) -> Arc<AccessKeyFile> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match stamp(&self.path) {
            Ok(found) if found == current.stamp => {}
            Ok(found) => self.read_again(&mut current, found),
            Err(error) => tracing::error!(path = %self.path.display(), %error,
                "cannot look at the file of access keys; its last good content stays in force"),
        }
        Arc::clone(&current.keys)
    }

    fn read_again(&self, current: &mut Current, found: Option<Stamp>) {
        match read_with_stamp(&self.path) {
            Ok((keys, stamp)) => {
                match stamp {
                    Some(_) => {
                        tracing::info!(path = %self.path.display(), keys = keys.keys().len(), "access keys read");
                    }
                    None => tracing::error!(path = %self.path.display(),
                        "the file of access keys is gone: nobody can sign a request; make one with `culvert access-key \
                         create`"),
                }
                current.keys = Arc::new(keys);
                current.stamp = stamp;
            }
            Err(error) => {
                tracing::error!(%error, "the file of access keys is broken; its last good content stays in force");
                current.stamp = found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use time::OffsetDateTime;

    use super::super::AccessKey;
    use super::*;

    fn create(path: &Path) -> AccessKey {
        let key = AccessKey::generate(OffsetDateTime::now_utc(), None).unwrap();
        AccessKeyFile::edit(path, |keys| keys.add(key.clone())).unwrap();
        key
    }

    #[test]
    fn a_file_may_be_made_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let keys = AccessKeys::open(&path).unwrap();
        assert!(keys.secret("AKIA0123456789ABCDEF").is_none());
        let key = create(&path);
        assert_eq!(keys.secret(key.id()).as_ref(), Some(key.expose_secret()));
    }

    #[test]
    fn changes_count_at_the_next_lookup_and_a_broken_file_keeps_the_last_good_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let first = create(&path);
        let keys = AccessKeys::open(&path).unwrap();
        assert_eq!(keys.secret(first.id()).as_ref(), Some(first.expose_secret()));
        assert_eq!(keys.secret("AKIAEXAMPLEEXAMPLE22"), None);
        let second = create(&path);
        assert!(keys.secret(second.id()).is_some());
        AccessKeyFile::edit(&path, |keys| keys.remove(first.id())).unwrap();
        assert_eq!(keys.secret(first.id()), None, "a deleted key is good no longer");

        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, "broken").unwrap();
        assert!(keys.secret(second.id()).is_some(), "the last good content stays");
        fs::write(&path, &good).unwrap();
        assert!(keys.secret(second.id()).is_some());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        create_elsewhere_does_not_count(&keys, &path, &good);
        fs::remove_file(&path).unwrap();
        assert_eq!(keys.secret(second.id()), None, "no file, no keys");
    }

    /// A file that anybody could have read is not taken over.
    fn create_elsewhere_does_not_count(keys: &AccessKeys, path: &Path, good: &str) {
        let third = AccessKey::generate(OffsetDateTime::now_utc(), None).unwrap();
        let mut more = AccessKeyFile::parse(good, path).unwrap();
        more.add(third.clone()).unwrap();
        fs::write(path, &*more.to_text()).unwrap();
        assert_eq!(keys.secret(third.id()), None);
    }
}
