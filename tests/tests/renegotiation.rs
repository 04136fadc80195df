//! Renegotiation under load: no lost connection, no gap in a ping series.
#![cfg(feature = "netns")]
#![allow(clippy::print_stdout)] // Figures for the documentation.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::server::{Proto, ServerPlan, Wrap};
use culvert_tests::stream::{Pace, StreamEcho, spawn_stream};
use culvert_tests::traffic::{EchoServer, PingSeries, Silence, spawn_pings, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn};

/// How long traffic runs while keys change every five seconds.
const RUN: Duration = Duration::from_secs(60);
/// How long a saturated link runs without key changes, to see what it does by itself.
const BASELINE: Duration = Duration::from_secs(30);
/// How long it runs with key changes.
const SATURATED: Duration = Duration::from_secs(40);
/// A silence this close to the end of a TLS handshake may come from it. The exchange takes some 10 ms, and the new key is in
/// use right after it.
const NEAR: Duration = Duration::from_millis(500);
/// How much longer than twice the link's own longest silence one near a key change may be. On two cores that a saturated
/// tunnel keeps busy, and perhaps a compiler, the scheduler alone makes silences of 50 to 250 ms, with and without key
/// changes; the longest of two equal runs differ by up to a factor of three. The run between key changes counts as the link's
/// own, because it shares the machine's load with the key changes.
const GRACE: Duration = Duration::from_millis(50);
/// The time between two pings.
const BEAT: Duration = Duration::from_millis(10);
/// The bytes of the steady transfer each way in a second: busy, but not so much that queues fill and lose pings by
/// themselves.
const RATE: usize = 4_000_000;
/// Pings in a row that a busy two-core machine may delay or lose without any key change.
const LINK_GAP: u32 = 2;

/// What a run under load saw.
#[derive(Debug)]
struct Run {
    /// Bytes of the stream a second, each way.
    rate: u64,
    pings: PingSeries,
    /// When the client's TLS handshakes were done, the first included.
    handshakes: Vec<SystemTime>,
}

impl Run {
    /// The longest silences near a key change and away from all of them.
    fn silences(&self) -> (Duration, Duration) {
        let (near, away): (Vec<_>, Vec<_>) = self
            .pings
            .silences
            .iter()
            .partition(|silence| self.handshakes.iter().any(|at| silence.is_near(*at, NEAR)));
        let longest = |silences: Vec<&Silence>| silences.first().map(|silence| silence.length);
        (
            longest(near).unwrap_or_default(),
            longest(away).unwrap_or_default(),
        )
    }
}

/// When the client did its TLS handshakes, from a log in the machine-readable form.
fn handshakes(log: &str) -> Result<Vec<SystemTime>> {
    log.lines()
        .filter(|line| line.contains("Control Channel: TLSv1"))
        .map(|line| {
            let seconds = line.split(' ').next().unwrap_or_default().parse()?;
            Ok(SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(seconds)?)
        })
        .collect()
}

