//! What an operator decides about one endpoint, as the server needs it: keys, credentials, addresses, pushed
//! options, limits. Checked once when the server is built.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use culvert_control::SessionConfig;
use culvert_crypto::auth_token::TokenKey;
use culvert_crypto::tls_crypt_v2::ServerKey;
use culvert_crypto::{AuthDigest, DataCipher, KeyDirection, StaticKey};
use culvert_data::{DataPlane, MssFix};
use culvert_policy::Policy;
use culvert_pool::PoolConfig;
use ipnetwork::IpNetwork;

use crate::AttemptLimits;

/// Everything that shapes an endpoint. See [`crate::Server::new`] and [`crate::Server::replace_settings`].
#[derive(Clone)]
pub struct EndpointSettings {
    /// Keys of the control channel.
    pub wrap: WrapPolicy,
    /// TLS side, timers and the default options string of control-channel sessions.
    pub session: Arc<SessionConfig>,
    /// What a client must present.
    pub credentials: CredentialPolicy,
    /// Data ciphers in order of preference. AES-CBC ciphers here need [`Self::legacy_cbc`].
    pub data_ciphers: Vec<DataCipher>,
    /// Digest of CBC data packets. `None` refuses CBC ciphers, for clients that know AEAD only.
    pub legacy_cbc: Option<AuthDigest>,
    /// Offers the epoch data format (OpenVPN 2.7 and OpenVPN 3.11 clients).
    pub data_epoch: bool,
    /// Derives data keys with the TLS exporter where the client can. Off: always with the TLS 1.0 PRF.
    pub tls_key_export: bool,
    /// Limit on TCP segments inside the tunnel.
    pub mss_fix: MssFix,
    /// Client address ranges. Fixed for the life of a server.
    pub pool: PoolConfig,
    /// Who may reach what.
    pub policy: Arc<Policy>,
    /// Pings and the silence after which a client counts as gone.
    pub keepalive: Keepalive,
    /// Options sent to every client.
    pub push: PushSettings,
    /// Longest duration of a client session.
    pub session_timeout: Option<SessionTimeout>,
    /// Ends clients that move next to nothing.
    pub inactive: Option<Inactive>,
    /// Most clients at once. Above it, newcomers are told so.
    pub max_clients: u32,
    /// Bounds on sessions that have not authenticated yet.
    pub half_open: HalfOpenLimits,
    /// Limits on connection attempts per source.
    pub attempts: AttemptLimits,
    /// Several clients may use one identity at once. Off: the newer client replaces the older one.
    pub duplicate_cn: bool,
    /// Tokens that spare users a second login.
    pub auth_token: Option<AuthTokenSettings>,
}

/// How control packets are authenticated and encrypted before TLS.
#[derive(Clone, Default)]
pub struct WrapPolicy {
    /// The key all clients share.
    pub shared: SharedWrap,
    /// Keys per client (tls-crypt-v2). With [`SharedWrap::None`] only tls-crypt-v2 clients are served.
    pub tls_crypt_v2: Option<TlsCryptV2>,
}

/// The control-channel key all clients of an endpoint share.
#[derive(Clone, Default)]
pub enum SharedWrap {
    /// No wrapping, as in exported AWS profiles.
    #[default]
    None,
    /// `tls-auth`: packets carry an HMAC.
    TlsAuth {
        /// The static key.
        key: StaticKey,
        /// `key-direction` of the server (usually 0).
        direction: KeyDirection,
        /// Digest of the HMAC, `auth` in client profiles.
        digest: AuthDigest,
    },
    /// `tls-crypt`: packets are encrypted as well.
    TlsCrypt {
        /// The static key.
        key: StaticKey,
    },
}

