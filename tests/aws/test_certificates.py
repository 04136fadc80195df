"""AWS Certificate Manager: the certificates that endpoints show and check clients by."""

from datetime import datetime

import pytest
from botocore.exceptions import ClientError

from expect import CERTIFICATE, UUID, Like, plain
from lab import ACCOUNT, REGION
from manage import import_leaf

UNKNOWN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/00000000-0000-4000-8000-000000000000"


class Moment:
    """Equal to every time."""

    def __eq__(self, other):
        return isinstance(other, datetime)


def refusal(code, call, *words, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert response["Error"]["Code"] == code, response["Error"]
    for word in words:
        assert word in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["ResponseMetadata"]["RequestId"] == UUID


@pytest.fixture
def imported(acm, authority):
    """Imports a new certificate, which is deleted when the test ends."""
    made = []

    def make(name="web.test", purpose="server", **more):
        leaf = authority.issue(name, purpose)
        answer = acm.import_certificate(
            Certificate=leaf.certificate.encode(),
            PrivateKey=leaf.key.encode(),
            CertificateChain=authority.certificate.encode(),
            **more,
        )
        made.append(plain(answer)["CertificateArn"])
        return made[-1], leaf

    yield make
    for arn in made:
        try:
            acm.delete_certificate(CertificateArn=arn)
        except acm.exceptions.ResourceNotFoundException:
            pass


def test_an_imported_certificate_comes_back_without_its_key(acm, imported, authority):
    arn, leaf = imported()
    assert arn == CERTIFICATE
    answer = plain(acm.get_certificate(CertificateArn=arn))
    assert answer == {"Certificate": leaf.certificate, "CertificateChain": authority.certificate}


def test_an_imported_certificate_is_described(acm, imported):
    arn, _ = imported()
    shared = {
        "CertificateArn": arn,
        "DomainName": "web.test",
        "Status": "ISSUED",
        "Type": "IMPORTED",
        "KeyAlgorithm": "EC_prime256v1",
        "RenewalEligibility": "INELIGIBLE",
        "NotBefore": Moment(),
        "NotAfter": Moment(),
        "CreatedAt": Moment(),
        "ImportedAt": Moment(),
    }
    answer = plain(acm.describe_certificate(CertificateArn=arn))
    assert answer == {
        "Certificate": {
            **shared,
            "Serial": Like("[0-9a-f]{2}(:[0-9a-f]{2})*"),
            "Subject": "CN=web.test",
            "Issuer": "CN=Test CA",
            "SignatureAlgorithm": "SHA256WITHECDSA",
            "SubjectAlternativeNames": ["web.test"],
            "InUseBy": [],
            "KeyUsages": [{"Name": "DIGITAL_SIGNATURE"}, {"Name": "KEY_ENCIPHERMENT"}],
            "ExtendedKeyUsages": [{"Name": "TLS_WEB_SERVER_AUTHENTICATION", "OID": "1.3.6.1.5.5.7.3.1"}],
        }
    }


def test_a_certificate_has_the_tags_it_came_with_and_gets_others(acm, imported):
    tags = [{"Key": "Name", "Value": "web"}, {"Key": "empty", "Value": ""}]
    arn, _ = imported(Tags=tags)
    assert plain(acm.list_tags_for_certificate(CertificateArn=arn)) == {"Tags": tags}
    assert plain(acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "Name", "Value": "mail"}])) == {}
    assert plain(acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "empty"}])) == {}
    assert plain(acm.list_tags_for_certificate(CertificateArn=arn)) == {"Tags": [{"Key": "Name", "Value": "mail"}]}


def test_certificates_are_listed(acm, imported):
    one, _ = imported()
    two, _ = imported("other.test")

    def arns(**more):
        return [item["CertificateArn"] for item in plain(acm.list_certificates(**more))["CertificateSummaryList"]]

    assert {one, two} <= set(arns())
    assert arns() == [
        arn
        for page in acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 1})
        for arn in [item["CertificateArn"] for item in page["CertificateSummaryList"]]
    ]
    assert arns(CertificateStatuses=["EXPIRED"]) == []


def test_a_certificate_is_renewed_under_its_arn(acm, imported, authority):
    arn, _ = imported()
    renewed = authority.issue("web.test", "server")
    answer = plain(
        acm.import_certificate(
            CertificateArn=arn,
            Certificate=renewed.certificate.encode(),
            PrivateKey=renewed.key.encode(),
            CertificateChain=authority.certificate.encode(),
        )
    )
    assert answer == {"CertificateArn": arn}
    assert acm.get_certificate(CertificateArn=arn)["Certificate"] == renewed.certificate


def test_a_certificate_in_use_can_not_be_deleted(acm, ec2, create, server_arn, client_arn):
    endpoint = create()
    for arn in (server_arn, client_arn):
        refusal("ResourceInUseException", acm.delete_certificate, endpoint, CertificateArn=arn)
        users = acm.describe_certificate(CertificateArn=arn)["Certificate"]["InUseBy"]
        assert users == [f"arn:aws:ec2:{REGION}:{ACCOUNT}:client-vpn-endpoint/{endpoint}"]


def test_a_deleted_certificate_is_not_found(acm, imported):
    arn, _ = imported()
    assert plain(acm.delete_certificate(CertificateArn=arn)) == {}
    for call in (acm.get_certificate, acm.describe_certificate, acm.delete_certificate):
        refusal("ResourceNotFoundException", call, arn, CertificateArn=arn)


def test_what_is_no_arn_of_a_certificate_is_refused(acm):
    refusal("InvalidArnException", acm.get_certificate, CertificateArn="arn:aws:acm:us-east-1:1:certificate/mine")
    refusal("ResourceNotFoundException", acm.get_certificate, CertificateArn=UNKNOWN)


def test_what_does_not_belong_together_is_refused(acm, authority, other_authority):
    leaf, other = authority.issue("one.test", "server"), authority.issue("two.test", "server")
    expired = authority.issue("old.test", "server", days=-1)
    good = {
        "Certificate": leaf.certificate.encode(),
        "PrivateKey": leaf.key.encode(),
        "CertificateChain": authority.certificate.encode(),
    }
    for change, word in [
        ({"PrivateKey": other.key.encode()}, "PrivateKey"),
        ({"PrivateKey": b"none"}, "PrivateKey"),
        ({"Certificate": b"none"}, "Certificate"),
        ({"Certificate": (leaf.certificate + other.certificate).encode()}, "CertificateChain"),
        ({"CertificateChain": other_authority.certificate.encode()}, "CertificateChain"),
        ({"CertificateChain": b"none"}, "CertificateChain"),
        ({"Certificate": expired.certificate.encode(), "PrivateKey": expired.key.encode()}, "expired"),
    ]:
        refusal("ValidationException", acm.import_certificate, word, **{**good, **change})


def test_a_renewed_server_certificate_reaches_clients(acm, ec2, associated, connect, authority, ana, request):
    """The new one is shown at once; who is connected stays connected."""
    arn = import_leaf(acm, authority.issue("before.test", "server"), authority.certificate)
    endpoint = associated(ServerCertificateArn=arn)
    first = connect(endpoint, ana).connected()
    assert "CN=before.test" in first.log()
    leaf = authority.issue("before.test", "server")
    acm.import_certificate(
        CertificateArn=arn,
        Certificate=leaf.certificate.encode(),
        PrivateKey=leaf.key.encode(),
        CertificateChain=authority.certificate.encode(),
    )
    second = connect(endpoint, authority.issue("ben.test"), index=1).connected()
    assert "Initialization Sequence Completed" in second.log()
