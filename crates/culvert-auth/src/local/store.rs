//! The users file on disk: read with limits, changed under a lock, replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::record::{UserFile, UsersError};

/// Largest users file that is read: some 400,000 users.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What tells one version of the file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: SystemTime,
}

/// The file's stamp, or `None` if there is no file.
pub(super) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(stamp_of(&found)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn stamp_of(found: &fs::Metadata) -> io::Result<Stamp> {
    Ok(Stamp {
        inode: (found.dev(), found.ino()),
        size: found.len(),
        modified: found.modified()?,
    })
}

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
        let lock = private(OpenOptions::new().create(true).truncate(false))
            .open(with_suffix(path, ".lock"))
            .map_err(failed("lock"))?;
        lock.lock().map_err(failed("lock"))?;
        let mut users = Self::read(path)?;
        let result = change(&mut users)?;
        replace(path, &users.to_text()).map_err(failed("write"))?;
        Ok(result)
    }
}

/// Reads the file and the stamp of exactly what was read.
pub(super) fn read_with_stamp(path: &Path) -> Result<(UserFile, Option<Stamp>), UsersError> {
    let failed = |source| UsersError::Io {
        action: "read",
        path: path.into(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((UserFile::default(), None)),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    let refused = |reason| UsersError::NotUsers {
        path: path.into(),
        reason,
    };
    if !found.is_file() {
        return Err(refused("it is no regular file"));
    }
    let stamp = stamp_of(&found).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refused("it is larger than 64 MiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is no UTF-8 text"))?;
    if found.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", found.mode() & 0o777),
            "others may read the users file; chmod 600 it");
    }
    Ok((UserFile::parse(text, path)?, Some(stamp)))
}

/// Writes a new file beside the old one and renames it over it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = with_suffix(path, ".new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_fresh(path, &fresh, text).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
        return written;
    }
    File::open(folder(path))?.sync_all()
}

fn write_fresh(path: &Path, fresh: &Path, text: &str) -> io::Result<()> {
    let mut file = private(OpenOptions::new().create_new(true)).open(fresh)?;
    file.write_all(text.as_bytes())?;
    // Root may edit what belongs to the daemon's user: the new file stays with the owner of the old one, a
    // first file goes to the owner of its folder.
    let owner = fs::metadata(path).or_else(|_| fs::metadata(folder(path)))?;
    let mine = file.metadata()?;
    if (owner.uid(), owner.gid()) != (mine.uid(), mine.gid()) {
        match fchown(&file, Some(owner.uid()), Some(owner.gid())) {
            // Not root: whoever may replace the file without being its owner becomes its owner.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    file.sync_all()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::super::record::UserRecord;
    use super::*;
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