/// tls-crypt-v2: each client has its own key, wrapped for the server.
#[derive(Clone)]
pub struct TlsCryptV2 {
    /// Unwraps the client keys.
    pub key: Arc<ServerKey>,
    /// What to do about clients that can't repeat their wrapped key (OpenVPN 2.5, OpenVPN 3 before 3.7).
    pub cookies: CookiePolicy,
    /// Refuses client keys generated longer ago than this, by the time in their metadata. `None` accepts all.
    pub max_key_age: Option<Duration>,
}

/// Whether tls-crypt-v2 clients without early negotiation may connect over UDP.
///
/// Source: OpenVPN 2.6 behaviour, `allow-noncookie` and `force-cookie`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookiePolicy {
    /// Their first packet creates a (bounded) half-open session without proof of address.
    #[default]
    AllowNonCookie,
    /// Their packets are dropped.
    ForceCookie,
}

/// What a client must present to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialPolicy {
    /// Certificate demands. Must agree with what the TLS configuration verifies.
    pub certificate: CertificateDemand,
    /// A user name and password (or auth token) must come with the key exchange.
    pub password: bool,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateDemand {
    /// Without a valid certificate the TLS handshake fails.
    Required,
    /// A certificate is verified if one is sent.
    Optional,
    /// No certificate is asked for.
    None,
}

/// Liveness of clients, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// A ping is sent when nothing else was for this long. Whole seconds, pushed as `ping`.
    pub ping: Duration,
    /// Pushed as `ping-restart`: the client reconnects after this silence.
    pub ping_restart: Duration,
    /// The server ends a client after this silence. Stock uses twice the client's value.
    pub server_ping_restart: Duration,
}

impl Default for Keepalive {
    /// `keepalive 10 60` of a stock server.
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(10),
            ping_restart: Duration::from_secs(60),
            server_ping_restart: Duration::from_secs(120),
        }
    }
}

/// Options every client is sent, before those that depend on the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSettings {
    /// Networks behind the endpoint.
    pub routes: Vec<IpNetwork>,
    /// Sends all traffic of the client into the tunnel.
    pub redirect_gateway: Option<RedirectGateway>,
    /// DNS servers.
    pub dns_servers: Vec<IpAddr>,
    /// Domains the client appends to short names.
    pub search_domains: Vec<String>,
    /// Domains resolved through the tunnel only (split DNS). Empty: all names.
    pub resolve_domains: Vec<String>,
    /// `block-outside-dns` for Windows clients.
    pub block_outside_dns: bool,
    /// `block-ipv6`: refuse IPv6 at the client, when the tunnel carries none.
    pub block_ipv6: bool,
    /// Largest packet inside the tunnel. Pushed to clients that can change it, never above their limit.
    pub tun_mtu: u16,
    /// Text shown to the user after connecting, by clients that have a way to.
    pub banner: Option<String>,
    /// Asks UDP clients to say goodbye, so that their address is free at once.
    pub explicit_exit_notify: bool,
    /// Further options as a client configuration file has them, one each, without a comma.
    pub extra: Vec<String>,
    /// Tells connected clients of changed options, those that can be told.
    pub updates: bool,
}

/// Flags of `redirect-gateway`; `def1` is always among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedirectGateway {
    /// IPv4 is redirected (`!ipv4` otherwise).
    pub ipv4: bool,
    /// IPv6 is redirected (`ipv6`).
    pub ipv6: bool,
    /// Keeps a direct route to the client's DHCP server (`bypass-dhcp`).
    pub bypass_dhcp: bool,
    /// Keeps a direct route to the client's DNS servers (`bypass-dns`).
    pub bypass_dns: bool,
    /// Cuts the client off from its local network (`block-local`).
    pub block_local: bool,
}

/// Longest duration of a session and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimeout {
    /// Measured from the moment the client was let in.
    pub after: Duration,
    /// `true`: the client is told to stop (`HALT`); `false`: to connect anew (`RESTART`).
    pub disconnect: bool,
}

