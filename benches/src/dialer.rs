//! What all clients have in common, read once: the server, the certificates and what a stock client says of itself.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use culvert_client::{Client, ClientSettings, Personality};
use culvert_control::tls::{ClientTls, ClientTlsParams, MinTlsVersion, TlsClock};
use culvert_control::{SessionConfig, SessionWrap, TlsSide};
use culvert_crypto::{AuthDigest, ControlWrap, SystemEntropy};
use culvert_transport::{RecvBatch, UdpOptions, UdpSocket};
use culvert_wire::{LinkAddr, Transport};

use crate::arguments::ConnectArguments;
use crate::clock;
use crate::sources::Sources;

/// Where clients connect to, and as whom.
pub(crate) struct Dialer {
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
    settings: ClientSettings,
    udp: UdpOptions,
    /// Addresses that connections come from.
    pub(crate) sources: Sources,
    /// Receive batches of clients that left, for the next ones: a batch is 4 MiB, and to zero a new one for each client
    /// costs half as much as all else in a handshake.
    pub(crate) spare: RefCell<Vec<RecvBatch>>,
}

impl Dialer {
    /// Reads the certificates. `batching` says whether datagrams are joined by the kernel, both ways.
    ///
    /// # Errors
    /// When a file can't be read or used; names it.
    pub(crate) fn new(arguments: &ConnectArguments, batching: bool) -> Result<Self> {
        let transport = arguments.proto.into();
        let (ca, cert, key) = (
            read(&arguments.ca)?,
            read(&arguments.cert)?,
            read(&arguments.key)?,
        );
        let tls = ClientTls::build(&ClientTlsParams {
            ca_pem: &ca,
            identity_pem: Some((&cert, &key)),
            require_server_purpose: true,
            verify_x509_name: None,
            min_version: MinTlsVersion::Tls13,
            tls12_only: false,
            // Certificates are checked as of the start; no run is long enough for the difference to count.
            clock: TlsClock::new(clock::now().unix),
        })?;
        let personality = Personality::v2_6();
        let session = SessionConfig {
            options: personality.options(transport),
            credentials: personality.credentials(None),
            ..SessionConfig::new(TlsSide::client(tls))
        };
        Ok(Self {
            server: arguments.server,
            transport,
            settings: ClientSettings {
                session: Arc::new(session),
                wrap: SessionWrap::new(ControlWrap::none()),
                personality,
                auth: AuthDigest::Sha1,
            },
            udp: UdpOptions {
                reuse_port: false,
                gro: batching,
                gso: batching,
                ..UdpOptions::default()
            },
            sources: Sources::new(arguments.from.clone(), arguments.server),
            spare: RefCell::default(),
        })
    }

    /// A client that starts to connect over `link`.
    pub(crate) fn client(&self, link: LinkAddr) -> Client {
        let entropy = Box::new(SystemEntropy::new());
        Client::connect(clock::now(), self.settings.clone(), link, entropy)
    }

    /// A UDP socket of its own for one client.
    ///
    /// # Errors
    /// When the kernel refuses; says what to do.
    pub(crate) fn udp_socket(&self) -> Result<UdpSocket> {
        Ok(UdpSocket::bind(
            SocketAddr::new(self.sources.next(), 0),
            &self.udp,
        )?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("Failed to read {}", path.display()))
}
