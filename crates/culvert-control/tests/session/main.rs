//! Whole control channels, server and client, in one thread: virtual clock, lossy link, seeds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod certificates;
mod handshake;
mod hostile;
mod net;
mod pair;
#[path = "../../src/testing.rs"]
mod pki;
mod renegotiation;
mod schedules;
