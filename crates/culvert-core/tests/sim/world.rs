//! The simulated world: a server, hosts with clients, the network between them, and time.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use culvert_client::{Client, ClientEvent, ClientSettings, End, Personality};
use culvert_control::tls::ClientCertificates;
use culvert_control::{SessionConfig, SessionWrap};
use culvert_core::{
    AttemptLimits, AuthDecision, AuthRequest, AuthTicket, CertificateDemand, ClientId, CredentialPolicy,
    DisconnectReason, EndpointSettings, Event, Grant, HalfOpenLimits, Keepalive, PushSettings, Server,
    WrapPolicy,
};
use culvert_crypto::{AuthDigest, ControlWrap, DataCipher, Entropy, SeededEntropy};
use culvert_data::{DataPlane, DataPlaneConfig, Inbound, MssFix};
use culvert_policy::{Access, AuthorizationRule, Policy};
use culvert_pool::PoolConfig;
use culvert_wire::{FirstByte, LinkAddr, Now, TcpLink, UdpPath};

use crate::pki::{START, pki};

/// How bad the network is. Rates are out of 1000.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// Packets take 10 ms and up to this much more, which reorders them.
    pub(crate) jitter_ms: u64,
}

/// Answers authentication requests: decisions with the delay after which they arrive.
pub(crate) type Backend = Box<dyn FnMut(&AuthRequest) -> Vec<(Duration, AuthDecision)>>;

/// One client machine.
pub(crate) struct Host {
    pub(crate) client: Option<Client>,
    /// Its address as the server sees it.
    pub(crate) link: LinkAddr,
    pub(crate) settings: ClientSettings,
    pub(crate) connected: u32,
    pub(crate) renegotiated: u32,
    /// When its options were changed.
    pub(crate) updated: Vec<Instant>,
    pub(crate) ends: Vec<End>,
    pub(crate) infos: Vec<String>,
    /// IP packets that came out of the tunnel.
    pub(crate) received: u32,
    /// Bytes of control packets from the server.
    pub(crate) control_bytes: usize,
}

enum Flight {
    ToServer {
        from: LinkAddr,
        packet: Vec<u8>,
    },
    ToHost {
        to: LinkAddr,
        packet: Vec<u8>,
    },
    Verdict {
        ticket: AuthTicket,
        decision: AuthDecision,
    },
}

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) server: Server,
    pub(crate) data: Arc<DataPlane>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) quality: Quality,
    pub(crate) backend: Backend,
    pub(crate) random: SeededEntropy,
    pub(crate) connected: Vec<ClientId>,
    pub(crate) disconnected: Vec<(ClientId, DisconnectReason)>,
    pub(crate) refused: Vec<culvert_core::Refused>,
    pub(crate) requests: Vec<AuthTicket>,
    pub(crate) abandoned: Vec<AuthTicket>,
    pub(crate) responses: Vec<(AuthTicket, String)>,
    pub(crate) floats: u32,
    pub(crate) pool_exhausted: u32,
    /// IP packets the server wrote to its tunnel device.
    pub(crate) tun: u32,
    /// Packets on their way to the server, kept when `record` is on.
    pub(crate) recorded: Vec<(LinkAddr, Vec<u8>)>,
    pub(crate) record: bool,
    flying: BTreeMap<(Instant, u64), Flight>,
    sequence: u64,
    next_port: u16,
    live: HashSet<ClientId>,
}

/// Settings most simulations start from: certificates, no password, no wrapping.
pub(crate) fn settings() -> EndpointSettings {
    EndpointSettings {
        wrap: WrapPolicy::default(),
        session: Arc::new(pki().server_session(ClientCertificates::Required)),
        credentials: CredentialPolicy {
            certificate: CertificateDemand::Required,
            password: false,
        },
        data_ciphers: vec![
            DataCipher::Aes256Gcm,
            DataCipher::Aes128Gcm,
            DataCipher::ChaCha20Poly1305,
        ],
        legacy_cbc: None,
        data_epoch: true,
        tls_key_export: true,
        mss_fix: MssFix::default(),
        pool: PoolConfig {
            v4: "10.8.0.0/24".parse().ok(),
            v6: Some("fd00:8::/64".parse().unwrap()),
            sticky: true,
        },
        policy: Policy::compile(
            &[AuthorizationRule {
                destination: "0.0.0.0/0".parse().unwrap(),
                access: Access::AllUsers,
                services: Vec::new(),
                description: None,
            }],
            &["0.0.0.0/0".parse().unwrap()],
        ),
        keepalive: Keepalive::default(),
        push: PushSettings {
            routes: vec!["10.20.0.0/16".parse().unwrap()],
            tun_mtu: 1500,
            updates: true,
            ..PushSettings::default()
        },
        session_timeout: None,
        inactive: None,
        max_clients: 200,
        half_open: HalfOpenLimits::default(),
        attempts: AttemptLimits::default(),
        duplicate_cn: true,
        auth_token: None,
    }
}

