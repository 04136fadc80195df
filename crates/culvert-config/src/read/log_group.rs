//! `[[log_group]]`: where connection logs are kept, and `connection_log` of an endpoint.

use std::path::PathBuf;
use std::time::Duration;

use culvert_connection_log::Rotation;
use culvert_connection_log::name::{BadName, check_group, check_stream};

use super::connect_handler::url;
use super::document::Document;
use super::environment::region;
use super::table::{Table, Value};
use super::values::{boolean, duration, number, path, size, text, word};
use crate::config::FileKind;
use crate::endpoint::{ConnectionLog, LogGroup, LogSink};
use crate::error::Fault;

/// How often counters are told unless told otherwise.
const UPDATE: Duration = Duration::from_secs(60);
/// The longest time between two updates.
const SLOWEST: Duration = Duration::from_secs(3600);
/// The youngest file that may be turned over: many small files help nobody.
const YOUNGEST: Duration = Duration::from_secs(60);
/// The smallest file that may be full.
const SMALLEST: u64 = 64 << 10;
/// What may wait on disk for CloudWatch Logs unless told otherwise, and at least: some batches.
const SPOOL: u64 = 64 << 20;
const SMALLEST_SPOOL: u64 = 4 << 20;

/// Reads all groups.
pub(super) fn log_groups(document: &Document<'_>, root: &Table<'_, '_>) -> Vec<LogGroup> {
    let mut groups: Vec<LogGroup> = Vec::new();
    for table in root.tables("log_group") {
        let path = table.path.clone();
        let Some(group) = log_group(table) else {
            continue;
        };
        // With or without the slash it would be the same folder.
        let plain = |group: &LogGroup| group.name.trim_start_matches('/').to_owned();
        if groups.iter().any(|other| plain(other) == plain(&group)) {
            let message = format!("there is another log group {:?}", group.name);
            let fault = Fault::new(message, "give each a name of its own");
            document.refuse_field(&path, fault.at("name"));
        }
        groups.push(group);
    }
    groups
}

fn log_group(table: Table<'_, '_>) -> Option<LogGroup> {
    let cure = "write a name of your choice, as in name = \"/vpn/office\"";
    let name = table.require("name", cure, |value| word(value, group_name));
    let sink = sink(&table);
    let update_interval = table.read("update_interval", |value| {
        within(value, Duration::from_secs(1), SLOWEST)
    });
    table.finish();
    Some(LogGroup {
        name: name?,
        sink: sink?,
        update_interval: update_interval.unwrap_or(UPDATE),
    })
}

/// Files, the journal or CloudWatch Logs: exactly one of them.
fn sink(table: &Table<'_, '_>) -> Option<LogSink> {
    let folder: Option<PathBuf> = table.read("folder", |value| {
        path(value).map(|path| table.folder().join(path))
    });
    let journal = table.read("journal", |value| match boolean(value)? {
        true => Ok(LogSink::Journal),
        false => Err(Fault::new(
            "the journal is switched off",
            "remove the key, and add folder",
        )),
    });
    let cloudwatch = table.table("cloudwatch").and_then(cloudwatch);
    let rotation = rotation(table);
    let mut given = ["folder", "journal", "cloudwatch"]
        .into_iter()
        .filter(|key| table.has(key));
    let Some(first) = given.next() else {
        let cure = "add folder = \"/var/log/culvert\", journal = true or cloudwatch";
        table.refuse(Fault::new("the log group is kept nowhere", cure));
        return None;
    };
    if let Some(second) = given.next() {
        let fault = Fault::new(
            format!("{first} and {second} are both given"),
            "remove one of them",
        );
        table.refuse_key(second, fault);
        return None;
    }
    if first != "folder" {
        let keys = ["rotate_size", "rotate_age", "keep"].into_iter();
        for key in keys.filter(|key| table.has(key)) {
            let fault = Fault::new(format!("{key} is for files"), "remove it");
            table.refuse_key(key, fault);
        }
    }
    let files = folder.map(|folder| LogSink::Files { folder, rotation });
    files.or(journal).or(cloudwatch)
}

fn cloudwatch(table: Table<'_, '_>) -> Option<LogSink> {
    let cure = "write the address of the service, as in endpoint = \"https://logs.us-east-1.amazonaws.com\"";
    let endpoint = table.require("endpoint", cure, |value| word(value, url));
    let cure = "write the region requests are signed for, as in region = \"us-east-1\"";
    let region = table.require("region", cure, |value| word(value, region));
    let access_key_file = table.require_file("access_key_file", FileKind::secret("access key"));
    let spool_size = table.read("spool_size", |value| at_least(value, SMALLEST_SPOOL));
    table.finish();
    Some(LogSink::CloudWatch {
        endpoint: endpoint?,
        region: region?,
        access_key_file: access_key_file?,
        spool_size: spool_size.unwrap_or(SPOOL),
    })
}

fn at_least(value: &Value<'_, '_>, least: u64) -> Result<u64, Fault> {
    match size(value)? {
        small if small < least => Err(Fault::new(
            format!("{small} bytes is too small"),
            format!("choose {}K at least, as in \"64M\"", least >> 10),
        )),
        size => Ok(size),
    }
}

fn rotation(table: &Table<'_, '_>) -> Rotation {
    let default = Rotation::default();
    let size = table.read("rotate_size", |value| at_least(value, SMALLEST));
    let age = table.read("rotate_age", |value| within(value, YOUNGEST, Duration::MAX));
    let keep = table.read("keep", |value| number::<u32>(value, 0, 10_000));
    Rotation {
        size: size.unwrap_or(default.size),
        age: age.or(default.age),
        keep: keep.unwrap_or(default.keep),
    }
}

fn within(value: &Value<'_, '_>, least: Duration, most: Duration) -> Result<Duration, Fault> {
    match duration(value)? {
        short if short < least => Err(Fault::new(
            format!("{short:?} is too short"),
            format!("choose {least:?} at least"),
        )),
        long if long > most => Err(Fault::new(
            format!("{long:?} is too long"),
            format!("choose {most:?} at most"),
        )),
        duration => Ok(duration),
    }
}

fn group_name(text: &str) -> Result<String, Fault> {
    check_group(text).map(|()| text.to_owned()).map_err(bad_name)
}

fn bad_name(error: BadName) -> Fault {
    let message = format!("{:?} is no name of a log {}", error.name, error.what);
    Fault::new(message, error.reason)
}

/// `connection_log` of an endpoint of this name. An error if something was reported.
pub(super) fn connection_log(
    table: &Table<'_, '_>,
    endpoint: &str,
    groups: &[LogGroup],
) -> Result<Option<ConnectionLog>, ()> {
    if !table.has("connection_log") {
        return Ok(None);
    }
    let log = table.table("connection_log").ok_or(())?;
    let cure = "name a [[log_group]], as in group = \"/vpn/office\"";
    let group = log.require("group", cure, |value| {
        let name = text(value)?;
        let mut all = groups.iter();
        all.find(|group| group.name == name).ok_or_else(|| {
            let cure = "name a [[log_group]], or add one";
            Fault::new(format!("there is no log group {name:?}"), cure)
        })
    });
    let given = log.has("stream");
    let stream = log.read("stream", |value| {
        word(value, |name| {
            check_stream(name).map(|()| name.to_owned()).map_err(bad_name)
        })
    });
    log.finish();
    match (group, stream) {
        (Some(group), Some(stream)) => Ok(Some(group.stream(stream))),
        (Some(group), None) if !given => Ok(Some(group.stream(endpoint))),
        _ => Err(()),
    }
}
