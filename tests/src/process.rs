//! A child process whose output goes to a log file that tests can wait on.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Logged {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Logged {
    /// Starts a command with both outputs appended to a log file.
    ///
    /// # Errors
    /// Fails when the program can't be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("Failed to start {name}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Bytes logged so far.
    #[must_use]
    pub fn log_len(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |meta| meta.len())
    }

    /// Waits until one of the texts appears in the log and returns its index.
    ///
    /// # Errors
    /// Fails when time runs out or the program ends first; the message carries the end of the log.
    pub fn wait_for_any(&mut self, texts: &[&str], timeout: Duration) -> Result<usize> {
        let deadline = Instant::now() + timeout;
        loop {
            let ended = self.exit_status()?;
            let log = self.log();
            if let Some(index) = texts.iter().position(|text| log.contains(text)) {
                return Ok(index);
            }
            if let Some(status) = ended {
                bail!(
                    "{} ended ({status}) before {texts:?} was logged:\n{}",
                    self.name,
                    tail(&log)
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{} did not log {texts:?} within {timeout:?}:\n{}",
                    self.name,
                    tail(&log)
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the text appears in the log.
    ///
    /// # Errors
    /// As [`Self::wait_for_any`].
    pub fn wait_for(&mut self, text: &str, timeout: Duration) -> Result<()> {
        self.wait_for_any(&[text], timeout).map(|_| ())
    }

    /// Sends a signal to the program and its children.
    ///
    /// # Errors
    /// Fails when the program is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(-self.pid()), signal).with_context(|| format!("Failed to signal {}", self.name))
    }

    /// Its process id; the same as its process group.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// Fails when the process is gone.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("no VmRSS")?;
        let kilobytes: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kilobytes * 1024)
    }

    /// CPU time spent so far, user and system.
    ///
    /// # Errors
    /// Fails when the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let after = stat.rsplit(") ").next().context("no fields")?;
        let fields: Vec<&str> = after.split(' ').collect();
        let ticks: u64 = fields.get(11).context("utime")?.parse::<u64>()?
            + fields.get(12).context("stime")?.parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The exit status, once it ended.
    ///
    /// # Errors
    /// Fails when the system call does.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the program to end by itself.
    ///
    /// # Errors
    /// Fails when it is still running after the time-out.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    "{} is still running after {timeout:?}:\n{}",
                    self.name,
                    tail(&self.log())
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks the program to end with SIGTERM and waits.
    ///
    /// # Errors
    /// Fails when it doesn't end within 10 seconds.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        if self.exit_status()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        self.wait(Duration::from_secs(10))
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.signal(Signal::SIGKILL));
            drop(self.child.wait());
        }
    }
}

/// The last 60 lines of a log.
#[must_use]
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
