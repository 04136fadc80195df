//! Questions to the authentication backend and its answers. The core asks through an event and gets the answer by a
//! call that carries the ticket of the question, so an answer can never reach another client or a later key.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use culvert_control::CertificateInfo;
use culvert_wire::challenge::{DynamicChallenge, PendingMethod};
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::{KeyId, LinkAddr};
use zeroize::Zeroizing;

use crate::ClientId;

/// Names one question: this client, this key exchange, asked this time. Unique in the life of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AuthTicket {
    pub(crate) client: ClientId,
    pub(crate) key_id: KeyId,
    pub(crate) generation: u64,
}

impl AuthTicket {
    /// The client the question is about.
    pub fn client(&self) -> ClientId {
        self.client
    }
}

/// A client asks to be let in, or proves itself again.
#[derive(Debug)]
pub struct AuthRequest {
    /// To be handed back with the decision.
    pub ticket: AuthTicket,
    /// Where the client is.
    pub link: LinkAddr,
    /// User name from the key exchange; with a valid token, the name the token was issued to.
    pub username: Option<String>,
    /// Password as the client sent it: plain, `SCRV1:…`, `CRV1::…` or `ACS::…`. `None` if a token stands for it.
    pub password: Option<Secret>,
    /// A valid auth token of this endpoint stands for the password: the login was proved earlier. Groups and
    /// addresses still have to be looked up.
    pub token: Option<TokenProof>,
    /// The verified client certificate.
    pub certificate: Option<CertificateInfo>,
    /// What the client says about itself. Untrusted.
    pub peer_info: PeerInfo,
    /// A live client renegotiates its keys (its grant can't change), as opposed to a new connection.
    pub renegotiation: bool,
}

/// Text that must not be printed: cleared on drop, hidden in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a valid token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenProof {
    /// When the login it stands for took place, Unix seconds.
    pub first_issued: u64,
    /// When this token was issued, Unix seconds.
    pub issued: u64,
}

/// The backend's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthDecision {
    /// Let the client in.
    Accept(Grant),
    /// Turn the client away.
    Reject(Rejection),
    /// Turn the client away with a question; it reconnects with the answer in the password (`CRV1`).
    Challenge(DynamicChallenge),
    /// The answer needs time: a web login, a second factor. The ticket stays valid until `timeout`.
    Pending {
        /// How long the client and the server wait for the final answer.
        timeout: Duration,
        /// Ways to proceed, in order of preference. The first one the client understands is offered; an answer to
        /// `CR_TEXT` arrives as [`crate::Event::ChallengeResponse`].
        methods: Vec<PendingMethod>,
    },
}

/// What an accepted client gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Name of the user; `None` keeps the name the client gave, or has none (certificate only).
    pub username: Option<String>,
    /// Groups, as authorization rules name them.
    pub groups: Vec<String>,
    /// A fixed IPv4 address.
    pub static_v4: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub static_v6: Option<Ipv6Addr>,
    /// Options pushed to this client after the general ones.
    pub push: Vec<String>,
    /// What is known about its device. Told with its status, and nothing else.
    pub posture: Vec<String>,
}

/// Why a client is turned away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// The backend's name for the reason, handed on with [`crate::Event::Refused`]; `None` where it has none of its own.
    pub code: Option<&'static str>,
    /// For the log: cause and cure.
    pub log: String,
    /// For the person at the client; `None` says no more than that authentication failed.
    pub client_message: Option<String>,
    /// The client may try again by itself after this long (`AUTH_FAILED,TEMP`, clients that know it).
    pub retry_after: Option<Duration>,
}

impl Rejection {
    /// A rejection that tells log and client the same.
    pub fn said(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            code: None,
            log: text.clone(),
            client_message: Some(text),
            retry_after: None,
        }
    }

    /// A rejection that tells only the log.
    pub fn silent(log: impl Into<String>) -> Self {
        Self {
            code: None,
            log: log.into(),
            client_message: None,
            retry_after: None,
        }
    }
}
