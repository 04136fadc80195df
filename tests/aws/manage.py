"""What tests do with AWS's SDK again and again."""

import boto3
from botocore.config import Config

from expect import plain
from lab import DIRECTORY, REGION, URL, eventually


def client_for(service, daemon, **changes):
    """An SDK client of this daemon, which tries once."""
    settings = {
        "endpoint_url": URL,
        "region_name": REGION,
        "aws_access_key_id": daemon.key_id,
        "aws_secret_access_key": daemon.secret,
        "config": Config(retries={"total_max_attempts": 1}),
    }
    return boto3.client(service, **{**settings, **changes})


def import_leaf(acm, leaf, chain):
    """Imports a certificate into ACM and returns its ARN."""
    answer = acm.import_certificate(
        Certificate=leaf.certificate.encode(), PrivateKey=leaf.key.encode(), CertificateChain=chain.encode()
    )
    return plain(answer)["CertificateArn"]


def settled(ec2, endpoint):
    """Waits until everything about an endpoint is final."""
    transitional = {"associating", "disassociating", "authorizing", "revoking", "creating", "deleting", "applying"}

    def codes():
        for operation, key in [
            ("describe_client_vpn_target_networks", "ClientVpnTargetNetworks"),
            ("describe_client_vpn_routes", "Routes"),
            ("describe_client_vpn_authorization_rules", "AuthorizationRules"),
        ]:
            for item in getattr(ec2, operation)(ClientVpnEndpointId=endpoint)[key]:
                yield item["Status"]["Code"]

    eventually(f"{endpoint} is settled", lambda: not transitional & set(codes()))


def purge(ec2):
    """Deletes every endpoint."""

    def endpoints():
        return ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]

    for endpoint in endpoints():
        name = endpoint["ClientVpnEndpointId"]
        networks = ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=name)["ClientVpnTargetNetworks"]
        for network in networks:
            ec2.disassociate_client_vpn_target_network(ClientVpnEndpointId=name, AssociationId=network["AssociationId"])
        settled(ec2, name)
        ec2.delete_client_vpn_endpoint(ClientVpnEndpointId=name)
    eventually("no endpoint is left", lambda: not endpoints())


def directory_option():
    """Authentication by user name and password."""
    return {"Type": "directory-service-authentication", "ActiveDirectory": {"DirectoryId": DIRECTORY}}
