//! Strangers that open TCP connections.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use culvert_tests::lab::HOST_V4;
use culvert_tests::openvpn::CONNECT;
use culvert_tests::stock::StockServer;
use culvert_tests::stranger::{closed, first_packet, open_connections, try_connections};
use culvert_tests::traffic::{EchoServer, reachable, spawn_pings, wait_reachable};
use culvert_tests::{Lab, OpenVpn};

use crate::{figure, to};

/// How long connections are watched; longer than any time-out of the server's defaults.
const WATCH: Duration = Duration::from_secs(180);

pub(crate) fn slow() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = StockServer::plan(&lab)?.tcp().line("hand-window 20").start()?;
    let mut framed = vec![0, 14];
    framed.extend_from_slice(&first_packet(0x0a0b_0c0d_0e0f_0001));
    let slow = lab.clients[1].enter(move || open_connections(to(), 300, &framed))?;
    let silent = lab.clients[1].enter(move || open_connections(to(), 20, &[]))?;
    let start = Instant::now();
    let mut client = OpenVpn::start(&lab, 0, "meanwhile", &server.profile())?;
    let connected = client.wait_connected(CONNECT).is_ok();
    println!(
        "300 slow connections: a client connects: {connected} after {:?}",
        start.elapsed()
    );
    let mut kinds = [
        ("300 slow connections", slow, None),
        ("20 silent connections", silent, None),
    ];
    while start.elapsed() < WATCH && kinds.iter().any(|(_, _, done)| done.is_none()) {
        for (_, streams, done) in &mut kinds {
            if done.is_none() && closed(streams) == streams.len() {
                *done = Some(start.elapsed());
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for (what, streams, done) in kinds {
        println!(
            "{what}, handshake window 20 s: {} are closed, the last after {}",
            closed(&streams),
            figure(done, WATCH)
        );
    }
    Ok(())
}

pub(crate) fn descriptors() -> Result<()> {
    let lab = Lab::new(3)?;
    let _echo = EchoServer::start(&lab.host)?;
    let mut server = StockServer::plan(&lab)?.tcp().descriptor_limit(160).start()?;
    let host = IpAddr::V4(HOST_V4);
    let _live = OpenVpn::connect(&lab, 0, "live", &server.profile())?;
    wait_reachable(&lab.clients[0], host, Duration::from_secs(5))?;
    exhaust(&lab, &mut server)?;
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    let mut next = OpenVpn::start(&lab, 2, "next", &server.profile())?;
    let connected = next.wait_connected(WATCH).ok().map(|()| start.elapsed());
    println!(
        "220 connections are gone: a client connects after {}; the live one's traffic goes on: {}; then {}",
        figure(connected, WATCH),
        reachable(&lab.clients[0], host),
        one_second_of(&mut server)?
    );
    Ok(())
}

/// Opens more connections than the server has descriptors for, watches the client that was there before, and closes them.
fn exhaust(lab: &Lab, server: &mut StockServer) -> Result<()> {
    let pings = spawn_pings(
        &lab.clients[0],
        IpAddr::V4(HOST_V4),
        Duration::from_millis(20),
        250,
    )?;
    let over = lab.clients[1].enter(|| Ok(try_connections(to(), 220)))?;
    std::thread::sleep(Duration::from_secs(2));
    println!(
        "220 connections with 160 descriptors: {} come up; then {}",
        over.len(),
        one_second_of(server)?
    );
    let series = pings
        .join()
        .map_err(|_| anyhow!("the pinging thread panicked"))??;
    println!(
        "220 connections with 160 descriptors: the live client: {} of {} pings answered, {} in a row not",
        series.received, series.sent, series.longest_gap
    );
    Ok(())
}

/// What the server spends in one second.
fn one_second_of(server: &mut StockServer) -> Result<String> {
    let (cpu, log) = (server.process().cpu()?, server.process().log_len());
    std::thread::sleep(Duration::from_secs(1));
    Ok(format!(
        "{:?} of CPU and {} log bytes in a second",
        server.process().cpu()?.saturating_sub(cpu),
        server.process().log_len() - log
    ))
}
