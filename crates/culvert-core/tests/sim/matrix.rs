//! Every generation of clients in every kind of wrapping: connecting, traffic, renegotiation, leaving.

use std::sync::Arc;
use std::time::Duration;

use culvert_client::Personality;
use culvert_control::SessionWrap;
use culvert_core::{
    CookiePolicy, DisconnectReason, DropReason, EndpointSettings, SharedWrap, TlsCryptV2, WrapPolicy,
};
use culvert_crypto::tls_crypt_v2::{ClientKey, Metadata, ServerKey};
use culvert_crypto::{AuthDigest, ControlWrap, DataCipher, KeyDirection, Role, SeededEntropy, StaticKey};

use crate::world::{World, settings};

fn key() -> StaticKey {
    StaticKey::generate(&mut SeededEntropy::new(99))
}

fn server_key() -> ServerKey {
    ServerKey::generate(&mut SeededEntropy::new(98))
}

/// Settings of the server, and the wrapping of its clients.
fn wraps() -> Vec<(&'static str, WrapPolicy, SessionWrap)> {
    let tls_auth = |direction, digest| WrapPolicy {
        shared: SharedWrap::TlsAuth {
            key: key(),
            direction,
            digest,
        },
        tls_crypt_v2: None,
    };
    let client_auth = |direction, digest| SessionWrap::new(ControlWrap::tls_auth(&key(), direction, digest));
    vec![
        (
            "none",
            WrapPolicy::default(),
            SessionWrap::new(ControlWrap::none()),
        ),
        (
            "tls-auth 0",
            tls_auth(KeyDirection::Zero, AuthDigest::Sha256),
            client_auth(KeyDirection::One, AuthDigest::Sha256),
        ),
        (
            "tls-auth",
            tls_auth(KeyDirection::Both, AuthDigest::Sha1),
            client_auth(KeyDirection::Both, AuthDigest::Sha1),
        ),
        (
            "tls-crypt",
            WrapPolicy {
                shared: SharedWrap::TlsCrypt { key: key() },
                tls_crypt_v2: None,
            },
            SessionWrap::new(ControlWrap::tls_crypt(&key(), Role::Client)),
        ),
        (
            "tls-crypt-v2",
            v2(SharedWrap::None, CookiePolicy::ForceCookie),
            v2_client(),
        ),
        (
            "tls-crypt-v2 next to tls-crypt",
            v2(SharedWrap::TlsCrypt { key: key() }, CookiePolicy::default()),
            v2_client(),
        ),
    ]
}

fn v2(shared: SharedWrap, cookies: CookiePolicy) -> WrapPolicy {
    let v2 = TlsCryptV2 {
        key: Arc::new(server_key()),
        cookies,
        max_key_age: None,
    };
    WrapPolicy {
        shared,
        tls_crypt_v2: Some(v2),
    }
}

fn v2_client() -> SessionWrap {
    let metadata = Metadata::Timestamp(crate::pki::START - 86_400 * 40);
    let client = ClientKey::generate(&server_key(), &metadata, &mut SeededEntropy::new(97)).unwrap();
    let wrap = ControlWrap::tls_crypt(client.key(), Role::Client);
    SessionWrap::tls_crypt_v2_client(wrap, client.wkc().to_vec())
}

