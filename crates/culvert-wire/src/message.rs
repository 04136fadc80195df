//! Text messages of the control channel, after the key exchange message.
//!
//! Each is ASCII text with a NUL at its end and travels as exactly one TLS record: clients take two messages in
//! one record, one message in two records or a missing NUL for something else, each version in its own way.
//! Sent messages are at most [`MAX_MESSAGE`] bytes, a challenge at most [`MAX_RECORD`]. Received ones are read
//! leniently: a record is split at NULs, line ends are dropped, empty and unknown messages are tolerated.

mod auth_failed;

use std::fmt;

use zeroize::Zeroizing;

pub use auth_failed::{Advance, AuthFailed};

use crate::EncodeError;
use crate::text::{base64_decode_text, base64_encode, check_chars, fit, prefix, printable_lossy};

/// Longest message sent, in bytes with the NUL, as stock does.
pub const MAX_MESSAGE: usize = 1024;
/// Longest record every client reads whole, in bytes.
pub const MAX_RECORD: usize = 2048;

/// Bytes kept of an unknown message, for the log.
const MAX_UNKNOWN: usize = 64;

/// One control message.
///
/// Source: OpenVPN 2.6 behaviour.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlMessage {
    /// Client asks for its options.
    PushRequest,
    /// Server's options: the text behind the comma, see [`crate::push`].
    PushReply(String),
    /// Server changes options while connected.
    PushUpdate(String),
    /// Server refuses the client.
    AuthFailed(AuthFailed),
    /// Server asks for patience, with a limit in seconds for clients that understand one.
    AuthPending {
        /// Seconds until the server gives up.
        timeout: Option<u32>,
    },
    /// Text for the client program during authentication, see [`crate::challenge::PendingMethod`].
    InfoPre(String),
    /// Text for the client program while connected.
    Info(String),
    /// Client's answer to a `CR_TEXT` question, decoded.
    CrResponse(Zeroizing<String>),
    /// Server asks the client to reconnect.
    Restart {
        /// Flag `P`: keep the cached password.
        keep_password: bool,
        /// Flag `N`: go to the next server.
        next_server: bool,
        /// For the client's log.
        reason: Option<String>,
    },
    /// Server asks the client to stop.
    Halt {
        /// For the client's log.
        reason: Option<String>,
    },
    /// The sender leaves.
    Exit,
    /// Anything else: its first word, at most 64 bytes of it.
    Unknown(String),
}

impl ControlMessage {
    /// A plain request to reconnect, which keeps the client's password and server.
    pub fn restart(reason: &str) -> Self {
        Self::Restart {
            keep_password: false,
            next_server: false,
            reason: Some(reason.to_owned()),
        }
    }

