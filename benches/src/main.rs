//! `culvert-bench`: a load generator for OpenVPN servers, Culvert and others.
//!
//! It speaks the protocol as a stock client of the newest stable generation does (TLS 1.3, AES-256-GCM, no control
//! channel wrapping) but for any number of clients at once and with batched system calls, so that the server under test
//! is the bottleneck and not its load. Each command prints one JSON object per line on standard output; what a person
//! should know goes to standard error. It makes no namespace: run it where its traffic may go.

#![forbid(unsafe_code)]

mod arguments;
mod blast;
mod clock;
mod dialer;
mod fleet;
mod flows;
mod handshakes;
mod idle;
mod link;
mod packet;
mod pump;
mod report;
mod session;
mod sink;
mod sources;
mod stop;
mod tunnel;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    allow_many_files();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            drop(writeln!(std::io::stderr(), "culvert-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Raises the number of open files to what the process may raise it to: each client has a socket. Where the kernel
/// refuses, the first client that gets none says so.
fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Runs a command on this one thread: the other cores are the server's.
fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("Failed to start the runtime")?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        match command {
            Command::Tunnel(arguments) => tunnel::run(arguments).await,
            Command::Handshakes(arguments) => handshakes::run(arguments).await,
            Command::Blast(arguments) => blast::run(arguments).await,
            Command::Sink(arguments) => sink::run(arguments.listen).await,
            Command::Idle(arguments) => idle::run(arguments).await,
            Command::Flows(arguments) => flows::run(arguments).await,
            Command::Pump(arguments) => pump::run(arguments.listen).await,
        }
    })
}
