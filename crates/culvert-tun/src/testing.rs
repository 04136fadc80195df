//! Queues without a device, for fuzzing and benchmarks (feature `testing`): no root, no kernel behind them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, atomic::AtomicBool};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::{open::Offload, queue::TunQueue};

/// A queue with every offload and the other end of it: what is sent there is read from the queue, and what is written to the
/// queue arrives there, one packet or super-packet behind its virtio header each. Both ends are non-blocking.
///
/// # Errors
/// When the process has no descriptors left.
pub fn pair() -> io::Result<(TunQueue, UnixDatagram)> {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        // Keeps boundaries, and unlike datagrams holds more than a few at a time.
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
    )?;
    Ok((over(ours)?, UnixDatagram::from(theirs)))
}

/// A queue with every offload that takes everything and keeps nothing.
///
/// # Errors
/// When /dev/null can't be opened.
pub fn sink() -> io::Result<TunQueue> {
    over(File::options().write(true).open("/dev/null")?.into())
}

fn over(fd: OwnedFd) -> io::Result<TunQueue> {
    let join = Arc::new(AtomicBool::new(true));
    TunQueue::new(fd, &"testing".into(), 1500, Offload::TcpUdp, &join)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JoinBatch, SuperBuf};

    #[test]
    fn a_pair_carries_packets_with_their_headers() {
        let (queue, end) = pair().unwrap();
        let packet = [0x45; 40];
        queue.send(&packet).unwrap();
        let mut bytes = [0; 100];
        let len = end.recv(&mut bytes).unwrap();
        assert_eq!(bytes[10..len], packet);
        end.send(&bytes[..len]).unwrap();
        let mut buffer = SuperBuf::new();
        assert!(queue.try_recv_super(&mut buffer).unwrap());
        assert_eq!(buffer.packet_mut(), packet);
        assert!(!queue.try_recv_super(&mut buffer).unwrap());
    }

    #[test]
    fn a_sink_takes_everything() {
        let packet = [0x45; 40];
        let mut batch = JoinBatch::new();
        let mut joiner = batch.start();
        joiner.push(&packet);
        let report = joiner.flush(&sink().unwrap()).unwrap();
        assert_eq!((report.written, report.dropped), (1, 0));
    }
}
