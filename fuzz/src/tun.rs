//! Packets on their way through the TUN device and back, and flows of them.

use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;

use culvert_tun::{JoinBatch, SuperBuf, TunQueue, testing};

/// Packets the other end of the queue has room for, also when none is joined.
pub const MOST: usize = 48;

thread_local! {
    static PAIR: (TunQueue, UnixDatagram) = testing::pair().expect("a queue without a device");
    static BUFFERS: RefCell<(SuperBuf, JoinBatch)> = RefCell::default();
}

/// The segments of a read, virtio header first.
pub fn cut(read: &[u8]) -> Vec<Vec<u8>> {
    PAIR.with(|(queue, end)| {
        BUFFERS.with_borrow_mut(|(buffer, _)| {
            end.send(read).expect("room for one packet");
            assert!(queue.try_recv_super(buffer).expect("a read"));
            let (largest, len) = (buffer.largest_segment(), buffer.packet_mut().len());
            let mut segments = buffer.segments();
            let count = segments.remaining();
            let mut all = Vec::new();
            while let Some(segment) = segments.next() {
                all.push([&*segment.header, segment.payload].concat());
            }
            assert_eq!(all.len(), count);
            assert_eq!(all.iter().map(Vec::len).max().unwrap_or(0), largest);
            assert!(all.iter().map(Vec::len).sum::<usize>() >= len);
            all
        })
    })
}

/// What is written for these packets, virtio header first.
pub fn join(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    PAIR.with(|(queue, end)| {
        BUFFERS.with_borrow_mut(|(_, batch)| {
            let mut joiner = batch.start();
            packets.iter().for_each(|packet| joiner.push(packet));
            let report = joiner.flush(queue).expect("a write");
            assert_eq!(report.dropped, 0);
            let mut writes = Vec::new();
            let mut bytes = vec![0; 10 + 65_536];
            while let Ok(len) = end.recv(&mut bytes) {
                writes.push(bytes[..len].to_vec());
            }
            assert_eq!(writes.len() as u64, report.calls);
            writes
        })
    })
}

/// A flow of packets with correct lengths and checksums.
pub struct Flow {
    number: u8,
    v6: bool,
    udp: bool,
    id: u16,
    sequence: u32,
}

impl Flow {
    /// Flow 0 to 15: a quarter each of TCP and UDP over IPv4 and IPv6.
    pub fn new(number: u8) -> Self {
        Self {
            number,
            v6: number & 1 == 1,
            udp: number & 2 == 2,
            id: 65_530,
            sequence: u32::MAX - 1000,
        }
    }

    /// The flow's next packet: `flags` are TCP's, `jump` leaves so many bytes out before it.
    pub fn next(&mut self, payload: usize, flags: u8, jump: u8) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(jump.into());
        let mut packet = self.header(payload, flags);
        let transport = if self.v6 { 40 } else { 20 };
        packet.extend((0..payload).map(|at| (at as u8).wrapping_mul(self.number | 1)));
        let addresses = if self.v6 { 8..40 } else { 12..20 };
        let protocol = if self.udp { 17 } else { 6 };
        let len = ((packet.len() - transport) as u32).to_be_bytes();
        let pseudo = [&packet[addresses], &[0, protocol], &len, &packet[transport..]].concat();
        let at = transport + if self.udp { 6 } else { 16 };
        packet[at..at + 2].copy_from_slice(&checksum(&pseudo, self.udp));
        self.sequence = self.sequence.wrapping_add(payload as u32);
        self.id = self.id.wrapping_add(1);
        packet
    }

    /// Whether a packet is of this flow, by the ports.
    pub fn owns(&self, packet: &[u8]) -> bool {
        let transport = if self.v6 { 40 } else { 20 };
        packet[0] >> 4 == if self.v6 { 6 } else { 4 } && packet[transport..transport + 2] == self.port()
    }

    fn port(&self) -> [u8; 2] {
        [40, self.number]
    }

    /// Both headers, without the checksum of the transport.
    fn header(&self, payload: usize, flags: u8) -> Vec<u8> {
        let protocol = if self.udp { 17 } else { 6 };
        let len = payload + if self.udp { 8 } else { 20 };
        let mut header = if self.v6 {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((len as u16).to_be_bytes());
            header.extend([protocol, 64]);
            header.extend([0xfd; 16]);
            header.extend([0xfc; 16]);
            header
        } else {
            let mut header = vec![0x45, 0];
            header.extend((len as u16 + 20).to_be_bytes());
            header.extend(self.id.to_be_bytes());
            header.extend([0x40, 0, 64, protocol, 0, 0, 10, 8, 0, 2, 192, 0, 2, 1]);
            let sum = checksum(&header, false);
            header[10..12].copy_from_slice(&sum);
            header
        };
        header.extend(self.port());
        header.extend(443u16.to_be_bytes());
        if self.udp {
            header.extend((len as u16).to_be_bytes());
            header.extend([0, 0]);
        } else {
            header.extend(self.sequence.to_be_bytes());
            header.extend([0, 0, 0, 77, 0x50, flags, 1, 2, 0, 0, 0, 0]);
        }
        header
    }
}

/// The Internet checksum, to the letter of RFC 1071; never zero where that means none.
fn checksum(bytes: &[u8], nonzero: bool) -> [u8; 2] {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !(sum as u16);
    if nonzero && sum == 0 {
        [0xff; 2]
    } else {
        sum.to_be_bytes()
    }
}
