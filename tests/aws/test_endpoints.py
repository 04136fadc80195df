"""Endpoints: created, described, modified, exported and deleted."""

import re

import pytest

from expect import ENDPOINT, described, plain, refused
from lab import DIRECTORY, EVERYTHING, LOG_GROUP, MORE, OTHER_VPC, SERVER, SUBNET_A, VPC, WEB_ONLY, eventually
from manage import directory_option, import_leaf


def describe(ec2, endpoint):
    answer = plain(ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint]))
    (item,) = answer.pop("ClientVpnEndpoints")
    assert answer == {}
    return item


def test_a_new_endpoint_waits_for_a_target_network_and_has_the_documented_defaults(
    ec2, request_for, create, server_arn, client_arn
):
    made = plain(ec2.create_client_vpn_endpoint(**request_for()))
    endpoint = made["ClientVpnEndpointId"]
    assert made == {
        "ClientVpnEndpointId": ENDPOINT,
        "Status": {"Code": "pending-associate"},
        "DnsName": SERVER,
    }
    assert describe(ec2, endpoint) == described(endpoint, server_arn, client_arn)


def test_everything_that_is_set_is_described(ec2, create, server_arn, client_arn):
    mutual = {
        "Type": "certificate-authentication",
        "MutualAuthentication": {"ClientRootCertificateChainArn": client_arn},
    }
    endpoint = create(
        ClientCidrBlock="172.16.0.0/16",
        AuthenticationOptions=[directory_option(), mutual],
        ConnectionLogOptions={"Enabled": False},
        DnsServers=["10.20.0.2", "10.20.1.2"],
        TransportProtocol="tcp",
        VpnPort=1194,
        Description="Büro <1> & more",
        SplitTunnel=True,
        TagSpecifications=[
            {
                "ResourceType": "client-vpn-endpoint",
                "Tags": [{"Key": "Name", "Value": "office"}, {"Key": "empty", "Value": ""}],
            }
        ],
        VpcId=VPC,
        SecurityGroupIds=[WEB_ONLY, EVERYTHING],
        SelfServicePortal="disabled",
        ClientConnectOptions={"Enabled": False},
        SessionTimeoutHours=8,
        ClientLoginBannerOptions={"Enabled": True, "BannerText": "Be good.\nWe count: 1 < 2"},
        ClientRouteEnforcementOptions={"Enforced": False},
        DisconnectOnSessionTimeout=False,
        EndpointIpAddressType="ipv4",
        TrafficIpAddressType="ipv4",
        ClientToken="everything-1",
    )
    assert describe(ec2, endpoint) == described(
        endpoint,
        server_arn,
        client_arn,
        ClientCidrBlock="172.16.0.0/16",
        AuthenticationOptions=[
            {"Type": "directory-service-authentication", "ActiveDirectory": {"DirectoryId": DIRECTORY}},
            {
                "Type": "certificate-authentication",
                "MutualAuthentication": {"ClientRootCertificateChain": client_arn},
            },
        ],
        DnsServers=["10.20.0.2", "10.20.1.2"],
        TransportProtocol="tcp",
        VpnPort=1194,
        Description="Büro <1> & more",
        SplitTunnel=True,
        Tags=[{"Key": "Name", "Value": "office"}, {"Key": "empty", "Value": ""}],
        VpcId=VPC,
        SecurityGroupIds=[WEB_ONLY, EVERYTHING],
        SessionTimeoutHours=8,
        ClientLoginBannerOptions={"Enabled": True, "BannerText": "Be good.\nWe count: 1 < 2"},
        DisconnectOnSessionTimeout=False,
    )


def test_the_server_certificate_may_stand_for_the_authority_of_the_clients(ec2, create, server_arn):
    mutual = {
        "Type": "certificate-authentication",
        "MutualAuthentication": {"ClientRootCertificateChainArn": server_arn},
    }
    endpoint = create(AuthenticationOptions=[mutual])
    assert describe(ec2, endpoint) == described(endpoint, server_arn, server_arn)


def test_a_vpc_without_groups_brings_its_default_group(ec2, create, server_arn, client_arn):
    endpoint = create(VpcId=VPC)
    assert describe(ec2, endpoint) == described(
        endpoint, server_arn, client_arn, VpcId=VPC, SecurityGroupIds=[EVERYTHING]
    )


