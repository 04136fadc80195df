#![allow(dead_code)]
//! One server and many clients in one thread: virtual time, a seeded bad network, a scripted authentication backend.
//!
//! Everything the server is made of runs for real (TLS, wrapping, keys, pool, data plane); only sockets and clocks are
//! missing. A failing schedule is repeated by its seed.

mod handshake;
mod pki;
mod world;