fn generations() -> [(&'static str, Personality); 6] {
    let framed = Personality {
        occ_extra: ",cipher AES-128-GCM,comp-lzo".into(),
        ..Personality::v2_3()
    };
    let framed = Personality {
        configured_cipher: DataCipher::Aes128Gcm,
        ..framed
    };
    [
        ("2.3", Personality::v2_3()),
        ("2.3 comp-lzo", framed),
        ("2.4", Personality::v2_4()),
        ("2.5", Personality::v2_5()),
        ("2.6", Personality::v2_6()),
        ("2.7", Personality::v2_7()),
    ]
}

fn liberal(wrap: WrapPolicy) -> EndpointSettings {
    let mut settings = EndpointSettings {
        wrap,
        legacy_cbc: Some(AuthDigest::Sha1),
        ..settings()
    };
    settings.data_ciphers.push(DataCipher::Aes256Cbc);
    settings
}

#[test]
fn every_generation_works_in_every_wrapping_and_over_both_transports() {
    for (wrap_name, policy, client_wrap) in wraps() {
        for (name, personality) in generations() {
            for udp in [true, false] {
                whole_life(
                    &format!("{name}, {wrap_name}, udp {udp}"),
                    &policy,
                    &client_wrap,
                    &personality,
                    udp,
                );
            }
        }
    }
}

fn whole_life(case: &str, policy: &WrapPolicy, wrap: &SessionWrap, personality: &Personality, udp: bool) {
    let mut world = World::new(1, liberal(policy.clone()));
    let link = if udp { world.fresh_udp() } else { world.fresh_tcp() };
    let host = world.add_host_at(link, Some(0), None, personality.clone());
    world.hosts[host].settings.wrap = wrap.clone();
    world.connect(host);
    // Traffic, a renegotiation from either side, and traffic under the new keys.
    for side in 0..2 {
        exchange(&mut world, host, case);
        let before = world.server.counters().renegotiations;
        if side == 0 {
            world.with_host(host, |client, now| assert!(client.renegotiate(now), "{case}"));
        } else {
            let peer = world.server.clients().next().unwrap();
            let event = culvert_data::PeerEvent::KeyLimit {
                peer: peer.peer,
                client: peer.client.0,
                key_id: world.data.peer(peer.peer).unwrap().send_key().unwrap(),
            };
            world.command(|server, now| server.handle_peer_event(now, event));
        }
        let done = world.run_until(Duration::from_secs(20), |world| {
            world.server.counters().renegotiations > before
        });
        assert!(
            done,
            "{case}: renegotiation {side} did not finish: {:?}",
            world.hosts[host].ends
        );
        world.run(Duration::from_secs(2));
        exchange(&mut world, host, case);
        world.run(Duration::from_secs(70));
        exchange(&mut world, host, case);
    }
    assert_eq!(world.hosts[host].renegotiated, 2, "{case}");
    world.check();
    world.with_host(host, |client, now| client.exit(now));
    world.run(Duration::from_secs(1));
    assert_eq!(
        world.server.counters().clients,
        0,
        "{case}: the goodbye was not heard"
    );
    assert_eq!(world.disconnected[0].1, DisconnectReason::ClientExit, "{case}");
    world.check_empty();
}

fn exchange(world: &mut World, host: usize, case: &str) {
    let (tun, received) = (world.tun, world.hosts[host].received);
    let v4 = world.hosts[host]
        .client
        .as_ref()
        .and_then(|client| client.v4())
        .unwrap();
    world.send_ip(host);
    world.reply_ip(v4);
    world.run(Duration::from_millis(100));
    assert_eq!(
        (world.tun, world.hosts[host].received),
        (tun + 1, received + 1),
        "{case}: traffic does not flow"
    );
}

#[test]
fn an_old_tls_crypt_v2_client_creates_a_half_open_session_unless_cookies_are_forced() {
    let recorded = v2_reset_of_an_old_client();
    for (cookies, expected) in [
        (CookiePolicy::AllowNonCookie, Ok(())),
        (CookiePolicy::ForceCookie, Err(DropReason::CookieRequired)),
    ] {
        let mut world = World::new(
            1,
            EndpointSettings {
                wrap: v2(SharedWrap::None, cookies),
                ..settings()
            },
        );
        let from = world.fresh_udp();
        assert_eq!(world.inject(from, recorded.clone()), expected);
        assert_eq!(world.server.counters().half_open, usize::from(expected.is_ok()));
        world.check_empty();
    }
}

/// A reset as OpenVPN 2.5 sends it: replay ids count from 1.
fn v2_reset_of_an_old_client() -> Vec<u8> {
    use culvert_wire::{FirstByte, KeyId, Opcode, SessionId};
    let client = ClientKey::generate(&server_key(), &Metadata::Empty, &mut SeededEntropy::new(97)).unwrap();
    let stamp = culvert_crypto::ReplayStamp { id: 1, time: 7 };
    let first = FirstByte {
        opcode: Opcode::ControlHardResetClientV3,
        key_id: KeyId::FIRST,
    };
    let mut packet = Vec::new();
    ControlWrap::tls_crypt(client.key(), Role::Client).wrap(
        stamp,
        first,
        SessionId::new([5; 8]).unwrap(),
        &[0; 5],
        &mut packet,
    );
    packet.extend_from_slice(client.wkc());
    packet
}

#[test]
fn a_client_key_that_is_too_old_is_refused_with_its_age() {
    let mut wrap = v2(SharedWrap::None, CookiePolicy::ForceCookie);
    wrap.tls_crypt_v2.as_mut().unwrap().max_key_age = Some(Duration::from_secs(86_400 * 30));
    let mut world = World::new(1, EndpointSettings { wrap, ..settings() });
    let host = world.add_host(Some(0), Personality::v2_6());
    world.hosts[host].settings.wrap = v2_client();
    world.start(host);
    world.run(Duration::from_secs(3));
    assert!(
        world.refused[0].reason.contains("40 days old"),
        "{}",
        world.refused[0].reason
    );
    assert_eq!(world.server.counters().sessions, 0);
}

#[test]
fn clients_without_a_key_are_not_served_where_every_client_has_one() {
    let wrap = v2(SharedWrap::None, CookiePolicy::default());
    let mut world = World::new(1, EndpointSettings { wrap, ..settings() });
    let host = world.add_host(Some(0), Personality::v2_6());
    world.start(host);
    world.run(Duration::from_secs(10));
    assert_eq!(world.server.counters().resets_answered, 0);
    assert!(world.server.counters().dropped(DropReason::WrapNotOffered) > 0);
}
