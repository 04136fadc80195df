//! Why bytes could not be read, or a value could not be written.

/// A malformed input. Always the sender's fault; the packet or message is dropped and counted.
///
/// Small and `Copy`: a flood of malformed packets costs no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// No bytes at all.
    #[error("the packet is empty")]
    Empty,
    /// The input ends inside the named field.
    #[error("the packet ends inside {0}")]
    Truncated(&'static str),
    /// Opcode outside 3..=11; 1 and 2 are the key method 1 resets that OpenVPN 2.5 removed.
    #[error("opcode {0} is not an OpenVPN 2.4+ opcode; the sender is too old or does not speak OpenVPN")]
    UnknownOpcode(u8),
    /// A hard reset whose key id is not 0.
    #[error("a hard reset must carry key id 0, this one carries {0}")]
    ResetKeyId(u8),
    /// An all-zero session id.
    #[error("the session id is zero")]
    ZeroSessionId,
    /// More than 8 acknowledgements.
    #[error("{0} acknowledgements in one packet, at most 8 are legal")]
    TooManyAcks(u8),
    /// A data opcode where a control packet was expected, or the reverse.
    #[error("opcode {0} does not belong here")]
    WrongOpcode(u8),
    /// Key method other than 2.
    #[error("key method {0} is not supported, only key method 2 is")]
    KeyMethod(u8),
    /// A string that does not end in NUL.
    #[error("{0} does not end with a NUL byte")]
    Unterminated(&'static str),
    /// A field or message beyond its cap.
    #[error("{what} takes {len} bytes, the limit is {max}")]
    TooLong {
        /// The field.
        what: &'static str,
        /// Its announced or actual length.
        len: usize,
        /// The limit it broke.
        max: usize,
    },
    /// A length field that contradicts the bytes it describes.
    #[error("the length of {0} contradicts its contents")]
    LengthMismatch(&'static str),
    /// Text that does not follow its grammar.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// An inner packet that is neither IPv4 nor IPv6.
    #[error("IP version {0} is neither 4 nor 6")]
    IpVersion(u8),
}

impl ParseError {
    /// Stable name for metric labels and log fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Truncated(_) => "truncated",
            Self::UnknownOpcode(_) => "unknown_opcode",
            Self::ResetKeyId(_) => "reset_key_id",
            Self::ZeroSessionId => "zero_session_id",
            Self::TooManyAcks(_) => "too_many_acks",
            Self::WrongOpcode(_) => "wrong_opcode",
            Self::KeyMethod(_) => "key_method",
            Self::Unterminated(_) => "unterminated",
            Self::TooLong { .. } => "too_long",
            Self::LengthMismatch(_) => "length_mismatch",
            Self::Malformed(_) => "malformed",
            Self::IpVersion(_) => "ip_version",
        }
    }
}

/// A value that has no legal form on the wire. Always our own or the operator's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value does not fit its field.
    #[error("{what} takes {len} bytes, clients accept at most {max}; shorten it")]
    TooLong {
        /// The field or message.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A character that would end or split the field early.
    #[error("{what} contains {character:?}, which cannot be sent in it; remove it")]
    Forbidden {
        /// The field.
        what: &'static str,
        /// The first offending character.
        character: char,
    },
    /// An empty value where one is needed.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A pushed option with more arguments than clients parse.
    #[error("the pushed option {option:?} has {count} words, clients parse at most 16")]
    TooManyWords {
        /// The option's first word.
        option: String,
        /// How many words it has, including the name.
        count: usize,
    },
    /// A pushed option with a quotation mark that is never closed.
    #[error("the pushed option {0:?} opens a quotation mark and never closes it")]
    UnbalancedQuote(String),
    /// A pushed option that the server writes itself.
    #[error("the pushed option {0:?} is written by the server itself; remove it")]
    Reserved(&'static str),
    /// The output buffer is smaller than what is to be written.
    #[error("{need} bytes do not fit into a buffer of {have}")]
    NoRoom {
        /// Bytes needed.
        need: usize,
        /// Bytes there were.
        have: usize,
    },
}
