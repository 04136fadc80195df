//! A flow of numbered datagrams in trains, each checked where it arrives.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use crate::netns::Netns;

/// Bytes that are sent with one call, for the kernel to cut, at most.
const TRAIN: usize = 60_000;
/// Datagrams of a train at most: how much stock clients take at once without losing some.
const MOST: u32 = 30;
/// How long a train is waited for before the next is sent. What was lost by then doesn't arrive.
const PATIENCE: Duration = Duration::from_millis(200);

/// Trains of datagrams of one size, but for the last of each train, which is shorter.
#[derive(Clone, Copy, Debug)]
pub struct Trains {
    /// How many there are.
    pub count: u32,
    /// Bytes of a datagram.
    pub size: usize,
}

impl Trains {
    /// Datagrams of one train.
    fn length(self) -> u32 {
        u32::try_from(TRAIN / self.size).unwrap_or(MOST).min(MOST)
    }

    /// Datagrams of all trains.
    #[must_use]
    pub fn datagrams(self) -> u32 {
        self.count * self.length()
    }

    /// What a datagram carries: its number, and bytes that depend on it and on their place.
    fn content(self, number: u32) -> Vec<u8> {
        let last = number % self.length() + 1 == self.length();
        let size = if last { self.size / 2 } else { self.size };
        let fill = (4..size).map(|at| (number.wrapping_mul(31) as usize + at * 7 + at / 256) as u8);
        number.to_be_bytes().into_iter().chain(fill).collect()
    }
}

/// What became of a flow.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// Datagrams that arrived.
    pub count: u32,
    /// The numbers of those that did not.
    pub lost: Vec<std::ops::Range<u32>>,
}

/// Sends trains from one namespace to an address in another and returns what arrived. Each train waits until the one before
/// has arrived, so that no queue on the way fills however slow the machine is.
///
/// # Errors
/// Fails when the sockets can't be made, and when a datagram arrives damaged, twice or behind a later one.
pub fn send_trains(from: &Netns, to: &Netns, address: SocketAddr, trains: Trains) -> Result<Arrived> {
    let socket = to.enter(move || Ok(UdpSocket::bind(address)?))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    // A receiver that is kept from its CPU for a moment must not count as a loss of the tunnel.
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20))?;
    let progress = Arc::new(AtomicU32::new(0));
    let arrived = Arc::clone(&progress);
    let receiver = std::thread::spawn(move || receive(&socket, trains, &progress));
    from.enter(move || {
        let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(trains.size)?)
            .context("This kernel can't cut trains of datagrams (UDP_SEGMENT)")?;
        for train in 0..trains.count {
            let numbers = train * trains.length()..(train + 1) * trains.length();
            let bytes: Vec<u8> = numbers.flat_map(|number| trains.content(number)).collect();
            socket.send_to(&bytes, address)?;
            let deadline = Instant::now() + PATIENCE;
            while arrived.load(Ordering::Relaxed) < (train + 1) * trains.length() && Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    })?;
    receiver
        .join()
        .map_err(|_| anyhow::anyhow!("the receiver panicked"))?
}

/// Receives until the last datagram or silence. `progress` is the number that is expected next.
fn receive(socket: &UdpSocket, trains: Trains, progress: &AtomicU32) -> Result<Arrived> {
    let (mut next, mut arrived) = (0, Arrived::default());
    let count = trains.datagrams();
    let mut buffer = vec![0; 2 * trains.size];
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
            buffer[..length] == trains.content(number),
            "datagram {number} arrived damaged"
        );
        if number > next {
            arrived.lost.push(next..number);
        }
        next = number + 1;
        progress.store(next, Ordering::Relaxed);
        arrived.count += 1;
    }
    if next < count {
        arrived.lost.push(next..count);
    }
    Ok(arrived)
}
