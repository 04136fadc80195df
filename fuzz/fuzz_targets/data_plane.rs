//! The packet path between strangers, clients and networks. Whatever is in a packet: nothing gets in that did not
//! authenticate, and nothing gets through that is not the client's own.
//!
//! The first byte chooses the way: from a stranger, sealed by the client, or from the TUN; and whether the client's rules are
//! limited to services. The rest is the packet.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use culvert_crypto::{DataCipher, Key2, Role};
use culvert_data::{DataFormat, DataKey, DataPlane, DataPlaneConfig, Framing, Inbound, MssFix, PeerConfig};
use culvert_policy::{Access, AuthorizationRule, ClientFilter, Policy};
use culvert_wire::data::DataHeader;
use culvert_wire::ip::IpHeader;
use culvert_wire::{KeyId, LinkAddr, PeerId, UdpPath};
use libfuzzer_sys::fuzz_target;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

fn is_client(address: IpAddr) -> bool {
    address == CLIENT || address == CLIENT_V6
}

/// Everything may be reached, with some services.
fn limited() -> Arc<ClientFilter> {
    let everywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network"));
    let rules = everywhere.map(|destination| AuthorizationRule {
        destination,
        access: Access::AllUsers,
        services: ["443/tcp", "53/udp", "icmp"]
            .map(|service| service.parse().expect("a service"))
            .to_vec(),
        description: None,
    });
    Policy::compile(&rules, &everywhere).filter_for(&[])
}

fuzz_target!(|data: &[u8]| {
    let Some((way, data)) = data.split_first() else {
        return;
    };
    let mut packet = data.to_vec();
    let id = PeerId::from_bytes([0, 0, 5]);
    let from = LinkAddr::Udp(UdpPath {
        remote: ([192, 0, 2, 1], 1194).into(),
        local: None,
        socket: 0,
    });
    let format = if way & 4 == 0 {
        DataFormat::Aead
    } else {
        DataFormat::Epoch
    };
    let is_limited = way & 8 != 0;
    let filter = if is_limited {
        limited()
    } else {
        Arc::new(ClientFilter::allow_all())
    };
    let key = |role| {
        let key2 = Key2::from_exporter([7; 256]);
        DataKey::new(DataCipher::Aes256Gcm, format, role, &key2)
            .expect("a cipher and format that go together")
    };
    let plane = DataPlane::new(DataPlaneConfig {
        max_peers: 8,
        v4: Some("10.8.0.0/24".parse().expect("a network")),
        v6: Some("fd00::/64".parse().expect("a network")),
        server_v4: Some(SERVER),
        server_v6: None,
        client_to_client: true,
        client_to_client_v6: true,
    });
    let peer = plane
        .add_peer(PeerConfig {
            client: 1,
            peer: id,
            link: from,
            v4: Some(CLIENT),
            v6: Some(CLIENT_V6),
            data_v2: true,
            framing: Framing::None,
            filter,
            mss_fix: MssFix::default(),
            tun_mtu: 1500,
        })
        .expect("an empty data plane has room");
    peer.install_key(KeyId::FIRST, key(Role::Server));
    peer.set_send_key(KeyId::FIRST);

    match way & 3 {
        0 => assert!(
            plane.open(1, &from, &mut packet).is_err(),
            "a stranger's packet got in"
        ),
        1 => {
            let client = key(Role::Client);
            let header = DataHeader::v2(KeyId::FIRST, id);
            let mut sealed = vec![0; client.sealed_len(header.len, packet.len())];
            client
                .seal_into(&header, Framing::None, &[&packet], &mut sealed)
                .expect("a fresh key and room");
            match plane.open(1, &from, &mut sealed) {
                Ok(Inbound::Tun { ip } | Inbound::ToClient { ip, .. }) => {
                    let header = IpHeader::parse(ip).expect("what gets through is an IP packet");
                    assert!(is_client(header.source));
                    assert!(
                        !is_limited
                            || header.version() == 6
                            || header.destination == SERVER
                            || matches!(header.protocol, 1 | 6 | 17),
                        "a protocol that no rule names got through"
                    );
                    assert_eq!(header.total_len, ip.len());
                }
                Ok(Inbound::Reply { payload, out }) => {
                    let mut reply = vec![0; out.sealed_len(payload.len())];
                    assert_eq!(out.seal_into(&[&payload], &mut reply), Ok(reply.len()));
                    assert!(reply.len() <= 1600);
                }
                Ok(Inbound::Consumed) | Err(_) => {}
            }
        }
        _ => {
            let mut reply = [0; culvert_data::TOO_BIG_REPLY_MAX];
            plane.too_big_reply(1, &packet, &mut reply);
            if let Ok(out) = plane.route(1, &mut packet) {
                let header = IpHeader::parse(&packet).expect("what is routed is an IP packet");
                assert!(is_client(header.destination));
                let mut sealed = vec![0; out.sealed_len(packet.len())];
                assert_eq!(out.seal_into(&[&packet], &mut sealed), Ok(sealed.len()));
                assert_eq!(
                    key(Role::Client)
                        .open(4, &mut sealed)
                        .map(|opened| opened.payload.to_vec()),
                    Ok(packet)
                );
            }
        }
    }
});
