//! The way out to one client: where to, with which key, and how big.

use std::sync::Arc;

use culvert_wire::data::DataHeader;
use culvert_wire::{KeyId, LinkAddr, PeerId};
use std::sync::atomic::AtomicBool;

use crate::DropReason;
use crate::framing::Framing;
use crate::key::DataKey;
use crate::mss::Expansion;
use crate::peer::Peer;

/// An installed key, with the header its packets get.
#[derive(Debug)]
pub(crate) struct KeySlot {
    pub(crate) key: DataKey,
    header: DataHeader,
    pub(crate) limit_reported: AtomicBool,
}

impl KeySlot {
    pub(crate) fn new(key_id: KeyId, key: DataKey, peer: PeerId, data_v2: bool) -> Self {
        // The epoch format exists with DATA_V2 only.
        let header = if data_v2 || key.format() == crate::DataFormat::Epoch {
            DataHeader::v2(key_id, peer)
        } else {
            DataHeader::v1(key_id)
        };
        Self {
            key,
            header,
            limit_reported: AtomicBool::new(false),
        }
    }

    pub(crate) fn key_id(&self) -> KeyId {
        self.header.key_id
    }

    pub(crate) fn expansion(&self, framing: Framing) -> Expansion {
        self.key.expansion(self.header.len, framing)
    }

    pub(crate) fn sealed_len(&self, framing: Framing, payload: usize) -> usize {
        self.key.sealed_len(self.header.len, framing.len() + payload)
    }
}

/// Seals one packet to a client and counts it, or counts why not.
pub(crate) fn seal(
    peer: &Peer,
    slot: &KeySlot,
    now_ms: u64,
    parts: &[&[u8]],
    out: &mut [u8],
) -> Result<usize, DropReason> {
    let sealed = slot.key.seal_into(&slot.header, peer.framing, parts, out);
    peer.report_key_limit(slot);
    let len = sealed.map_err(|reason| peer.count_drop(reason))?;
    peer.tx.count_link(now_ms, len);
    Ok(len)
}

/// Permission and means to send packets to one client: the result of routing one.
///
/// Good for the packet it was made for and for the segments that packet is cut into, in any number. Short-lived: it
/// keeps the key and the address of the moment it was made.
#[derive(Debug)]
pub struct Outbound {
    peer: Arc<Peer>,
    slot: Arc<KeySlot>,
    link: LinkAddr,
    now_ms: u64,
    carries_ip: bool,
}

impl Outbound {
    /// The way to a client for IP packets.
    pub(crate) fn new(now_ms: u64, peer: Arc<Peer>) -> Result<Self, DropReason> {
        Ok(Self {
            slot: peer.sending_slot()?,
            link: peer.link(),
            peer,
            now_ms,
            carries_ip: true,
        })
    }

    /// The way to a client for messages that are not IP packets, and are not counted as such.
    pub(crate) fn for_message(now_ms: u64, peer: Arc<Peer>) -> Result<Self, DropReason> {
        Ok(Self {
            carries_ip: false,
            ..Self::new(now_ms, peer)?
        })
    }

    /// Where the sealed packets go.
    pub fn link(&self) -> LinkAddr {
        self.link
    }

    /// The client they go to.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Exact size of the packet that carries `plaintext_len` bytes.
    pub fn sealed_len(&self, plaintext_len: usize) -> usize {
        self.slot.sealed_len(self.peer.framing, plaintext_len)
    }

    /// Seals the concatenation of `parts` into the front of `out` and returns the packet's length.
    ///
    /// The parts are copied into `out`, the only copy of the send path, and encrypted there. Packets leave in the order
    /// of the calls: each takes the next packet id.
    ///
    /// # Errors
    /// [`DropReason::NoRoom`] if `out` is shorter than [`Outbound::sealed_len`], [`DropReason::KeyExhausted`] if the key
    /// has no packet id left. Already counted.
    pub fn seal_into(&self, parts: &[&[u8]], out: &mut [u8]) -> Result<usize, DropReason> {
        let len = seal(&self.peer, &self.slot, self.now_ms, parts, out)?;
        if self.carries_ip {
            self.peer.tx.count_tun(parts.iter().map(|part| part.len()).sum());
        }
        Ok(len)
    }
}