/// The same with user name and password instead of certificates.
pub(crate) fn password_settings() -> EndpointSettings {
    EndpointSettings {
        session: Arc::new(pki().server_session(ClientCertificates::None)),
        credentials: CredentialPolicy {
            certificate: CertificateDemand::None,
            password: true,
        },
        ..settings()
    }
}

/// Accepts everybody after 20 ms.
pub(crate) fn accept_all() -> Backend {
    Box::new(|_| vec![(Duration::from_millis(20), AuthDecision::Accept(Grant::default()))])
}

impl World {
    pub(crate) fn new(seed: u64, settings: EndpointSettings) -> Self {
        let now = Now {
            instant: Instant::now(),
            unix: START,
        };
        let data = Arc::new(DataPlane::new(DataPlaneConfig {
            max_peers: 256,
            v4: settings.pool.v4,
            v6: settings.pool.v6,
            server_v4: Some(Ipv4Addr::new(10, 8, 0, 1)),
            server_v6: None,
            client_to_client: false,
            client_to_client_v6: false,
        }));
        let entropy = Box::new(SeededEntropy::new(seed ^ 0x5eed));
        let server = Server::new(now, settings, data.clone(), entropy).unwrap();
        Self {
            now,
            server,
            data,
            hosts: Vec::new(),
            quality: Quality::default(),
            backend: accept_all(),
            random: SeededEntropy::new(seed),
            connected: Vec::new(),
            disconnected: Vec::new(),
            refused: Vec::new(),
            requests: Vec::new(),
            abandoned: Vec::new(),
            responses: Vec::new(),
            floats: 0,
            pool_exhausted: 0,
            tun: 0,
            recorded: Vec::new(),
            record: false,
            flying: BTreeMap::new(),
            sequence: 0,
            next_port: 20_000,
            live: HashSet::new(),
        }
    }

    /// A random number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    /// A UDP address nobody has had yet.
    pub(crate) fn fresh_udp(&mut self) -> LinkAddr {
        self.next_port += 1;
        let host = (self.next_port % 200) as u8 + 1;
        LinkAddr::Udp(UdpPath {
            remote: SocketAddr::new(Ipv4Addr::new(198, 51, 100, host).into(), self.next_port),
            local: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            socket: 0,
        })
    }

    /// A TCP connection nobody has had yet.
    pub(crate) fn fresh_tcp(&mut self) -> LinkAddr {
        self.next_port += 1;
        let remote = SocketAddr::new(Ipv4Addr::new(203, 0, 113, 7).into(), self.next_port);
        LinkAddr::Tcp(TcpLink {
            id: u64::from(self.next_port),
            remote,
        })
    }

    /// Adds a machine with the certificate of `user`, not yet connecting.
    pub(crate) fn add_host(&mut self, user: Option<usize>, personality: Personality) -> usize {
        let link = self.fresh_udp();
        self.add_host_at(link, user, None, personality)
    }

    /// Adds a machine that logs in with a password.
    pub(crate) fn add_login(&mut self, name: &str, password: &str, personality: Personality) -> usize {
        let link = self.fresh_udp();
        self.add_host_at(link, None, Some((name, password)), personality)
    }

    pub(crate) fn add_host_at(
        &mut self,
        link: LinkAddr,
        user: Option<usize>,
        login: Option<(&str, &str)>,
        personality: Personality,
    ) -> usize {
        let session = SessionConfig {
            options: personality.options(link.transport()),
            credentials: personality.credentials(login),
            reneg_interval: None,
            ..pki().client_session(user)
        };
        let settings = ClientSettings {
            session: Arc::new(session),
            wrap: SessionWrap::new(ControlWrap::none()),
            personality,
            auth: AuthDigest::Sha1,
        };
        self.hosts.push(Host {
            client: None,
            link,
            settings,
            connected: 0,
            renegotiated: 0,
            updated: Vec::new(),
            ends: Vec::new(),
            infos: Vec::new(),
            received: 0,
            control_bytes: 0,
        });
        self.hosts.len() - 1
    }

