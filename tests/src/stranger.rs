//! Strangers: datagrams and connections that no stock client would send. All loops are bounded in count and time.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::netns::Netns;

/// The size of the IPv4 and UDP headers, counted when replies are compared with requests.
pub const IP_UDP: usize = 28;

const HARD_RESET_CLIENT_V2: u8 = 7 << 3;
const HARD_RESET_SERVER_V2: u8 = 8 << 3;
const CONTROL_V1: u8 = 4 << 3;

/// A first packet without control-channel wrapping, as every stock client sends it: 14 bytes.
#[must_use]
pub fn first_packet(session: u64) -> Vec<u8> {
    let mut packet = vec![HARD_RESET_CLIENT_V2];
    packet.extend_from_slice(&session.to_be_bytes());
    packet.push(0);
    packet.extend_from_slice(&0u32.to_be_bytes());
    packet
}

/// The packet after the server's answer: acknowledges it, echoes the cookie, and carries the start of a TLS record that
/// never continues.
#[must_use]
pub fn second_packet(session: u64, answer: &[u8]) -> Option<Vec<u8>> {
    if answer.first() != Some(&HARD_RESET_SERVER_V2) {
        return None;
    }
    let cookie = answer.get(1..9)?;
    let mut packet = vec![CONTROL_V1];
    packet.extend_from_slice(&session.to_be_bytes());
    packet.push(1);
    packet.extend_from_slice(&0u32.to_be_bytes());
    packet.extend_from_slice(cookie);
    packet.extend_from_slice(&1u32.to_be_bytes());
    // A handshake record that announces 512 bytes and brings 4.
    packet.extend_from_slice(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc]);
    Some(packet)
}

/// Gives a client machine `count` more addresses in 10.9.`index`.0/24 and returns them.
///
/// # Errors
/// Fails when an address can't be added.
pub fn add_addresses(ns: &Netns, index: u8, count: u8) -> Result<Vec<Ipv4Addr>> {
    let mut batch = String::new();
    let addresses: Vec<Ipv4Addr> = (0..count)
        .map(|n| Ipv4Addr::new(10, 9, index, n.saturating_add(3)))
        .collect();
    for address in &addresses {
        batch.push_str(&format!("addr add {address}/24 dev wan0\n"));
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), batch)?;
    ns.run("ip", &["-batch", &file.path().to_string_lossy()])?;
    Ok(addresses)
}

/// Sends valid first packets, each with a session id of its own, evenly from all sources, at `rate` a second.
///
/// # Errors
/// Fails when a source address can't be bound.
pub fn flood_first_packets(sources: &[Ipv4Addr], to: SocketAddr, rate: u32, length: Duration) -> Result<u64> {
    let sockets = sources
        .iter()
        .map(|source| {
            let socket = UdpSocket::bind(SocketAddrV4::new(*source, 0))
                .with_context(|| format!("Failed to bind {source}"))?;
            socket.connect(to)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let total = u64::from(rate) * length.as_secs();
    for n in 0..total {
        let due = start + Duration::from_nanos(n * 1_000_000_000 / u64::from(rate));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let socket = &sockets[usize::try_from(n)? % sockets.len()];
        drop(socket.send(&first_packet(0xc0de_0000_0000_0001 + n)));
        while socket.recv(&mut [0; 256]).is_ok() {}
    }
    Ok(total)
}

/// Starts handshakes that prove their address and then stall, one socket each, and returns how many got an answer.
///
/// # Errors
/// Fails when sockets can't be made.
pub fn stall_handshakes(sources: &[Ipv4Addr], to: SocketAddr, count: u32) -> Result<(u32, Vec<UdpSocket>)> {
    let mut sockets = Vec::new();
    for n in 0..count {
        let source = sources[n as usize % sources.len()];
        let socket = UdpSocket::bind(SocketAddrV4::new(source, 0))?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        socket.send(&first_packet(0xbad0_0000_0000_0001 + u64::from(n)))?;
        sockets.push(socket);
    }
    // On a lab's links an answer that isn't there by now doesn't come.
    std::thread::sleep(Duration::from_millis(300));
    let mut proved = 0;
    for (n, socket) in sockets.iter().enumerate() {
        let mut answer = [0; 256];
        let Ok(length) = socket.recv(&mut answer) else {
            continue;
        };
        if let Some(packet) = second_packet(0xbad0_0000_0000_0001 + n as u64, &answer[..length]) {
            socket.send(&packet)?;
            proved += 1;
        }
    }
    Ok((proved, sockets))
}

/// Sends random datagrams of every first byte and many lengths, and returns how many were answered.
///
/// # Errors
/// Fails when the socket can't be made.
pub fn send_garbage(to: SocketAddr, count: u32) -> Result<u32> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut answered = 0;
    let mut packet = [0; 1_400];
    for n in 0..count {
        for byte in &mut packet {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = state.to_be_bytes()[0];
        }
        packet[0] = n.to_le_bytes()[0];
        let length = 1 + (n as usize * 7) % packet.len();
        drop(socket.send(&packet[..length]));
        answered += u32::from(socket.recv(&mut [0; 256]).is_ok());
        if n % 64 == 0 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    while socket.recv(&mut [0; 256]).is_ok() {
        answered += 1;
    }
    Ok(answered)
}

/// Opens TCP connections and sends the given bytes on each.
///
/// # Errors
/// Fails when a connection can't be opened.
pub fn open_connections(to: SocketAddr, count: u32, bytes: &[u8]) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|n| {
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))
                .with_context(|| format!("Failed to open connection {n}"))?;
            stream.write_all(bytes)?;
            Ok(stream)
        })
        .collect()
}

/// Tries to open TCP connections and keeps those that come up. On a lab's links a connection that isn't up by then waits
/// for a server whose queue is full.
#[must_use]
pub fn try_connections(to: SocketAddr, count: u32) -> Vec<TcpStream> {
    (0..count)
        .filter_map(|_| TcpStream::connect_timeout(&to, Duration::from_millis(50)).ok())
        .collect()
}

/// How many of the connections the other side has closed.
#[must_use]
pub fn closed(streams: &[TcpStream]) -> usize {
    streams
        .iter()
        .filter(|stream| {
            if stream.set_nonblocking(true).is_err() {
                return true;
            }
            let mut buffer = [0; 256];
            loop {
                match std::io::Read::read(&mut &**stream, &mut buffer) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
                }
            }
        })
        .count()
}
