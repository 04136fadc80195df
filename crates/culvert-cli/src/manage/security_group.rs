//! `culvert security-group`: which traffic of clients the networks let through.

use clap::Subcommand;

use super::api::ApiArguments;
use super::endpoint::one;
use super::filters::Filters;
use super::form::Form;
use super::model::{Applied, Permission, SecurityGroup, SecurityGroups as Page};
use super::{resolve, show};
use crate::output::{Output, table};

/// Commands on security groups.
#[derive(Subcommand)]
pub(crate) enum SecurityGroups {
    /// List the security groups
    List {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Apply security groups to an endpoint, in place of those before
    Apply {
        /// The endpoint, by id or name
        endpoint: String,
        /// Security groups, by id or name
        #[arg(required = true)]
        groups: Vec<String>,
        /// VPC of the groups [default: the endpoint's]
        #[arg(long, value_name = "VPC")]
        vpc: Option<String>,
        #[command(flatten)]
        api: ApiArguments,
    },
}

impl SecurityGroups {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { filters, api } => {
                let form = filters.apply(Form::new());
                let all = api.open(output)?.list::<Page>("DescribeSecurityGroups", &form)?;
                show::list(output, "security_groups", "security groups", &all, rows)
            }
            Self::Apply {
                endpoint,
                groups,
                vpc,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                let known = match vpc {
                    Some(vpc) => Some(vpc.clone()),
                    None => one(&api, &id)?.vpc_id,
                };
                let Some(vpc) = known else {
                    anyhow::bail!(
                        "{id} is in no VPC yet: associate a network first, or name the VPC with --vpc"
                    );
                };
                let ids = resolve::security_groups(&api, groups, Some(&vpc))?;
                let mut form = Form::of(&id).with("VpcId", &vpc);
                form.add_list("SecurityGroupId", &ids);
                let action = "ApplySecurityGroupsToClientVpnTargetNetwork";
                let applied: Applied = api.call(action, &form)?;
                show::done(output, &applied, || {
                    format!("applied {} to {id}", applied.security_group_ids.join(", "))
                })
            }
        }
    }
}

fn rows(all: &[SecurityGroup]) -> String {
    let row = |one: &SecurityGroup| {
        let egress: Vec<String> = one
            .ip_permissions_egress
            .iter()
            .map(ToString::to_string)
            .collect();
        vec![
            one.group_id.clone(),
            one.group_name.clone(),
            one.vpc_id.clone(),
            show::cell(Some(&egress.join("; "))),
            show::cell(Some(&one.description)),
        ]
    };
    table(
        &["GROUP", "NAME", "VPC", "LETS THROUGH", "DESCRIPTION"],
        all.iter().map(row),
    )
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // EC2 says -1 for all.
        f.write_str(if self.ip_protocol == "-1" {
            "all"
        } else {
            &self.ip_protocol
        })?;
        let is_icmp = self.ip_protocol.starts_with("icmp");
        match (self.from_port, self.to_port) {
            // Type and code, where -1 stands for all.
            (Some(kind), Some(-1)) if is_icmp && kind >= 0 => write!(f, " type {kind}")?,
            (Some(kind), Some(code)) if is_icmp && kind >= 0 => write!(f, " type {kind} code {code}")?,
            (Some(first), Some(last)) if first >= 0 && first == last => write!(f, " {first}")?,
            (Some(first), Some(last)) if first >= 0 => write!(f, " {first}-{last}")?,
            _ => {}
        }
        let v4 = self.ip_ranges.iter().map(|range| range.cidr_ip.as_str());
        let v6 = self.ipv6_ranges.iter().map(|range| range.cidr_ipv6.as_str());
        let to: Vec<&str> = v4.chain(v6).collect();
        write!(f, " to {}", to.join(", "))
    }
}
