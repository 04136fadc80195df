//! A server and a client over two links, driven in virtual time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use culvert_control::crl::RevocationList;
use culvert_control::tls::{
    ClientCertificates, ClientTls, ClientTlsParams, MinTlsVersion, NameCheck, ServerTls, TlsClock, TlsParams,
};
use culvert_control::{
    ClientCredentials, ControlDrop, Role, Session, SessionConfig, SessionEvent, SessionWrap, Start, TlsSide,
};
use culvert_crypto::{
    AuthDigest, ControlWrap, Entropy, KeyDirection, ReplayStamp, SeededEntropy, StaticKey, tls_crypt_v2,
};
use culvert_wire::control::early::EarlyNegotiation;
use culvert_wire::control::{ControlBody, ControlHeader};
use culvert_wire::key_method2::Dialect;
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::{FirstByte, KeyId, LinkAddr, MessageId, Now, Opcode, SessionId, UdpPath};
use zeroize::Zeroizing;

use crate::net::{Link, Quality};
use crate::pki::{NOW, Pki, pki};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    None,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
}

pub(crate) const MODES: [Mode; 4] = [Mode::None, Mode::TlsAuth, Mode::TlsCrypt, Mode::TlsCryptV2];

/// What a test wants to be different.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) mode: Mode,
    pub(crate) cookie: bool,
    pub(crate) tls12: bool,
    pub(crate) ekm: bool,
    pub(crate) dynamic: bool,
    pub(crate) quality: Quality,
    pub(crate) certificates: ClientCertificates,
    pub(crate) identity: Option<(&'static str, &'static str)>,
    pub(crate) client_ca: &'static str,
    pub(crate) server_ca: &'static str,
    pub(crate) crls: Vec<RevocationList>,
    pub(crate) name: Option<NameCheck>,
    pub(crate) purpose: bool,
    pub(crate) min_version: MinTlsVersion,
    pub(crate) dialect: Dialect,
    pub(crate) password: String,
    pub(crate) server_reneg: Option<Duration>,
    pub(crate) client_reneg: Option<Duration>,
    pub(crate) tran_window: Duration,
    pub(crate) unix: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let pki: &'static Pki = pki();
        Self {
            seed: 1,
            mode: Mode::TlsCrypt,
            cookie: true,
            tls12: false,
            ekm: true,
            dynamic: false,
            quality: Quality::default(),
            certificates: ClientCertificates::Required,
            identity: Some((&pki.client_pem, &pki.client_key_pem)),
            client_ca: &pki.ca_pem,
            server_ca: &pki.ca_pem,
            crls: Vec::new(),
            name: None,
            purpose: false,
            min_version: MinTlsVersion::Tls12,
            dialect: Dialect::Stock,
            password: "secret".to_owned(),
            server_reneg: None,
            client_reneg: None,
            tran_window: Duration::from_secs(3600),
            unix: NOW,
        }
    }
}

pub(crate) struct Pair {
    pub(crate) setup: Setup,
    pub(crate) now: Now,
    start: Instant,
    pub(crate) clock: TlsClock,
    front: Front,
    pub(crate) server: Option<Session>,
    pub(crate) client: Session,
    pub(crate) to_server: Link,
    pub(crate) to_client: Link,
    server_random: SeededEntropy,
    client_random: SeededEntropy,
    pub(crate) server_events: Vec<SessionEvent>,
    pub(crate) client_events: Vec<SessionEvent>,
    pub(crate) server_drops: Vec<ControlDrop>,
    pub(crate) client_drops: Vec<ControlDrop>,
    /// Every packet that was sent, for tests that replay or damage them: to the server?, packet.
    pub(crate) wire: Vec<(bool, Vec<u8>)>,
    pub(crate) most_buffered: usize,
}

/// The stateless part in front of a server's session.
struct Front {
    config: Arc<SessionConfig>,
    wrap: SessionWrap,
    keys: ControlWrap,
    cookie: SessionId,
}

pub(crate) fn link() -> LinkAddr {
    LinkAddr::Udp(UdpPath {
        remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1194),
        local: None,
        socket: 0,
    })
}

