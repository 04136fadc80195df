//! The configuration as a whole.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::endpoint::EndpointConfig;
use crate::environment::{Api, Environment};
use crate::error::{ConfigError, Problem, Report};
use crate::packets::{NamedCpu, Offload, online_cpus};
use crate::read::read;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/culvert/culvert.toml";

/// The largest file that is read, in bytes; more cannot be meant.
const MAX_FILE: u64 = 16 << 20;

/// A configuration without a known error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What the daemon keeps.
    pub state_dir: PathBuf,
    /// Sockets and other things that end with the daemon.
    pub run_dir: PathBuf,
    /// Worker threads; `None` is one for each core.
    pub workers: Option<NonZeroUsize>,
    /// The CPUs the worker threads are pinned to, in turn; empty when they are not pinned.
    pub worker_cpus: Vec<u16>,
    /// The longest moment a busy worker rests for packets to gather, between [`MIN_MODERATION`](crate::MIN_MODERATION) and
    /// [`MAX_MODERATION`](crate::MAX_MODERATION); zero when it never does.
    pub moderation: Duration,
    /// Whether TCP acknowledgements of clients that a later one makes redundant are left out.
    pub ack_filter: bool,
    /// What is left to the kernel.
    pub offload: Offload,
    /// What is logged and how.
    pub log: Log,
    /// The administration socket.
    pub admin_socket: PathBuf,
    /// Where endpoints are to be managed at run time; `None`: nowhere, there are only those of the file. Not served yet:
    /// [`Config::check_files`] refuses it.
    pub api: Option<Api>,
    /// What managed endpoints refer to.
    pub environment: Environment,
    /// The endpoints, in the order of the file.
    pub endpoints: Vec<EndpointConfig>,
    /// What is possible but hardly meant.
    pub warnings: Vec<Problem>,
    pub(crate) files: Vec<NamedFile>,
    pub(crate) cpus: Vec<NamedCpu>,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or filter directives as in `info,culvert_core=debug`.
    pub level: String,
    /// How a log line looks.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A file the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) path: PathBuf,
    pub(crate) kind: FileKind,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// What a named file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileKind {
    pub(crate) purpose: &'static str,
    /// Only the daemon should be able to read it.
    pub(crate) secret: bool,
    /// It may be created later.
    pub(crate) optional: bool,
}

impl FileKind {
    pub(crate) const fn public(purpose: &'static str) -> Self {
        Self {
            purpose,
            secret: false,
            optional: false,
        }
    }

    pub(crate) const fn secret(purpose: &'static str) -> Self {
        Self {
            purpose,
            secret: true,
            optional: false,
        }
    }
}

impl Config {
    /// Where the store of managed endpoints is.
    pub fn store_path(&self) -> PathBuf {
        self.state_dir.join("store.redb")
    }

    /// Reads and checks a configuration file. Paths in it are relative to its folder. The files and
    /// CPUs it names are not looked at: [`Config::check_files`] does that.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], or [`ConfigError::Invalid`] with every problem of the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let unreadable = |source| ConfigError::Unreadable {
            path: path.into(),
            source,
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_FILE {
            return Err(unreadable(std::io::Error::other(format!(
                "{size} bytes cannot be a configuration"
            ))));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        // A daemon may change its working directory; paths must not depend on it.
        let absolute = std::path::absolute(path).map_err(unreadable)?;
        read(&text, path, absolute.parent().unwrap_or(&absolute))
    }

    /// Checks the text of a configuration file; `path` names it in messages and is where its relative paths
    /// start. Touches no file.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem of the text.
    pub fn from_str(text: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        read(text, path, path.parent().unwrap_or(path))
    }

    /// Looks for every file the configuration names. A key that everybody on the machine may read becomes a
    /// warning, a missing file an error; contents are judged by whoever uses them. Looks for the CPUs it names
    /// as well.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every file that is missing or cannot be opened, and every CPU
    /// this machine does not have.
    pub fn check_files(&self) -> Result<Vec<Problem>, ConfigError> {
        let mut warnings = Vec::new();
        // Where the kernel does not tell, pinning will.
        let online = online_cpus().filter(|_| !self.cpus.is_empty());
        let absent = online
            .iter()
            .flat_map(|online| self.cpus.iter().filter_map(|named| named.check(online)));
        let mut problems: Vec<Problem> = absent.collect();
        for file in &self.files {
            let problem = |message, cure: &str| Problem {
                line: file.line,
                column: file.column,
                message,
                cure: cure.into(),
            };
            let (purpose, path) = (file.kind.purpose, file.path.display());
            match std::fs::File::open(&file.path).and_then(|open| open.metadata()) {
                Err(error) if file.kind.optional && error.kind() == std::io::ErrorKind::NotFound => {
                    let message = format!("there is no {purpose} {path} yet");
                    warnings.push(problem(message, "create it; until then it lets nobody in"));
                }
                Err(error) => {
                    let message = format!("cannot open the {purpose} {path}: {error}");
                    let cure =
                        "check the path and that culvertd may read it; relative paths start at this file";
                    problems.push(problem(message, cure));
                }
                Ok(metadata) if !metadata.is_file() => {
                    problems.push(problem(
                        format!("the {purpose} {path} is not a file"),
                        "give its path",
                    ));
                }
                Ok(metadata) if file.kind.secret && open_to_all(&metadata) => {
                    let message = format!("everybody on this machine may read the {purpose} {path}");
                    warnings.push(problem(message, "take the right away: chmod o= on it"));
                }
                Ok(_) => {}
            }
        }
        if problems.is_empty() {
            Ok(warnings)
        } else {
            Err(ConfigError::Invalid(Report::new(&self.path, problems)))
        }
    }
}

fn open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}
