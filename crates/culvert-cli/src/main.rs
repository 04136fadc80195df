//! The Culvert command line: certificates, profiles, keys, users and access keys on files; status and control of a running
//! daemon over its administration socket.
//!
//! Every command prints text for people or, with `--json`, one JSON document. Exit status: 0 done, 1 failed,
//! 2 wrong usage, 3 the daemon does not answer, 4 there is no such client, user, certificate or access key.

mod access_key;
mod backup;
mod check;
mod control;
mod explain;
mod failure;
mod keygen;
mod output;
mod pki;
mod profile;
mod setup;
mod status;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Output;

/// Set up and operate Culvert, a Client VPN endpoint for OpenVPN clients.
#[derive(Parser)]
#[command(
    name = "culvert",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 3 the daemon does not answer, \
    4 there is no such client, user, certificate or access key."
)]
struct Cli {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the daemon, its endpoints and their clients
    Status(status::Status),
    /// Disconnect clients
    Kill(control::Kill),
    /// Say what a reload would change
    Plan(control::Plan),
    /// Say why a client may reach a destination, or may not
    Explain(explain::Explain),
    /// Make the daemon read its configuration, keys, users and revocation lists again
    Reload(control::Reload),
    /// Write everything managed endpoints consist of to a file, while the daemon runs
    Backup(backup::Backup),
    /// Put a backup in the place of what is kept, while the daemon is stopped
    Restore(backup::Restore),
    /// Check a configuration file and everything it names, without starting anything
    CheckConfig(check::CheckConfig),
    /// Run a certificate authority
    #[command(subcommand)]
    Pki(pki::Pki),
    /// Write a client profile (.ovpn) for an endpoint, with everything in one file
    Profile(profile::ProfileArguments),
    /// Generate keys in OpenVPN's formats
    #[command(subcommand)]
    Keygen(keygen::Keygen),
    /// Manage the users file
    #[command(subcommand)]
    User(user::User),
    /// Manage the access keys of the management API
    #[command(subcommand)]
    AccessKey(access_key::AccessKeys),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let done = match cli.command {
        Command::Status(arguments) => arguments.run(&output),
        Command::Kill(arguments) => arguments.run(&output),
        Command::Plan(arguments) => arguments.run(&output),
        Command::Explain(arguments) => arguments.run(&output),
        Command::Reload(arguments) => arguments.run(&output),
        Command::Backup(arguments) => arguments.run(&output),
        Command::Restore(arguments) => arguments.run(&output),
        Command::CheckConfig(arguments) => arguments.run(&output),
        Command::Pki(command) => command.run(&output),
        Command::Profile(arguments) => arguments.run(&output),
        Command::Keygen(command) => command.run(&output),
        Command::User(command) => command.run(&output),
        Command::AccessKey(command) => command.run(&output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, cli.json),
    }
}