@pytest.mark.parametrize("block", ["10.8.0.0/22", "10.128.0.0/12"])
def test_the_smallest_and_the_largest_client_cidr_are_accepted(ec2, create, block):
    assert describe(ec2, create(ClientCidrBlock=block))["ClientCidrBlock"] == block


REFUSED = {
    "client-cidr-missing": ({"ClientCidrBlock": None}, "MissingParameter", "ClientCidrBlock"),
    "client-cidr-too-small": ({"ClientCidrBlock": "10.8.0.0/23"}, "InvalidParameterValue", "/22"),
    "client-cidr-too-large": ({"ClientCidrBlock": "10.0.0.0/11"}, "InvalidParameterValue", "/12"),
    "client-cidr-with-host-bits": ({"ClientCidrBlock": "10.8.0.1/22"}, "InvalidParameterValue", "10.8.0.0/22"),
    "client-cidr-no-network": ({"ClientCidrBlock": "clients"}, "InvalidParameterValue", "ClientCidrBlock"),
    "client-cidr-in-the-vpc": (
        {"ClientCidrBlock": "10.20.0.0/22", "VpcId": VPC},
        "InvalidParameterValue",
        "10.20.0.0/16",
    ),
    "server-certificate-no-arn": ({"ServerCertificateArn": "mine"}, "InvalidParameterValue", "ServerCertificateArn"),
    "server-certificate-unknown": (
        {"ServerCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"},
        "InvalidParameterValue",
        "import it first",
    ),
    "server-certificate-of-another-region": (
        {"ServerCertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"},
        "InvalidParameterValue",
        "us-east-1",
    ),
    "server-certificate-of-another-account": (
        {"ServerCertificateArn": "arn:aws:acm:us-east-1:210987654321:certificate/00000000-0000-4000-8000-000000000000"},
        "InvalidParameterValue",
        "123456789012",
    ),
    "no-authentication": ({"AuthenticationOptions": []}, "MissingParameter", "Authentication"),
    "two-directories": (
        {"AuthenticationOptions": [directory_option(), directory_option()]},
        "InvalidParameterValue",
        "at most one",
    ),
    "unknown-authentication": ({"AuthenticationOptions": [{"Type": "none"}]}, "InvalidParameterValue", "none"),
    "mutual-without-certificate": (
        {"AuthenticationOptions": [{"Type": "certificate-authentication"}]},
        "MissingParameter",
        "ClientRootCertificateChainArn",
    ),
    "directory-unknown": (
        {
            "AuthenticationOptions": [
                {"Type": "directory-service-authentication", "ActiveDirectory": {"DirectoryId": "d-9999999999"}}
            ]
        },
        "InvalidParameterValue",
        "d-9999999999",
    ),
    "no-word-about-the-log": ({"ConnectionLogOptions": {}}, "MissingParameter", "ConnectionLogOptions"),
    "three-dns-servers": ({"DnsServers": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}, "InvalidParameterValue", "DnsServers"),
    "dns-server-no-address": ({"DnsServers": ["dns.test"]}, "InvalidParameterValue", "DnsServers"),
    "transport": ({"TransportProtocol": "sctp"}, "InvalidParameterValue", "TransportProtocol"),
    "port": ({"VpnPort": 8443}, "InvalidParameterValue", "443 or 1194"),
    "description": ({"Description": "x" * 256}, "InvalidParameterValue", "Description"),
    "vpc-unknown": ({"VpcId": "vpc-0badc0de"}, "InvalidVpcID.NotFound", "vpc-0badc0de"),
    "groups-without-vpc": ({"SecurityGroupIds": [WEB_ONLY]}, "InvalidParameterValue", "without a VPC ID"),
    "group-unknown": ({"VpcId": VPC, "SecurityGroupIds": ["sg-0badc0de"]}, "InvalidGroup.NotFound", "sg-0badc0de"),
    "group-of-another-vpc": (
        {"VpcId": OTHER_VPC, "SecurityGroupIds": [WEB_ONLY]},
        "InvalidGroup.NotFound",
        WEB_ONLY,
    ),
    "six-groups": (
        {"VpcId": VPC, "SecurityGroupIds": [WEB_ONLY, *MORE]},
        "InvalidParameterValue",
        "SecurityGroupId",
    ),
    "timeout": ({"SessionTimeoutHours": 9}, "InvalidParameterValue", "8, 10, 12 or 24"),
    "banner-without-text": ({"ClientLoginBannerOptions": {"Enabled": True}}, "MissingParameter", "BannerText"),
    "banner-too-long": (
        {"ClientLoginBannerOptions": {"Enabled": True, "BannerText": "ü" * 1401}},
        "InvalidParameterValue",
        "1400",
    ),
    "tags-of-something-else": (
        {"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]},
        "InvalidParameterValue",
        "client-vpn-endpoint",
    ),
    "tag-reserved": (
        {"TagSpecifications": [{"ResourceType": "client-vpn-endpoint", "Tags": [{"Key": "aws:a", "Value": "b"}]}]},
        "InvalidParameterValue",
        "aws:",
    ),
    "client-token-too-long": ({"ClientToken": "x" * 65}, "InvalidClientToken", "64"),
    # What is not served yet.
    "log-with-policy-context": (
        {"ConnectionLogOptions": {"Enabled": False, "IncludeAuthorizationPolicyContext": True}},
        "UnsupportedOperation",
        "IncludeAuthorizationPolicyContext",
    ),
    "portal": ({"SelfServicePortal": "enabled"}, "UnsupportedOperation", "SelfServicePortal"),
    "route-enforcement": (
        {"ClientRouteEnforcementOptions": {"Enforced": True}},
        "UnsupportedOperation",
        "ClientRouteEnforcementOptions",
    ),
    "saml": (
        {
            "AuthenticationOptions": [
                {
                    "Type": "federated-authentication",
                    "FederatedAuthentication": {
                        "SAMLProviderArn": "arn:aws:iam::123456789012:saml-provider/idp",
                        "SelfServiceSAMLProviderArn": "arn:aws:iam::123456789012:saml-provider/portal",
                    },
                }
            ]
        },
        "UnsupportedOperation",
        "federated-authentication",
    ),
    "client-network-without-ipv4-inside": (
        {"TrafficIpAddressType": "ipv6"},
        "InvalidParameterCombination",
        "ClientCidrBlock",
    ),
    "resolver-out-of-reach": ({"DnsServers": ["2001:db8:20::2"]}, "InvalidParameterValue", "IPv4 only"),
    "ipv8-outside": ({"EndpointIpAddressType": "ipv8"}, "InvalidParameterValue", "EndpointIpAddressType"),
    "transit-gateway": (
        {
            "TransitGatewayConfiguration": {
                "TransitGatewayId": "tgw-0123456789abcdef0",
                "AvailabilityZones": ["us-east-1a"],
            }
        },
        "UnsupportedOperation",
        "TransitGatewayConfiguration",
    ),
    "transit-gateway-by-zone-id": (
        {
            "TransitGatewayConfiguration": {
                "TransitGatewayId": "tgw-0123456789abcdef0",
                "AvailabilityZoneIds": ["use1-az1"],
            }
        },
        "UnsupportedOperation",
        "TransitGatewayConfiguration",
    ),
    "device-posture": (
        {
            "DevicePostureOptions": {
                "Enabled": True,
                "TrustProviders": [
                    {"TrustProviderType": "jumpcloud", "TenantId": "t", "PublicSigningKeyUrl": "https://keys.test/jwks"}
                ],
            }
        },
        "UnsupportedOperation",
        "DevicePostureOptions",
    ),
}


@pytest.mark.parametrize("changes, code, word", REFUSED.values(), ids=REFUSED)
def test_an_endpoint_that_can_not_be_is_refused(ec2, create, request_for, changes, code, word):
    with refused(code, word):
        ec2.create_client_vpn_endpoint(**request_for(**changes))
    assert ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"] == []


def test_a_client_certificate_of_the_servers_authority_must_still_be_named(ec2, create, request_for, server_arn):
    """Whose authority it is does not follow from anything else."""
    mutual = {"Type": "certificate-authentication", "MutualAuthentication": {}}
    with refused("MissingParameter", "ClientRootCertificateChainArn"):
        ec2.create_client_vpn_endpoint(**request_for(AuthenticationOptions=[mutual]))


def test_there_are_no_more_endpoints_than_the_quota(ec2, create, request_for):
    create()
    create(ClientCidrBlock="10.12.0.0/22", TransportProtocol="tcp")
    create(ClientCidrBlock="10.16.0.0/22", VpnPort=1194)
    with refused("ClientVpnEndpointLimitExceeded"):
        ec2.create_client_vpn_endpoint(
            **request_for(ClientCidrBlock="172.20.0.0/22", VpnPort=1194, TransportProtocol="tcp")
        )


def test_two_endpoints_share_neither_port_nor_addresses(ec2, create, request_for):
    """One machine has one port of each number; on AWS each endpoint has addresses of its own."""
    create()
    with refused("InvalidParameterValue", "VpnPort"):
        ec2.create_client_vpn_endpoint(**request_for(ClientCidrBlock="10.12.0.0/22"))
    with refused("InvalidParameterValue", "ClientCidrBlock"):
        ec2.create_client_vpn_endpoint(**request_for(VpnPort=1194))


MODIFIED = {
    "description": ({"Description": "branch"}, {"Description": "branch"}),
    "dns": (
        {"DnsServers": {"Enabled": True, "CustomDnsServers": ["10.20.0.2"]}},
        {"DnsServers": ["10.20.0.2"]},
    ),
    "port": ({"VpnPort": 1194}, {"VpnPort": 1194}),
    "split-tunnel": ({"SplitTunnel": True}, {"SplitTunnel": True}),
    "vpc": ({"VpcId": VPC}, {"VpcId": VPC, "SecurityGroupIds": [EVERYTHING]}),
    "groups": ({"VpcId": VPC, "SecurityGroupIds": [WEB_ONLY]}, {"VpcId": VPC, "SecurityGroupIds": [WEB_ONLY]}),
    "timeout": ({"SessionTimeoutHours": 12}, {"SessionTimeoutHours": 12}),
    "disconnect": ({"DisconnectOnSessionTimeout": False}, {"DisconnectOnSessionTimeout": False}),
    "banner": (
        {"ClientLoginBannerOptions": {"Enabled": True, "BannerText": "Hello"}},
        {"ClientLoginBannerOptions": {"Enabled": True, "BannerText": "Hello"}},
    ),
    "log-on": (
        {"ConnectionLogOptions": {"Enabled": True, "CloudwatchLogGroup": LOG_GROUP, "CloudwatchLogStream": "a/b"}},
        {"ConnectionLogOptions": {"Enabled": True, "CloudwatchLogGroup": LOG_GROUP, "CloudwatchLogStream": "a/b"}},
    ),
    "log-off": ({"ConnectionLogOptions": {"Enabled": False}}, {}),
    "handler-off": ({"ClientConnectOptions": {"Enabled": False}}, {}),
    "portal-off": ({"SelfServicePortal": "disabled"}, {}),
    "enforcement-off": ({"ClientRouteEnforcementOptions": {"Enforced": False}}, {}),
}


@pytest.mark.parametrize("change, differences", MODIFIED.values(), ids=MODIFIED)
def test_modifying_changes_what_is_given_and_nothing_else(ec2, endpoint, server_arn, client_arn, change, differences):
    assert plain(ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, **change)) == {"Return": True}
    assert describe(ec2, endpoint) == described(endpoint, server_arn, client_arn, **differences)


