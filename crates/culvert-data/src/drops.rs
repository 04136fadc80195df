//! Why a packet was dropped, and how often that happened.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why the data plane dropped a packet.
        ///
        /// Dropping is not an error: the packet is gone, counted in [`DataPlane::counters`](crate::DataPlane::counters),
        /// and nothing else changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order the counters keep them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in metrics and logs, snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

impl DropReason {
    /// Whether a stock peer closes a TCP connection on which this happened: on a reliable stream it cannot be an accident.
    pub const fn ends_stream(self) -> bool {
        matches!(
            self,
            Self::Malformed | Self::WrongLink | Self::Unauthentic | Self::Replay | Self::DecryptLimit
        )
    }
}

drop_reasons! {
    /// From the link: too short for its opcode, or no data opcode at all.
    Malformed = "malformed",
    /// From the link: no live client has this peer id, or none has this source address where the packet carries no id.
    UnknownPeer = "unknown_peer",
    /// From the link: the client has no data key under the packet's key id (still negotiating, or forgotten).
    UnknownKey = "unknown_key",
    /// From the link: arrived on a connection that is not the client's own (only UDP clients may change address).
    WrongLink = "wrong_link",
    /// From the link: did not authenticate under the key it names.
    Unauthentic = "unauthentic",
    /// From the link: packet id seen before, below the window, or zero.
    Replay = "replay",
    /// From the link: too many packets failed to authenticate under this key; nothing under it is believed any more.
    DecryptLimit = "decrypt_limit",
    /// From the link: the framing byte says compressed. Compression is never accepted.
    Compressed = "compressed",
    /// Neither an IPv4 nor an IPv6 packet, or its header contradicts its length.
    NotIp = "not_ip",
    /// From a client: the source address is not the client's own.
    SourceAddress = "source_address",
    /// IPv6 link-local traffic, such as router solicitations: normal on a client's interface, meaningless here.
    LinkLocal = "link_local",
    /// Sent to a multicast or broadcast address; the tunnel routes unicast only.
    Multicast = "multicast",
    /// From a client: no authorization rule lets this client reach the destination, or not with this protocol and port.
    NotAuthorized = "not_authorized",
    /// To a client: the client may not reach the source, so the source may not reach the client; or only with services that
    /// this packet is no answer of.
    NotAuthorizedReverse = "not_authorized_reverse",
    /// Between two clients while client-to-client traffic is off.
    ClientToClient = "client_to_client",
    /// To a client address nobody holds.
    NoRoute = "no_route",
    /// To a client that has no data key yet.
    NoKey = "no_key",
    /// To a client: larger than its tunnel MTU. See [`DataPlane::too_big_reply`](crate::DataPlane::too_big_reply).
    TooBig = "too_big",
    /// To a client: the key's packet ids are used up; a renegotiation is due.
    KeyExhausted = "key_exhausted",
    /// To a client: the caller's buffer is smaller than the sealed packet.
    NoRoom = "no_room",
    /// An event for the control plane was lost because its queue was full.
    EventQueueFull = "event_queue_full",
}

/// One counter per [`DropReason`].
#[derive(Debug)]
pub struct Counters([AtomicU64; DropReason::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; DropReason::ALL.len()])
    }
}

impl Counters {
    /// Counts one drop and hands the reason back, so a drop reads `Err(counters.count(reason))`.
    pub(crate) fn count(&self, reason: DropReason) -> DropReason {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
        reason
    }

    /// How often packets were dropped for `reason`.
    pub fn count_of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|reason| (*reason, self.count_of(*reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_name_and_a_counter_of_its_own() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
        let counters = Counters::default();
        for reason in DropReason::ALL {
            counters.count(*reason);
        }
        assert!(counters.iter().all(|(_, count)| count == 1));
    }
}
