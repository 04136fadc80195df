//! The top level of the file.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::api::{api, warn_of_unused};
use super::document::Document;
use super::endpoint::read_endpoint;
use super::environment::environment;
use super::table::Table;
use super::values::{boolean, choice, moderation, number, path, word};
use crate::config::{Config, Log, LogFormat};
use crate::endpoint::EndpointConfig;
use crate::environment::Environment;
use crate::error::{ConfigError, Fault, Report};
use crate::packets::{DEFAULT_MODERATION, Offload};

/// The largest CPU number a thread can be pinned to with the C library's set of CPUs.
const MAX_CPU: i64 = 1023;

/// Reads and checks a whole configuration. `file` names it in messages; relative paths start at `folder`.
pub(crate) fn read(text: &str, file: &Path, folder: &Path) -> Result<Config, ConfigError> {
    let document = Document::new(text, folder);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let fault = Fault::new(
            format!("this is not TOML: {}", error.message()),
            "see https://toml.io",
        );
        document.refuse(&error.span().unwrap_or(0..0), fault);
    }
    // A file that is not TOML would only yield errors that follow from the first one.
    let config = if document.is_sound() {
        read_root(&document, root.get_ref(), file)
    } else {
        None
    };
    let found = document.finish();
    match config {
        Some(config) if found.problems.is_empty() => Ok(Config {
            warnings: found.warnings,
            files: found.files,
            cpus: found.cpus,
            ..config
        }),
        _ => Err(ConfigError::Invalid(Report::new(file, found.problems))),
    }
}

fn read_root<'d>(document: &'d Document<'d>, root: &'d DeTable<'_>, file: &Path) -> Option<Config> {
    let table = Table::new(document, root, String::new(), 0..0);
    let folder = |key, default: &str| {
        let read = table.read(key, |value| path(value).map(|path| document.folder().join(path)));
        read.unwrap_or_else(|| PathBuf::from(default))
    };
    let state_dir = folder("state_dir", "/var/lib/culvert");
    let run_dir = folder("run_dir", "/run/culvert");
    let workers = table.read("workers", |value| number::<u16>(value, 1, 1024));
    let worker_cpus = read_worker_cpus(document, &table);
    let moderation = table.read("moderation", moderation);
    let ack_filter = table.read("ack_filter", boolean);
    let offload = table.table("offload").map(read_offload).unwrap_or_default();
    let log = table.table("log").map(read_log).unwrap_or_default();
    let admin_socket = table.table("admin").and_then(|admin| {
        let socket = admin.read("socket", |value| {
            path(value).map(|path| document.folder().join(path))
        });
        admin.finish();
        socket
    });
    let api = api(document, &table, &state_dir);
    let environment = environment(document, &table);
    if api.is_none() {
        warn_of_unused(document, &environment);
    }
    let endpoints = read_endpoints(document, table.tables("endpoint"), &environment);
    table.finish();
    document.is_sound().then(|| Config {
        path: file.into(),
        admin_socket: admin_socket.unwrap_or_else(|| run_dir.join("culvert.sock")),
        state_dir,
        run_dir,
        workers: workers.and_then(|workers| NonZeroUsize::new(workers.into())),
        worker_cpus,
        moderation: moderation.unwrap_or(DEFAULT_MODERATION),
        ack_filter: ack_filter.unwrap_or(true),
        offload,
        log,
        api,
        environment,
        endpoints,
        warnings: Vec::new(),
        files: Vec::new(),
        cpus: Vec::new(),
    })
}

/// The CPUs the workers are pinned to. Whether the machine has them is looked at later.
fn read_worker_cpus(document: &Document<'_>, table: &Table<'_, '_>) -> Vec<u16> {
    if table.length("worker_cpus") == Some(0) {
        let cure = "name CPUs as in [0, 1], or leave the key out";
        table.refuse_key("worker_cpus", Fault::new("worker_cpus names no CPU", cure));
    }
    let read = table.list("worker_cpus", |value| {
        let cpu = number::<u16>(value, 0, MAX_CPU)?;
        document.cpu(cpu, &value.span);
        Ok(cpu)
    });
    read.unwrap_or_default()
}

fn read_offload(table: Table<'_, '_>) -> Offload {
    let default = Offload::default();
    let switch = |key, default| table.read(key, boolean).unwrap_or(default);
    let offload = Offload {
        udp_gro: switch("udp_gro", default.udp_gro),
        udp_gso: switch("udp_gso", default.udp_gso),
        tun: switch("tun", default.tun),
        tun_udp: switch("tun_udp", default.tun_udp),
        tun_join: switch("tun_join", default.tun_join),
    };
    table.finish();
    offload
}

fn read_log(table: Table<'_, '_>) -> Log {
    let default = Log::default();
    let level = table
        .read("level", |value| word(value, level))
        .unwrap_or(default.level);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = table
        .read("format", |value| choice(value, &formats))
        .unwrap_or(default.format);
    table.finish();
    Log { level, format }
}

/// A level, or comma separated `target=level` directives.
fn level(text: &str) -> Result<String, Fault> {
    let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let is_target = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
    };
    let directive = |part: &str| match part.split_once('=') {
        Some((target, level)) => is_target(target) && is_level(level),
        None => is_level(part),
    };
    if text.split(',').all(|part| directive(part.trim())) {
        return Ok(text.to_owned());
    }
    let cure = "use error, warn, info, debug or trace, or directives as in \"info,culvert_core=debug\"";
    Err(Fault::new(format!("{text:?} is not a log level"), cure))
}

fn read_endpoints(
    document: &Document<'_>,
    tables: Vec<Table<'_, '_>>,
    environment: &Environment,
) -> Vec<EndpointConfig> {
    // Devices named in the file are taken before any is chosen for an endpoint that names none.
    let mut devices: HashSet<String> = HashSet::new();
    for table in &tables {
        devices.extend(table.peek("device"));
    }
    let mut endpoints: Vec<(String, EndpointConfig)> = Vec::new();
    for table in tables {
        let path = table.path.clone();
        if let Some(endpoint) = read_endpoint(document, table, &mut devices, environment) {
            for (_, other) in &endpoints {
                for (field, fault) in endpoint.conflicts_with(other) {
                    document.refuse_field(&path, fault.at(field));
                }
            }
            endpoints.push((path, endpoint));
        }
    }
    endpoints.into_iter().map(|(_, endpoint)| endpoint).collect()
}
