//! What a client reports.

use std::time::Duration;

use culvert_control::{ControlDrop, SessionError};
use culvert_wire::KeyId;
use culvert_wire::message::AuthFailed;
use culvert_wire::push::PushOptions;

/// Something happened to a client; see [`crate::Client::poll_event`].
#[derive(Debug)]
pub enum ClientEvent {
    /// The options are here and the data channel works.
    Connected(Box<PushOptions>),
    /// The server changed options: what all of them are now.
    Updated(Box<PushOptions>),
    /// A renegotiation finished.
    Renegotiated {
        /// The new key.
        key_id: KeyId,
    },
    /// The server asks for patience while it authenticates.
    Pending {
        /// How long, if the server said so.
        timeout: Option<Duration>,
    },
    /// `INFO_PRE`: how to proceed with a pending authentication.
    Info(String),
    /// A fresh auth token, used instead of the password from now on.
    Token,
    /// The client is finished.
    Ended(End),
}

/// How a client ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server refused it.
    AuthFailed(AuthFailed),
    /// The server told it to reconnect.
    Restart(Option<String>),
    /// The server told it to stop.
    Halt(Option<String>),
    /// The control channel failed.
    Failed(SessionError),
    /// The server sent no options, however often it was asked.
    NoOptions,
    /// The server's options can't be used; says why.
    BadOptions(String),
    /// Nothing was heard from the server for the time it announced.
    PingTimeout,
    /// It left of its own accord.
    Exited,
}

/// Why a packet led to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientDrop {
    /// The control channel refused it.
    Control(ControlDrop),
    /// The data channel refused it.
    Data(culvert_data::DropReason),
    /// Neither.
    Malformed,
    /// The client is finished.
    Ended,
}
