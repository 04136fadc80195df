//! `culvert network`: the networks that an endpoint's clients reach.

use clap::Subcommand;

use super::api::{Api, ApiArguments};
use super::error::ManageError;
use super::filters::OfEndpoint;
use super::form::Form;
use super::model::{Associated, Network, Networks as Page, Status};
use super::wait::{Progress, settled};
use super::{resolve, show};
use crate::output::{Output, table};

/// Commands on associations with networks.
#[derive(Subcommand)]
pub(crate) enum Networks {
    /// Associate a subnet: clients can connect, and reach its VPC if a rule lets them
    Associate {
        /// The endpoint, by id or name
        endpoint: String,
        /// The subnet, by id
        subnet: String,
        /// Wait until clients can connect
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// List the associations of an endpoint
    List(OfEndpoint),
    /// Take an association away, and its routes with it; without any, clients can't connect
    Disassociate {
        /// The endpoint, by id or name
        endpoint: String,
        /// The association, by its id or that of its subnet
        association: String,
        /// Wait until it is gone
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
}

impl Networks {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Associate {
                endpoint,
                subnet,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                let mut answer = associate(&api, &id, subnet)?;
                if *wait {
                    answer.status = associated(&api, output, &id, &answer.association_id)?;
                }
                show::done(output, &answer, || {
                    format!(
                        "associated {subnet} as {} ({})",
                        answer.association_id, answer.status
                    )
                })
            }
            Self::List(which) => {
                let all = which.fetch::<Page>(output, DESCRIBE)?;
                show::list(output, "client_vpn_target_networks", "networks", &all, rows)
            }
            Self::Disassociate {
                endpoint,
                association,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                let association = association_id(&api, &id, association)?;
                let answer = disassociate(&api, &id, &association)?;
                if *wait {
                    gone(&api, output, &id, &association)?;
                }
                show::going(output, &answer, &name(&association), &answer.status, *wait)
            }
        }
    }
}

const DESCRIBE: &str = "DescribeClientVpnTargetNetworks";

/// Associates a subnet.
pub(crate) fn associate(api: &Api, endpoint: &str, subnet: &str) -> Result<Associated, ManageError> {
    let form = Form::of(endpoint).with("SubnetId", subnet);
    api.call("AssociateClientVpnTargetNetwork", &form)
}

/// Waits until clients can reach an associated network, and returns its state.
pub(crate) fn associated(
    api: &Api,
    output: &Output,
    endpoint: &str,
    association: &str,
) -> Result<Status, ManageError> {
    let form = Form::of(endpoint).with("AssociationIds.1", association);
    let mut last = None;
    settled(output, &name(association), || {
        let found = api.list::<Page>(DESCRIBE, &form)?;
        let network = found.first().ok_or_else(|| ManageError::Malformed {
            action: DESCRIBE.to_owned(),
            reason: "the association is not in it".to_owned(),
        })?;
        last = Some(network.status.clone());
        Ok(Progress::toward(
            "associated",
            &["association-failed", "disassociating", "disassociated"],
            &network.status,
        ))
    })?;
    last.ok_or_else(|| ManageError::Malformed {
        action: DESCRIBE.to_owned(),
        reason: "the association is not in it".to_owned(),
    })
}

fn disassociate(api: &Api, endpoint: &str, association: &str) -> Result<Associated, ManageError> {
    let form = Form::of(endpoint).with("AssociationId", association);
    api.call("DisassociateClientVpnTargetNetwork", &form)
}

fn gone(api: &Api, output: &Output, endpoint: &str, association: &str) -> Result<(), ManageError> {
    settled(output, &name(association), || {
        let all = api.list::<Page>(DESCRIBE, &Form::of(endpoint))?;
        let left = all.iter().find(|network| network.association_id == association);
        Ok(Progress::away(left.map(|network| &network.status)))
    })
}

/// Takes all networks of an endpoint away and waits until they are gone.
pub(crate) fn disassociate_all(api: &Api, output: &Output, endpoint: &str) -> Result<(), ManageError> {
    let all = api.list::<Page>(DESCRIBE, &Form::of(endpoint))?;
    for network in all
        .iter()
        .filter(|network| network.status.code != "disassociating")
    {
        disassociate(api, endpoint, &network.association_id)?;
    }
    for network in &all {
        gone(api, output, endpoint, &network.association_id)?;
    }
    Ok(())
}

fn name(association: &str) -> String {
    format!("the association {association}")
}

/// The id of an association that is named by its id or by its subnet.
fn association_id(api: &Api, endpoint: &str, name: &str) -> Result<String, ManageError> {
    if !name.starts_with("subnet-") {
        return Ok(name.to_owned());
    }
    let all = api.list::<Page>(DESCRIBE, &Form::of(endpoint))?;
    let found = all.iter().filter(|network| network.target_network_id == name);
    let ids = found.map(|network| network.association_id.clone()).collect();
    resolve::only(
        name,
        ids,
        "association of the endpoint with",
        "`culvert network list` shows those there are",
    )
}

fn rows(all: &[Network]) -> String {
    let row = |one: &Network| {
        vec![
            one.association_id.clone(),
            one.target_network_id.clone(),
            one.vpc_id.clone(),
            show::state(&one.status),
            one.security_groups.join(", "),
        ]
    };
    table(
        &["ASSOCIATION", "NETWORK", "VPC", "STATUS", "SECURITY GROUPS"],
        all.iter().map(row),
    )
}
