//! `culvert log`: the connection logs of endpoints, as far as they are kept in files.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use culvert_config::{Config, DEFAULT_PATH, LogGroup, LogSink};
use culvert_connection_log::{FileLogReader, StreamFiles};
use serde_json::{Map, Value, json};

use crate::manage::ManageError;
use crate::output::{Output, bytes, clean, moment, table};

/// How often a stream that is followed is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What a field says that has nothing to say.
const NOTHING: &str = "NA";

/// Commands on connection logs.
#[derive(Subcommand)]
pub(crate) enum Logs {
    /// List the log groups of the configuration, and the streams of those kept in files
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Print the last entries of a stream
    Tail(Tail),
}

/// Where the groups are declared, and how results are printed.
#[derive(Args)]
pub(crate) struct Place {
    /// The daemon's configuration file
    #[arg(long, value_name = "FILE", env = "CULVERT_CONFIG", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// How to print; `--output json` is the same as `--json`
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    output: Style,
}

/// Forms of results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// Text for people
    Text,
    /// JSON
    Json,
}

impl Place {
    /// The groups. From here on results are printed as was asked for.
    fn groups(&self, output: &Output) -> anyhow::Result<Vec<LogGroup>> {
        if self.output == Style::Json {
            output.want_json();
        }
        Ok(Config::load(&self.config)?.environment.log_groups)
    }
}

/// Arguments of `culvert log tail`.
#[derive(Args)]
#[command(after_help = "With --follow and JSON, each entry is a document on a line of its own.")]
pub(crate) struct Tail {
    /// The group
    group: String,
    /// The stream; not needed if the group has only one
    stream: Option<String>,
    /// How many entries, at most
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    lines: u32,
    /// Go on with what is written from now on, until interrupted
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    place: Place,
}

impl Logs {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { place } => list(&place.groups(output)?, output),
            Self::Tail(tail) => tail.run(output),
        }
    }
}

fn list(groups: &[LogGroup], output: &Output) -> anyhow::Result<()> {
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for group in groups {
        let streams = match &group.sink {
            LogSink::Files { folder, .. } => FileLogReader::new(folder, &group.name)?.streams()?,
            LogSink::Journal | LogSink::CloudWatch { .. } => Vec::new(),
        };
        documents.push(json!({
            "log_group_name": group.name,
            "destination": destination(&group.sink),
            "streams": streams.iter().map(document).collect::<Vec<_>>(),
        }));
        rows.extend(group_rows(group, &streams));
    }
    output.emit(&json!({ "log_groups": documents }), || {
        table(
            &["GROUP", "KEPT IN", "STREAM", ">SIZE", ">FILES", "LAST ENTRY"],
            rows,
        )
    })
}

fn document(stream: &StreamFiles) -> Value {
    json!({
        "log_stream_name": stream.name,
        "size": stream.size,
        "files": stream.files,
        "last_written": moment(stream.written),
    })
}

/// A row for each stream, and one for a group without any.
fn group_rows(group: &LogGroup, streams: &[StreamFiles]) -> Vec<Vec<String>> {
    let row = |cells: [String; 4]| {
        let mut row = vec![group.name.clone(), destination(&group.sink)];
        row.extend(cells);
        row
    };
    if streams.is_empty() {
        return vec![row(Default::default())];
    }
    let of_stream = |stream: &StreamFiles| {
        row([
            stream.name.clone(),
            bytes(stream.size),
            stream.files.to_string(),
            moment(stream.written),
        ])
    };
    streams.iter().map(of_stream).collect()
}

fn destination(sink: &LogSink) -> String {
    match sink {
        LogSink::Files { folder, .. } => folder.display().to_string(),
        LogSink::Journal => "systemd journal".into(),
        LogSink::CloudWatch { endpoint, .. } => endpoint.clone(),
    }
}

