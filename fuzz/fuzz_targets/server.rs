//! A whole server among honest clients, strangers and somebody on the path. It never panics, holds no more than its
//! limits, sends legal packets, and answers strangers with little.
//!
//! The input is a program: its first byte sets the scene, then one byte chooses what happens next and the bytes after
//! it say how.
#![no_main]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use culvert_client::{Client, ClientSettings, Personality};
use culvert_control::SessionWrap;
use culvert_core::{
    AttemptLimits, AuthDecision, AuthTicket, CertificateDemand, CredentialPolicy, DisconnectReason,
    DynamicChallenge, EndpointSettings, Event, Grant, HalfOpenLimits, Keepalive, PendingMethod, PushSettings,
    Rejection, Server, SharedWrap, WrapPolicy,
};
use culvert_crypto::{AuthDigest, ControlWrap, DataCipher, Role, SeededEntropy, StaticKey};
use culvert_data::{DataPlane, DataPlaneConfig, MssFix};
use culvert_fuzz::{CONFIGS, client_session, link, start};
use culvert_policy::{Access, AuthorizationRule, Policy};
use culvert_pool::PoolConfig;
use culvert_wire::control::{ControlBody, ControlHeader};
use culvert_wire::{FirstByte, LinkAddr, MessageId, Now, Opcode, SessionId, TcpLink, Transport};
use libfuzzer_sys::fuzz_target;

/// Steps of one program: each may cost a signature.
const MAX_STEPS: usize = 48;
/// Half-open sessions the server may hold: few, so that programs reach the limit.
const HALF_OPEN: usize = 3;

static KEY: LazyLock<StaticKey> =
    LazyLock::new(|| StaticKey::from_bytes(&std::array::from_fn(|index| index as u8)));

fuzz_target!(|program: &[u8]| {
    let Some((&scene, mut program)) = program.split_first() else {
        return;
    };
    let mut world = World::new(scene);
    for _ in 0..MAX_STEPS {
        let Some((&[step, argument], rest)) = program.split_first_chunk() else {
            break;
        };
        program = world.step(step, argument, rest);
        world.drain();
    }
    assert!(world.server.counters().half_open <= HALF_OPEN);
});

/// A client, what it has sent and what is on the way to it.
struct Peer {
    client: Client,
    link: LinkAddr,
    outgoing: VecDeque<Vec<u8>>,
    incoming: VecDeque<Vec<u8>>,
}

struct World {
    now: Now,
    scene: u8,
    server: Server,
    data: Arc<DataPlane>,
    peers: Vec<Peer>,
    tickets: Vec<AuthTicket>,
    last: Vec<u8>,
    connections: u64,
}

impl World {
    fn new(scene: u8) -> Self {
        let now = start();
        let settings = settings(scene);
        let data = Arc::new(DataPlane::new(DataPlaneConfig {
            max_peers: 8,
            v4: settings.pool.v4,
            v6: None,
            server_v4: Some(Ipv4Addr::new(10, 8, 0, 1)),
            server_v6: None,
            client_to_client: true,
            client_to_client_v6: true,
        }));
        let entropy = Box::new(SeededEntropy::new(1));
        let server = Server::new(now, settings, data.clone(), entropy).expect("settings that work");
        let mut world = Self {
            now,
            scene,
            server,
            data,
            peers: Vec::new(),
            tickets: Vec::new(),
            last: Vec::new(),
            connections: 0,
        };
        for host in [1, 2] {
            let peer = world.connect(link(host));
            world.peers.push(peer);
        }
        world
    }

    fn connect(&mut self, link: LinkAddr) -> Peer {
        self.connections += 1;
        let personality = match (self.scene >> 2) % 4 {
            0 => Personality::v2_4(),
            1 => Personality::v2_5(),
            2 => Personality::v2_6(),
            _ => Personality::v2_7(),
        };
        let wrap = match self.scene & 1 {
            0 => ControlWrap::none(),
            _ => ControlWrap::tls_crypt(&KEY, Role::Client),
        };
        let credentials = personality.credentials(Some(("alice", "secret")));
        let settings = ClientSettings {
            session: client_session(credentials, personality.options(Transport::Udp)),
            wrap: SessionWrap::new(wrap),
            personality,
            auth: AuthDigest::Sha256,
        };
        let entropy = Box::new(SeededEntropy::new(self.connections + 1));
        Peer {
            client: Client::connect(self.now, settings, link, entropy),
            link,
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
        }
    }

