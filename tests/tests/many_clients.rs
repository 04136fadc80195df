//! Many clients at once: each has its own address, all pass traffic, none sees another.
#![cfg(feature = "netns")]

use std::collections::HashSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::server::Proto;
use culvert_tests::traffic::{BulkServer, reachable, spawn_transfer};
use culvert_tests::{Culvertd, Lab, OpenVpn};

#[test]
fn twenty_clients_over_both_transports_pass_traffic_and_do_not_see_each_other() -> Result<()> {
    let lab = Lab::new(20)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let server = Culvertd::plan(&lab).start()?;
    let mut clients = Vec::new();
    for index in 0..lab.clients.len() {
        let proto = if index % 2 == 0 { Proto::Udp } else { Proto::Tcp };
        let profile = server.profile_for(proto, &format!("many{index}"))?;
        clients.push(OpenVpn::start(&lab, index, &format!("many{index}"), &profile)?);
    }
    let mut addresses = Vec::new();
    for client in &mut clients {
        client.wait_connected(culvert_tests::openvpn::CONNECT)?;
        addresses.push(client.virtual_v4().context("no address was pushed")?);
    }
    ensure!(
        addresses.iter().collect::<HashSet<_>>().len() == 20,
        "addresses are not unique: {addresses:?}"
    );
    let transfers = lab
        .clients
        .iter()
        .map(|ns| spawn_transfer(ns, IpAddr::V4(HOST_V4), 2_000_000))
        .collect::<Result<Vec<_>>>()?;
    for (index, transfer) in transfers.into_iter().enumerate() {
        transfer
            .join()
            .map_err(|_| anyhow::anyhow!("panicked"))?
            .with_context(|| format!("client {index}"))?;
    }
    for (from, to) in [(0, 2), (1, 3), (0, 1), (3, 2)] {
        ensure!(
            !reachable(&lab.clients[from], addresses[to]),
            "client {from} sees client {to}"
        );
    }
    for client in clients {
        client.disconnect()?;
    }
    server.stop()
}

#[test]
fn clients_see_each_other_when_the_endpoint_allows_it() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).set("client_to_client", "true").start()?;
    let mut first = OpenVpn::connect(&lab, 0, "first", &server.profile_for(Proto::Udp, "first")?)?;
    let mut second = OpenVpn::connect(&lab, 1, "second", &server.profile_for(Proto::Tcp, "second")?)?;
    let to_second = second.virtual_v4().context("no address was pushed")?;
    let to_first = first.virtual_v4().context("no address was pushed")?;
    ensure!(
        reachable(&lab.clients[0], to_second),
        "UDP client does not reach the TCP client"
    );
    ensure!(
        reachable(&lab.clients[1], to_first),
        "TCP client does not reach the UDP client"
    );
    first.process().terminate()?;
    second.process().terminate()?;
    server.stop()
}
