//! What can go wrong in a session, and why a packet was dropped.

use culvert_crypto::WrapError;
use culvert_wire::{KeyId, Opcode, ParseError};

use crate::tls_failure::TlsFailure;

/// Why a session, a renegotiation or a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// TLS failed; the text has the cure.
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    /// The hand-window passed before both sides had keys.
    #[error("the handshake did not finish within {seconds} s: {stage}")]
    HandshakeTimeout {
        /// The hand-window.
        seconds: u64,
        /// How far it came, with the usual cause.
        stage: &'static str,
    },
    /// The key method 2 message is malformed or too long.
    #[error("{peer} sent an unusable key exchange message ({reason}); it is too old, or broken")]
    KeyMethod2 {
        /// Who: "the client" or "the server".
        peer: crate::Peer,
        /// What is wrong with it.
        reason: String,
    },
    /// The peer ended TLS before the keys were ready.
    #[error("{peer} closed the TLS connection before the key exchange was complete; its log has the reason")]
    Closed {
        /// Who.
        peer: crate::Peer,
    },
    /// More messages arrived before the handshake was complete than are kept.
    #[error("{peer} sent messages faster than the handshake can finish; it does not follow the protocol")]
    TooEager {
        /// Who.
        peer: crate::Peer,
    },
    /// The server's reset carries options that cannot be read.
    #[error(
        "the server's reset carries early negotiation data that cannot be read; the server is broken or newer than this client understands"
    )]
    EarlyNegotiation,
    /// The last usable key ran out because no renegotiation succeeded.
    #[error(
        "no renegotiation succeeded before the last key expired; the peer is gone or refuses every attempt"
    )]
    KeyExpired,
    /// Message larger than one TLS record.
    #[error(
        "a control message of {len} bytes does not fit one TLS record of {max} bytes; shorten what is pushed"
    )]
    MessageTooLong {
        /// Its size.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The peer doesn't acknowledge and the queue is full.
    #[error("{queued} bytes of control messages wait unacknowledged; the peer does not answer")]
    QueueFull {
        /// Bytes waiting.
        queued: usize,
    },
    /// No such key, or its exchange is not complete.
    #[error("key {key_id} is not ready; wait for its key exchange to finish")]
    KeyNotReady {
        /// Which key.
        key_id: KeyId,
    },
    /// The command needs a finished, negotiated session.
    #[error("a renegotiation can start only when the current key is established and no other is under way")]
    RenegotiationNotPossible,
    /// The session has failed before.
    #[error("the session has ended")]
    Ended,
    /// Keys of the data channel could not be derived.
    #[error(
        "data keys could not be derived ({reason}); the peer announced key export but its TLS library cannot do it, or its key material is unusable"
    )]
    KeyDerivation {
        /// What failed.
        reason: String,
    },
    /// The application refused this key, for example because the identity changed.
    #[error("{reason}")]
    Refused {
        /// The reason given to [`crate::Session::fail_key`].
        reason: String,
    },
}

/// Why a control packet was dropped. Copied, counted, never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlDrop {
    /// Longer than any control packet can be.
    #[error("longer than any control packet")]
    TooLong,
    /// Header or body could not be read.
    #[error("malformed: {0}")]
    Malformed(#[from] ParseError),
    /// An opcode this side never receives.
    #[error("opcode {} is not for this side", .0.value())]
    WrongOpcode(Opcode),
    /// HMAC or tag wrong, or encrypted with another key.
    #[error("not authentic: {0}")]
    Unauthentic(#[from] WrapError),
    /// Replay id seen before or too old.
    #[error("replayed")]
    Replay,
    /// Another session's id, ours or the peer's.
    #[error("of another session")]
    WrongSession,
    /// A key id that is not in use.
    #[error("of key {0}, which is not in use")]
    UnknownKey(KeyId),
    /// A soft reset at a time when none may be started.
    #[error("renegotiation out of turn")]
    OutOfTurn,
    /// A message id beyond the receive window, or no room.
    #[error("too far ahead")]
    TooFarAhead,
    /// A reset with a message id other than 0, or id 0 that is no reset.
    #[error("reset out of place")]
    MisplacedReset,
}

impl ControlDrop {
    /// A short fixed name, for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed(error) => error.name(),
            Self::WrongOpcode(_) => "wrong_opcode",
            Self::Unauthentic(error) => error.name(),
            Self::Replay => "replay",
            Self::WrongSession => "wrong_session",
            Self::UnknownKey(_) => "unknown_key",
            Self::OutOfTurn => "out_of_turn",
            Self::TooFarAhead => "too_far_ahead",
            Self::MisplacedReset => "misplaced_reset",
        }
    }
}
