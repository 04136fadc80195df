"""Certificate revocation lists: imported, exported, enforced."""

import time

import pytest

from expect import plain, refused
from lab import eventually
from manage import directory_option
from pki import Authority

GIVES_UP = ("connect-retry-max 1", "hand-window 5")


def import_crl(ec2, endpoint, pem):
    answer = ec2.import_client_vpn_client_certificate_revocation_list(
        ClientVpnEndpointId=endpoint, CertificateRevocationList=pem
    )
    return plain(answer)


def export_crl(ec2, endpoint):
    return plain(ec2.export_client_vpn_client_certificate_revocation_list(ClientVpnEndpointId=endpoint))


def in_force(ec2, endpoint):
    eventually("the list is in force", lambda: export_crl(ec2, endpoint)["Status"] == {"Code": "active"})


def body(pem):
    """The block of a PEM text, without what is written around it."""
    begin = pem.index("-----BEGIN")
    return pem[begin:].strip()


@pytest.fixture
def own(tmp_path, acm):
    """An authority of the test's own, so that what it revokes stays in the test, and its certificate in ACM."""
    authority = Authority(tmp_path / "own", "Own CA")
    leaf = authority.issue("root.test")
    arn = acm.import_certificate(
        Certificate=leaf.certificate.encode(),
        PrivateKey=leaf.key.encode(),
        CertificateChain=authority.certificate.encode(),
    )["CertificateArn"]
    option = {"Type": "certificate-authentication", "MutualAuthentication": {"ClientRootCertificateChainArn": arn}}
    return authority, option


def test_a_list_is_imported_and_exported(ec2, endpoint, authority):
    pem = authority.crl([])
    assert import_crl(ec2, endpoint, pem) == {"Return": True}
    in_force(ec2, endpoint)
    answer = export_crl(ec2, endpoint)
    assert body(answer.pop("CertificateRevocationList")) == body(pem)
    assert answer == {"Status": {"Code": "active"}}


def test_without_a_list_the_export_is_empty(ec2, endpoint):
    assert export_crl(ec2, endpoint) == {"CertificateRevocationList": ""}


def test_a_revoked_certificate_is_out_at_once_and_others_stay(ec2, associated, connect, own):
    authority, option = own
    endpoint = associated(AuthenticationOptions=[option])
    good, bad = authority.issue("good.test"), authority.issue("bad.test")
    staying = connect(endpoint, good).connected()
    leaving = connect(endpoint, bad, *GIVES_UP, index=1).connected()
    authority.revoke(bad)
    import_crl(ec2, endpoint, authority.crl())
    in_force(ec2, endpoint)

    def active():
        found = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
        return [item["CommonName"] for item in found if item["Status"]["Code"] == "active"]

    eventually("only the good one is left", lambda: active() == ["good.test"], seconds=15)
    leaving.stop()
    again = connect(endpoint, bad, *GIVES_UP, index=1)
    assert "Initialization Sequence Completed" not in again.ended()
    assert "Inactivity timeout" not in staying.log() and staying.process.poll() is None
    # The next list replaces this one.
    import_crl(ec2, endpoint, authority.crl([]))
    in_force(ec2, endpoint)
    connect(endpoint, bad, index=1).connected()


def test_a_list_that_can_not_be_is_refused(ec2, endpoint, authority, other_authority):
    pem = authority.crl([])
    in_force_before = import_crl(ec2, endpoint, pem)
    assert in_force_before == {"Return": True}
    expired = authority.crl([], seconds=1)
    time.sleep(1.1)
    damaged = pem.replace(body(pem)[40:60], "A" * 20)
    for wrong in ["", "no list", authority.certificate, other_authority.crl([]), expired, damaged, pem + pem]:
        with refused("InvalidParameterValue", "CertificateRevocationList"):
            import_crl(ec2, endpoint, wrong)
    assert body(export_crl(ec2, endpoint)["CertificateRevocationList"]) == body(pem), "the one before stays"


def test_a_list_that_expires_lets_nobody_in(ec2, associated, connect, own):
    authority, option = own
    endpoint = associated(AuthenticationOptions=[option])
    good = authority.issue("good.test")
    import_crl(ec2, endpoint, authority.crl([], seconds=6))
    in_force(ec2, endpoint)
    connect(endpoint, good).connected().stop()
    time.sleep(6)
    assert "Initialization Sequence Completed" not in connect(endpoint, good, *GIVES_UP).ended()
    import_crl(ec2, endpoint, authority.crl([]))
    in_force(ec2, endpoint)
    connect(endpoint, good).connected()


def test_a_list_means_nothing_without_client_certificates(ec2, create, authority):
    endpoint = create(AuthenticationOptions=[directory_option()])
    with refused("InvalidParameterValue"):
        import_crl(ec2, endpoint, authority.crl([]))


def test_a_list_has_room_for_twenty_thousand_entries(ec2, endpoint, authority):
    serials = [f"{0x70 << 152 | number:040X}" for number in range(20_001)]
    with refused("ClientVpnCertificateRevocationListLimitExceeded", "20000"):
        import_crl(ec2, endpoint, authority.crl(serials))
    pem = authority.crl(serials[:-1])
    import_crl(ec2, endpoint, pem)
    in_force(ec2, endpoint)
    assert body(export_crl(ec2, endpoint)["CertificateRevocationList"]) == body(pem)
