//! Micro-benchmarks of the packet path: what one packet costs in each step, by packet size where that matters.
//!
//! `cargo bench -p culvert-benches` runs all of them in a few minutes; `--bench data` one group. They
//! compare a change with the state before it on one machine. Throughput against stock OpenVPN is measured
//! elsewhere, with real clients.

use std::time::Duration;

use criterion::Criterion;

/// Sizes of inner packets: an acknowledgement, a voice packet, a full Ethernet frame.
pub const PACKET_SIZES: [usize; 3] = [64, 300, 1420];

/// The settings all benchmarks share: short runs, enough to see a tenth of a difference.
pub fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(30)
        .without_plots()
}

/// An IPv4 UDP packet of `len` bytes, at least 28, from `source` to `destination`.
pub fn ipv4_packet(len: usize, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&(len.max(28) as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&destination);
    packet.resize(len.max(28), 0x5a);
    packet
}
