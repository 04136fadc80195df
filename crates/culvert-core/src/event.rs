//! What the server tells its owner, and what it counts.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use culvert_control::CertificateInfo;
use culvert_crypto::DataCipher;
use culvert_data::PeerStats;
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::{LinkAddr, PeerId, TcpLink};

use crate::auth::{AuthRequest, AuthTicket, Secret};

/// One connection of a client to this server. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

impl core::fmt::Display for ClientId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: LinkAddr,
    /// The packet without TCP length framing.
    pub packet: Vec<u8>,
}

/// Something the owner should know or do.
#[derive(Debug)]
pub enum Event {
    /// Credentials are to be judged; answer with [`crate::Server::handle_auth_decision`].
    AuthRequested(Box<AuthRequest>),
    /// The question of this ticket needs no answer any more: the client left or time ran out.
    AuthAbandoned(AuthTicket),
    /// The client answered a `CR_TEXT` question; the ticket is still open.
    ChallengeResponse {
        /// The open question.
        ticket: AuthTicket,
        /// The decoded answer.
        response: Secret,
    },
    /// A client was let in and has its addresses.
    Connected(Box<ClientStatus>),
    /// A client that was let in is gone.
    Disconnected {
        /// Which one.
        client: ClientId,
        /// Why.
        reason: DisconnectReason,
        /// Its last state, with final traffic counters.
        status: Box<ClientStatus>,
    },
    /// Somebody was turned away, or gave up before being let in.
    Refused(Box<Refused>),
    /// A client's address changed.
    Floated {
        /// Which client.
        client: ClientId,
        /// Address before.
        from: LinkAddr,
        /// Address now.
        to: LinkAddr,
    },
    /// A client renegotiated its keys and proved itself again.
    Renegotiated {
        /// Which client.
        client: ClientId,
    },
    /// The address range is used up; told once each time it happens.
    PoolExhausted {
        /// Addresses in the range.
        capacity: u32,
    },
    /// The connection is of no more use; close it after its queued packets went out.
    CloseLink(TcpLink),
}

/// Why somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The connection; 0, which no connection has, if there was no session yet.
    pub client: ClientId,
    /// Where from.
    pub link: LinkAddr,
    /// Who it says it is. Not necessarily proved.
    pub presented: Presented,
    /// Which rule, for metrics.
    pub kind: RefusalKind,
    /// The backend's own name for the reason, if it gave one.
    pub code: Option<&'static str>,
    /// What happened and what to do about it, for a person.
    pub reason: String,
}

/// What a client said about itself before it was let in, as far as it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// Its user name.
    pub username: Option<String>,
    /// Common name of its certificate.
    pub common_name: Option<String>,
    /// What it runs on (`IV_PLAT`).
    pub platform: Option<String>,
}

impl Presented {
    /// The name to call the client by: its user name, else its common name.
    pub fn identity(&self) -> Option<&str> {
        let name = self.username.as_deref().or(self.common_name.as_deref());
        name.filter(|name| !name.is_empty())
    }
}

/// Which rule turned somebody away. The name is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// TLS or the key exchange failed.
    Handshake,
    /// The handshake was not finished in time.
    HandshakeTimeout,
    /// Gave way to newer half-open sessions.
    Evicted,
    /// The client went away before it was let in.
    Gone,
    /// The tls-crypt-v2 key is not accepted.
    ClientKey,
    /// A user name or password is missing.
    MissingCredentials,
    /// The authentication backend said no.
    Rejected,
    /// The authentication backend asked the client a question; it will be back.
    Challenged,
    /// No answer from the authentication backend, or none from the person, in time.
    VerdictTimeout,
    /// The auth token is too old.
    TokenExpired,
    /// No data cipher in common.
    NoSharedCipher,
    /// The client wants something this server does not do (tap, fragment).
    Unsupported,
    /// All addresses are taken.
    PoolExhausted,
    /// The fixed address can't be given.
    Address,
    /// As many clients as allowed.
    TooManyClients,
    /// The server is going down.
    ShuttingDown,
    /// Something that should not happen.
    Internal,
}

impl RefusalKind {
    /// Name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Evicted => "evicted",
            Self::Gone => "gone",
            Self::ClientKey => "client_key",
            Self::MissingCredentials => "missing_credentials",
            Self::Rejected => "rejected",
            Self::Challenged => "challenged",
            Self::VerdictTimeout => "verdict_timeout",
            Self::TokenExpired => "token_expired",
            Self::NoSharedCipher => "no_shared_cipher",
            Self::Unsupported => "unsupported",
            Self::PoolExhausted => "pool_exhausted",
            Self::Address => "address",
            Self::TooManyClients => "too_many_clients",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }
}

