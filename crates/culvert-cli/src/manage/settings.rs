//! Settings of endpoints that creating and modifying share.

use std::num::NonZeroU16;

use clap::{ArgAction, Args, ValueEnum};

use super::api::Api;
use super::form::Form;
use super::resolve;

/// Settings of an endpoint.
#[derive(Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// What the endpoint is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Port clients connect to [default: 443]
    #[arg(long, value_name = "PORT")]
    vpn_port: Option<NonZeroU16>,
    /// Send only traffic for the endpoint's routes through the tunnel
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    split_tunnel: Option<bool>,
    /// VPC whose security groups apply
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// Security group, by id or name; may be given several times
    #[arg(long = "security-group", value_name = "GROUP")]
    security_groups: Vec<String>,
    /// Which of the authorization rules for a destination count [default: longest-prefix]
    #[arg(long, value_enum, value_name = "WHICH")]
    rule_evaluation: Option<RuleEvaluation>,
    /// Hours until a session ends [default: 24]
    #[arg(long, value_name = "HOURS")]
    session_timeout_hours: Option<u32>,
    /// Whether whoever reached the session timeout stays away until the user connects again
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    disconnect_on_session_timeout: Option<bool>,
    /// Log connections to this log group
    #[arg(long, value_name = "GROUP")]
    log_group: Option<String>,
    /// Log stream in the group [default: one is made]
    #[arg(long, value_name = "STREAM")]
    log_stream: Option<String>,
    /// Log no connections
    #[arg(long, conflicts_with_all = ["log_group", "log_stream"])]
    no_log: bool,
    /// Function that is asked about each new connection
    #[arg(long, value_name = "ARN")]
    connect_handler: Option<String>,
    /// Ask nobody about new connections
    #[arg(long, conflicts_with = "connect_handler")]
    no_connect_handler: bool,
    /// Text that clients show when they connect
    #[arg(long, value_name = "TEXT")]
    banner: Option<String>,
    /// Show no text
    #[arg(long, conflicts_with = "banner")]
    no_banner: bool,
    /// Remove routes of the client's device that lead around the tunnel
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    route_enforcement: Option<bool>,
    /// Offer a page where users get their profile
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    self_service_portal: Option<bool>,
}

/// Which of the authorization rules for a destination count.
#[derive(Clone, Copy, ValueEnum)]
enum RuleEvaluation {
    /// Those with the longest prefix, whoever they are for: as on AWS
    LongestPrefix,
    /// All: what any rule for the client allows is allowed. A narrow rule for a group that nobody is in then no longer
    /// keeps clients out of a part of what a wider rule allows
    Additive,
}

impl Settings {
    /// The tag that says which authorization rules count, if they tell.
    pub(crate) fn tag(&self) -> Option<(&'static str, &'static str)> {
        let word = match self.rule_evaluation? {
            RuleEvaluation::LongestPrefix => "longest-prefix",
            RuleEvaluation::Additive => "additive",
        };
        Some(("culvert:rule-evaluation", word))
    }

    /// Adds the settings that are given. `known_vpc` is where names of security groups count if `--vpc` doesn't tell.
    pub(crate) fn add_to(&self, form: &mut Form, api: &Api, known_vpc: Option<&str>) -> anyhow::Result<()> {
        let vpc = self.vpc.as_deref().or(known_vpc);
        let groups = resolve::security_groups(api, &self.security_groups, vpc)?;
        form.add_some("Description", self.description.as_deref());
        form.add_some("VpnPort", self.vpn_port);
        form.add_some("SplitTunnel", self.split_tunnel);
        form.add_some("VpcId", self.vpc.as_deref());
        form.add_list("SecurityGroupId", groups);
        form.add_some("SessionTimeoutHours", self.session_timeout_hours);
        form.add_some("DisconnectOnSessionTimeout", self.disconnect_on_session_timeout);
        self.add_structures(form);
        Ok(())
    }

    fn add_structures(&self, form: &mut Form) {
        if self.log_group.is_some() || self.log_stream.is_some() || self.no_log {
            form.add("ConnectionLogOptions.Enabled", !self.no_log);
            form.add_some(
                "ConnectionLogOptions.CloudwatchLogGroup",
                self.log_group.as_deref(),
            );
            form.add_some(
                "ConnectionLogOptions.CloudwatchLogStream",
                self.log_stream.as_deref(),
            );
        }
        if self.connect_handler.is_some() || self.no_connect_handler {
            form.add("ClientConnectOptions.Enabled", !self.no_connect_handler);
            form.add_some(
                "ClientConnectOptions.LambdaFunctionArn",
                self.connect_handler.as_deref(),
            );
        }
        if self.banner.is_some() || self.no_banner {
            form.add("ClientLoginBannerOptions.Enabled", !self.no_banner);
            form.add_some("ClientLoginBannerOptions.BannerText", self.banner.as_deref());
        }
        form.add_some("ClientRouteEnforcementOptions.Enforced", self.route_enforcement);
        let portal = self.self_service_portal;
        form.add_some(
            "SelfServicePortal",
            portal.map(|on| if on { "enabled" } else { "disabled" }),
        );
    }

    /// Whether they say anything about logs.
    pub(crate) fn tell_log(&self) -> bool {
        self.log_group.is_some() || self.log_stream.is_some() || self.no_log
    }

    /// Whether they change who is asked about new connections, which takes a moment.
    pub(crate) fn tell_handler(&self) -> bool {
        self.connect_handler.is_some() || self.no_connect_handler
    }
}