    /// Does one step and returns the rest of the program.
    fn step<'p>(&mut self, step: u8, argument: u8, rest: &'p [u8]) -> &'p [u8] {
        let who = usize::from(step >> 7);
        match step % 10 {
            0 => {
                for _ in 0..=argument % 8 {
                    self.deliver();
                }
            }
            1 => {
                if let Some(mut packet) = self.peers[who].outgoing.pop_front() {
                    let at = usize::from(argument) % packet.len();
                    packet[at] ^= rest.first().copied().unwrap_or(1);
                    self.server_receives(self.peers[who].link, packet);
                }
            }
            // Lost, or the last packet again, possibly from elsewhere.
            2 if argument & 1 == 0 => drop(self.peers[who].outgoing.pop_front()),
            2 => self.server_receives(link(argument >> 1), self.last.clone()),
            3 => return self.forge(who, argument, rest),
            4 => {
                let (packet, rest) = rest.split_at(usize::from(argument).min(rest.len()));
                self.server_receives(self.peers[who].link, packet.to_vec());
                return rest;
            }
            5 => self.wait(Duration::from_millis(
                u64::from(argument) * u64::from(argument) * 4,
            )),
            6 => self.decide(argument),
            7 => self.operate(argument),
            8 => self.client_acts(who, argument),
            _ => {
                let mut sealed = Vec::new();
                let mut ip = vec![
                    0x45,
                    0,
                    0,
                    28,
                    0,
                    0,
                    0,
                    0,
                    64,
                    17,
                    0,
                    0,
                    10,
                    8,
                    0,
                    2 + who as u8,
                    10,
                    8,
                    0,
                    argument,
                ];
                ip.resize(28, 0);
                if self.peers[who].client.seal(self.now, &ip, &mut sealed).is_ok() {
                    let from = if argument & 64 == 0 {
                        self.peers[who].link
                    } else {
                        link(argument)
                    };
                    self.data_arrives(from, &mut sealed);
                }
            }
        }
        rest
    }

    /// A packet made by hand, with the session ids of a client and of the server as that client knows it.
    fn forge<'p>(&mut self, who: usize, length: u8, rest: &'p [u8]) -> &'p [u8] {
        let Some((&[first, host, acks, id], rest)) = rest.split_first_chunk() else {
            return &[];
        };
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let Ok(first) = FirstByte::parse(first) else {
            return rest;
        };
        let client = &self.peers[who].client;
        let (session, remote_session) = match host & 1 {
            0 => (client.session_id(), client.server_session_id()),
            _ => (
                SessionId::new([host; 8]).expect("not zero"),
                SessionId::new([id; 8]),
            ),
        };
        let mut packet = ControlHeader { first, session }.encode().to_vec();
        let body = ControlBody {
            acks: (0..acks % 9).map(|n| MessageId(u32::from(n))).collect(),
            remote_session,
            message_id: (first.opcode != Opcode::AckV1).then_some(MessageId(u32::from(id))),
            payload,
        };
        body.encode_into(&mut packet);
        self.server_receives(link(host >> 1), packet);
        rest
    }

    fn server_receives(&mut self, from: LinkAddr, mut packet: Vec<u8>) {
        let (len, before) = (packet.len(), self.server.counters());
        let known = self.peers.iter().any(|peer| peer.link.remote() == from.remote());
        if FirstByte::peek(&packet).is_ok_and(|first| first.opcode.is_data()) {
            self.data_arrives(from, &mut packet);
            return;
        }
        let _ = self.server.handle_link_input(self.now, from, &mut packet);
        let after = self.server.counters();
        if from.is_udp() && after.sessions == before.sessions && !known {
            // A stranger who has proved nothing: at most one answer, not much larger than the question.
            let mut answers = 0;
            while let Some(transmit) = self.server.poll_transmit() {
                if transmit.to == from {
                    answers += 1;
                    assert!(transmit.packet.len() + 28 <= (len + 28) * 135 / 100);
                }
            }
            assert!(answers <= 1, "{answers} answers to one packet of a stranger");
        }
    }

    fn data_arrives(&mut self, from: LinkAddr, packet: &mut [u8]) {
        let _ = self.data.open(self.server.clock_ms(self.now), &from, packet);
        while let Some(event) = self.data.poll_event() {
            self.server.handle_peer_event(self.now, event);
        }
    }

    fn deliver(&mut self) {
        for who in 0..self.peers.len() {
            let link = self.peers[who].link;
            for packet in std::mem::take(&mut self.peers[who].outgoing) {
                self.last.clone_from(&packet);
                self.server_receives(link, packet);
                self.drain();
            }
        }
        for peer in &mut self.peers {
            for mut packet in std::mem::take(&mut peer.incoming) {
                let _ = peer.client.handle_link_input(self.now, &mut packet);
            }
        }
        self.drain();
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now.later(by);
        // What is due is done at once; a timer that stays due would spin.
        for round in 0.. {
            assert!(
                round < 1000,
                "a timer is always due: {:?}",
                self.server.poll_timeout()
            );
            self.server.handle_timeout(self.now);
            self.drain();
            if self
                .server
                .poll_timeout()
                .is_none_or(|(at, _)| at > self.now.instant)
            {
                break;
            }
        }
        for peer in &mut self.peers {
            peer.client.handle_timeout(self.now);
        }
    }

    fn decide(&mut self, argument: u8) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets[usize::from(argument >> 4) % self.tickets.len()];
        let decision = match argument % 8 {
            0..=3 => AuthDecision::Accept(Grant {
                username: (argument & 4 == 0).then(|| "bob".to_owned()),
                static_v4: (argument % 4 == 3).then_some(Ipv4Addr::new(10, 8, 0, argument)),
                ..Grant::default()
            }),
            4 => AuthDecision::Reject(Rejection::said("no")),
            5 => AuthDecision::Reject(Rejection {
                retry_after: Some(Duration::from_secs(7)),
                ..Rejection::silent("no")
            }),
            6 => AuthDecision::Challenge(DynamicChallenge::new("state", "alice", "Code?")),
            _ => AuthDecision::Pending {
                timeout: Duration::from_secs(60),
                methods: vec![PendingMethod::OpenUrl("https://login.example".to_owned())],
            },
        };
        self.server.handle_auth_decision(self.now, ticket, decision);
    }

    fn operate(&mut self, argument: u8) {
        let first = self.server.clients().next().map(|status| status.client);
        match (argument % 5, first) {
            (0, Some(client)) => drop(self.server.disconnect(
                self.now,
                client,
                DisconnectReason::Restarted(None),
            )),
            (1, Some(client)) => drop(self.server.disconnect(
                self.now,
                client,
                DisconnectReason::Terminated(None),
            )),
            (2, _) => self.server.set_policy(self.now, policy(argument)),
            (3, _) => self
                .server
                .replace_settings(self.now, settings(argument))
                .expect("settings that work"),
            (4, _) if argument > 250 => self.server.shutdown(self.now),
            _ => {
                if let LinkAddr::Tcp(link) = self.peers[1].link {
                    self.server.handle_link_closed(self.now, link);
                }
            }
        }
    }

    fn client_acts(&mut self, who: usize, argument: u8) {
        match argument % 4 {
            0 => drop(self.peers[who].client.renegotiate(self.now)),
            1 => self.peers[who].client.exit(self.now),
            // Starts anew from the same address, or over TCP.
            2 => self.peers[who] = self.connect(self.peers[who].link),
            _ => {
                let remote = link(argument).remote();
                let id = self.connections;
                self.peers[who] = self.connect(LinkAddr::Tcp(TcpLink { id, remote }));
            }
        }
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            assert!(transmit.packet.len() + 28 <= 1250 || transmit.packet[0] >> 3 == Opcode::DataV2.value());
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.link == transmit.to) {
                peer.incoming.push_back(transmit.packet);
                // The path loses what it cannot hold.
                peer.incoming.truncate(64);
            }
        }
        while let Some(event) = self.server.poll_event() {
            if let Event::AuthRequested(request) = event {
                self.tickets.push(request.ticket);
            }
        }
        for peer in &mut self.peers {
            while let Some(packet) = peer.client.poll_transmit() {
                peer.outgoing.push_back(packet);
                peer.outgoing.truncate(64);
            }
            while peer.client.poll_event().is_some() {}
        }
        let counters = self.server.counters();
        assert!(counters.clients <= 4 && counters.half_open <= HALF_OPEN && counters.sessions <= 32);
        assert!(counters.timers <= counters.sessions * 8);
        for status in self.server.clients() {
            let peer = self
                .data
                .peer(status.peer)
                .expect("a client that was let in has a place in the data plane");
            assert!(peer.send_key().is_some(), "a client without a key");
        }
    }
}

