//! A flow of numbered datagrams in trains, each checked where it arrives.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use crate::netns::Netns;

/// Bytes of each datagram: with the headers around it fits a tunnel of any MTU.
const SIZE: usize = 1100;
/// Datagrams that are sent with one call, for the kernel to cut.
const TRAIN: u32 = 30;
/// The pause between two trains, so that no queue on the way fills.
const PAUSE: Duration = Duration::from_millis(10);

/// What each datagram carries: its number, and bytes that depend on it and on their place.
fn content(number: u32) -> Vec<u8> {
    let fill = (4..SIZE).map(|at| (number.wrapping_mul(31) as usize + at * 7) as u8);
    number.to_be_bytes().into_iter().chain(fill).collect()
}

/// What became of a flow.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// Datagrams that arrived.
    pub count: u32,
    /// The numbers of those that did not.
    pub lost: Vec<std::ops::Range<u32>>,
}

/// Sends so many trains from one namespace to an address in another and returns what arrived.
///
/// # Errors
/// Fails when the sockets can't be made, and when a datagram arrives damaged, twice or behind a later one.
pub fn send_trains(from: &Netns, to: &Netns, address: SocketAddr, trains: u32) -> Result<Arrived> {
    let socket = to.enter(move || Ok(UdpSocket::bind(address)?))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    // A receiver that is kept from its CPU for a moment must not count as a loss of the tunnel.
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20))?;
    let receiver = std::thread::spawn(move || receive(&socket, trains * TRAIN));
    from.enter(move || {
        let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(SIZE)?)
            .context("This kernel can't cut trains of datagrams (UDP_SEGMENT)")?;
        for train in 0..trains {
            let numbers = train * TRAIN..(train + 1) * TRAIN;
            socket.send_to(&numbers.flat_map(content).collect::<Vec<_>>(), address)?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    })?;
    receiver
        .join()
        .map_err(|_| anyhow::anyhow!("the receiver panicked"))?
}

/// Receives until the last datagram or silence.
fn receive(socket: &UdpSocket, count: u32) -> Result<Arrived> {
    let (mut next, mut arrived) = (0, Arrived::default());
    let mut buffer = [0; 2 * SIZE];
    while next < count {
        let Ok(length) = socket.recv(&mut buffer) else {
            break;
        };
        let number = buffer[..length]
            .first_chunk()
            .map(|number| u32::from_be_bytes(*number));
        let number = number.context("a datagram arrived cut")?;
        ensure!(number >= next, "datagram {number} arrived after {}", next - 1);
        ensure!(
            buffer[..length] == content(number),
            "datagram {number} arrived damaged"
        );
        if number > next {
            arrived.lost.push(next..number);
        }
        next = number + 1;
        arrived.count += 1;
    }
    if next < count {
        arrived.lost.push(next..count);
    }
    Ok(arrived)
}
