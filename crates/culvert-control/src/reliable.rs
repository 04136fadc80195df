//! Reliability layer of one key's control channel: numbered messages that are resent until acknowledged, and
//! delivered once and in order.
//!
//! ```text
//! queue ──> SendWindow ──(packets, retransmissions)──> link ──> ReceiveWindow ──> in order
//!                ^                                                    │
//!                └──────────────── acknowledgements <── AckQueue <────┘
//! ```
//!
//! One set per key id; message ids start at 0, which is the reset itself. Source: wire draft, "reliability
//! layer", and OpenVPN 2.6 behaviour for the numbers.

mod ack;
mod receive;
mod send;

pub(crate) use ack::AckQueue;
pub(crate) use receive::{ReceiveWindow, Received};
pub(crate) use send::{SendWindow, WINDOW_NEW};
