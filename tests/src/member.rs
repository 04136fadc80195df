//! A client of our own that speaks over a real socket.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use culvert_client::{Client, ClientEvent, ClientSettings, End, Personality};
use culvert_control::tls::{ClientTls, ClientTlsParams, MinTlsVersion, TlsClock};
use culvert_control::{SessionConfig, SessionWrap, TlsSide};
use culvert_crypto::{AuthDigest, ControlWrap, SystemEntropy};
use culvert_wire::{LinkAddr, Now, Transport, UdpPath};

use crate::pki::Leaf;

/// What a client of this generation with this certificate is configured with.
pub(crate) fn settings(ca: &Path, leaf: &Leaf, personality: Personality) -> Result<ClientSettings> {
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

pub(crate) fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        instant: Instant::now(),
        unix: unix.map_or(0, |since| since.as_secs()),
    }
}

/// A client of our own, and its socket.
pub(crate) struct Member {
    socket: UdpSocket,
    pub(crate) client: Client,
    pub(crate) end: Option<End>,
}

impl Member {
    /// Starts connecting.
    pub(crate) fn dial(server: SocketAddr, settings: ClientSettings) -> Result<Self> {
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

    /// It neither is connected nor has ended.
    pub(crate) fn waits(&self) -> bool {
        self.end.is_none() && !self.client.is_connected()
    }

    /// Takes what came, does what is due, sends what is to be sent. Returns how many packets passed.
    pub(crate) fn turn(&mut self) -> usize {
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
