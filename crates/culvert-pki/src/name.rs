//! Names in certificates: what may be a common name (and so a file name), and alternative names.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::PkiError;

/// Longest common name, in characters (X.520).
const MAX_NAME_CHARS: usize = 64;

/// Checks a common name. It becomes a file name and part of a database line, so `/`, control characters, a
/// leading `-` or `.` and spaces at the ends are refused.
///
/// # Errors
/// [`PkiError::Name`].
pub fn check_name(name: &str) -> Result<(), PkiError> {
    let refuse = |reason| {
        Err(PkiError::Name {
            name: name.into(),
            reason,
        })
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return refuse("certificates allow at most 64 characters");
    }
    if name.chars().any(char::is_control) {
        return refuse("it contains a control character");
    }
    if name.contains('/') {
        return refuse("it contains a slash");
    }
    if name.starts_with(['-', '.']) {
        return refuse("it begins with a dash or dot");
    }
    if name.trim() != name {
        return refuse("it begins or ends with a space");
    }
    if name == "ca" {
        return refuse("that file name belongs to the authority");
    }
    Ok(())
}

/// An alternative name of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A host name; a leading `*.` stands for one label.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl FromStr for AltName {
    type Err = PkiError;

    /// Reads `name.example.com`, `*.example.com`, `192.0.2.1` or `2001:db8::1`, also with the prefixes `DNS:`
    /// and `IP:`.
    fn from_str(text: &str) -> Result<Self, PkiError> {
        let refuse = |reason| {
            Err(PkiError::Name {
                name: text.into(),
                reason,
            })
        };
        let bare = ["DNS:", "IP:"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Ip(address));
        }
        if text.starts_with("IP:") {
            return refuse("it is no IP address");
        }
        if is_host_name(bare) {
            Ok(Self::Dns(bare.to_ascii_lowercase()))
        } else {
            refuse("it is neither host name nor IP address")
        }
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
        }
    }
}

fn is_host_name(name: &str) -> bool {
    let labels = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_folder_or_the_line_are_refused() {
        for name in [
            "",
            "../x",
            "a/b",
            "a\tb",
            "a\nb",
            "-x",
            ".x",
            " x",
            "x ",
            "ca",
            &"x".repeat(65),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in [
            "alice",
            "alice@example.com",
            "Zoë Müller",
            "vpn.example.com",
            "CORP\\bob",
        ] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn alternative_names_are_hosts_or_addresses() {
        for (text, expected) in [
            ("VPN.example.com", AltName::Dns("vpn.example.com".into())),
            ("*.example.com", AltName::Dns("*.example.com".into())),
            ("DNS:vpn", AltName::Dns("vpn".into())),
            ("192.0.2.1", AltName::Ip("192.0.2.1".parse().unwrap())),
            ("IP:2001:db8::1", AltName::Ip("2001:db8::1".parse().unwrap())),
        ] {
            assert_eq!(text.parse::<AltName>().unwrap(), expected);
        }
        for text in ["", "a..b", "-a", "a b", "IP:x", "*.", "a.*.b", "über.de", "a@b"] {
            assert!(text.parse::<AltName>().is_err(), "{text}");
        }
    }
}
