//! The Culvert daemon: reads the configuration, starts the endpoints, answers the administration socket, and stops in
//! good order.

mod admin;
mod clock;
mod connection_log;
mod daemon;
mod endpoint;
mod explain;
mod fleet;
mod logging;
mod managed;
mod panics;
mod reload;
mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use culvert_config::{Config, Problem};
use culvert_failure::describe;

/// A self-hosted Client VPN endpoint for stock OpenVPN clients.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file.
    #[arg(long, short, default_value = culvert_config::DEFAULT_PATH, env = "CULVERT_CONFIG")]
    config: PathBuf,
    /// Check the configuration and the files it names, and exit.
    #[arg(long)]
    check: bool,
}

/// A wrong configuration: the service manager should not try again without a change.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (config, warnings) = match load(&arguments) {
        Ok(loaded) => loaded,
        Err(error) => {
            logging::to_stderr(&describe(&error));
            return ExitCode::from(EX_CONFIG);
        }
    };
    if arguments.check {
        for warning in &warnings {
            logging::to_stderr(&format!("warning: {warning}"));
        }
        return ExitCode::SUCCESS;
    }
    logging::start(&config.log);
    for warning in &warnings {
        tracing::warn!("{}:{warning}", config.path.display());
    }
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => {
            tracing::error!("{}", describe(&error));
            ExitCode::from(EX_CONFIG)
        }
        Err(Failure::Other(error)) => {
            tracing::error!("{}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why the daemon ended, by what the service manager should make of it.
enum Failure {
    /// Trying again would not help.
    Config(anyhow::Error),
    /// It might.
    Other(anyhow::Error),
}

fn start(config: Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("Failed to start the runtime")
        .map_err(Failure::Other)?;
    let entered = runtime.enter();
    let start = daemon::Start::prepare(config).map_err(Failure::Config)?;
    drop(entered);
    runtime.block_on(start.run()).map_err(Failure::Other)
}

/// Reads and checks the configuration and looks for the files it names, before anything on the machine is touched.
fn load(arguments: &Arguments) -> anyhow::Result<(Config, Vec<Problem>)> {
    let config = Config::load(&arguments.config)?;
    let mut warnings = config.warnings.clone();
    warnings.append(&mut config.check_files()?);
    Ok((config, warnings))
}
