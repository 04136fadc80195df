//! Every kernel offload switched on and off, in a covering set of combinations: whatever the kernel does for the packet
//! path, what arrives must be what was sent, in order and with correct checksums.
//!
//! The settings make 768 combinations. A fault in one offload shows whatever the others do, and one between two offloads, or
//! an offload and an MTU, shows where both meet; so [`ROWS`] is a covering array of strength two: any two values of two
//! settings are met in some row. Only values that have an effect count: datagram offloads have none over TCP, and the
//! offloads of the TUN device none without super-packets. A test checks that no pair is missing.
//!
//! Each row also shows that super-packets and joined datagrams are on their way where they should be, and nowhere else. One
//! is not met here: the stock client sends datagrams one by one, so the kernel has nothing to join for `udp_gro`. How joined
//! datagrams are received is tested in culvert-transport.
#![cfg(feature = "netns")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use culvert_tests::capture::{Capture, Captured};
use culvert_tests::counters::tcp_reordered;
use culvert_tests::datagrams::{Trains, send_trains};
use culvert_tests::lab::{HOST_V4, HOST_V6};
use culvert_tests::netns::Netns;
use culvert_tests::process::Logged;
use culvert_tests::server::Proto;
use culvert_tests::traffic::{BulkServer, transfer, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn};
use serde_json::Value;

const SWITCHES: [&str; 5] = ["udp_gro", "udp_gso", "tun", "tun_udp", "tun_join"];
const MTUS: [u16; 3] = [1280, 1500, 9000];

/// One combination of settings.
#[derive(Clone, Copy, Debug)]
struct Row {
    proto: Proto,
    mtu: u16,
    moderation: &'static str,
    ack_filter: bool,
    switches: [bool; 5],
}

const fn row(proto: Proto, mtu: u16, moderation: &'static str, ack_filter: bool, switches: [bool; 5]) -> Row {
    Row {
        proto,
        mtu,
        moderation,
        ack_filter,
        switches,
    }
}

const ON: bool = true;
const OFF: bool = false;

const ROWS: [Row; 11] = [
    row(Proto::Udp, 1500, "200us", ON, [ON, ON, ON, ON, ON]),
    row(Proto::Tcp, 9000, "200us", OFF, [ON, ON, ON, ON, ON]),
    row(Proto::Udp, 1280, "off", OFF, [OFF, OFF, ON, OFF, OFF]),
    row(Proto::Udp, 9000, "1ms", OFF, [ON, OFF, ON, OFF, OFF]),
    row(Proto::Udp, 9000, "off", ON, [OFF, ON, OFF, OFF, OFF]),
    row(Proto::Udp, 1500, "off", OFF, [OFF, OFF, ON, ON, ON]),
    row(Proto::Udp, 1280, "off", OFF, [ON, ON, ON, ON, OFF]),
    row(Proto::Tcp, 1500, "off", ON, [OFF, ON, ON, OFF, OFF]),
    row(Proto::Tcp, 1280, "1ms", OFF, [ON, OFF, OFF, OFF, ON]),
    row(Proto::Udp, 1500, "off", ON, [ON, OFF, OFF, OFF, ON]),
    row(Proto::Udp, 1280, "1ms", ON, [OFF, ON, ON, OFF, ON]),
];

const BULK: u64 = 10_000_000;
const TRAINS: u32 = 40;
/// Times segments of TCP may pass each other in a row: a flow that moves to another worker does it once.
const REORDERED: u64 = 3;

impl Row {
    /// The settings that have an effect in this row.
    fn effective(&self) -> Vec<(&'static str, u16)> {
        let [_, _, tun, _, _] = self.switches;
        let udp = self.proto == Proto::Udp;
        let mut effective = vec![
            ("transport", u16::from(udp)),
            ("tun_mtu", self.mtu),
            ("moderation", u16::from(self.moderation != "off")),
            ("ack_filter", u16::from(self.ack_filter)),
        ];
        for (name, on) in SWITCHES.into_iter().zip(self.switches) {
            let counts = match name {
                "tun" => true,
                _ if name.starts_with("udp") => udp,
                _ => tun,
            };
            effective.extend(counts.then_some((name, u16::from(on))));
        }
        effective
    }

