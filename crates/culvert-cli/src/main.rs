//! The Culvert command line: certificates, profiles, keys, users and access keys on files; status and control of a running
//! daemon over its administration socket; endpoints, over the API's.
//!
//! Every command prints text for people or, with `--json`, one JSON document. Exit status: 0 done, 1 failed,
//! 2 wrong usage, 3 the daemon does not answer, 4 what is named is not there.

mod access_key;
mod backup;
mod check;
mod control;
mod explain;
mod failure;
mod keygen;
mod log;
mod manage;
mod output;
mod papers;
mod pki;
mod profile;
mod setup;
mod status;
mod user;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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
    4 what is named is not there."
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
    /// Manage endpoints
    #[command(subcommand)]
    Endpoint(manage::Endpoints),
    /// Manage the networks of an endpoint
    #[command(subcommand)]
    Network(manage::Networks),
    /// Manage the routes of an endpoint
    #[command(subcommand)]
    Route(manage::Routes),
    /// Manage the authorization rules of an endpoint
    #[command(subcommand)]
    Rule(manage::Rules),
    /// List and end the connections of an endpoint
    #[command(subcommand)]
    Connection(manage::Connections),
    /// Manage the revocation list of an endpoint
    #[command(subcommand)]
    Crl(manage::RevocationLists),
    /// Manage the certificates of endpoints
    #[command(subcommand)]
    Certificate(manage::Certificates),
    /// List security groups and apply them to an endpoint
    #[command(subcommand)]
    SecurityGroup(manage::SecurityGroups),
    /// Read connection logs that are kept in files
    #[command(subcommand)]
    Log(log::Logs),
    /// Print a script that completes commands in a shell
    Completion(papers::Completion),
    /// Write manual pages
    Man(papers::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    match run(cli.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, output.is_json()),
    }
}

fn run(command: Command, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Status(arguments) => arguments.run(output),
        Command::Kill(arguments) => arguments.run(output),
        Command::Plan(arguments) => arguments.run(output),
        Command::Explain(arguments) => arguments.run(output),
        Command::Reload(arguments) => arguments.run(output),
        Command::Backup(arguments) => arguments.run(output),
        Command::Restore(arguments) => arguments.run(output),
        Command::CheckConfig(arguments) => arguments.run(output),
        Command::Pki(command) => command.run(output),
        Command::Profile(arguments) => arguments.run(output),
        Command::Keygen(command) => command.run(output),
        Command::User(command) => command.run(output),
        Command::AccessKey(command) => command.run(output),
        Command::Endpoint(command) => command.run(output),
        Command::Network(command) => command.run(output),
        Command::Route(command) => command.run(output),
        Command::Rule(command) => command.run(output),
        Command::Connection(command) => command.run(output),
        Command::Crl(command) => command.run(output),
        Command::Log(command) => command.run(output),
        Command::Certificate(command) => command.run(output),
        Command::SecurityGroup(command) => command.run(output),
        Command::Completion(arguments) => arguments.run(Cli::command(), output),
        Command::Man(arguments) => arguments.run(Cli::command(), output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page for operators is about.
    const DESCRIBED: [&str; 8] = [
        "endpoint",
        "network",
        "route",
        "rule",
        "connection",
        "crl",
        "certificate",
        "security-group",
    ];

    #[test]
    fn arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documentation_has_every_command_on_endpoints() {
        let page = include_str!("../../../docs/cli.md");
        let command = Cli::command();
        for group in command
            .get_subcommands()
            .filter(|one| DESCRIBED.contains(&one.get_name()))
        {
            for one in group.get_subcommands() {
                let words = format!("culvert {} {} ", group.get_name(), one.get_name());
                assert!(
                    page.contains(&words) || page.contains(&words.replace(" list ", " list`")),
                    "{words}"
                );
            }
        }
    }
}
