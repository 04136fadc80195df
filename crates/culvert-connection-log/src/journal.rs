//! A log group in the systemd journal: one entry for each record, with the line as its message and every field beside it.
//!
//! Source: systemd, "Native Journal Protocol".

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Record;

/// Where journald listens.
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// How long a journal that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The priority of an entry: informational.
const PRIORITY: &str = "6";

/// A log group kept in the journal.
#[derive(Debug)]
pub struct JournalLog {
    group: String,
    path: PathBuf,
    socket: UnixDatagram,
}

/// The journal can't be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {what} the systemd journal at {path}: {cause}; check that systemd-journald runs, or keep the group in files"
)]
pub struct JournalError {
    what: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl JournalLog {
    /// A group in the journal that listens here, [`JOURNAL_SOCKET`] usually.
    ///
    /// # Errors
    /// Fails when nobody listens there.
    pub fn open(socket: &Path, group: &str) -> Result<Self, JournalError> {
        let failed = |cause| JournalError {
            what: "reach",
            path: socket.to_owned(),
            cause,
        };
        let made = UnixDatagram::unbound().map_err(failed)?;
        made.connect(socket).map_err(failed)?;
        made.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self {
            group: group.to_owned(),
            path: socket.to_owned(),
            socket: made,
        })
    }

    /// Adds a record to a stream.
    ///
    /// # Errors
    /// Fails when the journal takes nothing; the next record begins with a fresh attempt.
    pub fn append(&mut self, stream: &str, record: &Record) -> Result<(), JournalError> {
        let entry = entry(&self.group, stream, record);
        let failed = |cause| JournalError {
            what: "write to",
            path: self.path.clone(),
            cause,
        };
        if self.socket.send(&entry).is_ok() {
            return Ok(());
        }
        // A journal that was restarted listens on a new socket.
        self.socket.connect(&self.path).map_err(failed)?;
        self.socket.send(&entry).map(drop).map_err(failed)
    }
}

fn entry(group: &str, stream: &str, record: &Record) -> Vec<u8> {
    let mut entry = Vec::with_capacity(2048);
    for (name, value) in [
        ("MESSAGE", record.line().as_str()),
        ("PRIORITY", PRIORITY),
        ("SYSLOG_IDENTIFIER", "culvertd"),
        ("CULVERT_LOG_GROUP", group),
        ("CULVERT_LOG_STREAM", stream),
    ] {
        add(&mut entry, name, value);
    }
    for (name, value) in record.texts() {
        let name = format!("CULVERT_{}", name.replace('-', "_").to_ascii_uppercase());
        add(&mut entry, &name, &value);
    }
    entry
}

/// Adds a field. One with an end of line in it is told by its length: it could pass for another field otherwise.
fn add(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        entry.extend_from_slice(&length.to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::{Attempt, Client, Transport};

    fn record(username: &str) -> Record {
        Record {
            client: Client {
                connection_id: "cvpn-connection-0a1b2c3d4e5f60718".into(),
                endpoint_id: "office".into(),
                transport: Transport::Udp,
                common_name: None,
                username: Some(username.into()),
                device_type: None,
                device_ip: "198.51.100.23".parse().unwrap(),
                port: 1,
                posture: None,
            },
            attempt: Attempt::Failed("authentication-failed".into()),
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn received(journal: &UnixDatagram) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let length = journal.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn an_entry_has_the_line_and_each_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut log = JournalLog::open(&path, "/vpn/office").unwrap();
        log.append("a/b", &record("ana")).unwrap();
        let entry = String::from_utf8(received(&journal)).unwrap();
        for field in [
            "MESSAGE={\"connection-log-type\":\"connection-attempt\"",
            "\nCULVERT_LOG_GROUP=/vpn/office\nCULVERT_LOG_STREAM=a/b\n",
            "\nCULVERT_CONNECTION_ATTEMPT_FAILURE_REASON=authentication-failed\n",
            "\nCULVERT_CLIENT_VPN_ENDPOINT_ID=office\n",
            "\nCULVERT_USERNAME=ana\n",
        ] {
            assert!(entry.contains(field), "no {field:?} in {entry}");
        }
    }

    #[test]
    fn a_name_with_an_end_of_line_makes_no_field_of_its_own() {
        let entry = entry("g", "s", &record("ana\nCULVERT_USERNAME=ben"));
        let mut wanted = b"CULVERT_USERNAME\n\x18\0\0\0\0\0\0\0ana\nCULVERT_USERNAME=ben\n".to_vec();
        wanted[17] = 24;
        assert!(
            entry.windows(wanted.len()).any(|found| found == wanted),
            "{}",
            String::from_utf8_lossy(&entry)
        );
    }

    #[test]
    fn a_journal_that_was_restarted_is_found_again_and_one_that_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let absent = JournalLog::open(&path, "g").unwrap_err().to_string();
        assert!(
            absent.contains("cannot reach") && absent.contains("socket"),
            "{absent}"
        );
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut log = JournalLog::open(&path, "g").unwrap();
        drop(journal);
        std::fs::remove_file(&path).unwrap();
        log.append("s", &record("ana")).unwrap_err();
        let journal = UnixDatagram::bind(&path).unwrap();
        log.append("s", &record("ben")).unwrap();
        assert!(String::from_utf8_lossy(&received(&journal)).contains("CULVERT_USERNAME=ben"));
    }
}
