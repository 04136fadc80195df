//! One server and many clients in one thread: virtual time, a seeded bad network, a scripted authentication backend.
//!
//! Everything the server is made of runs for real (TLS, wrapping, keys, pool, data plane); only sockets and clocks are
//! missing. A failing schedule is repeated by its seed.

#![allow(
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test, in helpers as well"
)]

mod admission;
mod handshake;
mod hostile;
mod leaving;
mod matrix;
mod pki;
mod renegotiation;
mod roaming;
mod schedules;
mod tcp;
mod tokens;
mod updates;
mod world;
