"""What all the tests together have shown. Runs last; only a run of everything can tell."""

import pytest

import model

OPERATIONS = [
    "ApplySecurityGroupsToClientVpnTargetNetwork",
    "AssociateClientVpnTargetNetwork",
    "AuthorizeClientVpnIngress",
    "CreateClientVpnEndpoint",
    "CreateClientVpnRoute",
    "CreateTags",
    "DeleteClientVpnEndpoint",
    "DeleteClientVpnRoute",
    "DeleteTags",
    "DescribeClientVpnAuthorizationRules",
    "DescribeClientVpnConnections",
    "DescribeClientVpnEndpoints",
    "DescribeClientVpnRoutes",
    "DescribeClientVpnTargetNetworks",
    "DescribeTags",
    "DisassociateClientVpnTargetNetwork",
    "ExportClientVpnClientCertificateRevocationList",
    "ExportClientVpnClientConfiguration",
    "ImportClientVpnClientCertificateRevocationList",
    "ModifyClientVpnEndpoint",
    "RevokeClientVpnIngress",
    "TerminateClientVpnConnections",
]

# Members of answers that Culvert never sends, with all below them, and why.
ENDPOINTS = "DescribeClientVpnEndpoints.ClientVpnEndpoints"
CONNECTIONS = "DescribeClientVpnConnections.Connections"
NEVER_SENT = {
    f"{ENDPOINTS}.ConnectionLogOptions.IncludeAuthorizationPolicyContext": "there are no authorization policies",
    f"{ENDPOINTS}.AuthenticationOptions.FederatedAuthentication": "SAML is not served",
    f"{ENDPOINTS}.SelfServicePortalUrl": "the portal is not served",
    f"{ENDPOINTS}.TransitGatewayConfiguration": "there are no transit gateways",
    f"{ENDPOINTS}.DevicePostureOptions": "device posture is not judged",
    f"{ENDPOINTS}.DeletionTime": "a deleted endpoint is gone",
    "DescribeClientVpnEndpoints.NextToken": "a machine has room for four endpoints, and a page for five",
    "DescribeClientVpnTargetNetworks.NextToken": "the networks of these tests fit on a page",
    "DescribeClientVpnRoutes.Routes.TransitGatewayAttachmentId": "there are no transit gateways",
    f"{CONNECTIONS}.AuthorizationPolicyLastEvaluatedTime": "there are no authorization policies",
}

# Codes that no request of these tests leads to, and why.
NOT_PROVOKED = {
    "InvalidClientVpnSubnetId.DifferentAccount": "a machine has one account",
    "ClientVpnEndpointAssociationExists": "InvalidClientVpnDuplicateAssociationException says it",
}
DOCUMENTED = [
    "InvalidClientVpnEndpointId.NotFound",
    "InvalidClientVpnActiveAssociationNotFound",
    "InvalidClientVpnAssociationIdNotFound",
    "InvalidClientVpnConnection.IdNotFound",
    "InvalidClientVpnConnection.UserNotFound",
    "InvalidClientVpnDuplicateAssociationException",
    "InvalidClientVpnDuplicateAuthorizationRule",
    "InvalidClientVpnDuplicateRoute",
    "InvalidClientVpnEndpointAuthorizationRuleNotFound",
    "InvalidClientVpnRouteNotFound",
    "InvalidClientVpnSubnetId.DifferentAccount",
    "InvalidClientVpnSubnetId.DuplicateAz",
    "InvalidClientVpnSubnetId.NotFound",
    "InvalidClientVpnSubnetId.OverlappingCidr",
    "ClientVpnEndpointAssociationExists",
    "ClientVpnEndpointLimitExceeded",
    "ClientVpnAuthorizationRuleLimitExceeded",
    "ClientVpnRouteLimitExceeded",
    "ClientVpnCertificateRevocationListLimitExceeded",
    "ClientVpnTerminateConnectionsLimitExceeded",
]
# Codes of EC2 at large for which the state of things is to blame, not the request.
CIRCUMSTANCES = ["ConcurrentMutationLimitExceeded", "IncorrectState", "InternalError", "RequestLimitExceeded"]


@pytest.fixture(autouse=True, scope="module")
def whole_run(request):
    """These say something only after all the other files."""
    files = {item.path.name for item in request.session.items}
    here = {path.name for path in request.path.parent.glob("test_*.py")}
    if files != here or request.config.option.keyword or request.session.testsfailed:
        pytest.skip("only a whole run that succeeded can tell")


def test_every_member_of_every_request_was_sent(ec2):
    missing = set().union(*(model.inputs(ec2, operation) for operation in OPERATIONS)) - model.sent
    assert sorted(missing) == []


def test_every_member_of_every_answer_was_received(ec2):
    def never(path):
        return any(path == known or path.startswith(f"{known}.") for known in NEVER_SENT)

    missing = set().union(*(model.outputs(ec2, operation) for operation in OPERATIONS)) - model.received
    # The text beside a status is there when something went wrong.
    assert sorted(path for path in missing if not never(path) and not path.endswith("Status.Message")) == []
    assert sorted(filter(never, model.received)) == []


def test_every_documented_error_was_provoked():
    assert set(DOCUMENTED) - model.refusals == set(NOT_PROVOKED)
    assert set(CIRCUMSTANCES) <= model.refusals
