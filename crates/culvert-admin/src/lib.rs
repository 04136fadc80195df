//! The administration protocol of the daemon's Unix socket: message types, a client and the serving loop.
//!
//! One JSON document per line in each direction. A request carries the protocol version, an id that the
//! answer repeats, and an operation; see [`Request`] and [`Response`]. Lines are bounded
//! ([`MAX_REQUEST_BYTES`], [`MAX_RESPONSE_BYTES`]) and long lists are paged, so neither side ever buffers
//! more than that for the other. Who may speak is decided by the file system: the socket is created with
//! mode 0600 ([`AdminSocket::bind`]).
//!
//! ```text
//! > {"version":1,"id":1,"request":{"op":"kill","target":{"name":"alice"}}}
//! < {"version":1,"id":1,"response":{"kind":"killed","clients":[{"client_id":7,"endpoint":"office"}]}}
//! ```
//!
//! The crate does not know the daemon: [`serve`] hands each request to a [`Handler`].

mod client;
mod codec;
mod error;
mod explain;
mod message;
mod server;
mod socket;
mod types;

pub use client::AdminClient;
pub use error::{AdminError, ErrorCode, RequestError};
pub use explain::{ExplainRequest, ExplainStep, Explanation, Service};
pub use message::{
    BackupReport, ClientPage, ClientSelection, KillRequest, KillTarget, KilledClient, MAX_KILLED_LISTED,
    MAX_PAGE_CLIENTS, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, PROTOCOL_VERSION, ReloadReport, Request,
    RequestEnvelope, Response, ResponseEnvelope,
};
pub use server::{Handler, MAX_CONNECTIONS, Peer, serve};
pub use socket::{AdminSocket, DEFAULT_SOCKET};
pub use types::{
    ClientInfo, DaemonInfo, EndpointInfo, EndpointState, ListenerInfo, OffloadInfo, OffloadState,
    StatusReport, Transport,
};
