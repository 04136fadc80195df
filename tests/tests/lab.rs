//! The test bench itself: its links, transfers, pings and relay do what the other tests rely on.
#![cfg(feature = "netns")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use culvert_tests::Lab;
use culvert_tests::lab::{HOST_V4, HOST_V6, SERVER_V4};
use culvert_tests::relay::{Mistreatment, Relay};
use culvert_tests::traffic::{BulkServer, ECHO_PORT, EchoServer, spawn_pings, transfer, wait_reachable};

#[test]
fn the_server_reaches_the_host_and_transfers_are_verified() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let _echo = EchoServer::start(&lab.host)?;
    wait_reachable(&lab.server, IpAddr::V4(HOST_V4), Duration::from_secs(5))?;
    transfer(&lab.server, IpAddr::V4(HOST_V4), 1_000_000)?;
    transfer(&lab.server, IpAddr::V6(HOST_V6), 1_000_000)?;
    let pings = spawn_pings(&lab.server, IpAddr::V4(HOST_V4), Duration::from_millis(5), 100)?;
    let series = pings.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    assert_eq!((series.sent, series.received, series.longest_gap), (100, 100, 0));
    wait_reachable(&lab.clients[0], IpAddr::V4(SERVER_V4), Duration::from_secs(5))?;
    Ok(())
}

#[test]
fn the_relay_loses_about_as_many_datagrams_as_asked() -> Result<()> {
    let lab = Lab::new(1)?;
    let echo = EchoServer::start(&lab.server)?;
    let how = Mistreatment {
        loss: 10,
        duplicate: 0,
        reorder: 5,
        seed: 7,
    };
    let server = SocketAddr::from(([10, 9, 0, 1], ECHO_PORT));
    let relay = Relay::start(&lab.clients[0], server, how)?;
    let to = relay.address();
    let answered = lab.clients[0].enter(move || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut answered = 0;
        for _ in 0..200 {
            socket.send(b"ping")?;
            answered += u32::from(socket.recv(&mut [0; 16]).is_ok());
        }
        Ok(answered)
    })?;
    drop(echo);
    // Both directions lose a tenth: 81 % come back.
    assert!((130..=190).contains(&answered), "{answered} of 200 answered");
    Ok(())
}