    /// Starts (or restarts) the client of a host, from the same address.
    pub(crate) fn start(&mut self, host: usize) {
        let entropy = Box::new(SeededEntropy::new(self.random.next_u64()));
        let server = match self.hosts[host].link {
            LinkAddr::Udp(path) => LinkAddr::Udp(UdpPath {
                remote: "192.0.2.1:1194".parse().unwrap(),
                ..path
            }),
            LinkAddr::Tcp(tcp) => LinkAddr::Tcp(tcp),
        };
        let settings = self.hosts[host].settings.clone();
        self.hosts[host].client = Some(Client::connect(self.now, settings, server, entropy));
        self.drain_host(host);
    }

    /// Does something with a host's client.
    pub(crate) fn with_host<T>(
        &mut self,
        host: usize,
        work: impl FnOnce(&mut Client, Now) -> T,
    ) -> Option<T> {
        let now = self.now;
        let result = self.hosts[host].client.as_mut().map(|client| work(client, now));
        self.drain_host(host);
        result
    }

    /// The client vanishes without a word.
    pub(crate) fn kill(&mut self, host: usize) {
        self.hosts[host].client = None;
    }

    /// Sends an IP packet from the host into the tunnel.
    pub(crate) fn send_ip(&mut self, host: usize) {
        let from = self.hosts[host].link;
        let Some(client) = &mut self.hosts[host].client else {
            return;
        };
        let Some(v4) = client.v4() else { return };
        let mut packet = Vec::new();
        if client
            .seal(self.now, &ipv4(v4, Ipv4Addr::new(10, 20, 0, 1)), &mut packet)
            .is_ok()
        {
            self.transmit(Flight::ToServer { from, packet });
        }
    }

    /// Has an IP packet for a client arrive at the server's tunnel device.
    pub(crate) fn reply_ip(&mut self, v4: Ipv4Addr) {
        let mut ip = ipv4(Ipv4Addr::new(10, 20, 0, 1), v4);
        if let Ok(out) = self.data.route(self.server.clock_ms(self.now), &mut ip) {
            let mut packet = vec![0; out.sealed_len(ip.len())];
            if out.seal_into(&[&ip], &mut packet).is_ok() {
                self.transmit(Flight::ToHost {
                    to: out.link(),
                    packet,
                });
            }
        }
    }

    /// Has a packet arrive at the server as if from `from`.
    pub(crate) fn inject(
        &mut self,
        from: LinkAddr,
        mut packet: Vec<u8>,
    ) -> Result<(), culvert_core::DropReason> {
        let result = self.server.handle_link_input(self.now, from, &mut packet);
        self.drain_server();
        result
    }

