//! Bad links: loss, duplication and reordering in both directions.
#![cfg(feature = "netns")]
#![allow(clippy::print_stdout)] // Figures for the documentation.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use culvert_tests::lab::{HOST_V4, SERVER_V4};
use culvert_tests::relay::{Mistreatment, Relay};
use culvert_tests::server::{Proto, Wrap};
use culvert_tests::traffic::{BulkServer, TRANSFER, transfer_through_loss};
use culvert_tests::{Culvertd, Lab, OpenVpn};

const RUNS: u64 = 20;

/// Connects 20 times through the relay and returns the times of those that made it, sorted.
fn connect_times(lab: &Lab, server: &Culvertd, loss: u32, limit: Duration) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for run in 0..RUNS {
        let how = Mistreatment {
            loss,
            duplicate: 5,
            reorder: 10,
            seed: 1000 * u64::from(loss) + run,
        };
        let relay = Relay::start(&lab.clients[0], SocketAddr::from((SERVER_V4, 443)), how)?;
        let profile = server
            .profile(Proto::Udp)
            .remote(relay.address().ip(), relay.address().port());
        let start = Instant::now();
        let mut client = OpenVpn::start(lab, 0, &format!("loss{loss}-{run}"), &profile)?;
        if client.wait_connected(limit).is_ok() {
            times.push(start.elapsed());
        }
        client.process().terminate()?;
    }
    times.sort();
    Ok(times)
}

fn transfer_through(lab: &Lab, server: &Culvertd, loss: u32) -> Result<()> {
    let how = Mistreatment {
        loss,
        duplicate: 5,
        reorder: 10,
        seed: 42,
    };
    let relay = Relay::start(&lab.clients[0], SocketAddr::from((SERVER_V4, 443)), how)?;
    let profile = server
        .profile(Proto::Udp)
        .remote(relay.address().ip(), relay.address().port());
    let mut client = OpenVpn::start(lab, 0, &format!("bulk{loss}"), &profile)?;
    client.wait_connected(Duration::from_secs(120))?;
    let took = transfer_through_loss(&lab.clients[0], IpAddr::V4(HOST_V4), TRANSFER)?;
    println!("figure: 20 MB both ways through {loss} % loss each way: {took:?}");
    client.process().terminate()?;
    Ok(())
}

#[test]
fn ten_percent_loss_delays_nobody_much() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start_for_loss(&lab.host)?;
    let server = Culvertd::plan(&lab).wrap(Wrap::TlsCrypt).start()?;
    let times = connect_times(&lab, &server, 10, Duration::from_secs(60))?;
    ensure!(times.len() == 20, "{} of 20 connected: {times:?}", times.len());
    ensure!(
        times[10] < Duration::from_secs(6),
        "the median is {:?}: {times:?}",
        times[10]
    );
    println!(
        "figure: 10 % loss each way: 20 of 20 connect, median {:?}, slowest {:?}",
        times[10], times[19]
    );
    transfer_through(&lab, &server, 10)
}

#[test]
fn thirty_percent_loss_still_connects() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start_for_loss(&lab.host)?;
    let server = Culvertd::plan(&lab).wrap(Wrap::TlsCrypt).start()?;
    let times = connect_times(&lab, &server, 30, Duration::from_secs(60))?;
    ensure!(times.len() >= 18, "{} of 20 connected: {times:?}", times.len());
    println!(
        "figure: 30 % loss each way: {} of 20 connect, median {:?}",
        times.len(),
        times[times.len() / 2]
    );
    transfer_through(&lab, &server, 30)
}
