//! How clients go: silently, with a goodbye, and when the server does.
#![cfg(feature = "netns")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::server::Proto;
use culvert_tests::traffic::{reachable, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn};
use nix::sys::signal::Signal;

fn wait_for_clients(server: &Culvertd, count: usize, limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    while server.clients()?.len() != count {
        ensure!(
            start.elapsed() < limit,
            "still {} clients after {limit:?}",
            server.clients()?.len()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(start.elapsed())
}

#[test]
fn a_client_killed_without_notice_goes_after_ping_restart_and_its_address_is_reused() -> Result<()> {
    let lab = Lab::new(2)?;
    // A /30 has one client address: the second client can only get the first one's.
    let plan = Culvertd::plan(&lab).set("client_cidr_block", "\"10.66.0.0/30\"");
    let server = plan
        .set("keepalive", "{ ping = \"1s\", ping_restart = \"2s\" }")
        .start()?;
    let mut first = OpenVpn::connect(&lab, 0, "first", &server.profile_for(Proto::Udp, "first")?)?;
    let address = first.virtual_v4().context("no address")?;
    ensure!(server.clients()?.len() == 1, "one client expected");
    first.process().signal(Signal::SIGKILL)?;
    let gone = wait_for_clients(&server, 0, Duration::from_secs(15))?;
    ensure!(
        gone > Duration::from_secs(1),
        "it went before any time-out could have passed: {gone:?}"
    );
    let second = OpenVpn::connect(&lab, 1, "second", &server.profile_for(Proto::Udp, "second")?)?;
    ensure!(second.virtual_v4() == Some(address), "the address was not reused");
    second.disconnect()?;
    server.stop()
}

#[test]
fn a_client_with_explicit_exit_notify_goes_at_once() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let profile = server.profile(Proto::Udp).line("explicit-exit-notify 1");
    let client = OpenVpn::connect(&lab, 0, "exit", &profile)?;
    ensure!(server.clients()?.len() == 1, "one client expected");
    client.disconnect()?;
    wait_for_clients(&server, 0, Duration::from_secs(1))?;
    server.stop()
}

#[test]
fn a_tcp_client_goes_with_its_connection() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let mut client = OpenVpn::connect(&lab, 0, "tcp", &server.profile(Proto::Tcp))?;
    client.process().signal(Signal::SIGKILL)?;
    wait_for_clients(&server, 0, Duration::from_secs(2))?;
    server.stop()
}

/// The names of devices and the routes of the server's machine.
fn machine(lab: &Lab) -> Result<(Vec<String>, Vec<String>)> {
    let devices = lab.server.run("ip", &["-o", "link"])?;
    let routes = lab.server.run("ip", &["-4", "route", "show", "table", "all"])?;
    let names = devices
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect();
    Ok((names, routes.lines().map(str::to_owned).collect()))
}

#[test]
fn a_stopped_server_tells_its_clients_and_leaves_nothing_behind() -> Result<()> {
    let lab = Lab::new(2)?;
    let before = machine(&lab)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let mut udp = OpenVpn::connect(&lab, 0, "udp", &server.profile_for(Proto::Udp, "udp")?)?;
    let mut tcp = OpenVpn::connect(&lab, 1, "tcp", &server.profile_for(Proto::Tcp, "tcp")?)?;
    wait_reachable(&lab.clients[0], IpAddr::V4(HOST_V4), Duration::from_secs(5))?;
    server.process().terminate()?;
    udp.process().wait_for(
        "Connection reset command was pushed by server",
        Duration::from_secs(3),
    )?;
    tcp.process()
        .wait_for_any(&["Connection reset"], Duration::from_secs(3))?;
    let after = machine(&lab)?;
    ensure!(
        before == after,
        "the server left something behind: {before:?} became {after:?}"
    );
    let tables = lab.server.run("nft", &["list", "tables"])?;
    ensure!(
        !tables.contains("culvert"),
        "an nftables table was left behind: {tables}"
    );

    // Both come back by themselves once there is a server again.
    let server = server.start_again()?;
    for (index, client) in [&mut udp, &mut tcp].into_iter().enumerate() {
        let deadline = Instant::now() + Duration::from_secs(20);
        while client
            .process()
            .log()
            .matches("Initialization Sequence Completed")
            .count()
            < 2
        {
            ensure!(
                Instant::now() < deadline,
                "client {index} did not come back:\n{}",
                client.process().log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    ensure!(
        reachable(&lab.clients[0], IpAddr::V4(HOST_V4)),
        "no traffic after the restart"
    );
    server.stop()
}

#[test]
fn kill_ends_a_client_by_name() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let mut client = OpenVpn::connect(&lab, 0, "victim", &server.profile_for(Proto::Udp, "victim")?)?;
    server.culvert(&["kill", "--common-name", "victim"])?;
    wait_for_clients(&server, 0, Duration::from_secs(7))?;
    client.process().terminate()?;
    server.stop()
}