    /// Any two of them.
    fn pairs(&self) -> BTreeSet<[(&'static str, u16); 2]> {
        let effective = self.effective();
        let others = |one: usize| effective.iter().skip(one + 1);
        let pairs = effective.iter().enumerate();
        pairs
            .flat_map(|(at, one)| others(at).map(|other| [*one, *other]))
            .collect()
    }

    /// Every combination there is.
    fn all() -> impl Iterator<Item = Self> {
        let transports = [Proto::Udp, Proto::Tcp].into_iter();
        let mtus = move |proto| MTUS.into_iter().map(move |mtu| (proto, mtu));
        transports.flat_map(mtus).flat_map(|(proto, mtu)| {
            (0..128u8).map(move |bits| {
                let moderation = if bits & 32 == 0 { "off" } else { "200us" };
                let switches = std::array::from_fn(|switch| bits >> switch & 1 == 1);
                row(proto, mtu, moderation, bits & 64 != 0, switches)
            })
        })
    }
}

#[test]
fn any_two_values_are_met_in_some_row() {
    let met: BTreeSet<_> = ROWS.iter().flat_map(Row::pairs).collect();
    let missing: Vec<_> = Row::all()
        .flat_map(|row| row.pairs())
        .filter(|pair| !met.contains(pair))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

macro_rules! rows {
    ($($name:ident: $number:literal),* $(,)?) => {
        $(#[test]
        fn $name() -> Result<()> {
            run(&ROWS[$number])
        })*

        #[test]
        fn every_row_is_run() {
            assert_eq!([$($number),*], std::array::from_fn::<usize, { ROWS.len() }, _>(|row| row));
        }
    };
}

rows! {
    row_00_is_kept: 0, row_01_is_kept: 1, row_02_is_kept: 2, row_03_is_kept: 3, row_04_is_kept: 4, row_05_is_kept: 5,
    row_06_is_kept: 6, row_07_is_kept: 7, row_08_is_kept: 8, row_09_is_kept: 9, row_10_is_kept: 10,
}

/// A lab, a server with the settings of a row, and its client, of which all links carry the packets of its MTU.
struct Setup {
    server: Culvertd,
    client: OpenVpn,
}

impl Setup {
    fn start(lab: &Lab, row: &Row) -> Result<Self> {
        complete_before_capture(lab)?;
        let switches = SWITCHES.into_iter().zip(row.switches);
        let lines: Vec<String> = switches.map(|(name, on)| format!("{name} = {on}\n")).collect();
        let daemon = format!(
            "moderation = \"{}\"
ack_filter = {}
[offload]
{}",
            row.moderation,
            row.ack_filter,
            lines.concat()
        );
        let mut plan = Culvertd::plan(lab)
            .daemon(&daemon)
            .set("client_ipv6_cidr_block", "\"fd66::/64\"")
            .set("tun_mtu", &row.mtu.to_string())
            .target("fd77::/64");
        let jumbo = row.mtu > 1500;
        if jumbo {
            lab.set_link_mtu(row.mtu + 200)?;
            plan = plan.set("mssfix", "false");
        }
        let server = plan.start()?;
        let mut profile = server.profile(row.proto).line("dev tun9");
        if jumbo {
            profile = profile.line("mssfix 0").line(&format!("tun-mtu-max {}", row.mtu));
        }
        let client = OpenVpn::connect(lab, 0, "client", &profile)?;
        let link = lab.clients[0].run("ip", &["link", "show", "dev", "tun9"])?;
        ensure!(
            link.contains(&format!("mtu {} ", row.mtu)),
            "the client has {link}"
        );
        Ok(Self { server, client })
    }

    fn stop(self) -> Result<()> {
        self.client.disconnect()?;
        self.server.stop()
    }
}

fn run(row: &Row) -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let setup = Setup::start(&lab, row)?;
    check_status(&setup.server, row.switches)?;
    let machine = &lab.clients[0];
    wait_reachable(machine, IpAddr::V4(HOST_V4), Duration::from_secs(10))?;
    wait_reachable(machine, IpAddr::V6(HOST_V6), Duration::from_secs(10))?;

    let from_host = "src net 10.77.0.0/24 or src net fd77::/64";
    let down = Capture::start(&lab, machine, "tun9", from_host, "down")?;
    let from_client = "src net 10.66.0.0/24 or src net fd66::/64";
    let up = Capture::start(&lab, &lab.host, "lan0", from_client, "up")?;
    let joined = format!("udp and greater {}", row.mtu + 200);
    let outside = Capture::start(&lab, &lab.server, "wan0", &joined, "outside")?;
    let larger = format!("greater {}", row.mtu + 1);
    let between = Capture::start(&lab, &lab.server, "cvpn0", &larger, "between")?;
    transfer(machine, IpAddr::V4(HOST_V4), BULK)?;
    transfer(machine, IpAddr::V6(HOST_V6), BULK)?;
    download(&lab)?;
    trains(&lab, &setup.server, row.mtu)?;
    down.stop()?.check_sums()?;
    up.stop()?.check_sums()?;
    check_super_packets(&between.stop()?, row.switches)?;
    check_trains(&outside.stop()?, row)?;
    for sender in [machine, &lab.host] {
        let times = tcp_reordered(sender)?;
        ensure!(
            times <= REORDERED,
            "segments from {} passed each other {times} times",
            sender.name()
        );
    }
    setup.stop()
}

/// Lets the kernel cut packets for the host and complete their checksums before they are captured there: what it would
/// leave to a network card is wrong in a capture although nothing is wrong with it. What the host sends stays uncut, so
/// that the server gets super-packets.
fn complete_before_capture(lab: &Lab) -> Result<()> {
    let off = |ns: &Netns, what: &[&str]| ns.run("ethtool", &[&["-K", "lan0"], what].concat());
    off(&lab.server, &["tx", "off", "tso", "off", "gso", "off"])?;
    off(&lab.host, &["gro", "off"])?;
    Ok(())
}

/// Joined datagrams left for the client where they should have, and only there.
fn check_trains(captured: &Captured, row: &Row) -> Result<()> {
    let [_, gso, ..] = row.switches;
    let expected = gso && row.proto == Proto::Udp;
    let seen = captured.has_udp(["198.51.100.", "2001:db8:"]);
    ensure!(
        seen == expected,
        "joined datagrams to the client: {seen}, but {expected} was expected"
    );
    Ok(())
}

/// Packets larger than the MTU crossed the TUN device where they should have, and only there. Without this, a test that
/// never sees a super-packet would be content.
fn check_super_packets(captured: &Captured, switches: [bool; 5]) -> Result<()> {
    let [_, _, tun, udp, join] = switches;
    let (host, client) = (["10.77.", "fd77:"], ["10.66.", "fd66:"]);
    for (what, seen, expected) in [
        ("TCP from the host", captured.has_tcp(host), tun),
        ("UDP from the host", captured.has_udp(host), tun && udp),
        ("TCP from the client", captured.has_tcp(client), tun && join),
        (
            "UDP from the client",
            captured.has_udp(client),
            tun && udp && join,
        ),
    ] {
        ensure!(
            seen == expected,
            "super-packets of {what}: {seen}, but {expected} was expected"
        );
    }
    Ok(())
}

/// The server tells of each offload what was asked for.
fn check_status(server: &Culvertd, switches: [bool; 5]) -> Result<()> {
    let status: Value = serde_json::from_str(&server.culvert(&["status", "--json"])?)?;
    let [_, _, tun, _, _] = switches;
    for (name, on) in SWITCHES.iter().zip(switches) {
        let needs_tun = name.starts_with("tun");
        let expected = if on && (tun || !needs_tun) { "on" } else { "off" };
        let found = &status["endpoints"][0]["offload"][name];
        ensure!(found == expected, "{name} is {found}, not {expected:?}");
    }
    Ok(())
}

/// A file over HTTP is the same at both ends.
fn download(lab: &Lab) -> Result<()> {
    let file: Vec<u8> = (0..8_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let folder = lab.path("www");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("file"), &file)?;
    let mut command = lab.host.command("python3");
    command
        .args([
            "-u",
            "-m",
            "http.server",
            "8080",
            "--bind",
            "0.0.0.0",
            "--directory",
        ])
        .arg(&folder);
    let mut server = Logged::start("http.server", command, &lab.path("www.log"))?;
    server.wait_for("Serving HTTP", Duration::from_secs(10))?;
    let got = lab.path("got");
    let url = format!("http://{HOST_V4}:8080/file");
    lab.clients[0].run(
        "curl",
        &["-sSf", "-m", "60", "-o", &got.display().to_string(), &url],
    )?;
    ensure!(std::fs::read(&got)? == file, "the download arrived damaged");
    Ok(())
}

/// Trains of datagrams arrive whole and in order, both ways, over IPv4 and IPv6.
fn trains(lab: &Lab, server: &Culvertd, mtu: u16) -> Result<()> {
    let clients = server.clients()?;
    let client = clients.first().context("no client is listed")?;
    let address = |key: &str| -> Result<IpAddr> {
        Ok(client[key]
            .as_str()
            .context("the client has no such address")?
            .parse()?)
    };
    let machine = &lab.clients[0];
    let trains = Trains {
        count: TRAINS,
        // Odd, and with the headers of the tunnel it fits the link.
        size: usize::from(mtu) - 149,
    };
    let sent = trains.datagrams();
    for (host, client) in [
        (IpAddr::V4(HOST_V4), address("virtual_v4")?),
        (IpAddr::V6(HOST_V6), address("virtual_v6")?),
    ] {
        let up = send_trains(machine, &lab.host, SocketAddr::new(host, 6000), trains)?;
        let down = send_trains(&lab.host, machine, SocketAddr::new(client, 6000), trains)?;
        // Each train waits for the one before, so a busy machine may lose a few, but not more.
        ensure!(
            up.count > sent * 9 / 10 && down.count > sent * 9 / 10,
            "of {sent} datagrams went up to {host} {up:?} and down to {client} {down:?}\n{}",
            server.culvert(&["status"])?
        );
    }
    Ok(())
}