/// Why a client that was let in is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client said goodbye.
    ClientExit,
    /// Nothing was heard from it for the keepalive time.
    PingTimeout,
    /// Its TCP connection ended.
    LinkClosed,
    /// The longest session duration was reached.
    SessionTimeout,
    /// It moved too little traffic.
    Inactive,
    /// The same identity, or the same address, connected anew.
    Replaced,
    /// It did not prove itself again on renegotiation; the text says what differed.
    Reauthentication(String),
    /// Its certificate was revoked.
    Revoked,
    /// Its keys wore out and could not be renewed.
    KeysExhausted,
    /// The control channel failed.
    ControlChannel(String),
    /// An operator ended it; the client may connect anew.
    Restarted(Option<String>),
    /// An operator ended it; the client should stop.
    Terminated(Option<String>),
    /// The server is going down; the client should connect anew.
    Shutdown,
}

impl DisconnectReason {
    /// Name for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClientExit => "client_exit",
            Self::PingTimeout => "ping_timeout",
            Self::LinkClosed => "link_closed",
            Self::SessionTimeout => "session_timeout",
            Self::Inactive => "inactive",
            Self::Replaced => "replaced",
            Self::Reauthentication(_) => "reauthentication",
            Self::Revoked => "revoked",
            Self::KeysExhausted => "keys_exhausted",
            Self::ControlChannel(_) => "control_channel",
            Self::Restarted(_) => "restarted",
            Self::Terminated(_) => "terminated",
            Self::Shutdown => "shutdown",
        }
    }
}

impl core::fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ClientExit => f.write_str("the client disconnected"),
            Self::PingTimeout => f.write_str("nothing was heard from the client for the keepalive time"),
            Self::LinkClosed => f.write_str("the TCP connection ended"),
            Self::SessionTimeout => f.write_str("the session reached its longest allowed duration"),
            Self::Inactive => f.write_str("the client moved too little traffic"),
            Self::Replaced => f.write_str("the client was replaced by a newer connection of itself"),
            Self::Reauthentication(what) => write!(f, "renegotiation was refused: {what}"),
            Self::Revoked => f.write_str("the client certificate was revoked"),
            Self::KeysExhausted => f.write_str("the data keys wore out and were not renewed"),
            Self::ControlChannel(what) => write!(f, "the control channel failed: {what}"),
            Self::Restarted(None) => f.write_str("restarted by the operator"),
            Self::Restarted(Some(text)) => write!(f, "restarted by the operator: {text}"),
            Self::Terminated(None) => f.write_str("terminated by the operator"),
            Self::Terminated(Some(text)) => write!(f, "terminated by the operator: {text}"),
            Self::Shutdown => f.write_str("the server is shutting down"),
        }
    }
}

/// A client that was let in, as of now.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    /// Which connection.
    pub client: ClientId,
    /// Number in data packets.
    pub peer: PeerId,
    /// Where the client is.
    pub link: LinkAddr,
    /// Name the backend granted, or the client gave.
    pub username: Option<String>,
    /// Groups the backend granted.
    pub groups: Vec<String>,
    /// What the backend knows about its device.
    pub posture: Vec<String>,
    /// The client certificate.
    pub certificate: Option<CertificateInfo>,
    /// What the client says about itself. Untrusted.
    pub peer_info: PeerInfo,
    /// IPv4 address inside the tunnel.
    pub v4: Option<Ipv4Addr>,
    /// IPv6 address inside the tunnel.
    pub v6: Option<Ipv6Addr>,
    /// Data cipher.
    pub cipher: DataCipher,
    /// When it was let in.
    pub connected_at: Instant,
    /// The same as Unix time, seconds.
    pub connected_unix: u64,
    /// Renegotiations so far.
    pub renegotiations: u32,
    /// Traffic.
    pub stats: PeerStats,
}

impl ClientStatus {
    /// User name, or else the certificate's common name: what `duplicate_cn` compares.
    pub fn identity(&self) -> Option<&str> {
        self.username
            .as_deref()
            .or_else(|| self.certificate.as_ref().map(|c| c.common_name.as_str()))
    }
}
