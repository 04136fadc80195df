//! What commands print: text for people or one JSON document.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where results go.
pub(crate) struct Output {
    json: Cell<bool>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json: Cell::new(json),
        }
    }

    /// Has results printed as JSON from here on: commands on the API have a way of their own to say so.
    pub(crate) fn want_json(&self) {
        self.json.set(true);
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json.get()
    }

    /// Prints the result in the wanted form. Text gets a final newline if it lacks one.
    pub(crate) fn emit(&self, json: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut text = if self.is_json() {
            format!("{json:#}")
        } else {
            text()
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.raw(&text)
    }

    /// Prints text as it is.
    pub(crate) fn raw(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Tells a person something beside the result.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "culvert: {text}");
    }
}

/// A table without lines; columns whose header begins with `>` are aligned to the right.
pub(crate) fn table(headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headers.iter().map(|header| header.trim_start_matches('>')));
    for (at, _) in headers
        .iter()
        .enumerate()
        .filter(|(_, header)| header.starts_with('>'))
    {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    let text = table.to_string();
    text.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        })
}

/// Text that others chose, without what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A span of seconds for people, two units at most.
pub(crate) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A time as RFC 3339 in UTC, to the second.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    let seconds = at.replace_nanosecond(0).unwrap_or(at);
    seconds.format(&Rfc3339).unwrap_or_else(|_| seconds.to_string())
}

/// A time given in Unix seconds.
pub(crate) fn unix_moment(unix: u64) -> String {
    let at = i64::try_from(unix)
        .ok()
        .and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    at.map_or_else(|| unix.to_string(), moment)
}

/// Writes a file that must not exist yet, readable by its owner only.
pub(crate) fn write_secret(path: &Path, content: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow::anyhow!(
                    "{} exists already and is left alone: choose another name",
                    path.display()
                )
            }
            _ => anyhow::anyhow!("cannot write {}: {error}", path.display()),
        })?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        for (seconds, text) in [(59, "59s"), (61, "1m 1s"), (7_260, "2h 1m"), (200_000, "2d 7h")] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(unix_moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(unix_moment(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn tables_cannot_carry_terminal_commands() {
        let text = table(
            &["NAME", ">N"],
            [
                vec!["a\u{1b}[31m".into(), "7".into()],
                vec!["bb".into(), "10".into()],
            ],
        );
        assert_eq!(text, "NAME     N\na?[31m   7\nbb      10\n");
    }
}
