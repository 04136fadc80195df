//! Batched UDP sockets.

mod gso;
mod mmsg;
pub(crate) mod recv;
pub(crate) mod send;
pub(crate) mod socket;
