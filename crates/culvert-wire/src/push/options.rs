//! The client's side of a push: assembling a series and finding what it says.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::CONTINUATION;
use crate::{ParseError, PeerId};

/// Most text a series may bring, in bytes.
const MAX_SERIES: usize = 128 * 1024;

/// Collects the messages of a series until it is complete.
#[derive(Clone, Default)]
pub struct PushAssembler {
    text: String,
}

impl PushAssembler {
    /// An empty assembler.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of one message, without `PUSH_REPLY,`. Returns all options once the series is complete.
    ///
    /// # Errors
    /// [`ParseError::TooLong`] if the series exceeds 128 KiB, [`ParseError::Malformed`] if an option opens a
    /// quotation mark it does not close. The assembler is empty afterwards.
    pub fn push(&mut self, text: &str) -> Result<Option<PushOptions>, ParseError> {
        let len = self.text.len() + text.len() + 1;
        if len > MAX_SERIES {
            self.text = String::new();
            return Err(ParseError::TooLong {
                what: "the pushed options",
                len,
                max: MAX_SERIES,
            });
        }
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(text);
        if text.rsplit(',').next() == Some("push-continuation 2") {
            return Ok(None);
        }
        PushOptions::parse(&std::mem::take(&mut self.text)).map(Some)
    }
}

/// Pushed options, taken apart into words.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PushOptions {
    pub(super) options: Vec<Vec<String>>,
}

impl PushOptions {
    /// Reads comma-separated options; `push-continuation` is left out.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] if an option opens a quotation mark it does not close.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut options = Vec::new();
        for option in text.split(',') {
            let words = split_words(option).ok_or(ParseError::Malformed("a pushed option"))?;
            if words.first().is_some_and(|name| name != CONTINUATION) {
                options.push(words);
            }
        }
        Ok(Self { options })
    }

    /// Every option as its words, name first, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = &[String]> {
        self.options.iter().map(Vec::as_slice)
    }

    /// The arguments of each option of this name, in order.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [String]> {
        self.iter().filter_map(move |words| {
            words
                .split_first()
                .filter(|(first, _)| *first == name)
                .map(|(_, rest)| rest)
        })
    }

    /// The arguments of the option of this name; of several, the last, which overrides the others.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.iter()
            .filter_map(|words| words.split_first().filter(|(first, _)| *first == name))
            .last()
            .map(|(_, rest)| rest)
    }

    /// True if an option of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The client's address and, with subnet topology, netmask.
    pub fn ifconfig(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        match self.get("ifconfig")? {
            [address, mask, ..] => Some((address.parse().ok()?, mask.parse().ok()?)),
            _ => None,
        }
    }

    /// The client's IPv6 address, prefix length and the server's address.
    pub fn ifconfig_ipv6(&self) -> Option<(Ipv6Addr, u8, Ipv6Addr)> {
        match self.get("ifconfig-ipv6")? {
            [network, remote, ..] => {
                let (address, bits) = network.split_once('/')?;
                Some((
                    address.parse().ok()?,
                    bits.parse().ok().filter(|bits| *bits <= 128)?,
                    remote.parse().ok()?,
                ))
            }
            _ => None,
        }
    }

    /// The routes into the tunnel as network and netmask; a missing netmask is that of one host.
    pub fn routes(&self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
        self.all("route").filter_map(|words| {
            let network = words.first()?.parse().ok()?;
            let mask = words
                .get(1)
                .map_or(Ok(Ipv4Addr::BROADCAST), |mask| mask.parse())
                .ok()?;
            Some((network, mask))
        })
    }

    /// The IPv6 routes into the tunnel as network and prefix length.
    pub fn routes_ipv6(&self) -> impl Iterator<Item = (Ipv6Addr, u8)> {
        self.all("route-ipv6").filter_map(|words| {
            let (network, bits) = words.first()?.split_once('/')?;
            Some((
                network.parse().ok()?,
                bits.parse().ok().filter(|bits| *bits <= 128)?,
            ))
        })
    }

    /// The client's number in DATA_V2 headers.
    pub fn peer_id(&self) -> Option<PeerId> {
        PeerId::new(self.first_of("peer-id")?.parse().ok()?)
    }

    /// Data cipher to use.
    pub fn cipher(&self) -> Option<&str> {
        self.first_of("cipher")
    }

    /// Seconds without sending after which to send a ping.
    pub fn ping(&self) -> Option<Duration> {
        self.seconds("ping")
    }

    /// Seconds without receiving after which to reconnect.
    pub fn ping_restart(&self) -> Option<Duration> {
        self.seconds("ping-restart")
    }

    /// MTU of the tunnel interface in bytes.
    pub fn tun_mtu(&self) -> Option<u16> {
        self.first_of("tun-mtu")?.parse().ok()
    }

    /// `subnet`, `net30` or `p2p`.
    pub fn topology(&self) -> Option<&str> {
        self.first_of("topology")
    }

    /// The token to send instead of the password from now on.
    pub fn auth_token(&self) -> Option<&str> {
        self.first_of("auth-token")
    }

    /// True if this word is among the `protocol-flags`: `cc-exit`, `tls-ekm`, `dyn-tls-crypt`, `aead-epoch`.
    pub fn protocol_flag(&self, flag: &str) -> bool {
        self.get("protocol-flags")
            .is_some_and(|flags| flags.iter().any(|word| word == flag))
    }

    /// True if data keys come from the TLS exporter, in either of the two ways to say so.
    pub fn tls_ekm(&self) -> bool {
        self.protocol_flag("tls-ekm") || self.first_of("key-derivation") == Some("tls-ekm")
    }

    fn first_of(&self, name: &str) -> Option<&str> {
        self.get(name)?.first().map(String::as_str)
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.first_of(name)?.parse().ok().map(Duration::from_secs)
    }
}

/// Shows the names of the options only: their values may contain an auth token.
impl std::fmt::Debug for PushOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.options.iter().filter_map(|words| words.first()))
            .finish()
    }
}

impl std::fmt::Debug for PushAssembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PushAssembler({} bytes)", self.text.len())
    }
}

/// Splits an option line into words as clients do; `None` if a quotation mark stays open.
///
/// Blanks separate. Double quotes keep blanks and honour backslashes, single quotes keep everything, a
/// backslash outside quotes takes the next character literally. `#` or `;` where a word could begin ends the line.
pub(super) fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, '#' | ';') if word.is_none() => break,
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}