fn wraps(mode: Mode, entropy: &mut SeededEntropy) -> (SessionWrap, ControlWrap, SessionWrap) {
    let key = StaticKey::generate(entropy);
    let both = |server: ControlWrap, client: ControlWrap| {
        (SessionWrap::new(server.clone()), server, SessionWrap::new(client))
    };
    match mode {
        Mode::None => both(ControlWrap::none(), ControlWrap::none()),
        Mode::TlsAuth => both(
            ControlWrap::tls_auth(&key, KeyDirection::Zero, AuthDigest::Sha256),
            ControlWrap::tls_auth(&key, KeyDirection::One, AuthDigest::Sha256),
        ),
        Mode::TlsCrypt => both(
            ControlWrap::tls_crypt(&key, Role::Server),
            ControlWrap::tls_crypt(&key, Role::Client),
        ),
        Mode::TlsCryptV2 => {
            let server_key = tls_crypt_v2::ServerKey::generate(entropy);
            let wkc = server_key
                .wrap(&key, &tls_crypt_v2::Metadata::Timestamp(NOW))
                .unwrap();
            let server = ControlWrap::tls_crypt(&key, Role::Server);
            (
                SessionWrap::tls_crypt_v2_server(server.clone()),
                server,
                SessionWrap::tls_crypt_v2_client(ControlWrap::tls_crypt(&key, Role::Client), wkc),
            )
        }
    }
}

impl Pair {
    pub(crate) fn new(setup: Setup) -> Self {
        let pki = pki();
        let clock = TlsClock::new(setup.unix);
        let server_tls = ServerTls::build(&TlsParams {
            chain_pem: pki.server_pem.as_bytes(),
            key_pem: pki.server_key_pem.as_bytes(),
            client_ca_pem: Some(setup.client_ca.as_bytes()),
            client_certificates: setup.certificates,
            require_client_purpose: setup.purpose,
            crls: &setup.crls,
            min_version: setup.min_version,
            verify_x509_name: setup.name.clone(),
            clock: clock.clone(),
        })
        .unwrap();
        let client_tls = ClientTls::build(&ClientTlsParams {
            ca_pem: setup.server_ca.as_bytes(),
            identity_pem: setup
                .identity
                .map(|(chain, key)| (chain.as_bytes(), key.as_bytes())),
            require_server_purpose: true,
            verify_x509_name: None,
            min_version: MinTlsVersion::Tls12,
            tls12_only: setup.tls12,
            clock: clock.clone(),
        })
        .unwrap();
        let server_config = SessionConfig {
            reneg_interval: setup.server_reneg,
            tran_window: setup.tran_window,
            ..SessionConfig::new(TlsSide::Server(server_tls))
        };
        let client_config = SessionConfig {
            reneg_interval: setup.client_reneg,
            tran_window: setup.tran_window,
            credentials: ClientCredentials {
                username: Some("alice".to_owned()),
                password: Some(Zeroizing::new(setup.password.clone())),
                peer_info: PeerInfo::parse("IV_VER=2.6.14\nIV_PROTO=990\n"),
                dialect: setup.dialect,
            },
            ..SessionConfig::new(TlsSide::client(client_tls))
        };
        let seed = setup.seed;
        let mut server_random = SeededEntropy::new(seed.wrapping_mul(7) + 1);
        let mut client_random = SeededEntropy::new(seed.wrapping_mul(11) + 2);
        let (server_wrap, keys, client_wrap) = wraps(setup.mode, &mut server_random);
        let start = Instant::now();
        let now = Now {
            instant: start,
            unix: setup.unix,
        };
        let client = Session::connect(
            Arc::new(client_config),
            now,
            &mut client_random,
            client_wrap,
            &link(),
        );
        Self {
            front: Front {
                config: Arc::new(server_config),
                wrap: server_wrap,
                keys,
                cookie: server_random.session_id(),
            },
            to_server: Link::new(setup.quality, seed.wrapping_mul(13) + 3),
            to_client: Link::new(setup.quality, seed.wrapping_mul(17) + 4),
            setup,
            now,
            start,
            clock,
            server: None,
            client,
            server_random,
            client_random,
            server_events: Vec::new(),
            client_events: Vec::new(),
            server_drops: Vec::new(),
            client_drops: Vec::new(),
            wire: Vec::new(),
            most_buffered: 0,
        }
    }

