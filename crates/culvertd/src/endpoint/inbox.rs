//! The bounded queue between the workers and the control thread of an endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use culvert_wire::{LinkAddr, TcpLink};
use tokio::sync::mpsc;

/// Control packets that may wait for the control thread. What comes on top is dropped and counted; the reliability
/// layer of the other side sends it again.
const CAPACITY: usize = 8192;

/// Something a worker saw that the control thread must handle.
#[derive(Debug)]
pub(crate) enum Input {
    /// A control packet.
    Packet {
        /// Where from.
        from: LinkAddr,
        /// The packet without TCP length framing.
        packet: Vec<u8>,
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
    /// Hands a control packet over, or drops it when the control thread is behind.
    pub(crate) fn packet(&self, from: LinkAddr, packet: &[u8]) {
        let Ok(permit) = self.sender.try_reserve() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        permit.send(Input::Packet {
            from,
            packet: packet.to_vec(),
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
