//! Many clients that log in at once, on one thread: as many stock processes would weigh more than the server.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use culvert_client::{Client, ClientEvent, ClientSettings, End, Personality};
use culvert_control::tls::{ClientTls, ClientTlsParams, MinTlsVersion, TlsClock};
use culvert_control::{SessionConfig, SessionWrap, TlsSide};
use culvert_crypto::{AuthDigest, ControlWrap, SystemEntropy};
use culvert_wire::message::AuthFailed;
use culvert_wire::{LinkAddr, Now, Transport, UdpPath};

use crate::netns::Netns;
use crate::pki::Leaf;

/// What became of a crowd.
#[derive(Debug, Default)]
pub struct Fates {
    /// Clients that were let in.
    pub connected: usize,
    /// What those that were refused with a reason were told.
    pub refused: Vec<String>,
    /// How the others ended.
    pub failed: Vec<String>,
    /// Those that still waited at last.
    pub waiting: usize,
}

/// Lets `count` clients with this certificate log in over UDP from a namespace, all at once, and watches them until each
/// knows its fate or `patience` is over.
///
/// # Errors
/// Fails when a file can't be read or a socket can't be made.
pub fn spawn_logins(
    ns: &Netns,
    server: SocketAddr,
    ca: &Path,
    leaf: &Leaf,
    count: usize,
    patience: Duration,
) -> Result<JoinHandle<Result<Fates>>> {
    let settings = settings(ca, leaf)?;
    ns.spawn(move || {
        let members = (0..count).map(|_| Member::dial(server, settings.clone()));
        let mut members = members.collect::<Result<Vec<_>>>()?;
        let deadline = Instant::now() + patience;
        while members.iter().any(Member::waits) && Instant::now() < deadline {
            let moved: usize = members.iter_mut().map(Member::turn).sum();
            if moved == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(fates(&members))
    })
}

fn settings(ca: &Path, leaf: &Leaf) -> Result<ClientSettings> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("Failed to read {}", path.display()));
    let (ca, certificate, key) = (read(ca)?, read(&leaf.certificate)?, read(&leaf.key)?);
    let tls = ClientTls::build(&ClientTlsParams {
        ca_pem: &ca,
        identity_pem: Some((&certificate, &key)),
        require_server_purpose: true,
        verify_x509_name: None,
        min_version: MinTlsVersion::Tls13,
        tls12_only: false,
        clock: TlsClock::new(now().unix),
    })?;
    let personality = Personality::v2_6();
    let session = SessionConfig {
        options: personality.options(Transport::Udp),
        credentials: personality.credentials(None),
        ..SessionConfig::new(TlsSide::client(tls))
    };
    Ok(ClientSettings {
        session: Arc::new(session),
        wrap: SessionWrap::new(ControlWrap::none()),
        personality,
        auth: AuthDigest::Sha1,
    })
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        instant: Instant::now(),
        unix: unix.map_or(0, |since| since.as_secs()),
    }
}

/// One of the crowd, and its socket.
struct Member {
    socket: UdpSocket,
    client: Client,
    end: Option<End>,
}

impl Member {
    fn dial(server: SocketAddr, settings: ClientSettings) -> Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let link = LinkAddr::Udp(UdpPath {
            remote: server,
            local: None,
            socket: 0,
        });
        let client = Client::connect(now(), settings, link, Box::new(SystemEntropy::new()));
        Ok(Self {
            socket,
            client,
            end: None,
        })
    }

    fn waits(&self) -> bool {
        self.end.is_none() && !self.client.is_connected()
    }

    /// Takes what came, does what is due, sends what is to be sent. Returns how many packets passed.
    fn turn(&mut self) -> usize {
        let mut moved = 0;
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            // What leads to nothing is repeated by the server.
            drop(self.client.handle_link_input(now(), &mut buffer[..length]));
            moved += 1;
        }
        if self
            .client
            .poll_timeout()
            .is_some_and(|due| due <= Instant::now())
        {
            self.client.handle_timeout(now());
        }
        while let Some(packet) = self.client.poll_transmit() {
            // A full queue loses it; the control channel repeats it.
            drop(self.socket.send(&packet));
            moved += 1;
        }
        while let Some(event) = self.client.poll_event() {
            if let ClientEvent::Ended(end) = event {
                self.end = Some(end);
            }
        }
        moved
    }
}

fn fates(members: &[Member]) -> Fates {
    let mut fates = Fates::default();
    for member in members {
        match &member.end {
            Some(End::AuthFailed(AuthFailed::Reason(reason))) => fates.refused.push(reason.clone()),
            Some(end) => fates.failed.push(format!("{end:?}")),
            None if member.client.is_connected() => fates.connected += 1,
            None => fates.waiting += 1,
        }
    }
    fates
}