    /// A pair that has logged in and had its PUSH_REPLY.
    pub(crate) fn connected(setup: Setup) -> Self {
        let mut pair = Self::new(setup);
        pair.run_until(120, |pair| pair.is_up());
        assert!(
            pair.is_up(),
            "server {:?}, client {:?}",
            pair.server_events,
            pair.client_events
        );
        pair
    }

    pub(crate) fn is_up(&self) -> bool {
        let ready = |session: &Session| session.data_key(KeyId::FIRST).is_ok();
        self.server.as_ref().is_some_and(ready) && ready(&self.client)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now.instant - self.start
    }

    /// Runs until `done`, or for `seconds` of virtual time.
    pub(crate) fn run_until(&mut self, seconds: u64, done: impl Fn(&Self) -> bool) {
        let end = self.now.instant + Duration::from_secs(seconds);
        for _ in 0..1_000_000 {
            self.drain();
            if done(self) {
                return;
            }
            let next = self.next_time();
            match next {
                Some(next) if next <= end => self.advance_to(next),
                _ => {
                    self.advance_to(end);
                    self.drain();
                    return;
                }
            }
        }
        panic!("busy loop at {:?}", self.elapsed());
    }

    pub(crate) fn run_for(&mut self, seconds: u64) {
        self.run_until(seconds, |_| false);
    }

    fn next_time(&self) -> Option<Instant> {
        let server = self.server.as_ref().and_then(Session::poll_timeout);
        [
            self.to_server.next(),
            self.to_client.next(),
            server,
            self.client.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.max(self.now.instant))
    }

    fn advance_to(&mut self, at: Instant) {
        self.now = Now {
            instant: at,
            unix: self.setup.unix + (at - self.start).as_secs(),
        };
        self.clock.set(self.now.unix);
        while let Some(packet) = self.to_server.receive(at) {
            self.server_receives(packet);
        }
        while let Some(mut packet) = self.to_client.receive(at) {
            let outcome = self
                .client
                .handle_packet(self.now, &mut packet, &mut self.client_random);
            self.client_drops.extend(outcome.err());
        }
        if let Some(server) = &mut self.server {
            server.handle_timeout(self.now, &mut self.server_random);
        }
        self.client.handle_timeout(self.now, &mut self.client_random);
    }

    pub(crate) fn server_receives(&mut self, mut packet: Vec<u8>) {
        match &mut self.server {
            Some(server) => {
                let outcome = server.handle_packet(self.now, &mut packet, &mut self.server_random);
                self.server_drops.extend(outcome.err());
            }
            None => self.front_receives(packet),
        }
    }

    /// What a server does before there is a session.
    fn front_receives(&mut self, mut packet: Vec<u8>) {
        let Ok(first) = FirstByte::peek(&packet) else {
            return;
        };
        if first.opcode.has_wrapped_key() {
            let head = tls_crypt_v2::split_wkc(&mut packet).unwrap().0.len();
            packet.truncate(head);
        }
        let Ok(unwrapped) = self.front.keys.unwrap(&mut packet) else {
            return;
        };
        let body = ControlBody::parse(first.opcode, unwrapped.body).unwrap();
        let remote = unwrapped.session;
        let accept = |start| {
            Session::accept(
                self.front.config.clone(),
                self.now,
                self.front.wrap.clone(),
                &link(),
                self.front.cookie,
                remote,
                start,
            )
        };
        if first.opcode.is_hard_reset() {
            if self.setup.cookie {
                let answer = self.front.stateless_answer(self.now, remote, self.setup.mode);
                self.to_client.send(self.now.instant, answer);
            } else {
                self.server = Some(accept(Start::Reset));
            }
        } else if body.remote_session == Some(self.front.cookie) {
            let mut session = accept(Start::Cookie);
            session
                .handle_unwrapped(self.now, unwrapped, &mut self.server_random)
                .unwrap();
            self.server = Some(session);
        }
    }

