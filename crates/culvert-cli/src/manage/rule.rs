//! `culvert rule`: who may reach which network. What no rule allows is denied.

use clap::{Args, Subcommand};

use super::api::{Api, ApiArguments};
use super::error::ManageError;
use super::filters::OfEndpoint;
use super::form::Form;
use super::model::{Changed, Rule, Rules as Page};
use super::wait::{Progress, settled};
use super::{resolve, show};
use crate::output::{Output, table};

/// Commands on authorization rules.
#[derive(Subcommand)]
pub(crate) enum Rules {
    /// Let clients reach a network
    Authorize {
        #[command(flatten)]
        which: Which,
        /// Allow only this service: 443/tcp, 8000-8999/tcp, 53/udp, tcp, udp, icmp; may be given several times
        #[arg(long = "service", value_name = "SERVICE")]
        services: Vec<String>,
        /// What the rule is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Wait until it is active
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// List the rules of an endpoint
    List(OfEndpoint),
    /// Take a rule away
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Wait until it is gone
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
}

/// Which rule is meant.
#[derive(Args)]
pub(crate) struct Which {
    /// The endpoint, by id or name
    endpoint: String,
    /// The network, in CIDR notation
    network: String,
    #[command(flatten)]
    access: Access,
}

/// Whom a rule is about.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Access {
    /// Whoever may connect
    #[arg(long)]
    all: bool,
    /// Members of this group of the directory
    #[arg(long, value_name = "ID")]
    group: Option<String>,
}

impl Which {
    fn form(&self, endpoint: &str, all: &str) -> Form {
        form(endpoint, &self.network, all, self.access.group.as_deref())
    }

    fn name(&self) -> String {
        let who = self.access.group.as_deref().unwrap_or("all");
        format!("the rule for {} and {who}", self.network)
    }
}

/// A form about a rule; `all` is the member that says that it is about everybody.
fn form(endpoint: &str, network: &str, all: &str, group: Option<&str>) -> Form {
    let form = Form::of(endpoint).with("TargetNetworkCidr", network);
    match group {
        Some(group) => form.with("AccessGroupId", group),
        None => form.with(all, true),
    }
}

const DESCRIBE: &str = "DescribeClientVpnAuthorizationRules";

/// Lets clients reach a network, with all services if none is named.
pub(crate) fn authorize(
    api: &Api,
    endpoint: &str,
    network: &str,
    group: Option<&str>,
    services: &[String],
    description: Option<&str>,
) -> Result<Changed, ManageError> {
    let mut form = form(endpoint, network, "AuthorizeAllGroups", group);
    // AWS has no such member; the daemon answers with `culvertServiceSet`.
    form.add_list("Culvert.Service", services);
    form.add_some("Description", description);
    api.call("AuthorizeClientVpnIngress", &form)
}

/// Waits until a rule is active, and updates its state.
pub(crate) fn active(
    api: &Api,
    output: &Output,
    endpoint: &str,
    network: &str,
    group: Option<&str>,
    answer: &mut Changed,
) -> Result<(), ManageError> {
    settled(output, &format!("the rule for {network}"), || {
        if let Some(rule) = now(api, endpoint, network, group)? {
            answer.status = rule.status;
        }
        Ok(Progress::toward(
            "active",
            &["failed", "revoking"],
            &answer.status,
        ))
    })
}

/// The rule as it is now.
fn now(api: &Api, endpoint: &str, network: &str, group: Option<&str>) -> Result<Option<Rule>, ManageError> {
    let mut all = api.list::<Page>(DESCRIBE, &Form::of(endpoint))?;
    let is_meant = |rule: &Rule| {
        rule.group_id == group.unwrap_or_default()
            && resolve::is_same_network(&rule.destination_cidr, network)
    };
    let at = all.iter().position(is_meant);
    Ok(at.map(|at| all.swap_remove(at)))
}

impl Rules {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Authorize {
                which,
                services,
                description,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, &which.endpoint)?;
                let (network, group) = (&which.network, which.access.group.as_deref());
                let mut answer = authorize(&api, &id, network, group, services, description.as_deref())?;
                if *wait {
                    active(&api, output, &id, network, group, &mut answer)?;
                }
                show::done(output, &answer, || {
                    format!("added {} ({})", which.name(), answer.status)
                })
            }
            Self::List(which) => {
                let all = which.fetch::<Page>(output, DESCRIBE)?;
                show::list(output, "authorization_rules", "authorization rules", &all, rows)
            }
            Self::Revoke { which, wait, api } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, &which.endpoint)?;
                let form = which.form(&id, "RevokeAllGroups");
                let answer: Changed = api.call("RevokeClientVpnIngress", &form)?;
                if *wait {
                    settled(output, &which.name(), || {
                        let left = now(&api, &id, &which.network, which.access.group.as_deref())?;
                        Ok(Progress::away(left.as_ref().map(|rule| &rule.status)))
                    })?;
                }
                show::going(output, &answer, &which.name(), &answer.status, *wait)
            }
        }
    }
}

fn rows(all: &[Rule]) -> String {
    let row = |one: &Rule| {
        let who = if one.access_all {
            "all users"
        } else {
            &one.group_id
        };
        vec![
            one.destination_cidr.clone(),
            who.to_owned(),
            match one.services.as_slice() {
                [] => "all".to_owned(),
                services => services.join(", "),
            },
            show::state(&one.status),
            show::cell(one.description.as_deref()),
        ]
    };
    table(
        &["NETWORK", "WHO", "SERVICES", "STATUS", "DESCRIPTION"],
        all.iter().map(row),
    )
}
