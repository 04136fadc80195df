//! Unwrapping control packets: strangers are refused and leave the packet as it was, peers are understood.
#![no_main]

use std::sync::LazyLock;

use culvert_crypto::{AuthDigest, ControlReplay, ControlWrap, KeyDirection, ReplayStamp, Role, StaticKey};
use culvert_wire::control::ControlBody;
use culvert_wire::{FirstByte, SessionId};
use libfuzzer_sys::fuzz_target;

/// Every wrapping, as the server and the client have it.
static WRAPS: LazyLock<Vec<(ControlWrap, ControlWrap)>> = LazyLock::new(|| {
    let key = StaticKey::from_bytes(&std::array::from_fn(|index| index as u8));
    let auth = |direction: KeyDirection, digest| {
        let end = |direction| ControlWrap::tls_auth(&key, direction, digest);
        (end(direction), end(direction.opposite()))
    };
    vec![
        (ControlWrap::none(), ControlWrap::none()),
        (
            ControlWrap::tls_crypt(&key, Role::Server),
            ControlWrap::tls_crypt(&key, Role::Client),
        ),
        auth(KeyDirection::Zero, AuthDigest::Sha1),
        auth(KeyDirection::One, AuthDigest::Sha256),
        auth(KeyDirection::Both, AuthDigest::Sha512),
    ]
});

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, genuine, ..], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (server, client) = &WRAPS[usize::from(kind) % WRAPS.len()];
    let mut packet = rest.to_vec();
    if genuine & 1 == 1 {
        let Some((&[id, opcode], body)) = rest.split_first_chunk() else {
            return;
        };
        let Ok(first) = FirstByte::parse(opcode) else {
            return;
        };
        if first.opcode.is_data() {
            return;
        }
        let stamp = ReplayStamp {
            id: u32::from(id),
            time: 0x6543_2100,
        };
        packet.clear();
        client.wrap(
            stamp,
            first,
            SessionId::new([0xc1; 8]).expect("not zero"),
            body,
            &mut packet,
        );
        let unwrapped = server.unwrap(&mut packet).expect("a peer's packet");
        assert_eq!((unwrapped.first, unwrapped.body), (first, body));
        let _ = ControlBody::parse(first.opcode, unwrapped.body);
        if let Some(stamp) = unwrapped.stamp {
            let mut replay = ControlReplay::new();
            assert_eq!(replay.accept(stamp), id != 0);
            assert!(!replay.accept(stamp));
        }
        return;
    }
    match server.unwrap(&mut packet) {
        Ok(unwrapped) => assert!(unwrapped.stamp.is_none(), "a forged packet was accepted"),
        Err(_) => assert_eq!(packet, rest),
    }
});