def test_modifying_can_take_away_what_was_set(ec2, create, server_arn, client_arn):
    endpoint = create(
        Description="office",
        DnsServers=["10.20.0.2"],
        SplitTunnel=True,
        ClientLoginBannerOptions={"Enabled": True, "BannerText": "Hello"},
    )
    plain(
        ec2.modify_client_vpn_endpoint(
            ClientVpnEndpointId=endpoint,
            Description="",
            DnsServers={"Enabled": False},
            SplitTunnel=False,
            ClientLoginBannerOptions={"Enabled": False},
        )
    )
    banner = {"Enabled": False, "BannerText": "Hello"}
    assert describe(ec2, endpoint) == described(endpoint, server_arn, client_arn, ClientLoginBannerOptions=banner)


def test_the_server_certificate_can_be_exchanged(ec2, acm, authority, endpoint, client_arn):
    second = import_leaf(acm, authority.issue("second.test", "server"), authority.certificate)
    plain(ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ServerCertificateArn=second))
    assert describe(ec2, endpoint) == described(endpoint, second, client_arn)


UNMODIFIABLE = {
    "client-cidr": {"ClientCidrBlock": "10.12.0.0/22"},
    "authentication": {"Authentication__1__Type": "certificate-authentication"},
    "client-certificate": {"Authentication__1__MutualAuthentication__ClientRootCertificateChainArn": "arn"},
    "transport": {"TransportProtocol": "tcp"},
    "outer-family": {"EndpointIpAddressType": "ipv4"},
    "inner-family": {"TrafficIpAddressType": "ipv4"},
}


