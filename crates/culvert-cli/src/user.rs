//! `culvert user`: the users file.

use std::io::{self, BufRead, IsTerminal, Read};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use culvert_auth::{UserFile, UserRecord, hash_password};
use serde_json::json;
use zeroize::Zeroizing;

use crate::output::{Output, table};
use crate::setup::Chosen;

/// Longest password that is read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// Commands on the users file.
#[derive(Subcommand)]
#[command(
    after_help = "The daemon notices changes at the next login. Who is connected stays connected: see \
    `culvert kill`."
)]
pub(crate) enum User {
    /// Add a user
    Add {
        /// User name
        name: String,
        /// Group the user is in, for authorization rules; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Address reserved for the user; at most one IPv4 and one IPv6 address
        #[arg(long = "address", value_name = "IP")]
        addresses: Vec<IpAddr>,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        file: File,
    },
    /// Give a user another password
    Passwd {
        /// User name
        name: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        file: File,
    },
    /// Remove a user
    Remove {
        /// User name
        name: String,
        #[command(flatten)]
        file: File,
    },
    /// List the users
    List {
        #[command(flatten)]
        file: File,
    },
}

/// Where the password comes from: never from the command line, which others on the machine can see.
#[derive(Args)]
pub(crate) struct Password {
    /// Read the password from the first line of standard input instead of asking
    #[arg(long)]
    password_stdin: bool,
}

/// Which users file.
#[derive(Args)]
pub(crate) struct File {
    /// Users file [default: the one the configuration names]
    #[arg(long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    #[command(flatten)]
    chosen: Chosen,
}

impl User {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Add {
                name,
                groups,
                addresses,
                password,
                file,
            } => {
                let path = file.path()?;
                // What is wrong with the name is said before a password is asked for.
                culvert_auth::check_name(name)
                    .map_err(|reason| anyhow::anyhow!("the name {name:?} cannot be used: {reason}"))?;
                let hash = hash_password(&password.read()?)?;
                let user = UserRecord::new(name, &hash, groups, addresses)?;
                UserFile::edit(&path, |users| users.add(user))?;
                output.emit(&json!({ "added": name, "file": path }), || {
                    format!("added {name}")
                })
            }
            Self::Passwd { name, password, file } => {
                let path = file.path()?;
                if UserFile::read(&path)?.find(name).is_none() {
                    return Err(culvert_auth::UsersError::Unknown(name.clone()).into());
                }
                let hash = hash_password(&password.read()?)?;
                UserFile::edit(&path, |users| users.set_password(name, &hash))?;
                output.emit(&json!({ "changed": name, "file": path }), || {
                    format!("changed the password of {name}")
                })
            }
            Self::Remove { name, file } => {
                let path = file.path()?;
                UserFile::edit(&path, |users| users.remove(name))?;
                output.emit(&json!({ "removed": name, "file": path }), || {
                    format!("removed {name}")
                })
            }
            Self::List { file } => list(&UserFile::read(&file.path()?)?, output),
        }
    }
}

fn list(users: &UserFile, output: &Output) -> anyhow::Result<()> {
    let document = users.users().map(|user| {
        json!({
            "name": user.name(),
            "groups": user.groups(),
            "static_v4": user.static_v4(),
            "static_v6": user.static_v6(),
        })
    });
    output.emit(&json!({ "users": document.collect::<Vec<_>>() }), || {
        let rows = users.users().map(|user| {
            let addresses = [
                user.static_v4().map(|v4| v4.to_string()),
                user.static_v6().map(|v6| v6.to_string()),
            ];
            vec![
                user.name().to_owned(),
                user.groups().join(", "),
                addresses.into_iter().flatten().collect::<Vec<_>>().join(", "),
            ]
        });
        table(&["NAME", "GROUPS", "ADDRESS"], rows)
    })
}

impl Password {
    fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        if self.password_stdin {
            return from_stdin();
        }
        if !io::stdin().is_terminal() {
            bail!("there is no terminal to ask for the password on: pipe it in and give --password-stdin");
        }
        let ask = |prompt: &str| {
            rpassword::prompt_password(prompt)
                .map(Zeroizing::new)
                .context("cannot ask for the password")
        };
        let password = ask("Password: ")?;
        if *password != *ask("Again: ")? {
            bail!("the two passwords differ; nothing was changed");
        }
        Ok(password)
    }
}

fn from_stdin() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(MAX_PASSWORD_BYTES as usize + 2));
    let mut input = io::stdin().lock().take(MAX_PASSWORD_BYTES + 2);
    input
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    if length as u64 > MAX_PASSWORD_BYTES {
        bail!("the password exceeds {MAX_PASSWORD_BYTES} bytes");
    }
    line.truncate(length);
    Ok(line)
}

impl File {
    fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.users_file {
            return Ok(path.clone());
        }
        let endpoints = self.chosen.endpoints()?;
        let mut files: Vec<&PathBuf> = endpoints
            .iter()
            .filter_map(|endpoint| endpoint.authentication.password()?.users_file())
            .collect();
        files.sort();
        files.dedup();
        match files.as_slice() {
            [only] => Ok((*only).clone()),
            [] => bail!(
                "no endpoint in {} has a users file: set users_file in its authentication, or name one with --users-file",
                self.chosen.path().display()
            ),
            _ => bail!("the endpoints have several users files: choose one with --endpoint or --users-file"),
        }
    }
}
