//! `culvert connection`: who is connected to an endpoint, and ending that.

use clap::{Args, Subcommand};
use serde_json::json;

use super::api::{Api, ApiArguments};
use super::error::ManageError;
use super::filters::OfEndpoint;
use super::form::Form;
use super::model::{Connection, Connections as Page, Terminated, Termination};
use super::wait::{Progress, settled};
use super::{resolve, show};
use crate::output::{Output, bytes, clean, table};

/// Commands on connections of clients.
#[derive(Subcommand)]
pub(crate) enum Connections {
    /// List the connections of an endpoint, and those that ended in the last hour
    List(OfEndpoint),
    /// End a connection, or all of a user
    Terminate {
        /// The endpoint, by id or name
        endpoint: String,
        #[command(flatten)]
        whose: Whose,
        /// Wait until they have ended
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
}

/// Which connections are meant.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// The connection with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// All of this user
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
}

const DESCRIBE: &str = "DescribeClientVpnConnections";

impl Connections {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List(which) => {
                let all = which.fetch::<Page>(output, DESCRIBE)?;
                show::list(output, "connections", "connections", &all, rows)
            }
            Self::Terminate {
                endpoint,
                whose,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                let form = Form::of(&id)
                    .with_some("ConnectionId", whose.id.as_deref())
                    .with_some("Username", whose.username.as_deref());
                let mut answer: Terminated = api.call("TerminateClientVpnConnections", &form)?;
                if *wait {
                    for ended in &mut answer.connection_statuses {
                        wait_for(&api, output, &id, ended)?;
                    }
                }
                output.emit(&json!(answer), || {
                    let line = |ended: &Termination| {
                        clean(&format!("{} is {}", ended.connection_id, ended.current_status)) + "\n"
                    };
                    answer.connection_statuses.iter().map(line).collect()
                })
            }
        }
    }
}

fn wait_for(api: &Api, output: &Output, endpoint: &str, ended: &mut Termination) -> Result<(), ManageError> {
    let form = Form::of(endpoint)
        .with("Filter.1.Name", "connection-id")
        .with("Filter.1.Value.1", &ended.connection_id);
    settled(output, &format!("the connection {}", ended.connection_id), || {
        // One that is no longer known has ended long ago.
        let found = api.list::<Page>(DESCRIBE, &form)?;
        let Some(connection) = found.into_iter().next() else {
            return Ok(Progress::Settled);
        };
        ended.current_status = connection.status;
        Ok(Progress::toward(
            "terminated",
            &["failed-to-terminate"],
            &ended.current_status,
        ))
    })
}

fn rows(all: &[Connection]) -> String {
    let row = |one: &Connection| {
        vec![
            one.connection_id.clone(),
            show::cell(one.username.as_deref()),
            show::cell(one.common_name.as_deref()),
            show::cell(one.client_ip.as_deref().or(one.client_ipv6_address.as_deref())),
            show::state(&one.status),
            one.connection_established_time.clone(),
            bytes(one.ingress_bytes),
            bytes(one.egress_bytes),
        ]
    };
    table(
        &[
            "CONNECTION",
            "USER",
            "CERTIFICATE",
            "ADDRESS",
            "STATUS",
            "SINCE",
            ">IN",
            ">OUT",
        ],
        all.iter().map(row),
    )
}