@pytest.mark.parametrize("parameters", UNMODIFIABLE.values(), ids=UNMODIFIABLE)
def test_what_is_fixed_at_creation_is_no_parameter_of_modifying(
    ec2, caller, endpoint, server_arn, client_arn, parameters
):
    answer = caller.call("ModifyClientVpnEndpoint", ClientVpnEndpointId=endpoint, **parameters)
    assert answer.code() == "UnknownParameter"
    assert describe(ec2, endpoint) == described(endpoint, server_arn, client_arn)


REFUSED_CHANGES = {
    "port": ({"VpnPort": 80}, "InvalidParameterValue"),
    "dns-servers": (
        {"DnsServers": {"Enabled": True, "CustomDnsServers": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}},
        "InvalidParameterValue",
    ),
    "dns-servers-while-off": (
        {"DnsServers": {"Enabled": False, "CustomDnsServers": ["10.0.0.1"]}},
        "InvalidParameterCombination",
    ),
    "groups-without-vpc": ({"SecurityGroupIds": [WEB_ONLY]}, "InvalidParameterValue"),
    "banner": (
        {"ClientLoginBannerOptions": {"Enabled": True, "BannerText": "x" * 1401}},
        "InvalidParameterValue",
    ),
    "timeout": ({"SessionTimeoutHours": 1}, "InvalidParameterValue"),
    "log-with-policy-context": (
        {"ConnectionLogOptions": {"Enabled": False, "IncludeAuthorizationPolicyContext": True}},
        "UnsupportedOperation",
    ),
    "portal": ({"SelfServicePortal": "enabled"}, "UnsupportedOperation"),
    "enforcement": ({"ClientRouteEnforcementOptions": {"Enforced": True}}, "UnsupportedOperation"),
    "transit-gateway": (
        {
            "TransitGatewayConfiguration": {
                "TransitGatewayId": "tgw-0123456789abcdef0",
                "AvailabilityZones": ["us-east-1a"],
            }
        },
        "UnsupportedOperation",
    ),
    "transit-gateway-by-zone-id": (
        {
            "TransitGatewayConfiguration": {
                "TransitGatewayId": "tgw-0123456789abcdef0",
                "AvailabilityZoneIds": ["use1-az1"],
            }
        },
        "UnsupportedOperation",
    ),
    "posture": (
        {
            "DevicePostureOptions": {
                "Enabled": True,
                "TrustProviders": [
                    {"TrustProviderType": "jumpcloud", "TenantId": "t", "PublicSigningKeyUrl": "https://keys.test/jwks"}
                ],
            }
        },
        "UnsupportedOperation",
    ),
}