impl Tail {
    fn run(&self, output: &Output) -> anyhow::Result<()> {
        let groups = self.place.groups(output)?;
        let Some(group) = groups.iter().find(|group| group.name == self.group) else {
            return Err(unknown("log group", &self.group).into());
        };
        let reader = reader(group)?;
        let stream = self.stream(&reader)?;
        let most = usize::try_from(self.lines).unwrap_or(usize::MAX);
        let (lines, mut follower) = reader.tail(&stream, most)?;
        if !self.follow {
            let entries: Vec<Value> = lines.iter().map(|line| entry(line)).collect();
            let document = json!({
                "log_group_name": group.name, "log_stream_name": stream, "entries": entries,
            });
            return output.emit(&document, || told(&lines));
        }
        self.print(&lines, output)?;
        loop {
            sleep(LOOK);
            self.print(&follower.more()?, output)?;
        }
    }

    /// The stream that is meant.
    fn stream(&self, reader: &FileLogReader) -> anyhow::Result<String> {
        let streams = reader.streams()?;
        let names: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        match (&self.stream, names.as_slice()) {
            (Some(name), names) if names.contains(&name.as_str()) => Ok(name.clone()),
            (Some(name), _) => Err(unknown("log stream", name).into()),
            (None, [only]) => Ok((*only).to_owned()),
            (None, []) => bail!("nothing was logged to the group {} yet", self.group),
            (None, names) => bail!(
                "the group {} has several streams, name one: {}",
                self.group,
                names.join(", ")
            ),
        }
    }

    fn print(&self, lines: &[String], output: &Output) -> anyhow::Result<()> {
        if output.is_json() {
            let documents = lines.iter().map(|line| format!("{}\n", entry(line)));
            return output.raw(&documents.collect::<String>());
        }
        output.raw(&told(lines))
    }
}

fn unknown(what: &'static str, name: &str) -> ManageError {
    ManageError::Unknown {
        what,
        name: name.to_owned(),
        cure: "`culvert log list` shows those there are",
    }
}

/// What reads a group; only files can be read here.
fn reader(group: &LogGroup) -> anyhow::Result<FileLogReader> {
    let name = &group.name;
    match &group.sink {
        LogSink::Files { folder, .. } => Ok(FileLogReader::new(folder, name)?),
        LogSink::Journal => {
            bail!("the group {name} is kept in the systemd journal: journalctl CULVERT_LOG_GROUP={name}")
        }
        LogSink::CloudWatch { endpoint, .. } => bail!(
            "the group {name} is kept in CloudWatch Logs: aws logs tail {name} --endpoint-url {endpoint}"
        ),
    }
}

/// An entry as a document; what is none stays a text.
fn entry(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
}

/// Entries for people, each a line.
fn told(lines: &[String]) -> String {
    let one = |line: &String| match entry(line) {
        Value::Object(fields) => format!("{}\n", sentence(&fields)),
        _ => format!("{}\n", clean(line)),
    };
    lines.iter().map(one).collect()
}

fn sentence(fields: &Map<String, Value>) -> String {
    let field = |name: &str| {
        let value = fields.get(name).and_then(Value::as_str).unwrap_or(NOTHING);
        clean(value)
    };
    let count = |name: &str| bytes(field(name).parse().unwrap_or_default());
    let first = |names: [&str; 2]| names.map(field).into_iter().find(|text| text != NOTHING);
    let who = first(["username", "common-name"]).unwrap_or_else(|| "somebody".to_owned());
    let address = || first(["client-ip", "client-ip-v6"]).unwrap_or_else(|| NOTHING.to_owned());
    let carried = || format!("{} in, {} out", count("ingress-bytes"), count("egress-bytes"));
    let what = match (
        field("connection-log-type").as_str(),
        field("connection-attempt-status").as_str(),
    ) {
        ("connection-reset", _) => format!(
            "ended after {} s: {}",
            field("connection-duration-seconds"),
            carried()
        ),
        (_, "failed") => format!("turned away: {}", field("connection-attempt-failure-reason")),
        _ => format!("connected as {}: {}", address(), carried()),
    };
    format!(
        "{}  {who} from {} port {} ({})  {what}  {}",
        field("connection-last-update-time"),
        field("device-ip"),
        field("port"),
        field("transport-protocol"),
        field("connection-id")
    )
}
