//! Logins decided by an external command, in the convention of `auth-user-pass-verify CMD via-file`.
//!
//! The command gets the path of a file as its last argument. The file's first line is the user name, the
//! second the password; it lies in a folder of its own that only the daemon's user can enter and that is
//! removed when the command ends, however it ends. Exit status 0 accepts, 1 refuses, anything else refuses
//! and is logged as a fault of the command. Environment, and nothing else of the daemon's own:
//!
//! | variable | content |
//! |---|---|
//! | `script_type` | `user-pass-verify` |
//! | `username` | the user name |
//! | `common_name`, `X509_0_CN` | common name of the client's certificate, if it showed one |
//! | `tls_serial_0`, `tls_serial_hex_0`, `tls_digest_sha256_0` | of that certificate |
//! | `untrusted_ip` or `untrusted_ip6`, `untrusted_port` | where the client connects from |
//! | `IV_…`, `UV_…` | what the client tells about itself |
//! | `time_unix` | now |
//! | `auth_failed_reason_file` | what is written there is told to the refused client |
//! | `culvert_endpoint` | name of the endpoint |
//! | `culvert_grants_file` | lines `group=NAME` and `address=IP` written there are granted to the accepted client |
//!
//! A command that exceeds its time is killed with all processes of its group.

mod environment;
mod outcome;
mod scratch;

use std::path::PathBuf;
use std::time::Duration;

use culvert_process::{Ended, Gate, Program, Run, Terms, UnfitProgram};
use zeroize::Zeroizing;

use crate::backend::{Credentials, Verdict};
use scratch::Scratch;

/// Most that is kept of each output stream; the rest is read and dropped.
const MAX_OUTPUT_BYTES: usize = 4 * 1024;

/// Settings of a command backend.
#[derive(Clone, Debug)]
pub struct CommandOptions {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its first arguments; the credentials file follows them.
    pub arguments: Vec<String>,
    /// Longest time the command may take.
    pub timeout: Duration,
    /// Most commands run at a time.
    pub max_concurrent: usize,
    /// Where the credentials files lie; should be in memory. Created if missing.
    pub scratch_folder: PathBuf,
}

impl CommandOptions {
    /// Settings for `program`: 10 s, 16 at a time, files under `/run/culvert/login`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(10),
            max_concurrent: 16,
            scratch_folder: PathBuf::from("/run/culvert/login"),
        }
    }
}

/// Why a command cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The program can't be run.
    #[error("the login command can't be used: {0}")]
    Program(#[from] UnfitProgram),
    /// The folder for credentials files cannot be prepared.
    #[error("cannot prepare the folder {} for login commands: {source}", path.display())]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Asks an external command about each login.
#[derive(Debug)]
pub struct CommandBackend {
    options: CommandOptions,
    program: Program,
    gate: Gate,
}

impl CommandBackend {
    /// Checks the program and prepares the scratch folder, removing what dead daemons left there.
    ///
    /// # Errors
    /// [`CommandError`], by what is wrong with the program or the folder.
    pub fn new(options: CommandOptions) -> Result<Self, CommandError> {
        let program = Program::new(&options.program, options.arguments.clone())?;
        scratch::prepare(&options.scratch_folder).map_err(|source| CommandError::Scratch {
            path: options.scratch_folder.clone(),
            source,
        })?;
        Ok(Self {
            gate: Gate::new(options.max_concurrent),
            program,
            options,
        })
    }

    pub(crate) async fn verify(&self, credentials: Credentials) -> Verdict {
        if credentials.password.contains(['\n', '\r', '\0']) {
            return Verdict::reject(
                "the password contains a line end or NUL, which the command cannot be given",
            );
        }
        let Some(_slot) = self.gate.enter().await else {
            return Verdict::reject_telling(
                "too many logins at once for the login command",
                "The server is busy. Try again in a minute.",
            );
        };
        let scratch = match Scratch::create(&self.options.scratch_folder, &credentials) {
            Ok(scratch) => scratch,
            Err(error) => {
                let folder = self.options.scratch_folder.display();
                return Verdict::reject(format!("cannot write the credentials file in {folder}: {error}"));
            }
        };
        let terms = Terms {
            arguments: vec![scratch.credentials().into()],
            variables: environment::variables(&credentials, &scratch),
            input: Zeroizing::default(),
            limit: self.options.timeout,
            max_output: MAX_OUTPUT_BYTES,
        };
        let run = self.program.run(&terms).await;
        log(&run, &credentials);
        match run.ended {
            Ended::Exited(status) => outcome::verdict(status, &scratch),
            Ended::TimedOut => Verdict::reject_telling(
                format!(
                    "the login command took longer than {:?} and was killed",
                    self.options.timeout
                ),
                "The login service does not answer. Try again later.",
            ),
            Ended::NotStarted(error) => Verdict::reject_telling(
                format!(
                    "the login command {} cannot be started: {error}",
                    self.options.program.display()
                ),
                "The login service does not answer. Try again later.",
            ),
        }
    }
}

/// Writes the command's output to the log, line by line.
fn log(run: &Run, credentials: &Credentials) {
    for (stream, bytes) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        for line in String::from_utf8_lossy(bytes)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            tracing::info!(endpoint = %credentials.endpoint, username = %credentials.username, stream, line,
                "login command says");
        }
        if bytes.len() == MAX_OUTPUT_BYTES {
            tracing::info!(username = %credentials.username, stream, limit = MAX_OUTPUT_BYTES,
                "login command says more than is logged");
        }
    }
}

#[cfg(test)]
mod tests;
