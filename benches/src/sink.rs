//! `sink`: counts the UDP packets that come out of the tunnels.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use culvert_transport::{AsyncUdpSocket, RecvBatch, UdpOptions, UdpSocket};

use crate::report::{Outcome, Report};
use crate::stop::Stop;

/// What has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    received: u64,
    bytes: u64,
}

/// Counts until told to stop.
///
/// # Errors
/// When the address can't be listened on, or receiving fails.
pub(crate) async fn run(listen: SocketAddr) -> Result<()> {
    let mut stop = Stop::listen()?;
    let options = UdpOptions {
        reuse_port: false,
        ..UdpOptions::default()
    };
    let socket = AsyncUdpSocket::new(UdpSocket::bind(listen, &options)?)
        .context("Failed to register the UDP socket")?;
    Report::Listening {
        address: socket.local_addr(),
    }
    .print()?;
    let mut count = Count::default();
    tokio::select! {
        () = stop.told() => {}
        result = receive(&socket, &mut count) => result?,
    }
    // What arrived before the signal counts, too.
    drain(&socket, &mut count);
    let Count { received, bytes } = count;
    Report::Result(Outcome::Received { received, bytes }).print()
}

/// Counts for ever.
async fn receive(socket: &AsyncUdpSocket, count: &mut Count) -> Result<()> {
    let mut batch = RecvBatch::new();
    loop {
        socket.recv(&mut batch).await.context("Failed to receive")?;
        count.add(&mut batch);
    }
}

fn drain(socket: &AsyncUdpSocket, count: &mut Count) {
    let mut batch = RecvBatch::new();
    while UdpSocket::recv(socket, &mut batch).is_ok() {
        count.add(&mut batch);
    }
}

impl Count {
    fn add(&mut self, batch: &mut RecvBatch) {
        for (_, datagram) in batch.datagrams_mut() {
            self.received += 1;
            self.bytes += datagram.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn every_datagram_and_its_bytes_are_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let to = socket.local_addr();
        let socket = AsyncUdpSocket::new(socket).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            sender.send_to(&[7; 300], to).unwrap();
        }
        let mut count = Count::default();
        let counting = receive(&socket, &mut count);
        tokio::time::timeout(Duration::from_millis(200), counting)
            .await
            .unwrap_err();
        sender.send_to(&[7; 5], to).unwrap();
        drain(&socket, &mut count);
        assert_eq!(
            count,
            Count {
                received: 11,
                bytes: 3005
            }
        );
    }
}
