//! `culvert crl`: certificates that an endpoint no longer takes.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::api::{Api, ApiArguments};
use super::error::ManageError;
use super::form::Form;
use super::model::{Done, RevocationList, Status};
use super::wait::{Progress, settled};
use super::{files, resolve, show};
use crate::output::Output;

/// Commands on revocation lists.
#[derive(Subcommand)]
pub(crate) enum RevocationLists {
    /// Put a revocation list in force, in place of the one before
    Import {
        /// The endpoint, by id or name
        endpoint: String,
        /// The revocation list, PEM
        file: PathBuf,
        /// Wait until it is in force
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Print the revocation list of an endpoint
    Export {
        /// The endpoint, by id or name
        endpoint: String,
        #[command(flatten)]
        api: ApiArguments,
    },
}

impl RevocationLists {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Import {
                endpoint,
                file,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                let list = files::text(file)?;
                let done = import(&api, &id, &list)?;
                if *wait {
                    settled(output, &format!("the revocation list of {id}"), || {
                        let status = export(&api, &id)?.status.unwrap_or_else(none);
                        Ok(Progress::toward("active", &[], &status))
                    })?;
                }
                show::done(output, &done, || format!("imported {} for {id}", file.display()))
            }
            Self::Export { endpoint, api } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                let list = export(&api, &id)?;
                if output.is_json() {
                    return output.emit(&json!(list), String::new);
                }
                match &list.status {
                    Some(status) if status.code != "active" => output.note(&format!("the list is {status}")),
                    Some(_) => {}
                    None => output.note(&format!("{id} has no revocation list")),
                }
                output.emit(&json!(null), || list.certificate_revocation_list.clone())
            }
        }
    }
}

/// Gives an endpoint a revocation list, PEM.
pub(crate) fn import(api: &Api, endpoint: &str, list: &str) -> Result<Done, ManageError> {
    let form = Form::of(endpoint).with("CertificateRevocationList", list);
    api.call("ImportClientVpnClientCertificateRevocationList", &form)
}

fn export(api: &Api, endpoint: &str) -> Result<RevocationList, ManageError> {
    api.call(
        "ExportClientVpnClientCertificateRevocationList",
        &Form::of(endpoint),
    )
}

/// What stands for the state of a list that isn't there yet.
fn none() -> Status {
    Status {
        code: "pending".to_owned(),
        message: None,
    }
}
