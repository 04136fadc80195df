//! Reading what a log group in files holds, while it is written and turned over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::{FileLogError, file_name, group_folder, numbered};
use crate::name::{check_group, check_stream};

/// How much is read at a time.
const BLOCK: u64 = 64 << 10;
/// Most bytes of a line that is waited for; what is longer is no entry.
const LONGEST: usize = 1 << 20;

/// A log group kept in files, to be read.
#[derive(Debug)]
pub struct FileLogReader {
    folder: PathBuf,
}

/// The files of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFiles {
    /// Name of the stream.
    pub name: String,
    /// How many files there are, old ones included.
    pub files: usize,
    /// Their bytes.
    pub size: u64,
    /// When one of them was last written to.
    pub written: OffsetDateTime,
}

impl FileLogReader {
    /// The group below this folder. It need not be there yet: it has no streams then.
    ///
    /// # Errors
    /// Fails when the name can't be used.
    pub fn new(folder: &Path, group: &str) -> Result<Self, FileLogError> {
        check_group(group)?;
        Ok(Self {
            folder: group_folder(folder, group)?,
        })
    }

    /// The streams, by name.
    ///
    /// # Errors
    /// Fails when the folder can't be read.
    pub fn streams(&self) -> Result<Vec<StreamFiles>, FileLogError> {
        let fail = || FileLogError::reading(&self.folder);
        let mut streams: BTreeMap<String, StreamFiles> = BTreeMap::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail()(error)),
        };
        for entry in entries {
            let entry = entry.map_err(fail())?;
            let Some(name) = entry.file_name().to_str().and_then(stream_of) else {
                continue;
            };
            // One that was turned over since is found with its new name.
            let Some(metadata) = entry.metadata().ok().filter(std::fs::Metadata::is_file) else {
                continue;
            };
            let written = metadata.modified().map_or(OffsetDateTime::UNIX_EPOCH, Into::into);
            let stream = streams.entry(name.clone()).or_insert(StreamFiles {
                name,
                files: 0,
                size: 0,
                written,
            });
            stream.files += 1;
            stream.size += metadata.len();
            stream.written = stream.written.max(written);
        }
        Ok(streams.into_values().collect())
    }

    /// The last lines of a stream, `most` at most, oldest first, and what reads on behind them.
    ///
    /// # Errors
    /// Fails when the name can't be used, or a file can't be read.
    pub fn tail(&self, stream: &str, most: usize) -> Result<(Vec<String>, FileLogFollower), FileLogError> {
        check_stream(stream)?;
        let path = self.folder.join(file_name(stream));
        let mut follower = FileLogFollower {
            open: None,
            partial: Vec::new(),
            path: path.clone(),
        };
        let (mut lines, mut seen) = (Vec::new(), Vec::new());
        for number in 0u32.. {
            let at = if number == 0 {
                path.clone()
            } else {
                numbered(&path, number)
            };
            let Some(mut file) = open(&at)? else {
                // The newest may have been moved away; what is older has no gaps.
                if number == 0 { continue } else { break }
            };
            let identity = identity(&file).map_err(FileLogError::reading(&at))?;
            if !seen.contains(&identity) {
                let wanted = most.saturating_sub(lines.len());
                let (found, end) = last_lines(&mut file, wanted).map_err(FileLogError::reading(&at))?;
                lines.splice(0..0, found);
                if seen.is_empty() && number == 0 {
                    file.seek(SeekFrom::Start(end))
                        .map_err(FileLogError::reading(&at))?;
                    follower.open = Some(file);
                }
                seen.push(identity);
            }
            if lines.len() >= most {
                break;
            }
        }
        Ok((lines, follower))
    }
}

/// Reads the lines of a stream as they are written.
#[derive(Debug)]
pub struct FileLogFollower {
    path: PathBuf,
    /// The newest file, as far as it was read.
    open: Option<File>,
    /// The beginning of a line.
    partial: Vec<u8>,
}

impl FileLogFollower {
    /// The whole lines that came since the last call. Doesn't wait for any.
    ///
    /// # Errors
    /// Fails when the file can't be read.
    pub fn more(&mut self) -> Result<Vec<String>, FileLogError> {
        let mut lines = Vec::new();
        // First to the end of the file that is open: it may have been turned over.
        self.read_on(&mut lines)?;
        let there = open(&self.path)?;
        let is_new = match (&there, &self.open) {
            (Some(there), Some(open)) => identity(there).ok() != identity(open).ok(),
            (there, _) => there.is_some(),
        };
        if is_new {
            // What came into the old file after it was read, before it was turned over.
            self.read_on(&mut lines)?;
            self.partial.clear();
            self.open = there;
            self.read_on(&mut lines)?;
        }
        Ok(lines)
    }

    fn read_on(&mut self, lines: &mut Vec<String>) -> Result<(), FileLogError> {
        let Some(file) = &mut self.open else {
            return Ok(());
        };
        loop {
            let read = file.by_ref().take(BLOCK).read_to_end(&mut self.partial);
            let read = read.map_err(FileLogError::reading(&self.path))?;
            let whole = self.partial.iter().rposition(|byte| *byte == b'\n');
            if let Some(end) = whole {
                let rest = self.partial.split_off(end + 1);
                lines.extend(split(&std::mem::replace(&mut self.partial, rest)));
            }
            if self.partial.len() > LONGEST {
                self.partial.clear();
            }
            if read == 0 {
                return Ok(());
            }
        }
    }
}