/// Runs a stream over one TCP connection and a ping series through the tunnel; fails when the connection doesn't survive,
/// doesn't bring everything back, or the client has to reconnect.
fn under_load(
    plan: impl FnOnce(ServerPlan<'_>) -> ServerPlan<'_>,
    client_line: &str,
    proto: Proto,
    pace: Pace,
    length: Duration,
) -> Result<Run> {
    let lab = Lab::new(1)?;
    let _stream_echo = StreamEcho::start(&lab.host)?;
    let _echo = EchoServer::start(&lab.host)?;
    let server = plan(Culvertd::plan(&lab).wrap(Wrap::TlsCrypt)).start()?;
    let profile = server
        .profile(proto)
        .line(client_line)
        .line("machine-readable-output");
    let mut client = OpenVpn::connect(&lab, 0, "reneg", &profile)?;
    let host = IpAddr::V4(HOST_V4);
    wait_reachable(&lab.clients[0], host, Duration::from_secs(5))?;
    let beats = u32::try_from(length.as_millis() / BEAT.as_millis())?;
    let stream = spawn_stream(&lab.clients[0], host, pace, length)?;
    let pings = spawn_pings(&lab.clients[0], host, BEAT, beats)?;
    let bytes = stream.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    let pings = pings.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    let log = client.process().log();
    ensure!(client.times_connected() == 1, "the client reconnected:\n{log}");
    client.disconnect()?;
    server.stop()?;
    Ok(Run {
        rate: bytes / length.as_secs(),
        pings,
        handshakes: handshakes(&log)?,
    })
}

fn every_five_seconds(plan: ServerPlan<'_>) -> ServerPlan<'_> {
    plan.set("renegotiation", "\"5s\"")
}

fn steady(
    plan: impl FnOnce(ServerPlan<'_>) -> ServerPlan<'_>,
    client_line: &str,
    proto: Proto,
) -> Result<()> {
    let run = under_load(plan, client_line, proto, Pace::Steady(RATE), RUN)?;
    ensure!(
        run.handshakes.len() >= 8,
        "too few key exchanges in {RUN:?}: {run:?}"
    );
    ensure!(run.pings.longest_gap <= LINK_GAP, "a gap in the pings: {run:?}");
    ensure!(
        run.pings.received + 30 >= run.pings.sent,
        "pings were lost: {run:?}"
    );
    Ok(())
}

/// A transfer that takes all the link has, without key changes and then with those of both sides: they don't add silences to
/// those that the link and the machine make by themselves.
fn saturated(proto: Proto) -> Result<()> {
    let alone = under_load(|plan| plan, "reneg-sec 0", proto, Pace::Full, BASELINE)?;
    let changing = under_load(every_five_seconds, "reneg-sec 5", proto, Pace::Full, SATURATED)?;
    let (_, baseline) = alone.silences();
    let (near, away) = changing.silences();
    println!(
        "figure: {proto:?}, saturated: the longest silence is {baseline:?} without key changes; with {}, {near:?} near one and \
         {away:?} between them; {} and {} bytes a second",
        changing.handshakes.len() - 1,
        alone.rate,
        changing.rate
    );
    ensure!(
        alone.handshakes.len() == 1,
        "the baseline changed keys: {alone:?}"
    );
    ensure!(
        changing.handshakes.len() >= 6,
        "too few key exchanges: {changing:?}"
    );
    for run in [&alone, &changing] {
        ensure!(run.rate > RATE as u64, "the link wasn't saturated: {run:?}");
        ensure!(
            run.pings.received * 5 > run.pings.sent * 4,
            "pings were lost: {run:?}"
        );
    }
    let own = baseline.max(away);
    ensure!(
        near <= own * 2 + GRACE,
        "a silence at a key change, {baseline:?} without: {changing:?}"
    );
    // Between key changes too, the tunnel must not be another than without them.
    ensure!(
        away <= baseline * 4 + GRACE * 10,
        "a silence, {baseline:?} without key changes: {changing:?}"
    );
    Ok(())
}

#[test]
fn started_by_the_client_over_udp() -> Result<()> {
    steady(|plan| plan, "reneg-sec 5", Proto::Udp)
}

#[test]
fn started_by_the_server_over_udp() -> Result<()> {
    steady(every_five_seconds, "reneg-sec 0", Proto::Udp)
}

#[test]
fn started_by_both_at_the_same_moment_over_udp() -> Result<()> {
    steady(every_five_seconds, "reneg-sec 5", Proto::Udp)
}

#[test]
fn started_by_both_at_the_same_moment_over_tcp() -> Result<()> {
    steady(every_five_seconds, "reneg-sec 5", Proto::Tcp)
}

#[test]
fn of_a_saturated_link_over_udp() -> Result<()> {
    saturated(Proto::Udp)
}

#[test]
fn of_a_saturated_link_over_tcp() -> Result<()> {
    saturated(Proto::Tcp)
}
