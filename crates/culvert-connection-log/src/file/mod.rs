//! A log group in files: `FOLDER/GROUP/STREAM.log`, one JSON object a line.
//!
//! A file that is full is renamed to `STREAM.log.1`, that one to `STREAM.log.2` and so on, the oldest first, so that at
//! no moment a line is missing. Files are read by the owner's group at most: they name people and where they are.

mod read;
mod rotation;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::name::{BadName, check_group, check_stream};

pub use read::{FileLogFollower, FileLogReader, StreamFiles};
pub use rotation::Rotation;

/// Files open at a time; then the one used longest ago is closed.
const MAX_OPEN: usize = 64;

/// A log group kept in files. Lines are written through at once: there is no buffer to lose.
#[derive(Debug)]
pub struct FileLog {
    folder: PathBuf,
    rotation: Rotation,
    open: HashMap<String, Open>,
    /// Counts uses, to know the one longest ago.
    uses: u64,
}

/// The file of a stream.
#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    began: OffsetDateTime,
    used: u64,
}

/// A file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileLogError {
    /// The name of a group or stream can't be one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The file system refused something.
    #[error(
        "cannot {what} {path}: {cause}; check that the folder is on a writable file system with room, and that culvertd may \
         write there"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// A file can't be read.
    #[error(
        "cannot read {path}: {cause}; log files are open to root, the user culvertd runs as, and its group"
    )]
    Read {
        /// Which file or folder.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
}

impl FileLogError {
    fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Read { path, cause }
    }

    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { what, path, cause }
    }
}

impl FileLog {
    /// A group below this folder. The group's own folder is made if it isn't there.
    ///
    /// # Errors
    /// Fails when the name can't be used, or the folder can't be made.
    pub fn open(folder: &Path, group: &str, rotation: Rotation) -> Result<Self, FileLogError> {
        let of_group = group_folder(folder, group)?;
        std::fs::create_dir_all(folder).map_err(FileLogError::io("make", folder))?;
        let mut made = folder.to_owned();
        for part in group.split('/').filter(|part| !part.is_empty()) {
            made.push(part);
            make_folder(&made).map_err(FileLogError::io("make", &made))?;
        }
        Ok(Self {
            folder: of_group,
            rotation,
            open: HashMap::new(),
            uses: 0,
        })
    }

    /// Adds a line to a stream. `line` has no end of line.
    ///
    /// # Errors
    /// Fails when the name can't be used, or the file can't be written; the next line begins with a fresh attempt.
    pub fn append(&mut self, stream: &str, line: &str, now: OffsetDateTime) -> Result<(), FileLogError> {
        check_stream(stream)?;
        let path = self.folder.join(file_name(stream));
        let whole = format!("{line}\n");
        let adding = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        let mut file = match self.open.remove(stream) {
            // Whoever moved or removed the file expects a new one.
            Some(open) if is_at(&open.file, &path) => open,
            _ => open_file(&path, now)?,
        };
        if self.rotation.is_due(file.size, file.began, adding, now) {
            drop(file);
            turn_over(&path, self.rotation.keep)?;
            file = open_file(&path, now)?;
        }
        if file.size == 0 {
            file.began = now;
        }
        // One call: a line is there whole, or the disk is full. What is there of it then ends a line at least, so the next
        // one begins on its own.
        file.file
            .write_all(whole.as_bytes())
            .map_err(FileLogError::io("write", &path))?;
        file.size += adding;
        self.uses += 1;
        file.used = self.uses;
        self.make_room();
        self.open.insert(stream.to_owned(), file);
        Ok(())
    }

    fn make_room(&mut self) {
        while self.open.len() >= MAX_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
            let Some(stream) = oldest.map(|(stream, _)| stream.clone()) else {
                return;
            };
            self.open.remove(&stream);
        }
    }
}

/// Makes a folder unless it is there. The daemon's umask would keep out those who are to read the files.
fn make_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(0o750)),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The folder of a group.
///
/// # Errors
/// Fails when the name can't be used.
pub(crate) fn group_folder(folder: &Path, group: &str) -> Result<PathBuf, BadName> {
    check_group(group)?;
    Ok(folder.join(group.strip_prefix('/').unwrap_or(group)))
}

/// The file of a stream. `+` can't be in a name, so no two streams have the same file.
fn file_name(stream: &str) -> String {
    format!("{}.log", stream.replace('/', "+"))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Whether an open file still is the one with this name.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (path.symlink_metadata(), file.metadata()) {
        (Ok(there), Ok(open)) => identity(there) == identity(open),
        _ => false,
    }
}

fn open_file(path: &Path, now: OffsetDateTime) -> Result<Open, FileLogError> {
    let mut file = OpenOptions::new()
        .append(true)
        .read(true)
        .create(true)
        .mode(0o640)
        // A link in place of a log file is somebody's trick: it would lead the daemon to another file.
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(FileLogError::io("open", path))?;
    let metadata = file.metadata().map_err(FileLogError::io("look at", path))?;
    let mut size = metadata.len();
    if size == 0 {
        // A new one: as for folders, whatever the umask.
        file.set_permissions(Permissions::from_mode(0o640))
            .map_err(FileLogError::io("set the rights of", path))?;
    }
    if size > 0 && !ends_a_line(&mut file).map_err(FileLogError::io("read", path))? {
        file.write_all(b"\n").map_err(FileLogError::io("write", path))?;
        size += 1;
    }
    // Where the file system doesn't know when a file was made, it counts from now on.
    let began = metadata.created().map_or(now, OffsetDateTime::from);
    Ok(Open {
        file,
        size,
        began,
        used: 0,
    })
}

/// Whether the last line is whole. One that isn't was cut by a full disk or a crash.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Renames the files of a stream: each gets the next number. The oldest first, so that none is overwritten but the one
/// that is to go.
fn turn_over(path: &Path, keep: u32) -> Result<(), FileLogError> {
    if keep == 0 {
        return std::fs::remove_file(path).map_err(FileLogError::io("remove", path));
    }
    for number in (1..keep).rev() {
        let (from, to) = (numbered(path, number), numbered(path, number + 1));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|error| FileLogError::io("rename", &from)(error))?,
        }
    }
    std::fs::rename(path, numbered(path, 1)).map_err(FileLogError::io("rename", path))
}

#[cfg(test)]
mod tests;
