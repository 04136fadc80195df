//! Log lines on standard error, as text or JSON, where the service manager collects them.

use std::io::Write;

use culvert_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging. Called once.
pub(crate) fn start(log: &Log) {
    // The configuration was checked; a directive that still does not parse falls back to the default level.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match log.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Writes a line before logging has started.
pub(crate) fn to_stderr(line: &str) {
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "{line}"));
}
