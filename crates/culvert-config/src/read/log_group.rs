//! `[[log_group]]`: where connection logs are kept, and `connection_log` of an endpoint.

use std::path::PathBuf;
use std::time::Duration;

use culvert_connection_log::Rotation;
use culvert_connection_log::name::{BadName, check_group, check_stream};

use super::document::Document;
use super::table::{Table, Value};
use super::values::{duration, number, path, size, text, word};
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
    let cure = "write where its files go, as in folder = \"/var/log/culvert\"";
    let folder: Option<PathBuf> = table.require("folder", cure, |value| {
        path(value).map(|path| table.folder().join(path))
    });
    let rotation = rotation(&table);
    let update_interval = table.read("update_interval", |value| {
        within(value, Duration::from_secs(1), SLOWEST)
    });
    table.finish();
    Some(LogGroup {
        name: name?,
        sink: LogSink::Files {
            folder: folder?,
            rotation,
        },
        update_interval: update_interval.unwrap_or(UPDATE),
    })
}

fn rotation(table: &Table<'_, '_>) -> Rotation {
    let default = Rotation::default();
    let size = table.read("rotate_size", |value| match size(value)? {
        small if small < SMALLEST => Err(Fault::new(
            format!("{small} bytes is too small"),
            "choose 64K at least, as in \"64M\"",
        )),
        size => Ok(size),
    });
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
