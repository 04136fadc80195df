"""`DryRun`: what would succeed says so and changes nothing."""

import pytest

from expect import refused
from lab import SUBNET_A, SUBNET_B, VPC, WEB_ONLY
from manage import settled

NOTHING = "cvpn-endpoint-00000000000000000"


@pytest.fixture
def scene(ec2, associated, authority, request_for):
    """An endpoint with one of each, and all that can be told about it."""
    endpoint = associated()
    ec2.create_client_vpn_route(
        ClientVpnEndpointId=endpoint, DestinationCidrBlock="10.30.0.0/24", TargetVpcSubnetId=SUBNET_A
    )
    ec2.import_client_vpn_client_certificate_revocation_list(
        ClientVpnEndpointId=endpoint, CertificateRevocationList=authority.crl([])
    )
    (network,) = ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"]
    another = request_for(ClientCidrBlock="10.12.0.0/22", VpnPort=1194)
    return {"ENDPOINT": endpoint, "ASSOCIATION": network["AssociationId"], "CRL": authority.crl([]), "ANOTHER": another}


CALLS = {
    "apply_security_groups_to_client_vpn_target_network": {"VpcId": VPC, "SecurityGroupIds": [WEB_ONLY]},
    "associate_client_vpn_target_network": {"SubnetId": SUBNET_B},
    "authorize_client_vpn_ingress": {"TargetNetworkCidr": "10.20.2.0/24", "AuthorizeAllGroups": True},
    "create_client_vpn_route": {"DestinationCidrBlock": "10.31.0.0/24", "TargetVpcSubnetId": SUBNET_A},
    "delete_client_vpn_route": {"DestinationCidrBlock": "10.30.0.0/24", "TargetVpcSubnetId": SUBNET_A},
    "describe_client_vpn_authorization_rules": {},
    "describe_client_vpn_connections": {},
    "describe_client_vpn_routes": {},
    "describe_client_vpn_target_networks": {},
    "disassociate_client_vpn_target_network": {"AssociationId": "ASSOCIATION"},
    "export_client_vpn_client_certificate_revocation_list": {},
    "export_client_vpn_client_configuration": {},
    "import_client_vpn_client_certificate_revocation_list": {"CertificateRevocationList": "CRL"},
    "modify_client_vpn_endpoint": {"Description": "changed"},
    "revoke_client_vpn_ingress": {"TargetNetworkCidr": "10.20.1.0/24", "RevokeAllGroups": True},
    "delete_client_vpn_endpoint": {},
    "terminate_client_vpn_connections": {"ConnectionId": "cvpn-connection-00000000000000000"},
}


def told(ec2, endpoint):
    """Everything there is to tell, but for what changes by itself."""
    answers = [
        ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"],
        ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"],
        ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"],
        ec2.describe_client_vpn_authorization_rules(ClientVpnEndpointId=endpoint)["AuthorizationRules"],
        ec2.export_client_vpn_client_certificate_revocation_list(ClientVpnEndpointId=endpoint)[
            "CertificateRevocationList"
        ],
        ec2.describe_tags()["Tags"],
    ]
    return answers


def test_a_dry_run_changes_nothing(ec2, scene):
    endpoint = scene["ENDPOINT"]
    settled(ec2, endpoint)
    before = told(ec2, endpoint)
    for operation, parameters in CALLS.items():
        parameters = {
            name: scene.get(value, value) if isinstance(value, str) else value for name, value in parameters.items()
        }
        with refused("DryRunOperation", "DryRun flag is set", status=412):
            getattr(ec2, operation)(ClientVpnEndpointId=endpoint, DryRun=True, **parameters)
    for operation, parameters in {
        "create_client_vpn_endpoint": scene["ANOTHER"],
        "describe_client_vpn_endpoints": {},
        "create_tags": {"Resources": [endpoint], "Tags": [{"Key": "a", "Value": "b"}]},
        "delete_tags": {"Resources": [endpoint]},
        "describe_tags": {},
    }.items():
        with refused("DryRunOperation", "DryRun flag is set", status=412):
            getattr(ec2, operation)(DryRun=True, **parameters)
    assert told(ec2, endpoint) == before


def test_what_can_not_be_read_is_refused_before(ec2, caller):
    answer = caller.call("CreateClientVpnRoute", ClientVpnEndpointId=NOTHING, DryRun="true")
    assert answer.code() == "MissingParameter"
    answer = caller.call("DeleteClientVpnEndpoint", ClientVpnEndpointId=NOTHING, DryRun="true", Colour="red")
    assert answer.code() == "UnknownParameter"
