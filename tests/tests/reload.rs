//! Changing a running server: what a reload puts in force, for whom, and what it refuses. And what a server that can't
//! start says and leaves behind.
#![cfg(feature = "netns")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_client::Personality;
use culvert_tests::lab::{HOST_V4, SERVER_V4};
use culvert_tests::netns::Netns;
use culvert_tests::openvpn::CONNECT;
use culvert_tests::pki::KeyKind;
use culvert_tests::server::Proto;
use culvert_tests::traffic::{reachable, wait_reachable};
use culvert_tests::{Culvertd, EndpointPlan, Follower, Lab, OpenVpn, Profile};
use culvert_wire::push::PushOptions;
use serde_json::Value;

const HOST: IpAddr = IpAddr::V4(HOST_V4);
const SOON: Duration = Duration::from_secs(5);
const CONNECTED: &str = "Initialization Sequence Completed";
const TOLD_TO_LEAVE: &str = "Connection reset command was pushed by server";

/// How often the client's tunnel came up.
fn connections(client: &mut OpenVpn) -> usize {
    client.process().log().matches(CONNECTED).count()
}

/// Fails when the client has had to connect again.
fn undisturbed(client: &mut OpenVpn) -> Result<()> {
    let log = client.process().log();
    ensure!(
        log.matches(CONNECTED).count() == 1 && !log.contains(TOLD_TO_LEAVE),
        "the client was disturbed:\n{log}"
    );
    Ok(())
}

/// Waits until the server has logged this text so many times.
fn logged(server: &mut Culvertd, text: &str, times: usize) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while server.process().log().matches(text).count() < times {
        ensure!(
            Instant::now() < deadline,
            "{text:?} was not logged {times} times:\n{}",
            server.process().log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Pings until the answer is as expected, and fails when that takes longer than a second.
fn within_a_second(ns: &Netns, address: IpAddr, expected: bool) -> Result<()> {
    let start = Instant::now();
    loop {
        let sent = start.elapsed();
        ensure!(
            sent < Duration::from_secs(1),
            "{address} is {} from {} a second after the change",
            if expected { "not reachable" } else { "reachable" },
            ns.name()
        );
        let text = address.to_string();
        let answered = ns.run("ping", &["-n", "-c", "1", "-W", "0.3", &text]).is_ok();
        if answered == expected {
            return Ok(());
        }
    }
}

fn virtual_address(client: &OpenVpn) -> Result<IpAddr> {
    client.virtual_v4().context("no address was pushed")
}

/// Names of the server's TUN devices.
fn devices(lab: &Lab) -> Result<Vec<String>> {
    let text = lab.server.run("ip", &["-o", "link", "show", "type", "tun"])?;
    let name = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .map(|name| name.trim_end_matches(':').to_owned())
    };
    Ok(text.lines().filter_map(name).collect())
}

/// A second endpoint beside the one every plan has.
fn second(port: u16) -> EndpointPlan {
    let mut plan = EndpointPlan::new("second", "10.67.0.0/24");
    plan.set("vpn_port", &port.to_string());
    plan
}

fn to_second(server: &Culvertd, name: &str, port: u16) -> Result<Profile> {
    Ok(server
        .profile_for(Proto::Udp, name)?
        .remote(IpAddr::V4(SERVER_V4), port))
}

fn names(clients: &[Value]) -> Vec<&str> {
    clients
        .iter()
        .filter_map(|client| client["common_name"].as_str())
        .collect()
}

#[test]
fn changed_rules_reach_a_live_client_within_a_second_in_both_directions() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let mut client = OpenVpn::connect(&lab, 0, "live", &server.profile(Proto::Udp))?;
    let inside = virtual_address(&client)?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    wait_reachable(&lab.host, inside, SOON)?;
    let before = server.clients()?;

    server.reload(|endpoints| {
        endpoints[0].deny_all();
    })?;
    within_a_second(&lab.clients[0], HOST, false)?;
    ensure!(
        !reachable(&lab.host, inside),
        "the network still reaches the client"
    );
    server.reload(|endpoints| {
        endpoints[0].rule("10.77.0.0/24");
    })?;
    within_a_second(&lab.clients[0], HOST, true)?;
    within_a_second(&lab.host, inside, true)?;

    let after = server.clients()?;
    ensure!(
        before[0]["client_id"] == after[0]["client_id"],
        "the client is another one"
    );
    undisturbed(&mut client)?;
    client.disconnect()?;
    server.stop()
}

