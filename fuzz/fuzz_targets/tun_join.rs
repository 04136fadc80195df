//! A batch of packets for the TUN device: cutting what was joined gives back every packet, those of each flow in order.
#![no_main]

use culvert_fuzz::tun::{Flow, MOST, cut, join};
use libfuzzer_sys::fuzz_target;

/// Bytes that describe a packet.
const DESCRIPTION: usize = 5;

/// A packet without what joining may change: IPv4's identification where fragmenting is forbidden, and its checksum.
fn neutral(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet.first().is_some_and(|byte| byte >> 4 == 4) {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

fuzz_target!(|data: &[u8]| {
    let mut flows: Vec<Flow> = (0..16).map(Flow::new).collect();
    let mut packets = Vec::new();
    let mut of_flow: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 16];
    for description in data.chunks_exact(DESCRIPTION).take(MOST) {
        let [which, size, flags, jump, damage] = *description else {
            return;
        };
        let which = usize::from(which % 16);
        // Every payload is long enough that no damage makes a bare acknowledgement of it, which might be left out.
        let mut packet = flows[which].next(64 + usize::from(size), flags, jump);
        if damage > 200 {
            // Not where addresses and ports are, or it would be another flow's.
            let at = packet.len() - 1 - usize::from(damage - 200);
            packet[at] ^= 1;
        }
        of_flow[which].push(neutral(&packet));
        packets.push(packet);
    }
    let restored: Vec<Vec<u8>> = join(&packets).iter().flat_map(|write| cut(write)).collect();
    assert_eq!(restored.len(), packets.len());
    for (flow, sent) in flows.iter().zip(of_flow) {
        let arrived: Vec<_> = restored
            .iter()
            .filter(|packet| flow.owns(packet))
            .map(|packet| neutral(packet))
            .collect();
        assert!(arrived == sent);
    }
});
