//! Authorization rules with real packets: the most specific rules decide, or all of them add up; a rule may be limited to
//! services; a route is needed besides, both directions are judged, and nobody speaks for somebody else.
#![cfg(feature = "netns")]

use std::net::IpAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::netns::Netns;
use culvert_tests::server::Proto;
use culvert_tests::traffic::{BulkServer, EchoServer, reachable, tcp_connects, udp_answers, wait_reachable};
use culvert_tests::{Culvertd, EndpointPlan, Lab, OpenVpn, Profile};

const HOST: IpAddr = IpAddr::V4(HOST_V4);
const SOON: Duration = Duration::from_secs(5);
/// How long an answer is waited for. Those that come, come within milliseconds.
const PATIENCE: Duration = Duration::from_millis(900);

/// The rules of the documented scenarios: network and group, or everybody.
const RULES: [(&str, Option<&str>); 8] = [
    ("172.16.0.0/24", Some("eng")),
    ("10.0.0.0/16", Some("dev")),
    ("0.0.0.0/0", Some("mgr")),
    ("10.0.2.119/32", Some("mgr")),
    ("172.16.0.128/25", Some("eng")),
    ("0.0.0.0/0", Some("eng")),
    ("192.168.0.0/24", Some("mgr")),
    ("0.0.0.0/0", None),
];

/// Who goes where.
const COLUMNS: [(&str, &str); 13] = [
    ("eng", "172.16.0.5"),
    ("eng", "172.16.0.200"),
    ("eng", "192.168.0.9"),
    ("eng", "203.0.113.7"),
    ("dev", "10.0.1.1"),
    ("dev", "10.0.2.119"),
    ("dev", "203.0.113.7"),
    ("mgr", "10.0.1.1"),
    ("mgr", "10.0.2.119"),
    ("mgr", "192.168.0.9"),
    ("mgr", "203.0.113.7"),
    ("admin", "203.0.113.7"),
    ("admin", "10.0.1.1"),
];

/// Which rules are active, and who reaches what then.
const ROWS: [(&[usize], &str); 7] = [
    (&[1, 2, 7], "yynnyynnnynnn"),
    (&[1, 2, 3], "yynnyynnnyynn"),
    (&[1, 2, 3, 4], "yynnynnnyyynn"),
    (&[1, 2, 3, 4, 5], "yynnynnnyyynn"),
    (&[1, 2, 3, 4, 5, 6], "yyyyynnnyyynn"),
    (&[1, 2, 3, 4, 5, 6, 7], "yynyynnnyyynn"),
    (&[1, 2, 3, 4, 5, 6, 7, 8], "yynyynynyyyyn"),
];

/// The same where rules are additive: what any rule allows is allowed.
const ADDITIVE_ROWS: [(&[usize], &str); 5] = [
    (&[1, 2, 7], "yynnyynnnynnn"),
    (&[1, 2, 3], "yynnyynyyyynn"),
    (&[1, 2, 3, 4, 5], "yynnyynyyyynn"),
    (&[1, 2, 3, 4, 5, 6], "yyyyyynyyyynn"),
    (&[1, 2, 3, 4, 5, 6, 7, 8], "yyyyyyyyyyyyy"),
];

/// Rules that are limited: network, group or everybody, and services. TCP is asked for on port 5001, UDP on port 5002.
const LIMITED: [(&str, Option<&str>, &[&str]); 6] = [
    ("10.0.0.0/16", Some("dev"), &["tcp", "5002/udp"]),
    ("10.0.2.0/24", None, &["5000-5001/tcp", "icmp"]),
    ("172.16.0.0/24", None, &["5002/udp"]),
    ("172.16.0.128/25", Some("eng"), &["5001/tcp"]),
    ("192.168.0.0/24", Some("mgr"), &["5002-65535/tcp", "5001/udp"]),
    ("203.0.113.0/24", Some("eng"), &["icmp"]),
];

/// Who goes where with what: both, TCP, UDP, or neither.
const SERVICES: [(&str, &str, &str, &str); 9] = [
    // Longest prefix, and additive.
    ("eng", "172.16.0.5", "u", "u"),
    ("eng", "172.16.0.200", "t", "b"),
    ("dev", "172.16.0.200", "n", "u"),
    ("dev", "10.0.1.1", "b", "b"),
    ("dev", "10.0.2.119", "t", "b"),
    ("mgr", "10.0.2.119", "t", "t"),
    ("mgr", "10.0.1.1", "n", "n"),
    ("mgr", "192.168.0.9", "n", "n"),
    ("eng", "203.0.113.7", "n", "n"),
];

/// The groups, each the name of its only user, who has the client machine of the same position.
const USERS: [&str; 4] = ["eng", "dev", "mgr", "admin"];

