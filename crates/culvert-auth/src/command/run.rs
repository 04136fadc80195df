//! Running one command: own process group, bounded output, a deadline that kills.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::CommandOptions;
use crate::backend::Credentials;

/// Most that is kept of each output stream; the rest is read and dropped.
const MAX_OUTPUT_BYTES: usize = 4 * 1024;

/// How long output is waited for after the command has ended: a background process may hold the pipe.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// How a command ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed.
    TimedOut,
    /// It never ran.
    NotStarted(io::Error),
}

/// A finished run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ended: Ended,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Run {
    /// Writes the command's output to the log, line by line.
    pub(super) fn log(&self, credentials: &Credentials) {
        for (stream, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
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
}

/// A running command. Dropped before its end was seen, it is killed with its whole process group.
struct Group {
    child: Child,
    /// `Some` while the group's leader is not waited for, so that its id cannot belong to anyone else.
    id: Option<Pid>,
}

impl Group {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.id = None;
        status
    }

    fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            let _ = killpg(id, Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the command with `file` as last argument and exactly these variables.
pub(super) async fn run(options: &CommandOptions, file: &Path, variables: Vec<(String, OsString)>) -> Run {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = match spawn(options, file, variables) {
        Ok(group) => attend(group, options.timeout, &mut stdout, &mut stderr).await,
        Err(error) => Ended::NotStarted(error),
    };
    Run {
        ended,
        stdout,
        stderr,
    }
}

fn spawn(options: &CommandOptions, file: &Path, variables: Vec<(String, OsString)>) -> io::Result<Group> {
    let child = Command::new(&options.program)
        .args(&options.arguments)
        .arg(file)
        .env_clear()
        .envs(variables)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw);
    Ok(Group { child, id })
}

/// Reads its output until it ends or its time is over.
async fn attend(mut group: Group, limit: Duration, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>) -> Ended {
    let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
    let output = async { tokio::join!(keep_head(out, stdout), keep_head(err, stderr)) };
    let deadline = sleep(limit);
    tokio::pin!(output, deadline);
    let mut all_read = false;
    let status = loop {
        tokio::select! {
            biased;
            status = group.wait() => break Some(status),
            _ = &mut output, if !all_read => all_read = true,
            () = &mut deadline => break None,
        }
    };
    if status.is_none() {
        group.kill();
        // Its zombie is collected; a process stuck in the kernel is left to the runtime.
        let _ = timeout(OUTPUT_GRACE, group.child.wait()).await;
    }
    if !all_read {
        let _ = timeout(OUTPUT_GRACE, &mut output).await;
    }
    match status {
        Some(Ok(status)) => Ended::Exited(status),
        Some(Err(error)) => Ended::NotStarted(error),
        None => Ended::TimedOut,
    }
}

/// Reads a stream to its end and keeps its first [`MAX_OUTPUT_BYTES`].
async fn keep_head(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
    }
}
