//! The bounded queue between the workers and the control thread of an endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use culvert_wire::{LinkAddr, TcpLink};
use tokio::sync::mpsc;

/// Control packets that may wait for the control thread. What comes on top is dropped and counted; the reliability
/// layer of the other side sends it again.
const CAPACITY: usize = 8192;

/// Bytes of control packets that share one allocation.
const ARENA: usize = 64 * 1024;

/// Something a worker saw that the control thread must handle.
#[derive(Debug)]
pub(crate) enum Input {
    /// A control packet.
    Packet {
        /// Where from.
        from: LinkAddr,
        /// The packet without TCP length framing.
        packet: BytesMut,
    },
    /// A TCP connection ended.
    Closed(TcpLink),
}

/// The workers' end.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Input>,
    dropped: Arc<AtomicU64>,
}

/// Makes a queue.
pub(crate) fn inbox() -> (Inbox, mpsc::Receiver<Input>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (
        Inbox {
            sender,
            dropped: Arc::new(AtomicU64::new(0)),
        },
        receiver,
    )
}

impl Inbox {
    /// Hands a copy of a control packet over, cut from the worker's arena, or drops it when the control thread is behind.
    pub(crate) fn packet(&self, from: LinkAddr, packet: &[u8], arena: &mut BytesMut) {
        let Ok(permit) = self.sender.try_reserve() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if arena.capacity() - arena.len() < packet.len() {
            // Takes back a chunk whose packets have all been handled, or starts a new one.
            arena.reserve(ARENA.max(packet.len()));
        }
        arena.extend_from_slice(packet);
        permit.send(Input::Packet {
            from,
            packet: arena.split(),
        });
    }

    /// Reports the end of a connection. Waits for room: the session must not outlive its connection unnoticed.
    pub(crate) async fn closed(&self, link: TcpLink) {
        // Fails only when the endpoint is being taken down, and its sessions with it.
        drop(self.sender.send(Input::Closed(link)).await);
    }

    /// Control packets dropped because the control thread was behind.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> LinkAddr {
        LinkAddr::Tcp(TcpLink {
            id: 1,
            remote: "192.0.2.1:443".parse().unwrap(),
        })
    }

    #[test]
    fn packets_arrive_whole_and_in_order_and_what_does_not_fit_is_counted() {
        let (inbox, mut receiver) = inbox();
        let mut arena = BytesMut::new();
        for n in 0..CAPACITY + 3 {
            inbox.packet(link(), &n.to_be_bytes(), &mut arena);
        }
        assert_eq!(inbox.dropped(), 3);
        for n in 0..CAPACITY {
            let Ok(Input::Packet { packet, .. }) = receiver.try_recv() else {
                panic!("packet {n} is missing");
            };
            assert_eq!(&packet[..], n.to_be_bytes());
        }
        assert!(receiver.try_recv().is_err());
    }
}
