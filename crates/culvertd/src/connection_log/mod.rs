//! Connection logs on their way to where they are kept: a writer for each log group, which endpoints hand records to
//! without waiting.

mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use culvert_config::{ConnectionLog, LogGroup};
use culvert_connection_log::Record;

use writer::Writer;

/// How long the writers of a stopping daemon may take for what they still have.
const STOP: Duration = Duration::from_secs(5);

/// The writers of all groups, by their names. Shared by all endpoints; replaced by a reload.
pub(crate) struct Writers {
    /// For what has to wait for a service.
    spools: PathBuf,
    groups: ArcSwap<HashMap<String, Arc<Writer>>>,
}

impl Writers {
    /// No groups yet. What has to wait for a service does so in this folder.
    pub(crate) fn new(spools: PathBuf) -> Self {
        Self {
            spools,
            groups: ArcSwap::default(),
        }
    }

    /// Makes these groups ready. Those that are as they were go on; others stay until [`Self::retain`].
    ///
    /// # Errors
    /// Fails when a group can't be written to; all stay as they were.
    pub(crate) fn open(&self, groups: &[LogGroup]) -> Result<()> {
        let mut after = HashMap::clone(&self.groups.load());
        for group in groups {
            if after
                .get(&group.name)
                .is_some_and(|writer| writer.sink() == &group.sink)
            {
                continue;
            }
            let writer = Writer::start(group, &self.spools)
                .with_context(|| format!("Failed to open the log group {}", group.name))?;
            after.insert(group.name.clone(), Arc::new(writer));
        }
        self.groups.store(Arc::new(after));
        Ok(())
    }

    /// Ends all groups but those that stay, once what they have is written.
    pub(crate) fn retain(&self, stays: impl Fn(&str) -> bool) {
        let mut after = HashMap::clone(&self.groups.load());
        after.retain(|name, _| stays(name));
        self.groups.store(Arc::new(after));
    }

    /// Hands over a record. Never waits: one for which there is no room is counted and told by the writer.
    pub(crate) fn write(&self, log: &ConnectionLog, record: Record) {
        if let Some(writer) = self.groups.load().get(&log.group) {
            writer.write(log.stream.clone(), record);
        }
    }

    /// Ends all writers once they have written what they have, or after a while. May block.
    pub(crate) fn close(&self) {
        let groups = self.groups.swap(Arc::default());
        let deadline = Instant::now() + STOP;
        for (name, writer) in groups.iter() {
            if !writer.close(deadline) {
                tracing::error!(
                    group = name,
                    "the connection log can't be written in time; records are lost"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use culvert_config::{LogSink, Rotation};
    use culvert_connection_log::{Attempt, Client, Transport};
    use time::OffsetDateTime;

    use super::*;

    fn group(name: &str, folder: &std::path::Path) -> LogGroup {
        LogGroup {
            name: name.into(),
            sink: LogSink::Files {
                folder: folder.into(),
                rotation: Rotation::default(),
            },
            update_interval: Duration::from_secs(60),
        }
    }

    /// Somebody who came from this port and wasn't let in.
    pub(super) fn record(port: u16) -> Record {
        Record {
            client: Client {
                connection_id: "cvpn-connection-0a1b2c3d4e5f60718".into(),
                endpoint_id: "office".into(),
                transport: Transport::Udp,
                common_name: None,
                username: None,
                device_type: None,
                device_ip: "198.51.100.23".parse().unwrap(),
                port,
                posture: None,
            },
            attempt: Attempt::Failed("authentication-failed".into()),
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn ports(path: PathBuf) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let port = |line: &str| {
            line.split("\"port\":\"")
                .nth(1)?
                .split('"')
                .next()
                .map(str::to_owned)
        };
        text.lines().filter_map(port).collect()
    }

    #[test]
    fn all_that_was_handed_over_is_written_before_the_end_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let group = group("/vpn/office", folder.path());
        let writers = Writers::new("/nonexistent".into());
        writers.open(std::slice::from_ref(&group)).unwrap();
        let log = group.stream("a");
        (1..=1000).for_each(|port| writers.write(&log, record(port)));
        writers.close();
        let wanted: Vec<String> = (1..=1000).map(|port| port.to_string()).collect();
        assert_eq!(ports(folder.path().join("vpn/office/a.log")), wanted);
    }

    #[test]
    fn groups_come_and_go_and_those_that_stay_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (group("one", folder.path()), group("two", folder.path()));
        let writers = Writers::new("/nonexistent".into());
        writers.open(std::slice::from_ref(&one)).unwrap();
        let before = Arc::clone(&writers.groups.load()["one"]);
        writers.open(&[one.clone(), two.clone()]).unwrap();
        assert!(Arc::ptr_eq(&before, &writers.groups.load()["one"]));
        writers.retain(|name| name == "two");
        writers.write(&one.stream("s"), record(1));
        writers.write(&two.stream("s"), record(2));
        drop(before);
        writers.close();
        assert!(!folder.path().join("one/s.log").exists());
        assert_eq!(ports(folder.path().join("two/s.log")), ["2"]);
    }

    #[test]
    fn a_group_that_can_not_be_written_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let writers = Writers::new("/nonexistent".into());
        let good = group("good", folder.path());
        let error = writers.open(&[good, group("bad", &file)]).unwrap_err();
        assert!(format!("{error:#}").contains("log group bad"), "{error:#}");
        assert!(writers.groups.load().is_empty());
    }
}
