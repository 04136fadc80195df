//! The numbers that name things on the wire; each is its own type because they must not be mixed.

use std::fmt;

/// A TLS session's id, chosen by the side that sends it: 8 random bytes, never all zero.
///
/// Source: wire draft, "session ID".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 8]);

impl SessionId {
    /// Wraps 8 bytes; `None` for all zero, which is illegal on the wire.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The bytes in wire order.
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// Which TLS negotiation of a session a packet belongs to: 3 bits.
///
/// The first negotiation is 0; renegotiations count 1, 2, ..., 7, 1, ... and never return to 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u8);

impl KeyId {
    /// The key id of a session's first negotiation.
    pub const FIRST: Self = Self(0);

    /// How many different key ids there are: table sizes.
    pub const COUNT: usize = 8;

    /// Wraps 0..=7; `None` for anything larger.
    pub fn new(value: u8) -> Option<Self> {
        (value < 8).then_some(Self(value))
    }

    /// The low three bits of a packet's first byte.
    #[inline]
    pub fn from_low_bits(byte: u8) -> Self {
        Self(byte & 7)
    }

    /// The value, 0..=7.
    #[inline]
    pub fn value(self) -> u8 {
        self.0
    }

    /// The value as an index below [`Self::COUNT`].
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The key id of the renegotiation after this one: 0 to 1, ..., 6 to 7, 7 to 1.
    #[must_use]
    pub fn next(self) -> Self {
        Self(if self.0 >= 7 { 1 } else { self.0 + 1 })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client's number in DATA_V2 headers: 24 bits, unique among live clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(u32);

impl PeerId {
    /// "No peer id": the sender is found by its address.
    pub const UNDEFINED: Self = Self(0x00ff_ffff);

    /// The largest peer id that names a client.
    pub const MAX: Self = Self(0x00ff_fffe);

    /// Wraps a 24-bit value, [`Self::UNDEFINED`] included; `None` for anything larger.
    pub fn new(value: u32) -> Option<Self> {
        (value <= Self::UNDEFINED.0).then_some(Self(value))
    }

    /// From its three bytes on the wire.
    #[inline]
    pub fn from_bytes([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, a, b, c]))
    }

    /// The three bytes on the wire.
    pub fn bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// The value, below 2^24.
    #[inline]
    pub fn value(self) -> u32 {
        self.0
    }

    /// The value as a table index.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// False for [`Self::UNDEFINED`].
    #[inline]
    pub fn is_defined(self) -> bool {
        self != Self::UNDEFINED
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A control message's number in the reliability layer, from 0 for each key id.
///
/// Not to be confused with the replay id of the wrapper or the packet id of the data channel.
/// Not ordered: the counter may wrap, use [`Self::distance_from`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageId(pub u32);

impl MessageId {
    /// The next id, wrapping.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How many ids this one is ahead of `earlier`, wrapping: an id just behind it is `u32::MAX` ahead.
    pub fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_session_id_cannot_be_built() {
        assert!(SessionId::new([0; 8]).is_none());
        let id = SessionId::new([0xc1, 2, 3, 4, 5, 6, 7, 0xc8]).unwrap();
        assert_eq!(format!("{id:?}"), "SessionId(c1020304050607c8)");
    }

    #[test]
    fn key_ids_never_return_to_zero() {
        let mut id = KeyId::FIRST;
        let seen: Vec<u8> = (0..9)
            .map(|_| {
                id = id.next();
                id.value()
            })
            .collect();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 1, 2]);
        assert!(KeyId::new(8).is_none());
        assert_eq!(KeyId::from_low_bits(0xff).value(), 7);
    }

    #[test]
    fn peer_ids_take_three_bytes() {
        let id = PeerId::new(0x010203).unwrap();
        assert_eq!(id.bytes(), [1, 2, 3]);
        assert_eq!(PeerId::from_bytes([1, 2, 3]), id);
        assert!(PeerId::new(1 << 24).is_none());
        assert!(!PeerId::UNDEFINED.is_defined());
        assert!(PeerId::MAX.is_defined());
    }

    #[test]
    fn message_ids_wrap() {
        assert_eq!(MessageId(u32::MAX).next(), MessageId(0));
        assert_eq!(MessageId(1).distance_from(MessageId(u32::MAX)), 2);
        assert_eq!(MessageId(4).distance_from(MessageId(5)), u32::MAX);
    }
}