fn policy(argument: u8) -> Arc<Policy> {
    let rule = AuthorizationRule {
        destination: format!("10.{argument}.0.0/16").parse().expect("a network"),
        access: Access::AllUsers,
        services: Vec::new(),
        description: None,
    };
    Policy::compile(&[rule], &["0.0.0.0/0".parse().expect("a network")])
}

fn settings(scene: u8) -> EndpointSettings {
    let shared = match scene & 1 {
        0 => SharedWrap::None,
        _ => SharedWrap::TlsCrypt { key: KEY.clone() },
    };
    EndpointSettings {
        wrap: WrapPolicy {
            shared,
            tls_crypt_v2: None,
        },
        session: CONFIGS.server.clone(),
        credentials: CredentialPolicy {
            certificate: CertificateDemand::None,
            password: true,
        },
        data_ciphers: vec![DataCipher::Aes256Gcm, DataCipher::ChaCha20Poly1305],
        legacy_cbc: None,
        data_epoch: true,
        tls_key_export: true,
        mss_fix: MssFix::default(),
        pool: PoolConfig {
            v4: Some("10.8.0.0/29".parse().expect("a network")),
            v6: None,
            sticky: true,
        },
        policy: policy(8),
        keepalive: Keepalive::default(),
        push: PushSettings {
            routes: vec![format!("10.{scene}.0.0/16").parse().expect("a network")],
            updates: true,
            tun_mtu: 1500,
            explicit_exit_notify: scene & 2 == 0,
            ..PushSettings::default()
        },
        session_timeout: None,
        inactive: None,
        max_clients: 4,
        half_open: HalfOpenLimits {
            sessions: HALF_OPEN,
            ..HalfOpenLimits::default()
        },
        attempts: AttemptLimits::default(),
        duplicate_cn: scene & 2 == 0,
        auth_token: None,
    }
}