    fn drain(&mut self) {
        loop {
            let mut moved = false;
            if let Some(server) = &mut self.server {
                while let Some(packet) = server.poll_transmit(self.now) {
                    assert!(packet.len() + 28 <= 1250, "{} bytes", packet.len());
                    self.wire.push((false, packet.clone()));
                    self.to_client.send(self.now.instant, packet);
                }
                while let Some(event) = server.poll_event() {
                    moved = true;
                    if matches!(&event, SessionEvent::Active { key_id } if *key_id == KeyId::FIRST) {
                        let negotiated = server.negotiate(self.setup.ekm, self.setup.dynamic);
                        let sent = server.send_message(b"PUSH_REPLY,ping 10\0");
                        assert!(server.is_ended() || (negotiated.is_ok() && sent.is_ok()));
                    }
                    self.server_events.push(event);
                }
                self.most_buffered = self.most_buffered.max(server.buffered_bytes());
            }
            while let Some(packet) = self.client.poll_transmit(self.now) {
                assert!(packet.len() + 28 <= 1250 + 320, "{} bytes", packet.len());
                self.wire.push((true, packet.clone()));
                self.to_server.send(self.now.instant, packet);
            }
            while let Some(event) = self.client.poll_event() {
                moved = true;
                if matches!(&event, SessionEvent::Message { record, .. } if record.starts_with(b"PUSH_REPLY"))
                {
                    let negotiated = self.client.negotiate(self.setup.ekm, self.setup.dynamic);
                    assert!(self.client.is_ended() || negotiated.is_ok());
                }
                self.client_events.push(event);
            }
            if !moved {
                return;
            }
        }
    }

    pub(crate) fn server(&mut self) -> &mut Session {
        self.server.as_mut().expect("the server has a session")
    }

    pub(crate) fn client_random(&mut self) -> &mut SeededEntropy {
        &mut self.client_random
    }

    /// Both sides hold the same data keys for `key_id`.
    pub(crate) fn assert_equal_keys(&self, key_id: u8) {
        let key_id = KeyId::new(key_id).unwrap();
        let server = self.server.as_ref().unwrap().data_key(key_id).unwrap();
        let client = self.client.data_key(key_id).unwrap();
        assert_eq!(server.bytes(), client.bytes());
    }

    /// Both sides use `key_id` and it is finished.
    pub(crate) fn both_active(&self, key_id: u8) -> bool {
        let wanted = (KeyId::new(key_id).unwrap(), true);
        self.server
            .as_ref()
            .is_some_and(|server| server.current_key() == wanted)
            && self.client.current_key() == wanted
    }

    pub(crate) fn failure(events: &[SessionEvent]) -> Option<String> {
        events.iter().find_map(|event| match event {
            SessionEvent::Failed { error } | SessionEvent::RenegotiationFailed { error, .. } => {
                Some(error.to_string())
            }
            _ => None,
        })
    }

    pub(crate) fn messages(events: &[SessionEvent]) -> Vec<String> {
        events
            .iter()
            .filter_map(|event| match event {
                SessionEvent::Message { record, .. } => Some(String::from_utf8_lossy(record).into_owned()),
                _ => None,
            })
            .collect()
    }
}

impl Front {
    fn stateless_answer(&self, now: Now, client: SessionId, mode: Mode) -> Vec<u8> {
        let early = EarlyNegotiation { resend_wkc: true }.encode();
        let body = ControlBody {
            acks: [MessageId(0)].into_iter().collect(),
            remote_session: Some(client),
            message_id: Some(MessageId(0)),
            payload: if mode == Mode::TlsCryptV2 { &early } else { &[] },
        };
        let mut plain = Vec::new();
        body.encode_into(&mut plain);
        let first = FirstByte {
            opcode: Opcode::ControlHardResetServerV2,
            key_id: KeyId::FIRST,
        };
        let mut packet = Vec::new();
        let stamp = ReplayStamp {
            id: 1,
            time: now.unix as u32,
        };
        self.keys.wrap(stamp, first, self.cookie, &plain, &mut packet);
        packet
    }
}

/// Header of a packet as it is on the wire, for looking at what went over it.
pub(crate) fn header(packet: &[u8]) -> ControlHeader {
    ControlHeader::parse(packet).unwrap().0
}
