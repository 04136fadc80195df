//! Events on disk, in numbered segments: one for each batch. The last one grows; the others wait to be delivered.
//!
//! A line of a segment is `{"s":"STREAM","t":MILLISECONDS,"m":"MESSAGE"}`.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use culvert_process::take_over;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;

/// What ends the names of segments.
const ENDING: &str = "segment";
/// Largest segment that is read: a batch, as it is written.
const MAX_SEGMENT: u64 = 16 << 20;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "s")]
    pub(crate) stream: String,
    #[serde(rename = "t")]
    pub(crate) millis: i64,
    #[serde(rename = "m")]
    pub(crate) message: String,
}

/// The spool of a group.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    limit: u64,
    /// Those that don't grow any more, oldest first, with their sizes.
    closed: VecDeque<(u64, u64)>,
    open: Option<Open>,
    next: u64,
    /// Events dropped for want of room, until somebody tells of them.
    dropped: u64,
    /// Held as long as this lives: two would deliver everything twice.
    _lock: File,
}

#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    size: u64,
    batch: Batch,
}

/// The spool can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system refused something.
    #[error(
        "cannot {what} {path}: {cause}; check that its file system has room and that culvertd may write there"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// Somebody else uses it.
    #[error(
        "{0} is in use: how a group is delivered can't change while culvertd runs; restart it, or name the group otherwise"
    )]
    InUse(PathBuf),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |cause| SpoolError::Io { what, path, cause }
}

impl Spool {
    /// The spool in this folder, with what a former run left.
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Self, SpoolError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("make", folder))?;
        let lock = lock(folder)?;
        let mut closed = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed("read", folder))? {
            let entry = entry.map_err(failed("read", folder))?;
            let size = entry.metadata().map_err(failed("read", folder))?.len();
            closed.extend(number(&entry.path()).map(|number| (number, size)));
        }
        closed.sort_unstable();
        Ok(Self {
            folder: folder.to_owned(),
            limit,
            next: closed.last().map_or(1, |(last, _)| last + 1),
            closed: closed.into(),
            open: None,
            dropped: 0,
            _lock: lock,
        })
    }

    /// Adds an event.
    pub(crate) fn append(
        &mut self,
        stream: &str,
        millis: i64,
        message: &str,
        now: Instant,
    ) -> Result<(), SpoolError> {
        if self
            .open
            .as_ref()
            .is_some_and(|open| !open.batch.fits(message.len()))
        {
            self.close();
        }
        let event = Event {
            stream: stream.to_owned(),
            millis,
            message: message.to_owned(),
        };
        // Text and a number: there is nothing that could fail.
        let line = format!("{}\n", serde_json::to_string(&event).unwrap_or_default());
        let adding = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.make_room(adding);
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let path = self.path(open.number);
        open.batch.add(message.len(), now);
        open.size += adding;
        let written = open.file.write_all(line.as_bytes());
        self.open = Some(open);
        if written.is_err() {
            // Half a line would spoil the next one. Alone it is left out when it is read.
            self.close();
        }
        written.map_err(failed("write", &path))
    }

    /// When the growing segment is to be delivered.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.open.as_ref()?.batch.due()
    }

    /// Ends the growing segment, so that it is delivered.
    pub(crate) fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.closed.push_back((open.number, open.size));
        }
    }

    /// The oldest segment that doesn't grow, and what is in it. One that can't be read is empty.
    pub(crate) fn oldest(&self) -> Option<(u64, Vec<Event>)> {
        let (number, size) = *self.closed.front()?;
        let text = if size > MAX_SEGMENT {
            String::new()
        } else {
            std::fs::read_to_string(self.path(number)).unwrap_or_default()
        };
        let events = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Some((number, events.collect()))
    }

    /// Removes a segment that was delivered, if it still is there.
    pub(crate) fn remove(&mut self, number: u64) {
        if self.closed.front().is_some_and(|(oldest, _)| *oldest == number) {
            self.closed.pop_front();
            // One that stays is delivered again after a restart, which is better than never.
            drop(std::fs::remove_file(self.path(number)));
        }
    }

    /// How many events were dropped since this was last asked.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Drops the oldest segments until there is room for so many bytes more.
    fn make_room(&mut self, adding: u64) {
        while self.size().saturating_add(adding) > self.limit {
            if self.closed.is_empty() {
                if self.open.is_none() {
                    return;
                }
                self.close();
            }
            if let Some((number, events)) = self.oldest() {
                self.dropped += u64::try_from(events.len()).unwrap_or(u64::MAX);
                self.remove(number);
            }
        }
    }

    fn size(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.size);
        self.closed.iter().map(|(_, size)| size).sum::<u64>() + open
    }

    fn begin(&mut self) -> Result<Open, SpoolError> {
        let number = self.next;
        let path = self.path(number);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("make", &path))?;
        self.next += 1;
        Ok(Open {
            number,
            file,
            size: 0,
            batch: Batch::default(),
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.{ENDING}"))
    }
}

/// Makes sure that nobody else uses the folder.
fn lock(folder: &Path) -> Result<File, SpoolError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    match take_over(
        || file.try_lock(),
        |error| matches!(error, TryLockError::WouldBlock),
    ) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(folder.to_owned())),
        Err(TryLockError::Error(cause)) => Err(failed("lock", &path)(cause)),
    }
}

fn number(path: &Path) -> Option<u64> {
    let ending = path.extension().is_some_and(|ending| ending == ENDING);
    path.file_stem()?.to_str()?.parse().ok().filter(|_| ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(spool: &mut Spool) -> Vec<String> {
        let mut found = Vec::new();
        spool.close();
        while let Some((number, events)) = spool.oldest() {
            found.extend(events.into_iter().map(|event| event.message));
            spool.remove(number);
        }
        found
    }

    fn add(spool: &mut Spool, message: &str) {
        spool.append("s", 1, message, Instant::now()).unwrap();
    }

    #[test]
    fn what_was_not_delivered_is_there_after_a_restart_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        add(&mut spool, "one");
        spool.close();
        add(&mut spool, "two \"\n");
        drop(spool);
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        add(&mut spool, "three");
        assert!(spool.due().is_some());
        assert_eq!(messages(&mut spool), ["one", "two \"\n", "three"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the lock");
        let second = Spool::open(folder.path(), 1 << 20).unwrap_err();
        assert!(second.to_string().contains("is in use"), "{second}");
    }

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 200).unwrap();
        for number in 0..20 {
            add(&mut spool, &format!("message {number:02}"));
            spool.close();
        }
        assert!(spool.size() <= 200);
        let left = messages(&mut spool);
        assert_eq!(left.last().map(String::as_str), Some("message 19"));
        let dropped = spool.take_dropped();
        assert_eq!(usize::try_from(dropped).unwrap() + left.len(), 20);
        assert!(dropped > 0 && !left.is_empty());
        assert_eq!(spool.take_dropped(), 0);
    }

    #[test]
    fn half_a_line_spoils_nothing_else_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes"), "x").unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        add(&mut spool, "one");
        let path = spool.path(1);
        drop(spool);
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"s\":\"s\",\"t\"").unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert_eq!(messages(&mut spool), ["one"]);
        assert!(folder.path().join("notes").exists());
    }
}
