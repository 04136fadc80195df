//! Super-packets: split on the way out of the TUN device, joined on the way in.
//!
//! With offload the kernel hands out TCP and UDP packets of up to 64 KiB with a virtio header that tells the
//! size of the segments to cut, and takes such packets in. A connection's packets then cross the device
//! dozens at a time. The kernel left out what a network card would do, so we do it: cutting, advancing
//! sequence numbers and IPv4 ids, computing checksums.

mod ack;
pub(crate) mod checksum;
mod group;
pub(crate) mod join;
pub(crate) mod layout;
pub(crate) mod split;
pub(crate) mod vnet;

#[cfg(test)]
mod tests;
