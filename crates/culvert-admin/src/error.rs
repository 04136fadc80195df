//! What can go wrong: on the line, and in the daemon.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::message::PROTOCOL_VERSION;

/// The daemon's refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: cause and cure.
    pub message: String,
}

impl RequestError {
    /// A refusal with a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The line is no request: not JSON, too long, or an operation this daemon does not know.
    Malformed,
    /// The request speaks another protocol version.
    UnsupportedVersion,
    /// No such endpoint or client.
    NotFound,
    /// The request is understood and cannot be carried out, e.g. the new configuration is invalid.
    Refused,
    /// The daemon has as many connections to this socket as it accepts.
    Busy,
    /// A fault of the daemon.
    Internal,
    /// A code of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// Why talking over the socket failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Nobody listens there.
    #[error(
        "culvertd does not answer at {}: {source}. Start it (systemctl start culvert), or name its socket with --socket",
        path.display()
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file system says no.
    #[error("no permission for {}: run this as root or as the user culvertd runs as", path.display())]
    PermissionDenied {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be created because a daemon already serves it.
    #[error("another culvertd already serves {}: stop it first, or give this one another socket", path.display())]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be created.
    #[error("cannot create the administration socket {}: {source}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("the connection to culvertd failed: {0}")]
    Io(#[from] io::Error),
    /// The other side closed in the middle.
    #[error("culvertd closed the connection before it answered; its log says why (journalctl -u culvertd)")]
    Closed,
    /// No answer in time.
    #[error("culvertd did not answer within {seconds} s; it may be overloaded or stopping")]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// A line is longer than the protocol allows.
    #[error("the message exceeds the limit of {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
    /// The answer makes no sense.
    #[error(
        "culvertd's answer is not understood ({detail}); this program speaks protocol version {PROTOCOL_VERSION}: use the culvert that came with the daemon"
    )]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// The daemon refused.
    #[error(transparent)]
    Refused(RequestError),
}
