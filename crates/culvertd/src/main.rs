//! The Culvert daemon: reads the configuration, starts the endpoints, answers the administration socket, and stops in
//! good order.

mod admin;
mod clock;
mod daemon;
mod endpoint;
mod logging;
mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use culvert_config::Config;

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
    let config = match load(&arguments) {
        Ok(config) => config,
        Err(error) => {
            logging::to_stderr(&format!("{error:#}"));
            return ExitCode::from(EX_CONFIG);
        }
    };
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    logging::start(&config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime can't be started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(daemon::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads and checks the configuration and the files it names, before anything on the machine is touched.
fn load(arguments: &Arguments) -> anyhow::Result<Config> {
    let config = Config::load(&arguments.config)?;
    config.check_files()?;
    for warning in &config.warnings {
        logging::to_stderr(&format!("warning: {warning}"));
    }
    Ok(config)
}
