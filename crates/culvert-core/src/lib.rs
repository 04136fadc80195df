//! The Client VPN server as a state machine without I/O: joins control channel, data channel, pool and policy.
//!
//! [`Server`] is one endpoint: it answers handshakes, asks who clients are, gives them addresses and keys, keeps them
//! alive and sees them off. It owns no socket, reads no clock and draws no randomness: packets, time and entropy come
//! in as arguments, packets and [`Event`]s come out when polled. Data packets don't pass through here; they go to
//! the [`culvert_data::DataPlane`] that the server and the packet workers share, and which only the server changes.
//!
//! ```text
//! link ──control packet──▶ handle_link_input ─┐           ┌─▶ poll_transmit ──▶ link
//! backend ──verdict──▶ handle_auth_decision ──┼─ Server ──┼─▶ poll_event ─────▶ log, backend
//! clock ───────────────▶ handle_timeout ──────┤     │     └─▶ poll_timeout ───▶ clock
//! data plane ──────────▶ handle_peer_event ───┘     └─ add_peer, install_key, set_link ─▶ DataPlane
//! ```
//!
//! # The contract
//!
//! After every input or command drain [`Server::poll_transmit`], then [`Server::poll_event`], then read
//! [`Server::poll_timeout`]. Time never goes back. An early [`Server::handle_timeout`] is harmless. One owner calls it
//! (`&mut self`); nothing it does takes time that grows with the number of clients, except commands that concern all
//! of them (a new policy, a revocation list, shutting down).
//!
//! # What a stranger can cost us
//!
//! Over UDP nothing is stored before the sender has proved that it receives at its address: the answer to a reset
//! carries a cookie as our session id and is forgotten. Answers are smaller than one and a half requests, one each,
//! and limited per source ([`AttemptLimits`]). What is stored then is bounded in number and bytes
//! ([`HalfOpenLimits`]), and the oldest gives way.

#![forbid(unsafe_code)]

mod auth;
mod client;
mod drops;
mod event;
mod half_open;
mod keyed_hash;
mod link;
mod messages;
mod negotiate;
mod peer_ids;
mod push;
mod rate_limit;
mod server;
mod settings;
mod timers;
mod tombstones;

pub use auth::{AuthDecision, AuthRequest, AuthTicket, Grant, Rejection, Secret, TokenProof};
pub use culvert_wire::challenge::{DynamicChallenge, PendingMethod};
pub use drops::{Counters, DropReason};
pub use event::{ClientId, ClientStatus, DisconnectReason, Event, Presented, RefusalKind, Refused, Transmit};
pub use rate_limit::{AttemptLimits, Rate};
pub use server::Server;
pub use settings::{
    AuthTokenSettings, CertificateDemand, CookiePolicy, CredentialPolicy, EndpointSettings, HalfOpenLimits,
    Inactive, Keepalive, PushSettings, RedirectGateway, SessionTimeout, SettingsError, SharedWrap,
    TlsCryptV2, WrapPolicy,
};
pub use timers::TimerKind;
