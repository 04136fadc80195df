"""Calls the API at the address of the first argument with botocore and tells what came of it, as JSON. The second
argument is a folder with certificates."""

import datetime
import json
import pathlib
import sys

import botocore.exceptions
import botocore.session
from botocore.config import Config

url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
session = botocore.session.Session()
said = {}


def client(service, **more):
    return session.create_client(
        service,
        region_name="us-east-1",
        endpoint_url=url,
        verify=str(folder / "ca.crt") if url.startswith("https") else None,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=10),
        **more,
    )


def code(call, **parameters):
    try:
        return call(**parameters)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


said["account"] = client("sts").get_caller_identity()["Account"]
acm = client("acm")
read = lambda name: (folder / name).read_bytes()
parts = {
    "Certificate": read("server.crt"),
    "PrivateKey": read("server.key"),
    "CertificateChain": read("chain.crt"),
}
arns = [acm.import_certificate(**parts, Tags=[{"Key": "Name", "Value": "a b"}])["CertificateArn"] for _ in range(3)]
detail = acm.describe_certificate(CertificateArn=arns[0])["Certificate"]
now = datetime.datetime.now(datetime.timezone.utc)
said["valid for days"] = detail["NotBefore"] < now < detail["NotAfter"] - datetime.timedelta(days=2)
said["described"] = {name: value for name, value in detail.items() if isinstance(value, str)}
pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 1})
said["pages"] = [len(page["CertificateSummaryList"]) for page in pages]
fetched = acm.get_certificate(CertificateArn=arns[0])
said["chain comes back"] = fetched["CertificateChain"].split() == parts["CertificateChain"].decode().split()
said["tags"] = acm.list_tags_for_certificate(CertificateArn=arns[0])["Tags"]
acm.delete_certificate(CertificateArn=arns[0])
said["deleted twice"] = code(acm.delete_certificate, CertificateArn=arns[0])
wrong = {"aws_access_key_id": session.get_credentials().access_key, "aws_secret_access_key": "wrong"}
said["wrong secret"] = code(client("sts", **wrong).get_caller_identity)
said["wrong secret of acm"] = code(client("acm", **wrong).list_certificates)
said["wrong secret of ec2"] = code(client("ec2", **wrong).describe_client_vpn_endpoints)
json.dump(said, sys.stdout)