#[test]
fn without_a_rule_nothing_passes_in_either_direction() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).deny_all().start()?;
    let client = OpenVpn::connect(&lab, 0, "denied", &server.profile(Proto::Udp))?;
    let inside = virtual_address(&client)?;
    ensure!(
        !reachable(&lab.clients[0], HOST),
        "the client reaches the network"
    );
    ensure!(!reachable(&lab.host, inside), "the network reaches the client");
    client.disconnect()?;
    server.stop()
}

#[test]
fn changed_pushes_reach_older_clients_when_they_connect() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let mut old = OpenVpn::connect(&lab, 0, "old", &server.profile_for(Proto::Udp, "old")?)?;
    server.reload(|endpoints| {
        endpoints[0].set("dns_servers", "[\"10.77.0.53\"]");
    })?;
    logged(&mut server, "endpoint lab changed", 1)?;
    let mut new = OpenVpn::connect(&lab, 1, "new", &server.profile_for(Proto::Udp, "new")?)?;
    let pushed = "dhcp-option DNS 10.77.0.53";
    ensure!(
        new.process().log().contains(pushed),
        "the new client was not told"
    );
    ensure!(!old.process().log().contains(pushed), "the old client was told");
    undisturbed(&mut old)?;
    for client in [old, new] {
        client.disconnect()?;
    }
    server.stop()
}

/// The networks a client was told to send into the tunnel.
fn networks(options: &PushOptions) -> Vec<String> {
    options.routes().map(|(network, _)| network.to_string()).collect()
}

#[test]
fn changed_pushes_reach_connected_clients_that_can_be_told() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let leaf = server.pki().client("told", KeyKind::P256)?;
    let address = SocketAddr::new(IpAddr::V4(SERVER_V4), 443);
    let told = Follower::connect(
        &lab.clients[0],
        address,
        &server.ca(),
        &leaf,
        Personality::v3_11(),
    )?;
    let mut old = OpenVpn::connect(&lab, 1, "old", &server.profile_for(Proto::Udp, "old")?)?;
    ensure!(networks(&told.options()?) == ["10.77.0.0"]);
    let clients = names(&server.clients()?).len();

    server.reload(|endpoints| {
        endpoints[0]
            .target("10.78.0.0/24")
            .set("dns_servers", "[\"10.77.0.53\"]");
    })?;
    let second = Duration::from_secs(1);
    told.wait_for("the route and the DNS server", second, |options| {
        networks(options) == ["10.77.0.0", "10.78.0.0"]
            && options
                .get("dns")
                .is_some_and(|dns| dns.contains(&"10.77.0.53".into()))
    })?;
    server.reload(|endpoints| {
        endpoints[0].set("split_tunnel", "false");
    })?;
    logged(&mut server, "endpoint lab changed", 2)?;
    server.reload(|endpoints| {
        endpoints[0].set("dns_servers", "[]");
    })?;
    // The last two came within the pause between updates.
    told.wait_for("redirection instead of routes and DNS", SOON, |options| {
        options.has("redirect-gateway") && networks(options).is_empty() && !options.has("dns")
    })?;

    undisturbed(&mut old)?;
    let log = old.process().log();
    ensure!(
        !log.contains("PUSH_UPDATE") && !log.contains("10.78.0.0"),
        "{log}"
    );
    ensure!(names(&server.clients()?).len() == clients, "somebody left");
    told.disconnect()?;
    old.disconnect()?;
    server.stop()
}

