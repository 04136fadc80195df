"""After a crash clients connect as before."""

from lab import IN_A, eventually


def test_endpoints_outlive_a_crash_and_serve_again(ec2, daemon, associated, connect, ana, web):
    endpoint = associated(Description="kept")
    connect(endpoint, ana).connected()
    ec2.authorize_client_vpn_ingress(
        ClientVpnEndpointId=endpoint, TargetNetworkCidr="10.20.2.0/24", AuthorizeAllGroups=True
    )
    # What was answered is kept, whether or not it was in force yet.
    daemon.crash()
    daemon.start()

    def everything():
        return [
            ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"],
            ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"],
            ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"],
            ec2.describe_client_vpn_authorization_rules(ClientVpnEndpointId=endpoint)["AuthorizationRules"],
        ]

    def codes():
        return {item["Status"]["Code"] for items in everything() for item in items}

    eventually("all is in force again", lambda: codes() == {"available", "associated", "active"})
    (item,), (network,), (route,), rules = everything()
    assert (item["ClientVpnEndpointId"], item["Description"]) == (endpoint, "kept")
    assert [rule["DestinationCidr"] for rule in rules] == ["10.20.1.0/24", "10.20.2.0/24"]
    assert connect(endpoint, ana, index=1).connected().fetches(IN_A) == "hello from behind"
