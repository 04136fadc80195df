//! Running one program once: own process group, bounded output, a deadline that kills.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::program::Program;

/// How long output is waited for after the program has ended: a background process may hold the pipe.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// On what terms a program is run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Arguments behind the program's own.
    pub arguments: Vec<OsString>,
    /// All variables it sees.
    pub variables: Vec<(String, OsString)>,
    /// What it reads from its standard input.
    pub input: Zeroizing<Vec<u8>>,
    /// Longest time it may take.
    pub limit: Duration,
    /// Most that is kept of each output stream, in bytes; the rest is read and dropped.
    pub max_output: usize,
}

/// How a program ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed, as its time was over.
    TimedOut,
    /// It never ran.
    NotStarted(io::Error),
}

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub ended: Ended,
    /// The head of its standard output.
    pub stdout: Vec<u8>,
    /// The head of its standard error output.
    pub stderr: Vec<u8>,
}

/// A running program. Dropped before its end was seen, it is killed with its whole process group.
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

impl Program {
    /// Runs the program once. When its time is over, or when the future is dropped, it is killed with all processes of
    /// its group.
    pub async fn run(&self, terms: &Terms) -> Run {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = match self.spawn(terms) {
            Ok(group) => attend(group, terms, &mut stdout, &mut stderr).await,
            Err(error) => Ended::NotStarted(error),
        };
        Run {
            ended,
            stdout,
            stderr,
        }
    }

    fn spawn(&self, terms: &Terms) -> io::Result<Group> {
        let stdin = if terms.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        };
        let child = Command::new(self.path())
            .args(self.arguments())
            .args(&terms.arguments)
            .env_clear()
            .envs(terms.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(stdin)
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
}

/// Tells it its input and reads its output until it ends or its time is over.
async fn attend(mut group: Group, terms: &Terms, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>) -> Ended {
    let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
    let input = feed(group.child.stdin.take(), &terms.input);
    let most = terms.max_output;
    let talk = async { tokio::join!(input, keep_head(out, stdout, most), keep_head(err, stderr, most)) };
    let deadline = sleep(terms.limit);
    tokio::pin!(talk, deadline);
    let mut all_said = false;
    let status = loop {
        tokio::select! {
            biased;
            status = group.wait() => break Some(status),
            _ = &mut talk, if !all_said => all_said = true,
            () = &mut deadline => break None,
        }
    };
    if status.is_none() {
        group.kill();
        // Its zombie is collected; a process stuck in the kernel is left to the runtime.
        let _ = timeout(OUTPUT_GRACE, group.child.wait()).await;
    }
    if !all_said {
        let _ = timeout(OUTPUT_GRACE, &mut talk).await;
    }
    match status {
        Some(Ok(status)) => Ended::Exited(status),
        Some(Err(error)) => Ended::NotStarted(error),
        None => Ended::TimedOut,
    }
}

/// Writes the input and closes the pipe. A program need not read it.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Reads a stream to its end and keeps its first bytes.
async fn keep_head(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// What a shell says that runs this script, with at most 8 bytes of each stream kept.
    async fn shell(script: &str, input: &str, limit: Duration) -> Run {
        let program = Program::new("/bin/sh", vec!["-c".to_owned(), script.to_owned()]).unwrap();
        let terms = Terms {
            arguments: Vec::new(),
            variables: vec![("GREETING".to_owned(), "hello".into())],
            input: input.as_bytes().to_vec().into(),
            limit,
            max_output: 8,
        };
        program.run(&terms).await
    }

    #[tokio::test]
    async fn a_program_reads_its_input_and_sees_only_its_variables() {
        let run = shell(
            "read line; echo \"$GREETING$line$HOME\"",
            "!\n",
            Duration::from_secs(10),
        )
        .await;
        assert_eq!(run.stdout, b"hello!\n");
        assert!(matches!(run.ended, Ended::Exited(status) if status.success()));
    }

    #[tokio::test]
    async fn neither_much_output_nor_unread_input_blocks() {
        let input = "x".repeat(1 << 20);
        let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; exit 3";
        let run = shell(script, &input, Duration::from_secs(60)).await;
        assert_eq!(run.stdout, b"01234567");
        assert!(matches!(run.ended, Ended::Exited(status) if status.code() == Some(3)));
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let start = Instant::now();
        let run = shell("sleep 60 & sleep 60", "", Duration::from_millis(100)).await;
        assert!(matches!(run.ended, Ended::TimedOut));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