    /// Reads one message, without its NUL; `None` if nothing but line ends is there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let bytes = bytes.get(..=end)?;
        if let Some(encoded) = bytes.strip_prefix(b"CR_RESPONSE,") {
            // Decoded from the received bytes, so that no copy of the answer is left behind.
            let response = std::str::from_utf8(encoded).ok().and_then(base64_decode_text);
            return Some(response.map_or_else(|| Self::Unknown("CR_RESPONSE".into()), Self::CrResponse));
        }
        let text = printable_lossy(bytes);
        let (word, rest) = match text.split_once(',') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text.as_str(), None),
        };
        let owned = || rest.unwrap_or_default().to_owned();
        Some(match (word, rest) {
            ("PUSH_REQUEST", None) => Self::PushRequest,
            ("PUSH_REPLY", _) => Self::PushReply(owned()),
            ("PUSH_UPDATE", _) => Self::PushUpdate(owned()),
            ("AUTH_FAILED", _) => Self::AuthFailed(AuthFailed::parse(rest)),
            ("AUTH_PENDING", _) => Self::AuthPending {
                timeout: pending_timeout(rest.unwrap_or_default()),
            },
            ("INFO_PRE", Some(_)) => Self::InfoPre(owned()),
            ("INFO", Some(_)) => Self::Info(owned()),
            ("RESTART", _) => parse_restart(rest.unwrap_or_default()),
            ("HALT", _) => Self::Halt {
                reason: non_empty(rest.unwrap_or_default()),
            },
            ("EXIT", _) => Self::Exit,
            _ => Self::Unknown(prefix(word, MAX_UNKNOWN).to_owned()),
        })
    }

    /// The messages in one TLS record, in order.
    pub fn parse_record(record: &[u8]) -> impl Iterator<Item = Self> {
        record.split(|byte| *byte == 0).filter_map(Self::parse)
    }

    /// The record to send: the text and its NUL.
    ///
    /// Text meant for a person is made fit: control characters become blanks and what is too long is cut.
    ///
    /// # Errors
    /// [`EncodeError`] if text that must arrive exactly as given contains control characters or is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let text = match self {
            Self::PushRequest => "PUSH_REQUEST".to_owned(),
            Self::PushReply(options) => exact("PUSH_REPLY,", "the pushed options", options)?,
            Self::PushUpdate(options) => exact("PUSH_UPDATE,", "the pushed options", options)?,
            Self::AuthFailed(failure) => return failure.encode(),
            Self::AuthPending {
                timeout: Some(seconds),
            } => format!("AUTH_PENDING,timeout {seconds}"),
            Self::AuthPending { timeout: None } => "AUTH_PENDING".to_owned(),
            Self::InfoPre(text) => exact("INFO_PRE,", "the message to the client", text)?,
            Self::Info(text) => exact("INFO,", "the message to the client", text)?,
            Self::CrResponse(text) => {
                let encoded = Zeroizing::new(base64_encode(text.as_bytes()));
                format!("CR_RESPONSE,{}", *encoded)
            }
            Self::Restart {
                keep_password,
                next_server,
                reason,
            } => {
                let flags = match (keep_password, next_server) {
                    (false, false) => "",
                    (true, false) => "[P]",
                    (false, true) => "[N]",
                    (true, true) => "[PN]",
                };
                let reason = reason.as_deref().unwrap_or_default();
                let comma = if flags.is_empty() && reason.is_empty() {
                    ""
                } else {
                    ","
                };
                format!("RESTART{comma}{flags}{}", fit(reason, MAX_MESSAGE - 16))
            }
            Self::Halt { reason: Some(reason) } => format!("HALT,{}", fit(reason, MAX_MESSAGE - 8)),
            Self::Halt { reason: None } => "HALT".to_owned(),
            Self::Exit => "EXIT".to_owned(),
            Self::Unknown(word) => exact("", "the message", word)?,
        };
        terminate(text, MAX_MESSAGE)
    }
}

/// Shows the kind, and contents only where they cannot hold secrets: a push reply may carry an auth token.
impl fmt::Debug for ControlMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PushRequest => f.write_str("PushRequest"),
            Self::PushReply(options) => write!(f, "PushReply({} bytes)", options.len()),
            Self::PushUpdate(options) => write!(f, "PushUpdate({} bytes)", options.len()),
            Self::AuthFailed(failure) => f.debug_tuple("AuthFailed").field(failure).finish(),
            Self::AuthPending { timeout } => f.debug_struct("AuthPending").field("timeout", timeout).finish(),
            Self::InfoPre(text) => write!(f, "InfoPre({} bytes)", text.len()),
            Self::Info(text) => f.debug_tuple("Info").field(text).finish(),
            Self::CrResponse(_) => f.write_str("CrResponse(..)"),
            Self::Restart {
                keep_password,
                next_server,
                reason,
            } => f
                .debug_struct("Restart")
                .field("keep_password", keep_password)
                .field("next_server", next_server)
                .field("reason", reason)
                .finish(),
            Self::Halt { reason } => f.debug_struct("Halt").field("reason", reason).finish(),
            Self::Exit => f.write_str("Exit"),
            Self::Unknown(word) => f.debug_tuple("Unknown").field(word).finish(),
        }
    }
}

fn parse_restart(rest: &str) -> ControlMessage {
    let (flags, reason) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((flags, reason)) => (flags, reason.strip_prefix(':').unwrap_or(reason)),
        None => ("", rest),
    };
    ControlMessage::Restart {
        keep_password: flags.contains('P'),
        next_server: flags.contains('N'),
        reason: non_empty(reason),
    }
}

fn pending_timeout(rest: &str) -> Option<u32> {
    rest.split(',')
        .find_map(|word| word.trim().strip_prefix("timeout ")?.trim().parse().ok())
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn exact(head: &str, what: &'static str, text: &str) -> Result<String, EncodeError> {
    check_chars(what, text, &[])?;
    Ok(format!("{head}{text}"))
}

/// Adds the NUL and checks the length.
fn terminate(text: String, max: usize) -> Result<Vec<u8>, EncodeError> {
    let mut record = text.into_bytes();
    record.push(0);
    if record.len() > max {
        return Err(EncodeError::TooLong {
            what: "the control message",
            len: record.len(),
            max,
        });
    }
    Ok(record)
}

#[cfg(test)]
mod tests;