#[test]
fn a_broken_configuration_is_refused_and_the_old_one_stays_in_force() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let mut client = OpenVpn::connect(&lab, 0, "steady", &server.profile_for(Proto::Udp, "steady")?)?;

    // A mistake in the file, with file, line and cure, for the log and for whoever asked.
    server.reload(|endpoints| {
        endpoints[0].set("vpn_port", "\"many\"");
    })?;
    logged(&mut server, "the reload is refused", 1)?;
    let log = server.process().log();
    ensure!(
        log.contains("culvert.toml:") && log.contains("should be a number"),
        "the mistake is not named:\n{log}"
    );
    let told = server
        .culvert(&["reload"])
        .err()
        .context("the broken configuration was taken")?;
    ensure!(told.to_string().contains("should be a number"), "{told:#}");

    // A mistake in a file it names; what would change beside it must not change either.
    let certificate = std::fs::read(lab.path("server.crt"))?;
    std::fs::write(lab.path("server.crt"), "nonsense")?;
    server.reload(|endpoints| {
        endpoints[0].set("vpn_port", "443");
        endpoints.push(second(1194));
    })?;
    logged(&mut server, "the reload is refused", 3)?;
    ensure!(
        server.process().log().contains("server.crt"),
        "the file is not named"
    );
    ensure!(devices(&lab)? == ["cvpn0"], "something was started");

    // A port somebody else has; the running endpoint is not stopped for it.
    std::fs::write(lab.path("server.crt"), certificate)?;
    let taken = lab.server.enter(|| Ok(UdpSocket::bind("0.0.0.0:1195")?))?;
    server.reload(|endpoints| {
        endpoints.truncate(1);
        endpoints[0].set("vpn_port", "1195");
    })?;
    logged(&mut server, "port 1195 on 0.0.0.0 is already in use", 1)?;
    drop(taken);

    ensure!(reachable(&lab.clients[0], HOST), "no traffic");
    undisturbed(&mut client)?;
    let late = OpenVpn::connect(&lab, 1, "late", &server.profile_for(Proto::Udp, "late")?)?;
    for client in [client, late] {
        client.disconnect()?;
    }
    server.stop()
}

#[test]
fn an_endpoint_comes_and_goes_beside_one_that_stays() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let mut stays = OpenVpn::connect(&lab, 0, "stays", &server.profile_for(Proto::Udp, "stays")?)?;

    server.reload(|endpoints| endpoints.push(second(1194)))?;
    logged(&mut server, "endpoint second started", 1)?;
    ensure!(devices(&lab)? == ["cvpn0", "cvpn1"], "each has a device");
    let mut goes = OpenVpn::connect(&lab, 1, "goes", &to_second(&server, "goes", 1194)?)?;
    wait_reachable(&lab.clients[1], HOST, SOON)?;

    server.reload(|endpoints| endpoints.truncate(1))?;
    goes.process().wait_for(TOLD_TO_LEAVE, SOON)?;
    logged(&mut server, "endpoint second removed", 1)?;
    ensure!(devices(&lab)? == ["cvpn0"], "its device was left behind");
    ensure!(
        names(&server.clients()?) == ["stays"],
        "its client is still listed"
    );
    ensure!(
        reachable(&lab.clients[0], HOST),
        "the endpoint that stays carries nothing"
    );
    undisturbed(&mut stays)?;
    goes.process().terminate()?;
    stays.disconnect()?;
    server.stop()
}

