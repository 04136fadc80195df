"""From certificates to traffic and back, with the AWS command line alone and the stock openvpn client."""

from expect import ASSOCIATION, CERTIFICATE, CONNECTION, ENDPOINT, automatic_route, described
from lab import BEYOND, DIRECTORY, EVERYTHING, IN_A, IN_B, SERVER, SUBNET_A, VPC, Client, eventually
from pki import Authority


def test_the_command_line_makes_a_tunnel(aws, ec2, web, tmp_path):
    """Uses `ec2` only to find the API ready; every step is a command."""
    authority = Authority(tmp_path / "ca", "Walk CA", "RSA:2048")
    server, laptop, lost = (authority.issue(*who) for who in [("server", "server"), ("laptop",), ("lost",)])
    (tmp_path / "chain.crt").write_text(authority.certificate)

    def import_certificate(leaf):
        return aws(
            "acm",
            "import-certificate",
            "--certificate",
            f"fileb://{leaf.path}",
            "--private-key",
            f"fileb://{leaf.path.with_suffix('.key')}",
            "--certificate-chain",
            f"fileb://{tmp_path}/chain.crt",
            "--query",
            "CertificateArn",
        )

    server_arn, client_arn = import_certificate(server), import_certificate(laptop)
    assert server_arn == CERTIFICATE and client_arn == CERTIFICATE

    made = aws(
        "ec2",
        "create-client-vpn-endpoint",
        "--client-cidr-block",
        "10.8.0.0/22",
        "--server-certificate-arn",
        server_arn,
        "--authentication-options",
        f"Type=certificate-authentication,MutualAuthentication={{ClientRootCertificateChainArn={client_arn}}}",
        "--connection-log-options",
        "Enabled=false",
        "--split-tunnel",
        "--description",
        "The walk",
        "--tag-specifications",
        "ResourceType=client-vpn-endpoint,Tags=[{Key=Name,Value=walk}]",
    )
    endpoint = made["ClientVpnEndpointId"]
    assert made == {
        "ClientVpnEndpointId": ENDPOINT,
        "Status": {"Code": "pending-associate"},
        "DnsName": SERVER,
    }
    this = ("--client-vpn-endpoint-id", endpoint)

    made = aws("ec2", "associate-client-vpn-target-network", *this, "--subnet-id", SUBNET_A)
    association = made["AssociationId"]
    assert made == {"AssociationId": ASSOCIATION, "Status": {"Code": "associating"}}
    for network in ("10.20.1.0/24", "10.30.0.0/24"):
        made = aws(
            "ec2", "authorize-client-vpn-ingress", *this, "--target-network-cidr", network, "--authorize-all-groups"
        )
        assert made == {"Status": {"Code": "authorizing"}}
    made = aws(
        "ec2",
        "create-client-vpn-route",
        *this,
        "--destination-cidr-block",
        "10.30.0.0/24",
        "--target-vpc-subnet-id",
        SUBNET_A,
    )
    assert made == {"Status": {"Code": "creating"}}

    def endpoints():
        return aws("ec2", "describe-client-vpn-endpoints", "--filters", "Name=tag:Name,Values=walk")[
            "ClientVpnEndpoints"
        ]

    def routes():
        return aws("ec2", "describe-client-vpn-routes", *this)["Routes"]

    eventually("it is available", lambda: endpoints()[0]["Status"]["Code"] == "available")
    assert endpoints() == [
        described(
            endpoint,
            server_arn,
            client_arn,
            Status={"Code": "available"},
            Description="The walk",
            SplitTunnel=True,
            AssociatedTargetNetworks=[{"NetworkId": SUBNET_A, "NetworkType": "vpc"}],
            Tags=[{"Key": "Name", "Value": "walk"}],
            VpcId=VPC,
            SecurityGroupIds=[EVERYTHING],
        )
    ]
    eventually("the routes are active", lambda: {route["Status"]["Code"] for route in routes()} == {"active"})
    assert routes()[0] == automatic_route(endpoint)

    profile = aws.text("ec2", "export-client-vpn-client-configuration", *this)
    client = Client(profile, laptop.inline())
    try:
        client.connected()
        assert client.pings(IN_A) and client.fetches(IN_A) == "hello from behind"
        assert client.fetches(BEYOND) == "hello from behind"
        assert not client.fetches(IN_B, seconds=2), "no rule allows it"

        connections = aws("ec2", "describe-client-vpn-connections", *this)["Connections"]
        assert [(item["ConnectionId"], item["CommonName"], item["Status"]["Code"]) for item in connections] == [
            (CONNECTION, "laptop", "active")
        ]
        ended = aws("ec2", "terminate-client-vpn-connections", *this, "--connection-id", connections[0]["ConnectionId"])
        assert ended["ConnectionStatuses"][0]["CurrentStatus"] == {"Code": "terminating"}

        def statuses():
            found = aws("ec2", "describe-client-vpn-connections", *this)["Connections"]
            return {item["ConnectionId"]: item["Status"]["Code"] for item in found}

        eventually("it is ended", lambda: statuses()[connections[0]["ConnectionId"]] == "terminated")
    finally:
        client.stop()

    found = Client(profile, lost.inline(), "connect-retry-max 1")
    try:
        found.connected()
    finally:
        found.stop()
    authority.revoke(lost)
    (tmp_path / "crl.pem").write_text(authority.crl())
    answer = aws(
        "ec2",
        "import-client-vpn-client-certificate-revocation-list",
        *this,
        "--certificate-revocation-list",
        f"file://{tmp_path}/crl.pem",
    )
    assert answer == {"Return": True}
    said = "ec2", "export-client-vpn-client-certificate-revocation-list", *this
    eventually("the list is in force", lambda: aws(*said)["Status"] == {"Code": "active"})
    assert aws.text(*said).endswith("STATUS\tactive\n")
    refused = Client(profile, lost.inline(), "connect-retry-max 1", "hand-window 5")
    assert "Initialization Sequence Completed" not in refused.ended()

    complaint = aws.refusal("ec2", "delete-client-vpn-endpoint", *this)
    assert "(DependencyViolation)" in complaint and "DeleteClientVpnEndpoint" in complaint
    answer = aws("ec2", "disassociate-client-vpn-target-network", *this, "--association-id", association)
    assert answer == {"AssociationId": association, "Status": {"Code": "disassociating"}}
    eventually("it is alone", lambda: endpoints()[0]["Status"]["Code"] == "pending-associate")
    assert aws("ec2", "delete-client-vpn-endpoint", *this) == {"Status": {"Code": "deleting"}}
    eventually("it is gone", lambda: endpoints() == [])
    for arn in (server_arn, client_arn):
        aws("acm", "delete-certificate", "--certificate-arn", arn)


