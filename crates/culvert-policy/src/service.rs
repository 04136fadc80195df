//! What a rule may be limited to: a protocol and its ports.

use std::fmt;
use std::str::FromStr;

use crate::filter::Range;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Traffic a rule allows when it doesn't allow everything. Written as `443/tcp`, `8000-8999/tcp`, `53/udp`, `icmp`, and
/// `tcp` or `udp` for all ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// TCP connections to these ports.
    Tcp(Ports),
    /// UDP to these ports.
    Udp(Ports),
    /// ICMP over IPv4, ICMPv6 over IPv6.
    Icmp,
}

/// Ports from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// Text that isn't a [`Service`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no service; write 443/tcp, 8000-8999/tcp, 53/udp, tcp, udp or icmp")]
pub struct MalformedService(String);

impl Ports {
    /// Every port.
    pub const ALL: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// The ports from `first` to `last`; `None` if there are none, or port 0 is among them.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (1..=last).contains(&first).then_some(Self { first, last })
    }

    /// Whether this is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for Ports {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        // A sign before the number is no port.
        let port = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(())
        };
        Self::new(port(first)?, port(last)?).ok_or(())
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl FromStr for Service {
    type Err = MalformedService;

    fn from_str(text: &str) -> Result<Self, MalformedService> {
        let refused = || MalformedService(text.chars().take(40).collect());
        match text {
            "icmp" => return Ok(Self::Icmp),
            "tcp" => return Ok(Self::Tcp(Ports::ALL)),
            "udp" => return Ok(Self::Udp(Ports::ALL)),
            _ => {}
        }
        let (ports, protocol) = text.split_once('/').ok_or_else(refused)?;
        let ports = ports.parse().map_err(|()| refused())?;
        match protocol {
            "tcp" => Ok(Self::Tcp(ports)),
            "udp" => Ok(Self::Udp(ports)),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ports, protocol) = match self {
            Self::Tcp(ports) => (ports, "tcp"),
            Self::Udp(ports) => (ports, "udp"),
            Self::Icmp => return f.write_str("icmp"),
        };
        match *ports == Ports::ALL {
            true => f.write_str(protocol),
            false => write!(f, "{ports}/{protocol}"),
        }
    }
}

impl Service {
    /// The service as a range of [`key`]s, for packets of one family.
    pub(crate) fn keys(self, v6: bool) -> Range<u32> {
        let (protocol, ports) = match self {
            Self::Tcp(ports) => (TCP, ports),
            Self::Udp(ports) => (UDP, ports),
            Self::Icmp if v6 => (ICMPV6, Ports::ALL),
            Self::Icmp => (ICMP, Ports::ALL),
        };
        (key(protocol, ports.first), key(protocol, ports.last))
    }
}

/// Protocol and port as one number.
#[inline]
pub(crate) fn key(protocol: u8, port: u16) -> u32 {
    u32::from(protocol) << 16 | u32::from(port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn services_are_written_as_they_are_read() {
        for text in [
            "443/tcp",
            "8000-8999/tcp",
            "53/udp",
            "1-65535/udp",
            "tcp",
            "udp",
            "icmp",
        ] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        assert_eq!("7-7/tcp".parse::<Service>().unwrap().to_string(), "7/tcp");
    }

    #[test]
    fn what_is_no_service_is_refused_with_examples() {
        for text in [
            "",
            "443",
            "tcp/443",
            "0/tcp",
            "0-9/tcp",
            "9-8/tcp",
            "65536/tcp",
            "+443/tcp",
            "1-2-3/tcp",
            "-5/udp",
            "5-/udp",
            "/tcp",
            "443/sctp",
            "443/TCP",
            "443/tcp ",
            "8/icmp",
            "all",
        ] {
            let error = text.parse::<Service>().unwrap_err().to_string();
            assert!(error.contains("443/tcp"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9/+tcpudm-]{0,20}|\\PC*") {
            let _ = text.parse::<Service>();
        }
    }
}
