//! Replay protection of the control-channel wrapper: what goes into a packet, and which packets were seen.
//!
//! These numbers belong to the wrapper alone; messages and data packets are counted apart.

use culvert_wire::control::early;

/// Number and time in a wrapped control packet, both big-endian u32 on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplayStamp {
    /// Grows by one per packet sent, retransmissions included; never 0.
    pub id: u32,
    /// Unix seconds of the sender's first packet.
    pub time: u32,
}

impl ReplayStamp {
    /// True if a tls-crypt-v2 client announces early negotiation with it: it can be asked for its wrapped key
    /// a second time, so no state is needed before the cookie returns.
    pub fn announces_early_negotiation(self) -> bool {
        early::announced_by(self.id)
    }

    pub(crate) fn encode(self) -> [u8; 8] {
        let [a, b, c, d] = self.id.to_be_bytes();
        let [e, f, g, h] = self.time.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    pub(crate) fn decode([a, b, c, d, e, f, g, h]: [u8; 8]) -> Self {
        Self {
            id: u32::from_be_bytes([a, b, c, d]),
            time: u32::from_be_bytes([e, f, g, h]),
        }
    }
}

/// Gives out the stamps of one session's outgoing packets.
#[derive(Clone, Debug)]
pub struct ControlSendStamp {
    next_id: u32,
    time: Option<u32>,
}

impl ControlSendStamp {
    /// Starts at id 1.
    pub fn new() -> Self {
        Self::starting_at(1)
    }

    /// Starts at `first_id`: 2 for a server whose stateless reset used up id 1.
    pub fn starting_at(first_id: u32) -> Self {
        Self {
            next_id: first_id.max(1),
            time: None,
        }
    }

    /// Starts as a tls-crypt-v2 client does that understands early negotiation.
    pub fn early_negotiation() -> Self {
        Self::starting_at(early::FIRST_REPLAY_ID)
    }

    /// The stamp of the next packet. The time is taken from the first call; when the ids are used up it is taken
    /// anew, and moves on even if the clock did not.
    pub fn next(&mut self, now_unix: u64) -> ReplayStamp {
        let time = *self.time.get_or_insert(now_unix as u32);
        let stamp = ReplayStamp {
            id: self.next_id,
            time,
        };
        match self.next_id.checked_add(1) {
            Some(id) => self.next_id = id,
            None => {
                self.next_id = 1;
                self.time = Some((now_unix as u32).max(time.wrapping_add(1)));
            }
        }
        stamp
    }
}

impl Default for ControlSendStamp {
    fn default() -> Self {
        Self::new()
    }
}

/// Which stamps of one session's incoming packets were seen: a window of 64 ids below the highest.
///
/// A later time starts a new window, an earlier one is refused. Asked only after the packet authenticated.
///
/// Source: OpenVPN 2.6 behaviour with the default `replay-window`, without its rule about late packets.
#[derive(Clone, Debug, Default)]
pub struct ControlReplay {
    time: u32,
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl ControlReplay {
    /// Starts with nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts a stamp once; false means replayed, too old, or invalid.
    #[must_use]
    pub fn accept(&mut self, stamp: ReplayStamp) -> bool {
        if stamp.id == 0 || stamp.time < self.time {
            return false;
        }
        if stamp.time > self.time {
            *self = Self {
                time: stamp.time,
                ..Self::default()
            };
        }
        if let Some(behind) = self.highest.checked_sub(stamp.id) {
            let Some(bit) = 1u64.checked_shl(behind) else {
                return false;
            };
            let fresh = self.seen & bit == 0;
            self.seen |= bit;
            return fresh;
        }
        let ahead = stamp.id - self.highest;
        self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
        self.highest = stamp.id;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn at(time: u32, id: u32) -> ReplayStamp {
        ReplayStamp { id, time }
    }

    #[test]
    fn each_stamp_is_accepted_once_within_64_of_the_highest() {
        let mut replay = ControlReplay::new();
        assert!(!replay.accept(at(5, 0)), "id 0 is invalid");
        assert!(replay.accept(at(5, 100)));
        assert!(!replay.accept(at(5, 100)));
        assert!(replay.accept(at(5, 99)));
        assert!(replay.accept(at(5, 37)), "63 behind");
        assert!(!replay.accept(at(5, 36)), "64 behind");
        assert!(replay.accept(at(5, 200)));
        assert!(!replay.accept(at(5, 100)));
        assert!(replay.accept(at(5, u32::MAX)));
        assert!(!replay.accept(at(5, 1)));
    }

    #[test]
    fn a_later_time_starts_a_new_window_and_an_earlier_one_is_refused() {
        let mut replay = ControlReplay::new();
        assert!(replay.accept(at(5, 1000)));
        assert!(replay.accept(at(6, 1)));
        assert!(!replay.accept(at(5, 1001)));
        assert!(!replay.accept(at(6, 1)));
        assert!(replay.accept(at(6, 2)));
    }

    #[test]
    fn a_window_just_started_has_seen_nothing() {
        let mut replay = ControlReplay::new();
        assert!(replay.accept(at(0, 0x0f00_0002)), "time zero is a time");
        assert!(replay.accept(at(0, 0x0f00_0001)));
    }

    #[test]
    fn send_stamps_count_up_under_the_time_of_the_first() {
        let mut send = ControlSendStamp::new();
        assert_eq!(send.next(70), at(70, 1));
        assert_eq!(send.next(99), at(70, 2));
        assert_eq!(ControlSendStamp::starting_at(2).next(7), at(7, 2));
        assert_eq!(ControlSendStamp::starting_at(0).next(7), at(7, 1));
        let mut early = ControlSendStamp::early_negotiation();
        assert!(early.next(7).announces_early_negotiation());
        assert!(!send.next(7).announces_early_negotiation());
    }

    #[test]
    fn used_up_ids_go_on_under_a_later_time_that_the_peer_accepts() {
        let mut send = ControlSendStamp::starting_at(u32::MAX);
        let mut replay = ControlReplay::new();
        assert!(replay.accept(send.next(70)));
        let wrapped = send.next(70);
        assert_eq!(wrapped, at(71, 1));
        assert!(replay.accept(wrapped));
    }

    #[test]
    fn stamps_encode_back() {
        let stamp = at(0x6543_2100, 0x0f00_0001);
        assert_eq!(stamp.encode(), [0x0f, 0, 0, 1, 0x65, 0x43, 0x21, 0]);
        assert_eq!(ReplayStamp::decode(stamp.encode()), stamp);
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_simple_model(
            stamps in prop::collection::vec((0..3u32, 0..300u32), 0..200),
        ) {
            let mut replay = ControlReplay::new();
            let (mut time, mut highest, mut seen) = (0, 0, HashSet::new());
            for (stamp_time, id) in stamps {
                if stamp_time > time && id != 0 {
                    (time, highest) = (stamp_time, 0);
                    seen.clear();
                }
                let expected = id != 0
                    && stamp_time == time
                    && (id > highest || (highest - id < 64 && !seen.contains(&id)));
                if expected {
                    seen.insert(id);
                    highest = highest.max(id);
                }
                prop_assert_eq!(replay.accept(at(stamp_time, id)), expected);
            }
        }
    }
}
