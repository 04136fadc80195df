//! Every kernel offload switched on and off, in a covering set of combinations: whatever the kernel does for the packet
//! path, what arrives must be what was sent, in order and with correct checksums.
#![cfg(feature = "netns")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use culvert_tests::datagrams::send_trains;
use culvert_tests::lab::{HOST_V4, HOST_V6};
use culvert_tests::netns::Netns;
use culvert_tests::process::Logged;
use culvert_tests::server::Proto;
use culvert_tests::traffic::{BulkServer, transfer, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn};
use serde_json::Value;

const SWITCHES: [&str; 5] = ["udp_gro", "udp_gso", "tun", "tun_udp", "tun_join"];

/// The states of the switches. Any two of them are met in all four combinations.
const ROWS: [[bool; 5]; 6] = [
    [true, true, true, true, true],
    [false, false, false, false, true],
    [false, false, false, true, false],
    [false, true, true, false, false],
    [true, false, true, false, false],
    [true, true, false, false, false],
];

const BULK: u64 = 10_000_000;
const TRAINS: u32 = 60;
const DATAGRAMS: u32 = TRAINS * 30;

#[test]
fn any_two_switches_are_met_in_all_combinations() {
    for one in 0..SWITCHES.len() {
        for other in 0..one {
            let mut met: Vec<_> = ROWS.iter().map(|row| (row[one], row[other])).collect();
            met.sort_unstable();
            met.dedup();
            assert_eq!(met.len(), 4, "{} and {}", SWITCHES[one], SWITCHES[other]);
        }
    }
}

#[test]
fn all_on_over_udp() -> Result<()> {
    row(0, 1500, Proto::Udp)
}

#[test]
fn all_on_over_tcp() -> Result<()> {
    row(0, 1600, Proto::Tcp)
}

#[test]
fn row_1_over_tcp_with_the_smallest_mtu() -> Result<()> {
    row(1, 1280, Proto::Tcp)
}

#[test]
fn row_2_over_udp_with_the_largest_mtu() -> Result<()> {
    row(2, 1600, Proto::Udp)
}

#[test]
fn row_3_over_tcp() -> Result<()> {
    row(3, 1500, Proto::Tcp)
}

#[test]
fn row_3_over_udp_with_the_largest_mtu() -> Result<()> {
    row(3, 1600, Proto::Udp)
}

#[test]
fn row_4_over_udp_with_the_smallest_mtu() -> Result<()> {
    row(4, 1280, Proto::Udp)
}

#[test]
fn row_5_over_udp() -> Result<()> {
    row(5, 1500, Proto::Udp)
}

fn row(number: usize, mtu: u16, proto: Proto) -> Result<()> {
    let switches = ROWS[number];
    let lab = Lab::new(1)?;
    complete_before_capture(&lab)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let lines: Vec<String> = SWITCHES
        .iter()
        .zip(switches)
        .map(|(name, on)| format!("{name} = {on}\n"))
        .collect();
    let server = Culvertd::plan(&lab)
        .daemon(&format!("[offload]\n{}", lines.concat()))
        .set("client_ipv6_cidr_block", "\"fd66::/64\"")
        .set("tun_mtu", &mtu.to_string())
        .target("fd77::/64")
        .start()?;
    check_status(&server, switches)?;
    let client = OpenVpn::connect(&lab, 0, "client", &server.profile(proto).line("dev tun9"))?;
    let machine = &lab.clients[0];
    wait_reachable(machine, IpAddr::V4(HOST_V4), Duration::from_secs(10))?;
    wait_reachable(machine, IpAddr::V6(HOST_V6), Duration::from_secs(10))?;

    let mut down = capture(
        &lab,
        machine,
        "tun9",
        "src net 10.77.0.0/24 or src net fd77::/64",
        "down",
    )?;
    let mut up = capture(
        &lab,
        &lab.host,
        "lan0",
        "src net 10.66.0.0/24 or src net fd66::/64",
        "up",
    )?;
    transfer(machine, IpAddr::V4(HOST_V4), BULK)?;
    transfer(machine, IpAddr::V6(HOST_V6), BULK)?;
    download(&lab)?;
    trains(&lab, &server)?;
    for captured in [&mut down, &mut up] {
        captured.terminate()?;
        check_capture(&captured.log())?;
    }
    client.disconnect()?;
    server.stop()
}

/// Lets the kernel cut packets and complete checksums before they are captured: what it would leave to a network card is
/// wrong in a capture although nothing is wrong with it.
fn complete_before_capture(lab: &Lab) -> Result<()> {
    for namespace in [&lab.server, &lab.host] {
        let off = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"];
        namespace.run("ethtool", &[&["-K", "lan0"], &off[..]].concat())?;
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

fn capture(lab: &Lab, namespace: &Netns, device: &str, filter: &str, name: &str) -> Result<Logged> {
    let mut command = namespace.command("tcpdump");
    command.args(["-n", "-vv", "-i", device, filter]);
    let mut capture = Logged::start("tcpdump", command, &lab.path(&format!("{name}.dump")))?;
    capture.wait_for("listening on", Duration::from_secs(10))?;
    Ok(capture)
}

/// Enough packets of both protocols were seen, and every checksum was right.
fn check_capture(text: &str) -> Result<()> {
    let wrong = text.lines().find(|line| {
        line.contains("(incorrect") || line.contains("bad udp cksum") || line.contains("bad cksum")
    });
    ensure!(
        wrong.is_none(),
        "a checksum is wrong: {}",
        wrong.unwrap_or_default()
    );
    for right in ["(correct)", "udp sum ok"] {
        let seen = text.matches(right).count();
        ensure!(seen > 100, "only {seen} packets with {right:?} were captured");
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
fn trains(lab: &Lab, server: &Culvertd) -> Result<()> {
    let clients = server.clients()?;
    let client = clients.first().context("no client is listed")?;
    let address = |key: &str| -> Result<IpAddr> {
        Ok(client[key]
            .as_str()
            .context("the client has no such address")?
            .parse()?)
    };
    let machine = &lab.clients[0];
    for (host, client) in [
        (IpAddr::V4(HOST_V4), address("virtual_v4")?),
        (IpAddr::V6(HOST_V6), address("virtual_v6")?),
    ] {
        let up = send_trains(machine, &lab.host, SocketAddr::new(host, 6000), TRAINS)?;
        let down = send_trains(&lab.host, machine, SocketAddr::new(client, 6000), TRAINS)?;
        // Paced, so a busy machine may lose a few, but not more.
        ensure!(
            up.count > DATAGRAMS * 9 / 10 && down.count > DATAGRAMS * 9 / 10,
            "of {DATAGRAMS} datagrams went up to {host} {up:?} and down to {client} {down:?}\n{}",
            server.culvert(&["status"])?
        );
    }
    Ok(())
}