/// Ends a client that moved fewer than `min_bytes` through the tunnel (both directions) within `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inactive {
    /// Observation period.
    pub after: Duration,
    /// Bytes of user traffic; pings don't count.
    pub min_bytes: u64,
}

/// Bounds on sessions that have not authenticated. The oldest gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpenLimits {
    /// Sessions at once.
    pub sessions: usize,
    /// Bytes all of them may hold together.
    pub bytes: usize,
}

impl Default for HalfOpenLimits {
    fn default() -> Self {
        Self {
            sessions: 4096,
            bytes: 256 << 20,
        }
    }
}

/// Tokens that stand in for a password after the first login.
///
/// Source: OpenVPN 2.6 behaviour, `auth-gen-token`.
#[derive(Clone)]
pub struct AuthTokenSettings {
    /// Signs the tokens. Nodes with the same key accept each other's tokens.
    pub key: Arc<TokenKey>,
    /// A token is worthless this long after the login it stands for. `None`: as long as it is renewed.
    pub lifetime: Option<Duration>,
    /// A fresh token is sent this often; one is accepted up to twice this age.
    pub renewal: Duration,
}

impl EndpointSettings {
    /// Checks what can be checked without building anything: against itself and the data plane it is for.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting and the cure.
    pub fn check(&self, data: &DataPlane) -> Result<(), SettingsError> {
        if self.data_ciphers.is_empty() {
            return Err(SettingsError::NoDataCipher);
        }
        let cbc = self.data_ciphers.iter().find(|cipher| !cipher.is_aead());
        if let (Some(cipher), None) = (cbc, self.legacy_cbc) {
            return Err(SettingsError::CbcNotEnabled(cipher.name()));
        }
        if !self.credentials.password && self.credentials.certificate != CertificateDemand::Required {
            return Err(SettingsError::NoCredential);
        }
        let Keepalive {
            ping,
            ping_restart,
            server_ping_restart,
        } = self.keepalive;
        if ping < Duration::from_secs(1) || ping >= ping_restart || ping >= server_ping_restart {
            return Err(SettingsError::Keepalive);
        }
        let counts = [
            ("max_clients", self.max_clients as usize),
            ("half_open.sessions", self.half_open.sessions),
            ("half_open.bytes", self.half_open.bytes),
        ];
        let room = data.config().max_peers;
        if self.max_clients > room {
            return Err(SettingsError::MaxClients {
                wanted: self.max_clients,
                room,
            });
        }
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(SettingsError::Zero(name)),
            None => Ok(()),
        }
    }
}

/// Settings that can't work. The server isn't built or changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// No cipher is left.
    #[error("no data cipher is configured; list at least one, for instance AES-256-GCM")]
    NoDataCipher,
    /// A CBC cipher without a digest.
    #[error("data cipher {0} needs the legacy CBC mode; switch it on with a digest, or drop the cipher")]
    CbcNotEnabled(&'static str),
    /// A pushed option that no client could take.
    #[error("the option {option:?} can't be pushed: {cause}; correct it or remove it")]
    PushOption {
        /// The offending option.
        option: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Client ranges the pool refuses.
    #[error("the client address range can't be used: {0}")]
    Pool(String),
    /// A change that live clients could not survive.
    #[error(
        "the client address range of a running endpoint can't change; restart the endpoint with the new range"
    )]
    PoolChanged,
    /// Pings that can't keep a client alive.
    #[error("keepalive: ping must be at least one second and shorter than ping_restart")]
    Keepalive,
    /// A password is never asked for but tokens are to be issued for it, and similar contradictions.
    #[error("clients would be let in without any credential; require a certificate or a password")]
    NoCredential,
    /// More clients than the data plane was built for.
    #[error(
        "max_clients is {wanted}, but the running endpoint has room for {room}; restart it to raise the limit"
    )]
    MaxClients {
        /// As configured.
        wanted: u32,
        /// Size of the data plane's table.
        room: u32,
    },
    /// Limits of zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
}
