"""What the tests share: a daemon, clients of AWS's SDK for it, certificates, endpoints that go when a test ends."""

import pytest

pytest.register_assert_rewrite("expect", "lab", "manage", "raw")

import model  # noqa: E402
from lab import SUBNET_A, Aws, Client, Daemon, WebServer  # noqa: E402
from manage import client_for, import_leaf, purge, settled  # noqa: E402
from pki import Authority  # noqa: E402
from raw import Caller  # noqa: E402


def pytest_collection_modifyitems(items):
    """What sums up the other tests comes after them."""
    items.sort(key=lambda item: item.path.name == "test_model.py")


@pytest.fixture(scope="session")
def daemon():
    """culvertd, with an access key."""
    daemon = Daemon()
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def ec2(daemon):
    """boto3's EC2 client; which members it sends and receives is noted."""
    client = client_for("ec2", daemon)
    model.watch(client)
    return client


@pytest.fixture(scope="session")
def acm(daemon):
    return client_for("acm", daemon)


@pytest.fixture(scope="session")
def aws(daemon):
    """The AWS command line."""
    return Aws(daemon)


@pytest.fixture(scope="session")
def caller(daemon):
    """Who sends what AWS's tools would not."""
    return Caller(daemon.key_id, daemon.secret)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The authority of servers and clients."""
    return Authority(tmp_path_factory.mktemp("pki") / "ca", "Test CA")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory):
    """An authority that no endpoint knows unless a test says so."""
    return Authority(tmp_path_factory.mktemp("pki") / "other", "Other CA")


@pytest.fixture(scope="session")
def server_arn(acm, authority):
    """The server certificate, in ACM."""
    return import_leaf(acm, authority.issue("server.test", "server"), authority.certificate)


@pytest.fixture(scope="session")
def client_arn(acm, authority):
    """A client certificate, in ACM, for its authority."""
    return import_leaf(acm, authority.issue("client.test"), authority.certificate)


@pytest.fixture(scope="session")
def ana(authority):
    """The certificate of somebody who may connect."""
    return authority.issue("ana.test")


@pytest.fixture
def request_for(server_arn, client_arn):
    """The least that makes an endpoint, with changes; `None` leaves a member out."""

    def build(**changes):
        request = {
            "ClientCidrBlock": "10.8.0.0/22",
            "ServerCertificateArn": server_arn,
            "AuthenticationOptions": [
                {
                    "Type": "certificate-authentication",
                    "MutualAuthentication": {"ClientRootCertificateChainArn": client_arn},
                }
            ],
            "ConnectionLogOptions": {"Enabled": False},
        }
        request.update(changes)
        return {name: value for name, value in request.items() if value is not None}

    return build


@pytest.fixture
def create(ec2, request_for):
    """Makes endpoints, which go when the test ends, and returns their ids."""

    def make(**changes):
        return ec2.create_client_vpn_endpoint(**request_for(**changes))["ClientVpnEndpointId"]

    yield make
    purge(ec2)


@pytest.fixture
def endpoint(create):
    """An endpoint nobody can connect to yet."""
    return create()


@pytest.fixture
def associated(ec2, create):
    """Makes endpoints that are associated with the first subnet, ready for clients."""

    def make(subnet=SUBNET_A, rules=("10.20.1.0/24",), **changes):
        endpoint = create(**changes)
        ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=subnet)
        for rule in rules:
            ec2.authorize_client_vpn_ingress(
                ClientVpnEndpointId=endpoint, TargetNetworkCidr=rule, AuthorizeAllGroups=True
            )
        settled(ec2, endpoint)
        return endpoint

    return make


@pytest.fixture
def connect(ec2):
    """Connects stock clients with the exported profile; they leave when the test ends."""
    clients = []

    def make(endpoint, leaf=None, *added, profile=None, **settings):
        profile = profile or ec2.export_client_vpn_client_configuration(ClientVpnEndpointId=endpoint)["ClientConfiguration"]
        inline = [leaf.inline()] if leaf is not None else []
        clients.append(Client(profile, *inline, "connect-retry 1 2", *added, **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.stop()


@pytest.fixture(scope="session")
def web(daemon):
    """A web server on the host behind the endpoint."""
    server = WebServer()
    yield server
    server.stop()
