"""Every error code there is a way to, with a request that leads there."""

from urllib.parse import urlencode

import pytest

import model
from lab import ELSEWHERE, SECOND_IN_A, SUBNET_A, SUBNET_B, VPC
from raw import FORM, Caller, send

NO_ENDPOINT = "cvpn-endpoint-00000000000000000"
ROUTE = {"DestinationCidrBlock": "10.20.0.0/16", "TargetVpcSubnetId": SUBNET_A}
RULE = {"TargetNetworkCidr": "10.20.1.0/24", "AuthorizeAllGroups": "true"}

# Code, status, action, and parameters. `ENDPOINT` is associated with the first subnet and has one rule; `ALONE` has
# neither.
TABLE = [
    ("MissingAction", 400, None, {}),
    ("InvalidAction", 400, "DescribeClientVpnColours", {}),
    ("NoSuchVersion", 400, "DescribeClientVpnEndpoints", {"version": "2014-10-01"}),
    ("MissingParameter", 400, "DescribeClientVpnEndpoints", {"version": None}),
    ("MissingParameter", 400, "DeleteClientVpnEndpoint", {}),
    ("MissingParameter", 400, "CreateClientVpnEndpoint", {}),
    (
        "MissingParameter",
        400,
        "AuthorizeClientVpnIngress",
        {"ClientVpnEndpointId": "ENDPOINT", "TargetNetworkCidr": "10.20.2.0/24"},
    ),
    ("UnknownParameter", 400, "DescribeClientVpnEndpoints", {"Colour": "red"}),
    (
        "UnknownParameter",
        400,
        "ModifyClientVpnEndpoint",
        {"ClientVpnEndpointId": "ENDPOINT", "TransportProtocol": "tcp"},
    ),
    ("InvalidParameterValue", 400, "DescribeClientVpnEndpoints", {"MaxResults": "1"}),
    (
        "InvalidParameterValue",
        400,
        "ModifyClientVpnEndpoint",
        {"ClientVpnEndpointId": "ENDPOINT", "SplitTunnel": "perhaps"},
    ),
    ("InvalidParameterValue", 400, "ModifyClientVpnEndpoint", {"ClientVpnEndpointId": "ENDPOINT", "VpnPort": "many"}),
    (
        "InvalidParameterValue",
        400,
        "DescribeClientVpnEndpoints",
        {"Filter.1.Name": "colour", "Filter.1.Value.1": "red"},
    ),
    ("InvalidPaginationToken", 400, "DescribeClientVpnEndpoints", {"NextToken": "next"}),
    (
        "InvalidClientToken",
        400,
        "AuthorizeClientVpnIngress",
        {"ClientVpnEndpointId": "ENDPOINT", "ClientToken": "x" * 65, **RULE},
    ),
    ("InvalidID", 400, "CreateTags", {"ResourceId.1": NO_ENDPOINT, "Tag.1.Key": "a", "Tag.1.Value": "b"}),
    (
        "TagLimitExceeded",
        400,
        "CreateTags",
        {
            "ResourceId.1": "ENDPOINT",
            **{f"Tag.{number}.Key": f"k{number}" for number in range(1, 52)},
        },
    ),
    ("DryRunOperation", 412, "DescribeClientVpnEndpoints", {"DryRun": "true"}),
    (
        "UnsupportedOperation",
        400,
        "ModifyClientVpnEndpoint",
        {"ClientVpnEndpointId": "ENDPOINT", "SelfServicePortal": "enabled"},
    ),
    ("DependencyViolation", 400, "DeleteClientVpnEndpoint", {"ClientVpnEndpointId": "ENDPOINT"}),
    (
        "InvalidVpcID.NotFound",
        400,
        "ModifyClientVpnEndpoint",
        {"ClientVpnEndpointId": "ALONE", "VpcId": "vpc-0badc0de"},
    ),
    (
        "InvalidGroup.NotFound",
        400,
        "ModifyClientVpnEndpoint",
        {
            "ClientVpnEndpointId": "ALONE",
            "VpcId": VPC,
            "SecurityGroupId.1": "sg-0badc0de",
        },
    ),
    (
        "InvalidSubnetID.Malformed",
        400,
        "AssociateClientVpnTargetNetwork",
        {"ClientVpnEndpointId": "ENDPOINT", "SubnetId": "x"},
    ),
    ("InvalidClientVpnEndpointId.NotFound", 400, "DeleteClientVpnEndpoint", {"ClientVpnEndpointId": NO_ENDPOINT}),
    (
        "InvalidClientVpnActiveAssociationNotFound",
        400,
        "CreateClientVpnRoute",
        {
            "ClientVpnEndpointId": "ALONE",
            "DestinationCidrBlock": "10.30.0.0/24",
            "TargetVpcSubnetId": SUBNET_A,
        },
    ),
    (
        "InvalidClientVpnAssociationIdNotFound",
        400,
        "DisassociateClientVpnTargetNetwork",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "AssociationId": "cvpn-assoc-00000000000000000",
        },
    ),
    (
        "InvalidClientVpnConnection.IdNotFound",
        400,
        "TerminateClientVpnConnections",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "ConnectionId": "cvpn-connection-00000000000000000",
        },
    ),
    (
        "InvalidClientVpnConnection.UserNotFound",
        400,
        "TerminateClientVpnConnections",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "Username": "nobody",
        },
    ),
    (
        "InvalidClientVpnDuplicateAssociationException",
        400,
        "AssociateClientVpnTargetNetwork",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "SubnetId": SUBNET_A,
        },
    ),
    (
        "InvalidClientVpnDuplicateAuthorizationRule",
        400,
        "AuthorizeClientVpnIngress",
        {"ClientVpnEndpointId": "ENDPOINT", **RULE},
    ),
    ("InvalidClientVpnDuplicateRoute", 400, "CreateClientVpnRoute", {"ClientVpnEndpointId": "ENDPOINT", **ROUTE}),
    (
        "InvalidClientVpnEndpointAuthorizationRuleNotFound",
        400,
        "RevokeClientVpnIngress",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "TargetNetworkCidr": "10.20.9.0/24",
            "RevokeAllGroups": "true",
        },
    ),
    (
        "InvalidClientVpnRouteNotFound",
        400,
        "DeleteClientVpnRoute",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "DestinationCidrBlock": "10.30.0.0/24",
            "TargetVpcSubnetId": SUBNET_A,
        },
    ),
    (
        "InvalidClientVpnSubnetId.DuplicateAz",
        400,
        "AssociateClientVpnTargetNetwork",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "SubnetId": SECOND_IN_A,
        },
    ),
    (
        "InvalidClientVpnSubnetId.NotFound",
        400,
        "AssociateClientVpnTargetNetwork",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "SubnetId": "subnet-0badc0de",
        },
    ),
    (
        "InvalidClientVpnSubnetId.NotFound",
        400,
        "CreateClientVpnRoute",
        {
            "ClientVpnEndpointId": "ENDPOINT",
            "DestinationCidrBlock": "10.30.0.0/24",
            "TargetVpcSubnetId": SUBNET_B,
        },
    ),
    (
        "InvalidClientVpnSubnetId.OverlappingCidr",
        400,
        "AssociateClientVpnTargetNetwork",
        {
            "ClientVpnEndpointId": "ALONE",
            "SubnetId": ELSEWHERE,
        },
    ),
]


