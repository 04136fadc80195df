//! A client that changes its network keeps its session; an old packet from elsewhere changes nothing.
#![cfg(feature = "netns")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::{HOST_V4, SERVER_V4};
use culvert_tests::relay::{Mistreatment, Relay};
use culvert_tests::server::{Proto, Wrap};
use culvert_tests::traffic::{BulkServer, reachable, spawn_transfer, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn};

/// The second byte-0 opcode of data packets with a peer id.
const DATA_V2: u8 = 9;

#[test]
fn address_and_port_change_mid_transfer_and_traffic_goes_on() -> Result<()> {
    let lab = Lab::new(2)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let server = Culvertd::plan(&lab).wrap(Wrap::TlsCrypt).start()?;
    let machine = &lab.clients[0];
    machine.run("ip", &["addr", "add", "10.9.0.77/24", "dev", "wan0"])?;
    let to = SocketAddr::from((SERVER_V4, 443));
    let relay = Relay::start(machine, to, Mistreatment::default())?;
    let profile = server
        .profile(Proto::Udp)
        .remote(relay.address().ip(), relay.address().port());
    let mut client = OpenVpn::connect(&lab, 0, "float", &profile)?;
    let host = IpAddr::V4(HOST_V4);
    wait_reachable(machine, host, Duration::from_secs(5))?;
    let transfer = spawn_transfer(machine, host, 100_000_000)?;
    std::thread::sleep(Duration::from_millis(300));
    let before = relay.sent();
    relay.move_to(machine, SocketAddr::from(([10, 9, 0, 77], 41_077)))?;
    transfer.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    let status = server.clients()?;
    let real = status
        .first()
        .and_then(|client| client["real_address"].as_str())
        .context("no client in status")?;
    ensure!(
        real.starts_with("10.9.0.77:41077"),
        "the server still sends to {real}"
    );

    // An observer elsewhere replays what the client sent before.
    let old: Vec<Vec<u8>> = before
        .into_iter()
        .filter(|packet| packet.first().is_some_and(|b| b >> 3 == DATA_V2))
        .collect();
    ensure!(!old.is_empty(), "no data packet was seen");
    lab.clients[1].enter(move || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for packet in old {
            socket.send_to(&packet, to)?;
        }
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        ensure!(
            socket.recv(&mut [0; 2048]).is_err(),
            "the server answered a replayed packet"
        );
        Ok(())
    })?;
    ensure!(reachable(machine, host), "the replay broke the session");
    let status = server.clients()?;
    let real = status
        .first()
        .and_then(|client| client["real_address"].as_str())
        .context("no client in status")?;
    ensure!(
        real.starts_with("10.9.0.77:41077"),
        "a replayed packet moved the client to {real}"
    );
    ensure!(
        client
            .process()
            .log()
            .matches("Initialization Sequence Completed")
            .count()
            == 1,
        "it reconnected"
    );
    client.disconnect()?;
    server.stop()
}
