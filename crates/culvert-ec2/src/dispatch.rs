//! Which action a form asks for.

use culvert_query::params::ParamError;
use culvert_query::{API_VERSION, ApiError, ErrorCode};
use culvert_service::ServiceError;

use crate::actions::{
    availability_zones, connections, create_endpoint, endpoints, modify_endpoint, network_interfaces,
    revocation_list, routes, rules, security_group_rules, security_groups, subnets, tags, target_networks,
    vpc_attribute, vpcs,
};
use crate::task::Task;
use crate::{Call, Ec2};

/// Carries out an action.
type Action = fn(&Task<'_>) -> Result<Vec<u8>, ServiceError>;

/// The actions that are served.
const ACTIONS: &[(&str, Action)] = &[
    ("CreateClientVpnEndpoint", create_endpoint::create),
    ("ModifyClientVpnEndpoint", modify_endpoint::modify),
    ("DeleteClientVpnEndpoint", endpoints::delete),
    ("DescribeClientVpnEndpoints", endpoints::describe),
    (
        "ExportClientVpnClientConfiguration",
        endpoints::export_configuration,
    ),
    ("AssociateClientVpnTargetNetwork", target_networks::associate),
    (
        "DisassociateClientVpnTargetNetwork",
        target_networks::disassociate,
    ),
    ("DescribeClientVpnTargetNetworks", target_networks::describe),
    (
        "ApplySecurityGroupsToClientVpnTargetNetwork",
        target_networks::apply_security_groups,
    ),
    ("CreateClientVpnRoute", routes::create),
    ("DeleteClientVpnRoute", routes::delete),
    ("DescribeClientVpnRoutes", routes::describe),
    ("AuthorizeClientVpnIngress", rules::authorize),
    ("RevokeClientVpnIngress", rules::revoke),
    ("DescribeClientVpnAuthorizationRules", rules::describe),
    (
        "ImportClientVpnClientCertificateRevocationList",
        revocation_list::import,
    ),
    (
        "ExportClientVpnClientCertificateRevocationList",
        revocation_list::export,
    ),
    ("DescribeClientVpnConnections", connections::describe),
    ("TerminateClientVpnConnections", connections::terminate),
    ("CreateTags", tags::create),
    ("DeleteTags", tags::delete),
    ("DescribeTags", tags::describe),
    ("DescribeVpcs", vpcs::describe),
    ("DescribeVpcAttribute", vpc_attribute::describe),
    ("DescribeSubnets", subnets::describe),
    ("DescribeSecurityGroups", security_groups::describe),
    ("CreateSecurityGroup", security_groups::create),
    ("DeleteSecurityGroup", security_groups::delete),
    (
        "AuthorizeSecurityGroupEgress",
        security_group_rules::authorize_egress,
    ),
    (
        "AuthorizeSecurityGroupIngress",
        security_group_rules::authorize_ingress,
    ),
    ("RevokeSecurityGroupEgress", security_group_rules::revoke_egress),
    ("RevokeSecurityGroupIngress", security_group_rules::revoke_ingress),
    ("DescribeSecurityGroupRules", security_group_rules::describe),
    ("DescribeAvailabilityZones", availability_zones::describe),
    ("DescribeNetworkInterfaces", network_interfaces::describe),
];

/// Actions that exist, but not here; and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("AcceptTransitGatewayClientVpnAttachment", NO_TRANSIT_GATEWAY),
    ("DeleteTransitGatewayClientVpnAttachment", NO_TRANSIT_GATEWAY),
    ("RejectTransitGatewayClientVpnAttachment", NO_TRANSIT_GATEWAY),
    ("GetClientVpnEndpointAuthorizationPolicy", NO_POLICY),
    ("ModifyClientVpnEndpointAuthorizationPolicy", NO_POLICY),
    ("DeleteClientVpnEndpointAuthorizationPolicy", NO_POLICY),
    ("ModifySecurityGroupRules", NO_RULE_CHANGES),
    ("UpdateSecurityGroupRuleDescriptionsEgress", NO_RULE_CHANGES),
    ("UpdateSecurityGroupRuleDescriptionsIngress", NO_RULE_CHANGES),
];
const NO_TRANSIT_GATEWAY: &str = "there are no transit gateways: associate subnets instead";
const NO_RULE_CHANGES: &str = "rules stay as they are: authorize another rule and revoke this one";
const NO_POLICY: &str = "there are no authorization policies: use authorization rules instead";

/// Most characters of a refusal: it may repeat what the caller sent, and that may be long.
const MAX_MESSAGE: usize = 1000;

/// Carries out the action that is asked for.
pub(crate) fn answer(ec2: &Ec2, call: &Call<'_>) -> Result<Vec<u8>, ServiceError> {
    act(ec2, call).map_err(shortened)
}

fn act(ec2: &Ec2, call: &Call<'_>) -> Result<Vec<u8>, ServiceError> {
    let asked = call.params.action()?;
    call.params.check_version(API_VERSION)?;
    if let Some((name, action)) = ACTIONS.iter().find(|(name, _)| *name == asked) {
        return action(&Task::new(ec2, call, name));
    }
    if let Some((name, reason)) = UNSUPPORTED.iter().find(|(name, _)| *name == asked) {
        let message = format!("{name} is not supported; {reason}");
        return Err(ApiError::new(ErrorCode::UnsupportedOperation, message).into());
    }
    Err(ParamError::InvalidAction(asked.to_owned()).into())
}

fn shortened(mut error: ServiceError) -> ServiceError {
    if let ServiceError::Refused(refusal) = &mut error
        && let Some((end, _)) = refusal.message.char_indices().nth(MAX_MESSAGE)
    {
        refusal.message.truncate(end);
        refusal.message.push_str("...");
    }
    error
}