def test_each_request_gets_its_code_and_status(caller, associated, create):
    names = {"ENDPOINT": associated(), "ALONE": create(ClientCidrBlock="10.40.0.0/22", VpnPort=1194)}
    wrong = []
    for code, status, action, parameters in TABLE:
        parameters = {name: names.get(value, value) for name, value in parameters.items()}
        answer = caller.call(action, **parameters)
        found = (answer.code(), answer.status)
        model.refusals.add(answer.code())
        if found != (code, status):
            wrong.append((action, parameters, found, "instead of", (code, status), answer.error()[1]))
    assert wrong == []


def test_the_request_itself_may_be_what_is_wrong(caller, daemon):
    list_ = b"Action=DescribeClientVpnEndpoints&Version=2016-11-15"
    unsigned = send("POST", "/", list_, {"host": "127.0.0.1:8443", "content-type": FORM})
    wrong = Caller(daemon.key_id, "x" * 40).send(list_)
    twice = caller.send(list_ + b"&MaxResults=5&MaxResults=6")
    damaged = caller.send(list_ + b"&NextToken=%FF%FE")
    codes = [(answer.code(), answer.status) for answer in (unsigned, wrong, twice, damaged)]
    assert codes == [
        ("MissingAuthenticationToken", 403),
        ("AuthFailure", 401),
        ("MalformedQueryString", 400),
        ("MalformedQueryString", 400),
    ]
    model.refusals.update(code for code, _ in codes)


UNSUPPORTED = {
    "AcceptTransitGatewayClientVpnAttachment": {"TransitGatewayAttachmentId": "tgw-attach-0123456789abcdef0"},
    "RejectTransitGatewayClientVpnAttachment": {"TransitGatewayAttachmentId": "tgw-attach-0123456789abcdef0"},
    "DeleteTransitGatewayClientVpnAttachment": {"TransitGatewayAttachmentId": "tgw-attach-0123456789abcdef0"},
    "GetClientVpnEndpointAuthorizationPolicy": {"ClientVpnEndpointId": NO_ENDPOINT},
    "ModifyClientVpnEndpointAuthorizationPolicy": {
        "ClientVpnEndpointId": NO_ENDPOINT,
        "PolicyDocument": "permit(principal,action,resource);",
    },
    "DeleteClientVpnEndpointAuthorizationPolicy": {"ClientVpnEndpointId": NO_ENDPOINT},
}


@pytest.mark.parametrize("action, parameters", UNSUPPORTED.items(), ids=UNSUPPORTED)
def test_what_is_not_built_says_so(caller, action, parameters):
    answer = caller.call(action, **parameters)
    assert (answer.code(), answer.status) == ("UnsupportedOperation", 400)


def test_a_message_is_escaped(caller):
    answer = caller.send(urlencode({"Action": "<&>", "Version": "2016-11-15"}).encode())
    assert answer.code() == "InvalidAction"
    assert "<&>" not in answer.body


@pytest.mark.parametrize(
    "command, code",
    [
        (
            ("delete-client-vpn-endpoint", "--client-vpn-endpoint-id", NO_ENDPOINT),
            "InvalidClientVpnEndpointId.NotFound",
        ),
        (("describe-client-vpn-endpoints", "--dry-run"), "DryRunOperation"),
        (("describe-client-vpn-endpoints", "--starting-token", "bmV4dA=="), "InvalidPaginationToken"),
    ],
)
def test_the_command_line_says_which(aws, command, code):
    complaint = aws.refusal("ec2", *command)
    assert f"({code})" in complaint or "Bad starting token" in complaint
