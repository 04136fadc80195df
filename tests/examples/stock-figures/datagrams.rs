//! Strangers that send datagrams.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::Result;
use culvert_tests::stock::StockServer;
use culvert_tests::stranger::{
    IP_UDP, add_addresses, first_packet, flood_first_packets, send_garbage, stall_handshakes,
};
use culvert_tests::{Lab, OpenVpn};

use crate::to;

pub(crate) fn answers() -> Result<()> {
    let lab = Lab::new(1)?;
    let _server = StockServer::plan(&lab)?.start()?;
    for length in [14, 9] {
        let (count, size) =
            lab.clients[0].enter(move || answers_to(&first_packet(0x0102_0304_0506_0708)[..length]))?;
        println!(
            "a first packet of {} bytes: {count} answers of {} bytes",
            length + IP_UDP,
            size + IP_UDP
        );
    }
    Ok(())
}

/// Sends one datagram and counts what comes back in six seconds; returns the number and the size of the last.
fn answers_to(packet: &[u8]) -> Result<(u32, usize)> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to())?;
    socket.send(packet)?;
    socket.set_read_timeout(Some(Duration::from_secs(6)))?;
    let (mut count, mut size) = (0, 0);
    while let Ok(n) = socket.recv(&mut [0; 2048]) {
        (count, size) = (count + 1, n);
    }
    Ok((count, size))
}

pub(crate) fn flood() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = StockServer::plan(&lab)?.start()?;
    let sources = add_addresses(&lab.clients[1], 1, 250)?;
    let flood =
        lab.clients[1].spawn(move || flood_first_packets(&sources, to(), 2_000, Duration::from_secs(40)))?;
    std::thread::sleep(Duration::from_secs(1));
    let mut connected = 0;
    for attempt in 0..3 {
        let mut client = OpenVpn::start(&lab, 0, &format!("flood{attempt}"), &server.profile())?;
        connected += u32::from(client.wait_connected(Duration::from_secs(12)).is_ok());
    }
    drop(flood.join());
    println!("2,000 first packets a second from 250 sources: {connected} of 3 clients connect within 12 s");
    Ok(())
}

pub(crate) fn stalled() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = StockServer::plan(&lab)?.start()?;
    let sources = add_addresses(&lab.clients[1], 1, 240)?;
    let before = server.process().memory()?;
    let (proved, _sockets) = lab.clients[1].enter(move || stall_handshakes(&sources, to(), 1_200))?;
    std::thread::sleep(Duration::from_millis(200));
    let grown = server.process().memory()?.saturating_sub(before);
    let start = Instant::now();
    let mut client = OpenVpn::start(&lab, 0, "real", &server.profile())?;
    let connected = client.wait_connected(Duration::from_secs(90)).is_ok();
    println!(
        "1,200 stalled handshakes: {proved} answered, {} bytes each, a client connects: {connected} after {:?}",
        grown / u64::from(proved.max(1)),
        start.elapsed()
    );
    Ok(())
}

pub(crate) fn garbage() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = StockServer::plan(&lab)?.start()?;
    let (memory, log) = (server.process().memory()?, server.process().log_len());
    let answered = lab.clients[0].enter(|| send_garbage(to(), 100_000))?;
    println!(
        "100,000 garbage datagrams: {answered} answers, memory grew by {} bytes, {} log bytes each",
        server.process().memory()?.saturating_sub(memory),
        (server.process().log_len() - log) / 100_000
    );
    Ok(())
}