/// The stream a file belongs to, by the file's name.
fn stream_of(file: &str) -> Option<String> {
    let newest = |name: &str| name.strip_suffix(".log").map(str::to_owned);
    let stem = newest(file).or_else(|| {
        let (name, number) = file.rsplit_once('.')?;
        number.parse::<u32>().ok()?;
        newest(name)
    })?;
    let name = stem.replace('+', "/");
    check_stream(&name).is_ok().then_some(name)
}

/// Opens a file of entries; `None` if there is none.
fn open(path: &Path) -> Result<Option<File>, FileLogError> {
    let opened = OpenOptions::new()
        .read(true)
        // Neither somebody's link to another file nor one that never ends.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    match opened {
        Ok(file) => {
            let metadata = file.metadata().map_err(FileLogError::reading(path))?;
            Ok(metadata.is_file().then_some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileLogError::reading(path)(error)),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The last whole lines of a file, `most` at most, and where they end.
fn last_lines(file: &mut File, most: usize) -> io::Result<(Vec<String>, u64)> {
    let mut start = file.metadata()?.len();
    let size = start;
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends = 0usize;
    // One more than is wanted: the first line begins behind the end of another.
    while start > 0 && ends <= most {
        let step = start.min(BLOCK);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.by_ref().take(step).read_to_end(&mut block)?;
        ends += block.iter().filter(|byte| **byte == b'\n').count();
        block.append(&mut bytes);
        bytes = block;
    }
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let cut = u64::try_from(bytes.len() - whole).unwrap_or_default();
    bytes.truncate(whole);
    let mut lines = split(&bytes);
    let surplus = lines.len().saturating_sub(most);
    Ok((lines.split_off(surplus), size.saturating_sub(cut)))
}

fn split(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::super::{FileLog, Rotation};
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn log(folder: &Path, size: u64) -> FileLog {
        let rotation = Rotation {
            size,
            age: None,
            keep: 3,
        };
        FileLog::open(folder, "/vpn/office", rotation).unwrap()
    }

    #[test]
    fn streams_are_listed_with_all_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let reader = FileLogReader::new(folder.path(), "/vpn/office").unwrap();
        assert_eq!(reader.streams().unwrap(), [], "nothing was written yet");
        let mut log = log(folder.path(), 8);
        for stream in ["2026/11/26-a", "b", "b"] {
            log.append(stream, "{\"a\":1}", NOW).unwrap();
        }
        let of_group = folder.path().join("vpn/office");
        std::fs::write(of_group.join("notes.txt"), "not ours").unwrap();
        std::fs::create_dir(of_group.join("c.log")).unwrap();
        let streams = reader.streams().unwrap();
        let told: Vec<(&str, usize, u64)> = streams
            .iter()
            .map(|stream| (stream.name.as_str(), stream.files, stream.size))
            .collect();
        assert_eq!(told, [("2026/11/26-a", 1, 8), ("b", 2, 16)]);
        FileLogReader::new(folder.path(), "../etc").unwrap_err();
        reader.tail("a\nb", 1).unwrap_err();
    }

    #[test]
    fn a_follower_goes_on_where_the_tail_ended_and_past_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path(), 24);
        let reader = FileLogReader::new(folder.path(), "/vpn/office").unwrap();
        let (nothing, mut early) = reader.tail("s", 10).unwrap();
        assert!(nothing.is_empty() && early.more().unwrap().is_empty());
        for number in 0..5 {
            log.append("s", &format!("line {number}"), NOW).unwrap();
        }
        let (lines, mut follower) = reader.tail("s", 3).unwrap();
        assert_eq!(lines, ["line 2", "line 3", "line 4"], "across two files");
        assert_eq!(follower.more().unwrap(), Vec::<String>::new());
        log.append("s", "line 5", NOW).unwrap();
        assert_eq!(follower.more().unwrap(), ["line 5"]);
        log.append("s", "line 6", NOW).unwrap();
        assert_eq!(follower.more().unwrap(), ["line 6"], "of a new file");
        assert_eq!(
            early.more().unwrap(),
            ["line 6"],
            "the file that is there by then"
        );
    }

    #[test]
    fn half_a_line_is_waited_for_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        drop(log(folder.path(), 100));
        let of_group = folder.path().join("vpn/office");
        let mut file = File::create(of_group.join("s.log")).unwrap();
        file.write_all(b"whole\nhal").unwrap();
        let reader = FileLogReader::new(folder.path(), "/vpn/office").unwrap();
        let (lines, mut follower) = reader.tail("s", 10).unwrap();
        assert_eq!(lines, ["whole"]);
        assert!(follower.more().unwrap().is_empty());
        file.write_all(b"f\n").unwrap();
        assert_eq!(follower.more().unwrap(), ["half"]);
        std::os::unix::fs::symlink("/etc/passwd", of_group.join("t.log")).unwrap();
        reader.tail("t", 10).unwrap_err();
        assert!(reader.streams().unwrap().iter().all(|stream| stream.name != "t"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_tail_is_the_end_of_what_was_written(
            lengths in prop::collection::vec(1usize..40_000, 0..12),
            most in 0usize..14,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut log = log(folder.path(), 1 << 30);
            let written: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            for line in &written {
                log.append("s", line, NOW).unwrap();
            }
            let reader = FileLogReader::new(folder.path(), "/vpn/office").unwrap();
            let (lines, _) = reader.tail("s", most).unwrap();
            prop_assert_eq!(&lines[..], &written[written.len().saturating_sub(most)..]);
        }
    }
}