def test_passwords_instead_of_certificates(aws, acm, authority, web, tmp_path, request, create):
    """A directory, two factors left out, and a banner."""
    server_arn = aws("acm", "list-certificates", "--query", "CertificateSummaryList[0].CertificateArn")
    endpoint = aws(
        "ec2",
        "create-client-vpn-endpoint",
        "--client-cidr-block",
        "10.8.0.0/22",
        "--server-certificate-arn",
        server_arn,
        "--authentication-options",
        f"Type=directory-service-authentication,ActiveDirectory={{DirectoryId={DIRECTORY}}}",
        "--connection-log-options",
        "Enabled=false",
        "--transport-protocol",
        "tcp",
        "--client-login-banner-options",
        "Enabled=true,BannerText=Welcome",
        "--query",
        "ClientVpnEndpointId",
    )
    this = ("--client-vpn-endpoint-id", endpoint)
    aws("ec2", "associate-client-vpn-target-network", *this, "--subnet-id", SUBNET_A)
    aws(
        "ec2",
        "authorize-client-vpn-ingress",
        *this,
        "--target-network-cidr",
        "0.0.0.0/0",
        "--access-group-id",
        "engineering",
    )
    query = ("--query", "ClientVpnEndpoints[0].Status.Code")
    eventually("it is available", lambda: aws("ec2", "describe-client-vpn-endpoints", *query) == "available")
    profile = aws.text("ec2", "export-client-vpn-client-configuration", *this)
    client = Client(profile, login=("ana", "correct horse"))
    try:
        assert client.connected().fetches(IN_A) == "hello from behind"
    finally:
        client.stop()
    wrong = Client(profile, "connect-retry-max 1", login=("ana", "wrong"))
    assert "AUTH_FAILED" in wrong.ended()