    /// Commands the server.
    pub(crate) fn command<T>(&mut self, work: impl FnOnce(&mut Server, Now) -> T) -> T {
        let result = work(&mut self.server, self.now);
        self.drain_server();
        result
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.advance(next.max(self.now.instant));
            self.step();
        }
        self.advance(end);
    }

    /// Lets time pass until `done`, at most `limit`. `true` if it was reached.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.instant + limit;
        while !done(self) {
            let Some(next) = self.next_event().filter(|next| *next <= end) else {
                self.advance(end);
                return done(self);
            };
            self.advance(next.max(self.now.instant));
            self.step();
        }
        true
    }

    /// Waits until a host is connected.
    pub(crate) fn connect(&mut self, host: usize) {
        self.start(host);
        let up = self.run_until(Duration::from_secs(50), |world| world.is_up(host));
        assert!(
            up,
            "host {host} did not connect: {:?} {:?}",
            self.hosts[host].ends, self.refused
        );
    }

    pub(crate) fn is_up(&self, host: usize) -> bool {
        self.hosts[host].client.as_ref().is_some_and(Client::is_connected)
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        let counters = self.server.counters();
        let mut v4 = HashSet::new();
        let mut peers = HashSet::new();
        let mut clients = 0;
        for status in self.server.clients() {
            clients += 1;
            assert!(v4.insert(status.v4), "address {:?} given out twice", status.v4);
            assert!(peers.insert(status.peer), "peer id given out twice");
            let peer = self
                .data
                .peer(status.peer)
                .expect("a live client is in the data plane");
            assert_eq!(peer.client(), status.client.0);
            assert_eq!(peer.link(), status.link);
            assert!(self.live.contains(&status.client), "live, but never reported");
        }
        assert_eq!(counters.clients, clients);
        assert_eq!(
            counters.clients,
            self.live.len(),
            "reported live clients and actual ones differ"
        );
        assert_eq!(counters.addresses_in_use as usize, clients);
        assert_eq!(
            counters.clients_connected - counters.clients_disconnected,
            clients as u64
        );
    }

    /// After everybody left and time has passed, nothing may be left.
    pub(crate) fn check_empty(&mut self) {
        for host in 0..self.hosts.len() {
            self.kill(host);
        }
        self.run(Duration::from_secs(400));
        self.check();
        let counters = self.server.counters();
        let left = (
            counters.sessions,
            counters.half_open,
            counters.half_open_bytes,
            counters.clients,
        );
        assert_eq!(left, (0, 0, 0, 0), "sessions leaked");
        assert_eq!((counters.timers, counters.tombstones), (0, 0), "timers leaked");
        assert_eq!(counters.addresses_in_use, 0, "leases leaked");
        assert!(self.server.poll_timeout().is_none());
    }

    fn next_event(&self) -> Option<Instant> {
        let flying = self.flying.first_key_value().map(|((at, _), _)| *at);
        let server = self.server.poll_timeout().map(|(at, _)| at);
        let hosts = self
            .hosts
            .iter()
            .filter_map(|host| host.client.as_ref()?.poll_timeout())
            .min();
        [flying, server, hosts].into_iter().flatten().min()
    }

    fn advance(&mut self, to: Instant) {
        let since_start = |at: Instant, start: Now| at.saturating_duration_since(start.instant);
        let passed = since_start(to, self.now);
        // Whole seconds since the start, without losing fractions from step to step.
        let fraction = Duration::from_nanos(self.fraction_ns());
        self.now.unix += (fraction + passed).as_secs();
        self.now.instant = to;
    }

    /// Nanoseconds into the current Unix second, derived from the clock the server started with.
    fn fraction_ns(&self) -> u64 {
        let ms = self.server.clock_ms(self.now);
        (ms % 1000) * 1_000_000
    }

    fn step(&mut self) {
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now.instant {
                break;
            }
            let flight = entry.remove();
            self.land(flight);
        }
        if self
            .server
            .poll_timeout()
            .is_some_and(|(at, _)| at <= self.now.instant)
        {
            self.server.handle_timeout(self.now);
            self.drain_server();
        }
        for host in 0..self.hosts.len() {
            let due = |client: &Client| client.poll_timeout().is_some_and(|at| at <= self.now.instant);
            if self.hosts[host].client.as_ref().is_some_and(due) {
                self.with_host(host, |client, now| client.handle_timeout(now));
            }
        }
    }

    fn land(&mut self, flight: Flight) {
        match flight {
            Flight::ToServer { from, packet } => self.arrive_at_server(from, packet),
            Flight::ToHost { to, mut packet } => {
                let here = |host: &Host| host.link == to && host.client.is_some();
                let Some(host) = self.hosts.iter().position(here) else {
                    return;
                };
                let now = self.now;
                let machine = &mut self.hosts[host];
                let Some(client) = &mut machine.client else { return };
                if FirstByte::peek(&packet).is_ok_and(|first| !first.opcode.is_data()) {
                    machine.control_bytes += packet.len();
                }
                if let Ok(Some(_)) = client.handle_link_input(now, &mut packet) {
                    machine.received += 1;
                }
                self.drain_host(host);
            }
            Flight::Verdict { ticket, decision } => {
                self.server.handle_auth_decision(self.now, ticket, decision);
                self.drain_server();
            }
        }
    }

    /// What the daemon's workers do: data packets to the data plane, the rest to the server.
    fn arrive_at_server(&mut self, from: LinkAddr, mut packet: Vec<u8>) {
        let is_data = FirstByte::peek(&packet).is_ok_and(|first| first.opcode.is_data());
        if !is_data {
            let _dropped = self.server.handle_link_input(self.now, from, &mut packet);
            self.drain_server();
            return;
        }
        if let Ok(Inbound::Tun { .. }) = self.data.open(self.server.clock_ms(self.now), &from, &mut packet) {
            self.tun += 1;
        }
        while let Some(event) = self.data.poll_event() {
            self.server.handle_peer_event(self.now, event);
        }
        self.drain_server();
    }

    fn drain_server(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            self.transmit(Flight::ToHost {
                to: transmit.to,
                packet: transmit.packet,
            });
        }
        while let Some(event) = self.server.poll_event() {
            self.note(event);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::AuthRequested(request) => {
                self.requests.push(request.ticket);
                for (delay, decision) in (self.backend)(&request) {
                    let at = self.now.instant + delay;
                    self.sequence += 1;
                    let verdict = Flight::Verdict {
                        ticket: request.ticket,
                        decision,
                    };
                    self.flying.insert((at, self.sequence), verdict);
                }
            }
            Event::AuthAbandoned(ticket) => self.abandoned.push(ticket),
            Event::ChallengeResponse { ticket, response } => {
                self.responses.push((ticket, response.expose().to_owned()));
            }
            Event::Connected(status) => {
                assert!(self.live.insert(status.client), "connected twice");
                self.connected.push(status.client);
            }
            Event::Disconnected { client, reason, .. } => {
                assert!(self.live.remove(&client), "disconnected without being connected");
                self.disconnected.push((client, reason));
            }
            Event::Refused(refused) => self.refused.push(*refused),
            Event::Floated { .. } => self.floats += 1,
            Event::Renegotiated { .. } => {}
            Event::PoolExhausted { .. } => self.pool_exhausted += 1,
            Event::CloseLink(tcp) => {
                for host in &mut self.hosts {
                    if matches!(host.link, LinkAddr::Tcp(own) if own.id == tcp.id) {
                        host.client = None;
                    }
                }
            }
        }
    }

    fn drain_host(&mut self, host: usize) {
        let from = self.hosts[host].link;
        while let Some(packet) = self.hosts[host].client.as_mut().and_then(Client::poll_transmit) {
            if self.record {
                self.recorded.push((from, packet.clone()));
            }
            self.transmit(Flight::ToServer { from, packet });
        }
        let machine = &mut self.hosts[host];
        while let Some(event) = machine.client.as_mut().and_then(Client::poll_event) {
            match event {
                ClientEvent::Connected(_) => machine.connected += 1,
                ClientEvent::Updated(_) => machine.updated.push(self.now.instant),
                ClientEvent::Renegotiated { .. } => machine.renegotiated += 1,
                ClientEvent::Ended(end) => machine.ends.push(end),
                ClientEvent::Info(text) => machine.infos.push(text),
                ClientEvent::Pending { .. } | ClientEvent::Token => {}
            }
        }
    }

    /// Puts something on the network. UDP is as bad as the quality says; TCP delivers all in order.
    fn transmit(&mut self, flight: Flight) {
        let udp = match &flight {
            Flight::ToServer { from, .. } => from.is_udp(),
            Flight::ToHost { to, .. } => to.is_udp(),
            Flight::Verdict { .. } => false,
        };
        if !udp {
            self.fly(Duration::from_millis(10), flight);
            return;
        }
        if self.below(1000) < self.quality.loss {
            return;
        }
        if self.below(1000) < self.quality.duplication
            && let Some(copy) = copy_of(&flight)
        {
            let delay = Duration::from_millis(10 + self.below(self.quality.jitter_ms + 1));
            self.fly(delay, copy);
        }
        let delay = Duration::from_millis(10 + self.below(self.quality.jitter_ms + 1));
        self.fly(delay, flight);
    }

    fn fly(&mut self, delay: Duration, flight: Flight) {
        self.sequence += 1;
        self.flying
            .insert((self.now.instant + delay, self.sequence), flight);
    }
}

fn copy_of(flight: &Flight) -> Option<Flight> {
    Some(match flight {
        Flight::ToServer { from, packet } => Flight::ToServer {
            from: *from,
            packet: packet.clone(),
        },
        Flight::ToHost { to, packet } => Flight::ToHost {
            to: *to,
            packet: packet.clone(),
        },
        Flight::Verdict { .. } => return None,
    })
}

/// A minimal IPv4 packet.
fn ipv4(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x45;
    packet[3] = 40;
    packet[8] = 64;
    packet[9] = 17;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&destination.octets());
    packet
}
