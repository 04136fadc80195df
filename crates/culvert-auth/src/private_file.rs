//! Files that hold secrets: read with limits, changed under a lock, replaced whole, private from their first moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

/// What tells one version of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: SystemTime,
    /// Permissions change without the rest.
    changed: (i64, i64),
}

/// The file's stamp, or `None` if there is no file.
pub(crate) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
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
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

/// A file as it was read.
pub(crate) struct Found {
    pub(crate) text: Zeroizing<String>,
    /// Of exactly what was read.
    pub(crate) stamp: Stamp,
    pub(crate) mode: u32,
}

impl Found {
    /// Whether group or others have any right to it.
    pub(crate) fn is_open_to_others(&self) -> bool {
        self.mode & 0o077 != 0
    }
}

/// Why a file can't be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    TooLarge,
    NotAFile,
    NotText,
}

/// Reads a text of at most `max` bytes; `None` if there is no file.
pub(crate) fn read(path: &Path, max: u64) -> Result<Option<Found>, ReadError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::Io(error)),
    };
    let found = file.metadata().map_err(ReadError::Io)?;
    if !found.is_file() {
        return Err(ReadError::NotAFile);
    }
    let stamp = stamp_of(&found).map_err(ReadError::Io)?;
    // Made at full size: a buffer that grows leaves copies of secrets behind.
    let size = usize::try_from(found.len().min(max)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.saturating_add(1)));
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(ReadError::Io)?;
    if bytes.len() as u64 > max {
        return Err(ReadError::TooLarge);
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        ReadError::NotText
    })?;
    Ok(Some(Found {
        text: Zeroizing::new(text),
        stamp,
        mode: found.mode(),
    }))
}

/// Waits until nobody else changes the file, and keeps others from it while the result lives.
///
/// The lock is `<path>.lock`, beside the file; it stays there.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let lock = private(OpenOptions::new().create(true).truncate(false)).open(with_suffix(path, ".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Writes a new file beside the old one and renames it over it.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
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
