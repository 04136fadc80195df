//! The header in front of each packet on a queue with offload.

/// `struct virtio_net_hdr`: `flags:8 gso_type:8 hdr_len:16 gso_size:16 csum_start:16 csum_offset:16`, native
/// order.
pub(crate) const HEADER_LEN: usize = 10;

/// A header that says: one packet, complete checksums.
pub(crate) const NONE: [u8; HEADER_LEN] = [0; HEADER_LEN];
