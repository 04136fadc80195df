//! The users file on disk: read with limits, changed under a lock, replaced whole.

use std::path::Path;

use super::record::{UserFile, UsersError};
use crate::private_file::{self, ReadError, Stamp};

/// Largest users file that is read: some 400,000 users.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

impl UserFile {
    /// Reads the file; a file that is not there has no users.
    ///
    /// # Errors
    /// [`UsersError::Io`], [`UsersError::NotUsers`], [`UsersError::Line`].
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        Ok(read_with_stamp(path)?.0)
    }

    /// Changes the file: waits for the lock, reads, lets `change` work, and replaces the file whole with mode
    /// 0600. If `change` fails nothing is written. A power cut leaves the old file or the new one.
    ///
    /// The lock is `<path>.lock`, beside the file; it stays there.
    ///
    /// # Errors
    /// What `change` returns, and as [`UserFile::read`].
    pub fn edit<T>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, UsersError>,
    ) -> Result<T, UsersError> {
        let failed = |action| {
            move |source| UsersError::Io {
                action,
                path: path.into(),
                source,
            }
        };
        let _lock = private_file::lock(path).map_err(failed("lock"))?;
        let mut users = Self::read(path)?;
        let result = change(&mut users)?;
        private_file::replace(path, &users.to_text()).map_err(failed("write"))?;
        Ok(result)
    }
}

/// Reads the file and the stamp of exactly what was read.
pub(super) fn read_with_stamp(path: &Path) -> Result<(UserFile, Option<Stamp>), UsersError> {
    let read = private_file::read(path, MAX_FILE_BYTES).map_err(|error| match error {
        ReadError::Io(source) => UsersError::Io {
            action: "read",
            path: path.into(),
            source,
        },
        ReadError::TooLarge => not_users(path, "it is larger than 64 MiB"),
        ReadError::NotAFile => not_users(path, "it is no regular file"),
        ReadError::NotText => not_users(path, "it is no UTF-8 text"),
    })?;
    let Some(found) = read else {
        return Ok((UserFile::default(), None));
    };
    if found.is_open_to_others() {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", found.mode & 0o777),
            "others may read the users file; chmod 600 it");
    }
    Ok((UserFile::parse(&found.text, path)?, Some(found.stamp)))
}

fn not_users(path: &Path, reason: &'static str) -> UsersError {
    UsersError::NotUsers {
        path: path.into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::UserRecord;
    use super::*;
    use crate::private_file::stamp;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const HASH: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    fn user(name: &str) -> UserRecord {
        UserRecord::new(name, HASH, &[], &[]).unwrap()
    }

    #[test]
    fn the_file_is_private_from_the_first_edit_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        UserFile::edit(&path, |users| users.add(user("a"))).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        UserFile::edit(&path, |users| users.add(user("b"))).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(UserFile::read(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_failed_change_and_a_broken_file_write_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        UserFile::edit(&path, |users| users.add(user("a"))).unwrap();
        let before = stamp(&path).unwrap();
        assert!(UserFile::edit(&path, |users| users.add(user("a"))).is_err());
        assert_eq!(stamp(&path).unwrap(), before);
        fs::write(&path, "broken").unwrap();
        assert!(UserFile::edit(&path, |users| users.add(user("b"))).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "broken");
    }

    #[test]
    fn concurrent_edits_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::thread::scope(|scope| {
            for number in 0..16 {
                let path = &path;
                scope.spawn(move || {
                    UserFile::edit(path, |users| users.add(user(&format!("user{number}")))).unwrap();
                });
            }
        });
        assert_eq!(UserFile::read(&path).unwrap().len(), 16);
    }

    #[test]
    fn a_folder_or_binary_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            UserFile::read(dir.path()),
            Err(UsersError::NotUsers { .. })
        ));
        let path = dir.path().join("binary");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(UserFile::read(&path), Err(UsersError::NotUsers { .. })));
    }

    #[test]
    fn a_left_over_of_a_crash_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(dir.path().join("users.new"), "half a li").unwrap();
        UserFile::edit(&path, |users| users.add(user("a"))).unwrap();
        assert_eq!(UserFile::read(&path).unwrap().len(), 1);
    }
}
