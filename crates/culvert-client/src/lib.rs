//! An OpenVPN client as a state machine without I/O, for simulations and load generation.
//!
//! [`Client`] speaks both channels: it resets, shakes hands, logs in, takes its options, seals and opens data packets,
//! pings, renegotiates and leaves, like a stock client of the generation its [`Personality`] says. It is no client
//! for people: it touches no interface, runs no script and trusts the one server it is built for.
//!
//! The contract is the server's: after each `handle_*` and each command drain [`Client::poll_transmit`], then
//! [`Client::poll_event`], then read [`Client::poll_timeout`]. A client that failed or was told to reconnect is
//! finished; build another, as a stock client that restarts does.

#![forbid(unsafe_code)]

mod client;
mod data;
mod event;
mod personality;

pub use client::{Client, ClientSettings};
pub use event::{ClientDrop, ClientEvent, End};
pub use personality::Personality;