/// Networks behind the host, and its addresses in them.
const BEHIND: [(&str, &[&str]); 4] = [
    ("172.16.0.0/24", &["172.16.0.5", "172.16.0.200"]),
    ("10.0.0.0/16", &["10.0.1.1", "10.0.2.119"]),
    ("192.168.0.0/24", &["192.168.0.9"]),
    ("203.0.113.0/24", &["203.0.113.7"]),
];

/// Gives the host an address in a network that the server reaches through it.
fn behind(lab: &Lab, network: &str, addresses: &[&str]) -> Result<()> {
    for address in addresses {
        lab.host
            .run("ip", &["addr", "add", &format!("{address}/32"), "dev", "lo"])?;
    }
    let via = HOST_V4.to_string();
    lab.server.run("ip", &["route", "add", network, "via", &via])?;
    Ok(())
}

/// Sets the active rules of the table, by their numbers.
fn activate(endpoint: &mut EndpointPlan, active: &[usize]) {
    endpoint.deny_all();
    for number in active {
        match RULES[number - 1] {
            (network, Some(group)) => endpoint.group_rule(network, group),
            (network, None) => endpoint.rule(network),
        };
    }
}

/// Changes the endpoint, and waits until the server has taken it.
fn reload(server: &mut Culvertd, change: impl FnOnce(&mut EndpointPlan)) -> Result<()> {
    const DONE: &str = "the configuration was reloaded";
    let before = server.process().log().matches(DONE).count();
    server.reload(|endpoints| change(&mut endpoints[0]))?;
    let deadline = Instant::now() + SOON;
    while server.process().log().matches(DONE).count() <= before {
        ensure!(
            Instant::now() < deadline,
            "no reload:\n{}",
            culvert_tests::process::tail(&server.process().log())
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn login(lab: &Lab, server: &Culvertd, name: &str) -> Result<Profile> {
    let path = lab.write(&format!("{name}.login"), &format!("{name}\nright\n"))?;
    Ok(Profile::new("udp", &server.ca()).line(&format!("auth-user-pass {}", path.display())))
}

/// Asks from a machine, over TCP and over UDP, without waiting for the answers.
fn ask(ns: &Netns, to: IpAddr) -> Result<JoinHandle<Result<[bool; 2]>>> {
    ns.spawn(move || Ok([tcp_connects(to, PATIENCE)?, udp_answers(to, PATIENCE)?]))
}

/// All users, connected to an endpoint without rules, and servers wherever they might go.
struct Table {
    server: Culvertd,
    clients: Vec<OpenVpn>,
    _bulk: BulkServer,
    _echoes: Vec<EchoServer>,
}

impl Table {
    fn start(lab: &Lab) -> Result<Self> {
        let bulk = BulkServer::start(&lab.host)?;
        let mut echoes = Vec::new();
        let mut plan = Culvertd::plan(lab).deny_all();
        for (network, addresses) in BEHIND {
            behind(lab, network, addresses)?;
            plan = plan.network(network);
            for address in addresses {
                echoes.push(EchoServer::start_on(&lab.host, address.parse()?)?);
            }
        }
        for user in USERS {
            plan = plan.with_member(user, "right", &[user]);
        }
        let server = plan.start()?;
        let mut clients = Vec::new();
        for (index, user) in USERS.iter().enumerate() {
            clients.push(OpenVpn::connect(lab, index, user, &login(lab, &server, user)?)?);
        }
        Ok(Self {
            server,
            clients,
            _bulk: bulk,
            _echoes: echoes,
        })
    }

    fn stop(self) -> Result<()> {
        ensure!(
            self.server.drops("data.not_authorized")? > 0,
            "no drop was counted"
        );
        for client in self.clients {
            ensure!(
                client.times_connected() == 1,
                "a change of rules ended a connection"
            );
            client.disconnect()?;
        }
        self.server.stop()
    }
}

#[test]
fn the_golden_table_holds_for_packets_of_tcp_and_udp() -> Result<()> {
    let lab = Lab::new(USERS.len())?;
    let mut table = Table::start(&lab)?;
    for (active, expected) in ROWS {
        reload(&mut table.server, |endpoint| activate(endpoint, active))?;
        check_row(&lab, active, expected)?;
    }
    for (active, expected) in ADDITIVE_ROWS {
        reload(&mut table.server, |endpoint| {
            endpoint.set("rule_evaluation", "\"additive\"");
            activate(endpoint, active);
        })?;
        check_row(&lab, active, expected).context("additive")?;
    }
    table.stop()
}

#[test]
fn rules_are_limited_to_their_services() -> Result<()> {
    let lab = Lab::new(USERS.len())?;
    let mut table = Table::start(&lab)?;
    let limited = |endpoint: &mut EndpointPlan| {
        endpoint.deny_all();
        for (network, group, services) in LIMITED {
            endpoint.limited_rule(network, group, services);
        }
    };
    reload(&mut table.server, limited)?;
    check_services(&lab, false)?;
    // Fragments of what is allowed get through, there and back.
    let pings = |user: usize, to: &str, size: &str| {
        let ping = ["-n", "-c", "1", "-W", "1", "-s", size, to];
        lab.clients[user].run("ping", &ping).is_ok()
    };
    for size in ["56", "5000"] {
        ensure!(pings(0, "203.0.113.7", size), "{size} bytes of ICMP");
        ensure!(!pings(1, "10.0.1.1", size), "{size} bytes of ICMP without a rule");
    }
    let socket = lab.clients[0].enter(|| Ok(std::net::UdpSocket::bind("0.0.0.0:0")?))?;
    socket.connect(("172.16.0.5", culvert_tests::traffic::ECHO_PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&[7; 4000])?;
    let answer = socket.recv(&mut [0; 8000]);
    ensure!(answer.is_ok(), "no answer to a datagram in fragments");
    // Nobody begins a connection with whoever may only begin some, whatever port it comes from.
    let eng = table.clients[0]
        .virtual_v4()
        .context("no address was pushed")?
        .to_string();
    let before = table.server.drops("data.not_authorized_reverse")?;
    let ping = ["-n", "-c", "1", "-W", "1", "-I", "203.0.113.7", &eng];
    ensure!(lab.host.run("ping", &ping).is_err(), "the host may ping");
    let counted = table.server.drops("data.not_authorized_reverse")? - before;
    ensure!(counted == 1, "{counted} drops were counted instead of 1");

    reload(&mut table.server, |endpoint| {
        endpoint.set("rule_evaluation", "\"additive\"");
    })?;
    check_services(&lab, true)?;
    table.stop()
}

fn check_services(lab: &Lab, additive: bool) -> Result<()> {
    let mut asked = Vec::new();
    for (user, to, _, _) in SERVICES {
        let index = USERS.iter().position(|other| *other == user);
        asked.push(ask(&lab.clients[index.context("no such user")?], to.parse()?)?);
    }
    for (answer, (user, to, longest, added)) in asked.into_iter().zip(SERVICES) {
        let answer = answer.join().map_err(|_| anyhow::anyhow!("panicked"))?;
        let met = match answer.with_context(|| format!("{user} to {to}"))? {
            [true, true] => "b",
            [true, false] => "t",
            [false, true] => "u",
            [false, false] => "n",
        };
        let expected = if additive { added } else { longest };
        ensure!(
            met == expected,
            "additive {additive}: {user} to {to}: {met} instead of {expected}"
        );
    }
    Ok(())
}

fn check_row(lab: &Lab, active: &[usize], expected: &str) -> Result<()> {
    let mut asked = Vec::new();
    for (user, to) in COLUMNS {
        let index = USERS.iter().position(|other| *other == user);
        let machine = &lab.clients[index.context("no such user")?];
        asked.push(ask(machine, to.parse()?)?);
    }
    for ((answer, (user, to)), expected) in asked.into_iter().zip(COLUMNS).zip(expected.chars()) {
        let answer = answer.join().map_err(|_| anyhow::anyhow!("panicked"))?;
        let [tcp, udp] = answer.with_context(|| format!("{user} to {to}"))?;
        let expected = expected == 'y';
        ensure!(
            tcp == expected && udp == expected,
            "rules {active:?}: {user} to {to}: TCP {tcp}, UDP {udp}, expected {expected}"
        );
    }
    Ok(())
}

#[test]
fn a_connection_that_was_allowed_ends_with_its_rule() -> Result<()> {
    let lab = Lab::new(1)?;
    let _echo = EchoServer::start(&lab.host)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let client = OpenVpn::connect(&lab, 0, "client", &server.profile(Proto::Udp))?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    // The same socket all along: a flow that was judged once is judged again.
    let socket = lab.clients[0].enter(|| Ok(std::net::UdpSocket::bind("0.0.0.0:0")?))?;
    socket.connect((HOST, culvert_tests::traffic::ECHO_PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let answered = || {
        drop(socket.send(b"still there?"));
        socket.recv(&mut [0; 64]).is_ok()
    };
    ensure!(answered(), "no answer while the rule was there");
    reload(&mut server, |endpoint| {
        endpoint.deny_all();
    })?;
    ensure!(!answered(), "an answer without a rule");
    reload(&mut server, |endpoint| {
        endpoint.rule("10.77.0.0/24");
    })?;
    ensure!(answered(), "no answer after the rule came back");
    client.disconnect()?;
    server.stop()
}

/// Whoever may not go somewhere is not reached from there either; whoever may, is.
#[test]
fn hosts_reach_those_clients_that_may_reach_them() -> Result<()> {
    let lab = Lab::new(2)?;
    behind(&lab, "172.16.0.0/24", &["172.16.0.5"])?;
    let plan = Culvertd::plan(&lab)
        .network("172.16.0.0/24")
        .with_member("eng", "right", &["eng"])
        .with_member("dev", "right", &["dev"])
        .only_group("172.16.0.0/24", "eng");
    let server = plan.start()?;
    let eng = OpenVpn::connect(&lab, 0, "eng", &login(&lab, &server, "eng")?)?;
    let dev = OpenVpn::connect(&lab, 1, "dev", &login(&lab, &server, "dev")?)?;
    let address = |client: &OpenVpn| client.virtual_v4().context("no address was pushed");
    let (to_eng, to_dev) = (address(&eng)?, address(&dev)?);
    let from = |source: &str, to: IpAddr| {
        let to = to.to_string();
        lab.host
            .run("ping", &["-n", "-c", "1", "-W", "1", "-I", source, &to])
            .is_ok()
    };
    ensure!(
        from("172.16.0.5", to_eng),
        "the host does not reach who may reach it"
    );
    let before = server.drops("data.not_authorized_reverse")?;
    ensure!(
        !from("172.16.0.5", to_dev),
        "the host reaches who may not reach it"
    );
    ensure!(
        !from("10.77.0.2", to_eng),
        "the host reaches a client from an address that it may not reach"
    );
    let counted = server.drops("data.not_authorized_reverse")? - before;
    ensure!(counted == 2, "{counted} drops were counted instead of 2");
    eng.disconnect()?;
    dev.disconnect()?;
    server.stop()
}

#[test]
fn packets_from_a_forged_inner_address_are_dropped_and_counted() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).start()?;
    let victim = OpenVpn::connect(&lab, 0, "victim", &server.profile_for(Proto::Udp, "victim")?)?;
    let forger = OpenVpn::connect(&lab, 1, "forger", &server.profile_for(Proto::Udp, "forger")?)?;
    wait_reachable(&lab.clients[1], HOST, SOON)?;
    let stolen = victim.virtual_v4().context("no address was pushed")?.to_string();
    // Of another client, of nobody, of the host's own network, and the forger's outside the tunnel.
    let sources = [stolen.as_str(), "10.66.0.200", "10.77.0.99", "10.9.1.2"];
    for source in sources {
        if source != "10.9.1.2" {
            let address = format!("{source}/32");
            lab.clients[1].run("ip", &["addr", "add", &address, "dev", "tun0"])?;
        }
        let before = server.drops("data.source_address")?;
        let ping = ["-n", "-c", "3", "-i", "0.2", "-W", "1", "-I", source, "10.77.0.2"];
        ensure!(
            lab.clients[1].run("ping", &ping).is_err(),
            "a ping from {source} was answered"
        );
        let counted = server.drops("data.source_address")? - before;
        ensure!(counted == 3, "{counted} of 3 packets from {source} were counted");
    }
    ensure!(
        reachable(&lab.clients[1], HOST),
        "the forger's own address is shut out"
    );
    ensure!(reachable(&lab.clients[0], HOST), "the victim is shut out");
    victim.disconnect()?;
    forger.disconnect()?;
    server.stop()
}

#[test]
fn a_rule_and_a_route_are_both_needed() -> Result<()> {
    let lab = Lab::new(1)?;
    behind(&lab, "172.20.0.0/24", &["172.20.0.1"])?;
    behind(&lab, "172.21.0.0/24", &["172.21.0.1"])?;
    let mut server = Culvertd::plan(&lab)
        .network("172.20.0.0/24")
        .rule("172.21.0.0/24")
        .start()?;
    // The client sends both there, whatever it is told.
    let profile = server
        .profile(Proto::Udp)
        .line("route 172.20.0.0 255.255.255.0")
        .line("route 172.21.0.0 255.255.255.0");
    let client = OpenVpn::connect(&lab, 0, "client", &profile)?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    let (routed, ruled): (IpAddr, IpAddr) = ("172.20.0.1".parse()?, "172.21.0.1".parse()?);
    ensure!(!reachable(&lab.clients[0], routed), "a route suffices");
    ensure!(!reachable(&lab.clients[0], ruled), "a rule suffices");
    reload(&mut server, |endpoint| {
        endpoint.rule("172.20.0.0/24");
    })?;
    ensure!(
        reachable(&lab.clients[0], routed),
        "a rule and a route do not suffice"
    );
    reload(&mut server, |endpoint| {
        endpoint.network("172.21.0.0/24");
    })?;
    wait_reachable(&lab.clients[0], ruled, SOON)?;
    client.disconnect()?;
    server.stop()
}
