//! Network namespaces: creating them, running commands and closures inside.

use std::fs::File;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

/// A named network namespace, removed when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Creates the namespace and brings its loopback up.
    ///
    /// # Errors
    /// Fails without root or when the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        run("ip", &["netns", "add", name])?;
        let ns = Self {
            name: name.to_owned(),
        };
        ns.run("ip", &["link", "set", "lo", "up"])?;
        Ok(ns)
    }

    /// The name `ip netns` knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside this namespace.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a command inside to its end and returns its standard output.
    ///
    /// # Errors
    /// Fails when it can't be started or exits non-zero; the message carries its standard error.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut all = vec!["netns", "exec", &self.name, program];
        all.extend_from_slice(args);
        run("ip", &all)
    }

    /// Runs a closure on a thread of its own inside this namespace; sockets it opens stay there.
    ///
    /// # Errors
    /// Fails when the namespace can't be entered, when the closure fails, or when it panics.
    pub fn enter<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        self.spawn(work)?
            .join()
            .map_err(|_| anyhow::anyhow!("a thread in namespace {} panicked", self.name))?
    }

    /// Like [`Self::enter`], without waiting.
    ///
    /// # Errors
    /// Fails when the namespace doesn't exist.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<std::thread::JoinHandle<Result<T>>> {
        let path = format!("/run/netns/{}", self.name);
        let file = File::open(&path).with_context(|| format!("Failed to open {path}"))?;
        Ok(std::thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).context("Failed to enter the namespace")?;
            work()
        }))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Best effort: a test that fails must not fail again while cleaning up.
        drop(run("ip", &["netns", "del", &self.name]));
    }
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// Fails when it can't be started or exits non-zero; the message carries its standard error.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("Failed to start {program} (scripts/test installs what the tests need)"))?;
    ensure!(
        output.status.success(),
        "{program} {} failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
