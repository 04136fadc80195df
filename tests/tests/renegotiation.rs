//! Renegotiation under load: no lost connection, no gap in a ping series.
#![cfg(feature = "netns")]

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::server::{Proto, ServerPlan, Wrap};
use culvert_tests::traffic::{EchoServer, StreamEcho, spawn_pings, spawn_stream, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn};

/// How long traffic runs while keys change every five seconds.
const RUN: Duration = Duration::from_secs(60);
/// The time between two pings.
const BEAT: Duration = Duration::from_millis(10);
/// The bytes of the transfer each way in a second: busy, but not so much that queues fill and lose pings by themselves.
const RATE: usize = 4_000_000;
/// Pings in a row that a busy two-core machine may delay or lose without any key change.
const LINK_GAP: u32 = 2;

fn renegotiate(
    plan: impl FnOnce(ServerPlan<'_>) -> ServerPlan<'_>,
    client_line: &str,
    proto: Proto,
) -> Result<()> {
    let lab = Lab::new(1)?;
    let _stream_echo = StreamEcho::start(&lab.host)?;
    let _echo = EchoServer::start(&lab.host)?;
    let server = plan(Culvertd::plan(&lab).wrap(Wrap::TlsCrypt)).start()?;
    let profile = server.profile(proto).line(client_line);
    let mut client = OpenVpn::connect(&lab, 0, "reneg", &profile)?;
    let host = IpAddr::V4(HOST_V4);
    wait_reachable(&lab.clients[0], host, Duration::from_secs(5))?;
    let beats = u32::try_from(RUN.as_millis() / BEAT.as_millis())?;
    let stream = spawn_stream(&lab.clients[0], host, RATE, RUN)?;
    let pings = spawn_pings(&lab.clients[0], host, BEAT, beats)?;
    // One connection all the time; it must survive and bring everything back.
    stream.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    let series = pings.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    let log = client.process().log();
    let handshakes = log.matches("Control Channel: TLSv1").count();
    ensure!(handshakes >= 8, "only {handshakes} key exchanges in {RUN:?}");
    ensure!(
        log.matches("Initialization Sequence Completed").count() == 1,
        "the client reconnected:\n{log}"
    );
    ensure!(series.longest_gap <= LINK_GAP, "a gap in the pings: {series:?}");
    ensure!(series.received + 30 >= series.sent, "pings were lost: {series:?}");
    client.disconnect()?;
    server.stop()
}

#[test]
fn started_by_the_client_over_udp() -> Result<()> {
    renegotiate(|plan| plan, "reneg-sec 5", Proto::Udp)
}

#[test]
fn started_by_the_server_over_udp() -> Result<()> {
    renegotiate(
        |plan| plan.set("renegotiation", "\"5s\""),
        "reneg-sec 0",
        Proto::Udp,
    )
}

#[test]
fn started_by_both_at_the_same_moment_over_udp() -> Result<()> {
    renegotiate(
        |plan| plan.set("renegotiation", "\"5s\""),
        "reneg-sec 5",
        Proto::Udp,
    )
}

#[test]
fn started_by_both_at_the_same_moment_over_tcp() -> Result<()> {
    renegotiate(
        |plan| plan.set("renegotiation", "\"5s\""),
        "reneg-sec 5",
        Proto::Tcp,
    )
}