#[test]
fn a_changed_port_restarts_its_endpoint_only() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = Culvertd::plan(&lab).endpoint(second(1194)).start()?;
    let mut stays = OpenVpn::connect(&lab, 0, "stays", &server.profile_for(Proto::Udp, "stays")?)?;
    let mut moves = OpenVpn::connect(&lab, 1, "moves", &to_second(&server, "moves", 1194)?)?;
    server.reload(|endpoints| {
        endpoints[1].set("vpn_port", "1195");
    })?;
    moves.process().wait_for(TOLD_TO_LEAVE, SOON)?;
    logged(&mut server, "endpoint second restarted", 1)?;
    moves.process().terminate()?;
    let moved = OpenVpn::connect(&lab, 1, "moved", &to_second(&server, "moved", 1195)?)?;
    wait_reachable(&lab.clients[1], HOST, SOON)?;
    undisturbed(&mut stays)?;

    // The two change places: both stop before either starts.
    server.reload(|endpoints| {
        endpoints[0].set("vpn_port", "1195");
        endpoints[1].set("vpn_port", "443");
    })?;
    logged(&mut server, "endpoint lab restarted", 1)?;
    logged(&mut server, "endpoint second restarted", 2)?;
    // The client dials port 443 again, where it is given an address of the second endpoint now.
    stays.process().wait_for(TOLD_TO_LEAVE, SOON)?;
    let deadline = Instant::now() + CONNECT;
    while connections(&mut stays) < 2 {
        ensure!(Instant::now() < deadline, "it did not come back");
        std::thread::sleep(Duration::from_millis(100));
    }
    let IpAddr::V4(inside) = virtual_address(&stays)? else {
        anyhow::bail!("no IPv4 address");
    };
    ensure!(
        inside.octets()[1] == 67,
        "{inside} is of the endpoint that left the port"
    );
    drop((stays, moved));
    server.stop()
}

#[test]
fn two_endpoints_serve_side_by_side() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).endpoint(second(1194)).start()?;
    let first = OpenVpn::connect(&lab, 0, "first", &server.profile_for(Proto::Udp, "first")?)?;
    let other = server
        .profile_for(Proto::Tcp, "other")?
        .remote(IpAddr::V4(SERVER_V4), 1194);
    let other = OpenVpn::connect(&lab, 1, "other", &other)?;
    ensure!(devices(&lab)? == ["cvpn0", "cvpn1"], "each has its device");
    for (client, ns, net) in [(&first, 0, 66), (&other, 1, 67)] {
        let IpAddr::V4(inside) = virtual_address(client)? else {
            anyhow::bail!("no IPv4 address");
        };
        ensure!(inside.octets()[1] == net, "{inside} is of the other endpoint");
        wait_reachable(&lab.clients[ns], HOST, SOON)?;
    }
    for client in [first, other] {
        client.disconnect()?;
    }
    server.stop()
}

#[test]
fn the_users_file_counts_at_the_next_login_without_a_reload() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).with_user("alice", "correct horse").start()?;
    let mut attempts = 0;
    let mut login = |password: &str, expected: &str| -> Result<()> {
        attempts += 1;
        let file = lab.write("login", &format!("bob\n{password}\n"))?;
        let profile = Profile::new("udp", &server.ca()).line(&format!("auth-user-pass {}", file.display()));
        let mut client = OpenVpn::start(&lab, 0, &format!("bob{attempts}"), &profile)?;
        client.process().wait_for(expected, CONNECT)?;
        client.process().terminate().map(drop)
    };
    let refused = "AUTH: Received control message: AUTH_FAILED";
    login("first word", refused)?;
    server.user("add", "bob", Some("first word"))?;
    login("first word", CONNECTED)?;
    server.user("passwd", "bob", Some("second word"))?;
    login("first word", refused)?;
    login("second word", CONNECTED)?;
    server.user("remove", "bob", None)?;
    login("second word", refused)?;
    server.stop()
}

