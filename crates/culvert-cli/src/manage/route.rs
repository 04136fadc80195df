//! `culvert route`: where clients' traffic goes.

use clap::{Args, Subcommand};

use super::api::{Api, ApiArguments};
use super::filters::OfEndpoint;
use super::form::Form;
use super::model::{Changed, Route, Routes as Page};
use super::wait::{Progress, settled};
use super::{resolve, show};
use crate::output::{Output, table};

/// Commands on routes.
#[derive(Subcommand)]
pub(crate) enum Routes {
    /// Add a route
    Create {
        #[command(flatten)]
        which: Which,
        /// What the route is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Wait until it is active
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// List the routes of an endpoint
    List(OfEndpoint),
    /// Delete a route that was added
    Delete {
        #[command(flatten)]
        which: Which,
        /// Wait until it is gone
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
}

/// Which route is meant.
#[derive(Args)]
pub(crate) struct Which {
    /// The endpoint, by id or name
    endpoint: String,
    /// Where it leads to, in CIDR notation; 0.0.0.0/0 is the Internet
    destination: String,
    /// The associated subnet it leads through, or `local` for other clients
    subnet: String,
}

impl Which {
    fn form(&self, endpoint: &str) -> Form {
        Form::of(endpoint)
            .with("DestinationCidrBlock", &self.destination)
            .with("TargetVpcSubnetId", &self.subnet)
    }

    fn name(&self) -> String {
        format!("the route to {} through {}", self.destination, self.subnet)
    }

    /// The route as it is now.
    fn now(&self, api: &Api, endpoint: &str) -> Result<Option<Route>, super::ManageError> {
        let form = Form::of(endpoint)
            .with("Filter.1.Name", "target-subnet")
            .with("Filter.1.Value.1", &self.subnet);
        let mut all = api.list::<Page>(DESCRIBE, &form)?;
        let at = all
            .iter()
            .position(|route| resolve::is_same_network(&route.destination_cidr, &self.destination));
        Ok(at.map(|at| all.swap_remove(at)))
    }
}

const DESCRIBE: &str = "DescribeClientVpnRoutes";

impl Routes {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Create {
                which,
                description,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, &which.endpoint)?;
                let form = which.form(&id).with_some("Description", description.as_deref());
                let mut answer: Changed = api.call("CreateClientVpnRoute", &form)?;
                if *wait {
                    settled(output, &which.name(), || {
                        if let Some(route) = which.now(&api, &id)? {
                            answer.status = route.status;
                        }
                        Ok(Progress::toward(
                            "active",
                            &["failed", "deleting"],
                            &answer.status,
                        ))
                    })?;
                }
                show::done(output, &answer, || {
                    format!("added {} ({})", which.name(), answer.status)
                })
            }
            Self::List(which) => {
                let all = which.fetch::<Page>(output, DESCRIBE)?;
                show::list(output, "routes", "routes", &all, rows)
            }
            Self::Delete { which, wait, api } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, &which.endpoint)?;
                let answer: Changed = api.call("DeleteClientVpnRoute", &which.form(&id))?;
                if *wait {
                    settled(output, &which.name(), || {
                        let left = which.now(&api, &id)?;
                        Ok(Progress::away(left.as_ref().map(|route| &route.status)))
                    })?;
                }
                show::going(output, &answer, &which.name(), &answer.status, *wait)
            }
        }
    }
}

fn rows(all: &[Route]) -> String {
    let row = |one: &Route| {
        vec![
            one.destination_cidr.clone(),
            one.target_subnet.clone(),
            one.origin.clone(),
            show::state(&one.status),
            show::cell(one.description.as_deref()),
        ]
    };
    table(
        &["DESTINATION", "THROUGH", "ORIGIN", "STATUS", "DESCRIPTION"],
        all.iter().map(row),
    )
}
