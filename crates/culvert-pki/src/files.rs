//! Files that are never half written, and the folder's lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::PkiError;

/// Mode of keys.
pub(crate) const SECRET: u32 = 0o600;

/// Mode of certificates, revocation lists and the database.
pub(crate) const PUBLIC: u32 = 0o644;

/// Largest file that is read: a database or revocation list of some 400,000 certificates.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    move |source| PkiError::Io {
        action,
        path: path.into(),
        source,
    }
}

/// Makes a folder and its parents, for the owner only.
pub(crate) fn make_private_folder(path: &Path) -> Result<(), PkiError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("create the folder", path))
}

/// Takes the folder's lock; it is released when the file is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File, PkiError> {
    let path = folder.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(SECRET)
        .open(&path)
        .map_err(failed("open", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(file)
}

/// The file's text, or `None` if there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Zeroizing<String>>, PkiError> {
    match File::open(path) {
        Ok(file) => {
            let mut text = Zeroizing::new(String::new());
            file.take(MAX_BYTES)
                .read_to_string(&mut text)
                .map_err(failed("read", path))?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// The file's text.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    read_if_there(path)?.ok_or_else(|| failed("read", path)(io::ErrorKind::NotFound.into()))
}

/// Writes a new file beside `path` and renames it over `path`: afterwards the old content or the new is
/// there, also after a power cut. The owner of a replaced file stays its owner.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    let fresh = beside(path);
    let write = || -> io::Result<()> {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(content)?;
        if let Ok(old) = fs::metadata(path) {
            let mine = file.metadata()?;
            if (old.uid(), old.gid()) != (mine.uid(), mine.gid()) {
                // Only root may; for anybody else the new file is as readable as the old one was to him.
                let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
            }
        }
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(folder_of(path))?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&fresh);
        failed("write", path)(error)
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_replaced_whole_with_their_mode_and_without_left_overs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(dir.path().join("key.new"), "left over by a crash").unwrap();
        for content in ["one", "two"] {
            replace(&path, content.as_bytes(), SECRET).unwrap();
            assert_eq!(*read(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_none_or_an_error_that_names_it() {
        let path = Path::new("/nowhere/at/all");
        assert!(read_if_there(path).unwrap().is_none());
        assert!(read(path).unwrap_err().to_string().contains("/nowhere/at/all"));
    }
}