#[test]
fn a_full_tunnel_takes_everything() -> Result<()> {
    let lab = Lab::new(1)?;
    lab.clients[0].run("ip", &["route", "add", "default", "via", "10.9.0.1"])?;
    let server = Culvertd::plan(&lab)
        .set("split_tunnel", "false")
        .rule("0.0.0.0/0")
        .start()?;
    let mut client = OpenVpn::connect(&lab, 0, "full", &server.profile(Proto::Udp))?;
    let log = client.process().log();
    ensure!(
        log.contains("redirect-gateway def1"),
        "it was not told to send everything:\n{log}"
    );
    let routes = lab.clients[0].run("ip", &["route"])?;
    ensure!(
        routes.contains("0.0.0.0/1") && routes.contains("128.0.0.0/1"),
        "{routes}"
    );
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_certificate_that_ends_while_the_server_runs_is_refused() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let leaf = server.pki().client_valid_for("brief", 2)?;
    std::thread::sleep(Duration::from_secs(4));
    let client = OpenVpn::start(&lab, 0, "brief", &server.profile_with(Proto::Udp, &leaf))?;
    server.process().wait_for("expired", CONNECT)?;
    ensure!(server.clients()?.is_empty(), "it was let in");
    drop(client);
    server.stop()
}

#[test]
fn a_machine_with_ipv6_switched_off_serves_ipv4() -> Result<()> {
    let lab = Lab::new(1)?;
    lab.server
        .run("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"])?;
    let server = Culvertd::plan(&lab).start()?;
    let client = OpenVpn::connect(&lab, 0, "v4", &server.profile(Proto::Udp))?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    client.disconnect()?;
    server.stop()
}

/// Fails when a server that did not start left something on the machine.
fn nothing_left(lab: &Lab) -> Result<()> {
    ensure!(devices(lab)?.is_empty(), "a device was left behind");
    let tables = lab.server.run("nft", &["list", "tables"])?;
    ensure!(!tables.contains("culvert"), "a table was left behind: {tables}");
    let sockets = lab.server.run("ss", &["-Hlntu"])?;
    ensure!(!sockets.contains(":443"), "a socket was left behind: {sockets}");
    ensure!(
        !lab.path("run/culvert.sock").exists(),
        "the socket was left behind"
    );
    Ok(())
}

#[test]
fn a_mistake_in_the_configuration_stops_the_start_before_anything_is_touched() -> Result<()> {
    let lab = Lab::new(0)?;
    let plan = Culvertd::plan(&lab).set("vpn_prot", "1194");
    let (status, log) = plan.fail(|_| Ok(()))?;
    ensure!(status.code() == Some(78), "it ended with {status}");
    let line = log.lines().find(|line| line.contains("vpn_prot"));
    let line = line.with_context(|| format!("the mistake is not named:\n{log}"))?;
    ensure!(
        line.contains("culvert.toml:") && line.contains("vpn_port"),
        "place or cure is missing: {line}"
    );
    ensure!(!lab.path("run").exists(), "a folder was made");
    nothing_left(&lab)
}

#[test]
fn an_unusable_file_of_one_endpoint_stops_the_start_of_all() -> Result<()> {
    let lab = Lab::new(0)?;
    let mut broken = second(1194);
    broken.authentication("client_ca", "\"broken.crt\"");
    let plan = Culvertd::plan(&lab).endpoint(broken);
    let (status, log) = plan.fail(|dir| Ok(std::fs::write(dir.join("broken.crt"), "nonsense")?))?;
    ensure!(status.code() == Some(78), "it ended with {status}");
    ensure!(
        log.contains("second") && !log.contains("listening"),
        "something was started:\n{log}"
    );
    nothing_left(&lab)
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left_behind() -> Result<()> {
    let lab = Lab::new(0)?;
    let _taken = lab.server.enter(|| Ok(UdpSocket::bind("0.0.0.0:1194")?))?;
    let plan = Culvertd::plan(&lab).endpoint(second(1194));
    let (status, log) = plan.fail(|_| Ok(()))?;
    ensure!(status.code() == Some(1), "it ended with {status}");
    ensure!(
        log.contains("UDP port 1194 on 0.0.0.0 is already in use") && log.contains("ss -ulpn"),
        "the port is not named:\n{log}"
    );
    nothing_left(&lab)
}
