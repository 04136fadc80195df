//! Data channel of an OpenVPN endpoint: peer table, keys, replay windows, keepalive, authorization, MSS.
//!
//! The packet path of a server, shared by all of its worker threads: no sockets, no clock, no randomness, no logging.
//!
//! ```text
//! link -> open   peer id -> key id -> decrypt in place -> replay -> ping? -> own source address?
//!                -> authorized? -> TUN or another client
//! TUN  -> route  destination -> peer -> authorized? -> MSS -> Outbound::seal_into (the one copy) -> link
//! ```
//!
//! Rules of the packet path:
//!
//! - `&self` only, constant time, no allocation, no lock that workers share. A replay window has a small lock of its own.
//! - Nothing in a packet is believed before it authenticated.
//! - What is dropped is counted under its [`DropReason`]; what the control plane has to know goes through a bounded
//!   queue ([`DataPlane::poll_event`]).
//!
//! [`DataKey`] alone, without a data plane around it, is the data channel of a client.

#![forbid(unsafe_code)]

mod chain;
mod drops;
mod error;
mod event;
mod framing;
mod icmp;
mod key;
mod mss;
mod outbound;
mod peer;
mod plane;
mod replay;
mod shared;
mod spoken;
mod stats;

pub use drops::{Counters, DropReason};
pub use error::DataError;
pub use event::{EVENT_QUEUE_LEN, PeerEvent};
pub use framing::{Framing, UNCOMPRESSED};
pub use icmp::TOO_BIG_REPLY_MAX;
pub use key::{DataFormat, DataKey, Opened};
pub use mss::{Expansion, MssFix, SegmentLimit};
pub use outbound::Outbound;
pub use peer::{Peer, PeerConfig};
pub use plane::{DataPlane, DataPlaneConfig, Inbound};
pub use replay::{Freshness, REPLAY_WINDOW, ReplayWindow};
pub use stats::PeerStats;
