//! Whatever arrives, nothing panics and nothing gets through that must not.

use super::*;

proptest! {
    #[test]
    fn no_packet_from_the_tun_panics(mut ip in prop::collection::vec(any::<u8>(), 0..100), v6 in any::<bool>()) {
        let plane = plane(true);
        connect(&plane, config(5, ALICE));
        if let Some(first) = ip.first_mut() {
            *first = if v6 { 0x60 } else { 0x45 };
        }
        let mut reply = [0; crate::TOO_BIG_REPLY_MAX];
        plane.too_big_reply(1, &ip, &mut reply);
        prop_assert!(plane.route(1, &mut ip).is_err());
    }

    #[test]
    fn no_authentic_payload_panics_or_gets_out_unless_it_is_the_clients_own(
        mut payload in prop::collection::vec(any::<u8>(), 1..100), kind in 0..4) {
        let plane = plane(true);
        let alice = connect(&plane, config(5, ALICE));
        match kind {
            0 => payload[0] = 0x45,
            1 => payload[0] = 0x60,
            2 => payload = [&occ::OCC_MAGIC[..], &payload].concat(),
            _ => {}
        }
        if let Ok(Verdict::Tun(ip)) = alice.send(&plane, &payload) {
            prop_assert_eq!(IpHeader::parse(&ip).unwrap().source, IpAddr::V4(ALICE));
        }
    }

    #[test]
    fn no_packet_from_a_stranger_panics_or_gets_in(mut packet in prop::collection::vec(any::<u8>(), 0..100), kind in 0..3) {
        let plane = plane(true);
        connect(&plane, config(5, ALICE));
        match (kind, packet.as_mut_slice()) {
            (0, [first, a, b, c, ..]) => [*first, *a, *b, *c] = [0x48, 0, 0, 5],
            (1, [first, ..]) => *first = 0x30,
            _ => {}
        }
        prop_assert!(plane.open(1, &udp(5005), &mut packet).is_err());
    }
}