@pytest.mark.parametrize("change, code", REFUSED_CHANGES.values(), ids=REFUSED_CHANGES)
def test_a_change_that_can_not_be_is_refused_as_a_whole(ec2, endpoint, server_arn, client_arn, change, code):
    with refused(code):
        ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, Description="changed", **change)
    assert describe(ec2, endpoint) == described(endpoint, server_arn, client_arn)


def test_filters_narrow_the_list(ec2, create, caller):
    tags = [{"ResourceType": "client-vpn-endpoint", "Tags": [{"Key": "team", "Value": "net"}]}]
    udp = create(VpcId=VPC, TagSpecifications=tags)
    tcp = create(ClientCidrBlock="10.12.0.0/22", TransportProtocol="tcp")

    def found(*filters, **more):
        filters = [{"Name": name, "Values": values} for name, values in filters]
        answer = plain(ec2.describe_client_vpn_endpoints(Filters=filters, **more))
        return [item["ClientVpnEndpointId"] for item in answer["ClientVpnEndpoints"]]

    assert found() == [udp, tcp]
    assert found(("endpoint-id", [udp])) == [udp]
    assert found(("endpoint-id", [udp, tcp])) == [udp, tcp]
    assert found(("transport-protocol", ["tcp"])) == [tcp]
    assert found(("transport-protocol", ["TCP"])) == []
    assert found(("transport-protocol", ["t*"])) == [tcp]
    assert found(("transport-protocol", ["?dp"])) == [udp]
    assert found(("transport-protocol", ["udp"]), ("endpoint-id", [tcp])) == []
    assert found(("tag:team", ["net"])) == [udp]
    assert found(("tag-key", ["team"])) == [udp]
    assert found(("vpc-id", [VPC])) == [udp]
    assert found(("status", ["pending-associate"])) == [udp, tcp]
    assert found(("endpoint-id", [udp]), ClientVpnEndpointIds=[tcp]) == []
    with refused("InvalidParameterValue", "colour"):
        found(("colour", ["red"]))


