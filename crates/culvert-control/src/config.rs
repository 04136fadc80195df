//! What a session is configured with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use culvert_crypto::Role;
use culvert_wire::key_method2::Dialect;
use culvert_wire::options::{DEFAULT_CLIENT, DEFAULT_SERVER};
use culvert_wire::peer_info::PeerInfo;
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

/// Which side of TLS a session is, with that side's configuration.
#[derive(Clone)]
pub enum TlsSide {
    /// Accepts clients.
    Server(Arc<rustls::ServerConfig>),
    /// Connects to a server. The name is only what rustls insists on; it is neither sent nor checked.
    Client(Arc<rustls::ClientConfig>, ServerName<'static>),
}

impl TlsSide {
    /// The client side with a placeholder name.
    pub fn client(config: Arc<rustls::ClientConfig>) -> Self {
        Self::Client(
            config,
            ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()),
        )
    }

    /// The role that goes with it.
    pub fn role(&self) -> Role {
        match self {
            Self::Server(_) => Role::Server,
            Self::Client(..) => Role::Client,
        }
    }
}

impl fmt::Debug for TlsSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "TlsSide::Server",
            Self::Client(..) => "TlsSide::Client",
        })
    }
}

/// What a client tells in its key method 2 message. A server has none.
#[derive(Clone, Default)]
pub struct ClientCredentials {
    /// User name, if the profile has `auth-user-pass`.
    pub username: Option<String>,
    /// Password, token or challenge response.
    pub password: Option<Zeroizing<String>>,
    /// What the client says about itself.
    pub peer_info: PeerInfo,
    /// Framing of the message.
    pub dialect: Dialect,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Configuration shared by all sessions of an endpoint.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// TLS role and configuration.
    pub tls: TlsSide,
    /// Time from the start of a handshake to its end; OpenVPN's `hand-window`.
    pub hand_window: Duration,
    /// How long a replaced key stays usable; OpenVPN's `tran-window`.
    pub tran_window: Duration,
    /// Age at which this side starts a renegotiation; OpenVPN's `reneg-sec`. A server starts up to a tenth
    /// earlier, by chance, so that clients don't come all at once. None: never by age.
    pub reneg_interval: Option<Duration>,
    /// Largest control packet in bytes, IP and UDP headers included; OpenVPN's `max-packet-size`.
    pub max_packet: usize,
    /// Options string: a client's own, or what a server answers to a client whose string it cannot mirror.
    pub options: String,
    /// Most bytes of a key method 2 message that are collected from a peer. Patched AWS clients send up to
    /// 256 KiB, stock ones never above 2048.
    pub max_key_method2: usize,
    /// What a client says about itself.
    pub credentials: ClientCredentials,
}

impl SessionConfig {
    /// Smallest [`SessionConfig::max_packet`]. Source: OpenVPN 2.6 behaviour.
    pub const MIN_PACKET: usize = 154;

    /// The values OpenVPN 2.6 has by default, for this side of TLS.
    pub fn new(tls: TlsSide) -> Self {
        let options = match tls.role() {
            Role::Server => DEFAULT_SERVER,
            Role::Client => DEFAULT_CLIENT,
        };
        Self {
            tls,
            hand_window: Duration::from_secs(60),
            tran_window: Duration::from_secs(3600),
            reneg_interval: Some(Duration::from_secs(3600)),
            max_packet: 1250,
            options: options.to_owned(),
            max_key_method2: 256 * 1024,
            credentials: ClientCredentials::default(),
        }
    }
}