def test_an_unknown_endpoint_is_not_found(ec2, endpoint):
    with refused("InvalidClientVpnEndpointId.NotFound", "cvpn-endpoint-00000000000000000"):
        ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint, "cvpn-endpoint-00000000000000000"])


def test_the_exported_profile_has_the_lines_of_one_from_aws(ec2, endpoint, authority):
    profile = plain(ec2.export_client_vpn_client_configuration(ClientVpnEndpointId=endpoint))
    assert profile == {
        "ClientConfiguration": f"client\ndev tun\nproto udp\nremote {SERVER} 443\nresolv-retry infinite\nnobind\n"
        f"remote-cert-tls server\ncipher AES-256-GCM\nverb 3\n<ca>\n{authority.certificate}</ca>\nreneg-sec 0\n"
        "verify-x509-name server.test name\n"
    }


def test_the_profile_says_what_the_endpoint_asks_for(ec2, create):
    endpoint = create(AuthenticationOptions=[directory_option()], TransportProtocol="tcp", VpnPort=1194)
    profile = ec2.export_client_vpn_client_configuration(ClientVpnEndpointId=endpoint)["ClientConfiguration"]
    lines = re.sub("<ca>.*</ca>", "<ca/>", profile, flags=re.DOTALL).splitlines()
    assert lines == [
        "client",
        "dev tun",
        "proto tcp",
        f"remote {SERVER} 1194",
        "resolv-retry infinite",
        "nobind",
        "remote-cert-tls server",
        "cipher AES-256-GCM",
        "verb 3",
        "<ca/>",
        "auth-user-pass",
        "reneg-sec 0",
        "verify-x509-name server.test name",
    ]


def test_an_endpoint_is_deleted_only_without_target_networks_and_is_gone_then(ec2, associated):
    endpoint = associated()
    with refused("DependencyViolation", SUBNET_A):
        ec2.delete_client_vpn_endpoint(ClientVpnEndpointId=endpoint)
    networks = ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"]
    ec2.disassociate_client_vpn_target_network(ClientVpnEndpointId=endpoint, AssociationId=networks[0]["AssociationId"])
    eventually(
        "it is on its own again",
        lambda: (
            describe(ec2, endpoint)["Status"] == {"Code": "pending-associate"}
            and not describe(ec2, endpoint)["AssociatedTargetNetworks"]
        ),
    )
    answer = plain(ec2.delete_client_vpn_endpoint(ClientVpnEndpointId=endpoint))
    assert answer == {"Status": {"Code": "deleting"}}

    def gone():
        try:
            return describe(ec2, endpoint)["Status"]["Code"] not in ("deleting", "deleted")
        except ec2.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "InvalidClientVpnEndpointId.NotFound"

    eventually("it is gone", gone)
    with refused("InvalidClientVpnEndpointId.NotFound"):
        ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, Description="late")


def test_an_endpoint_outlives_a_restart(ec2, daemon, create, server_arn, client_arn):
    endpoint = create(Description="keep me")
    before = describe(ec2, endpoint)
    daemon.restart()
    assert describe(ec2, endpoint) == before
