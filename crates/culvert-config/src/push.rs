//! Which options an operator may push beside those the server pushes itself.
//!
//! Source: the options OpenVPN 2.x and OpenVPN 3 clients accept from a server.

use crate::error::Fault;

/// Options the server pushes itself, and the setting to use instead.
const OWN: &[(&str, &str)] = &[
    ("topology", "remove it: clients always get topology subnet"),
    (
        "ifconfig",
        "set client_cidr_block, or static_addresses for a fixed address",
    ),
    ("ifconfig-ipv6", "set client_ipv6_cidr_block"),
    (
        "route-gateway",
        "remove it: the gateway follows from client_cidr_block",
    ),
    (
        "route-ipv6-gateway",
        "remove it: the gateway follows from client_ipv6_cidr_block",
    ),
    ("peer-id", "remove it: the server numbers its clients"),
    ("cipher", "set data_ciphers"),
    ("ncp-ciphers", "set data_ciphers"),
    ("data-ciphers", "set data_ciphers"),
    ("key-derivation", "remove it: the server negotiates it"),
    ("protocol-flags", "remove it: the server negotiates them"),
    ("auth-token", "set auth_token"),
    ("auth-token-user", "set auth_token"),
    (
        "push-continuation",
        "remove it: long replies are split by themselves",
    ),
    (
        "comp-lzo",
        "remove it: compression leaks what it compresses and is never offered",
    ),
    (
        "compress",
        "remove it: compression leaks what it compresses and is never offered",
    ),
    ("ping", "set keepalive"),
    ("ping-restart", "set keepalive"),
    ("keepalive", "set keepalive"),
    ("tun-mtu", "set tun_mtu"),
    ("session-timeout", "set session_timeout"),
    ("mssfix", "set mssfix"),
    ("reneg-sec", "set renegotiation"),
];

/// Options clients accept and the server leaves to the operator.
const ALLOWED: &[&str] = &[
    "block-ipv6",
    "block-outside-dns",
    "client-nat",
    "dhcp-option",
    "dhcp-pre-release",
    "dhcp-renew",
    "dns",
    "echo",
    "explicit-exit-notify",
    "inactive",
    "ip-win32",
    "mute",
    "parameter",
    "persist-key",
    "persist-tun",
    "ping-exit",
    "ping-timer-rem",
    "rcvbuf",
    "redirect-gateway",
    "redirect-private",
    "register-dns",
    "route",
    "route-delay",
    "route-ipv6",
    "route-method",
    "route-metric",
    "setenv-safe",
    "shaper",
    "sndbuf",
    "socket-flags",
    "tap-sleep",
    "verb",
];

/// Longest option a 2.x client takes.
const MAX_OPTION: usize = 255;

/// Most words of an option a 2.x client takes, its name included.
const MAX_WORDS: usize = 16;

/// Checks one line of `push`.
pub(crate) fn check_push(option: &str, split_tunnel: bool) -> Result<(), Fault> {
    if option.len() > MAX_OPTION {
        let message = format!("the option has {} bytes", option.len());
        return Err(Fault::new(
            message,
            format!("clients take at most {MAX_OPTION}: shorten it"),
        ));
    }
    if option.contains(',') {
        return Err(Fault::new(
            "the option contains a comma",
            "commas separate options: push one at a time",
        ));
    }
    if option.chars().any(char::is_control) {
        return Err(Fault::new(
            "the option contains a control character",
            "use printable text",
        ));
    }
    let words: Vec<&str> = option.split_whitespace().collect();
    let Some(&name) = words.first() else {
        return Err(Fault::new("the option is empty", "remove it"));
    };
    if words.len() > MAX_WORDS {
        let message = format!("the option has {} words", words.len());
        return Err(Fault::new(
            message,
            format!("clients take at most {MAX_WORDS}: push several options"),
        ));
    }
    if let Some((_, cure)) = OWN.iter().find(|(own, _)| *own == name) {
        return Err(Fault::new(
            format!("{name:?} is pushed by the server itself"),
            *cure,
        ));
    }
    if let Some(plain) = name.strip_prefix("--") {
        return Err(Fault::new(
            "a pushed option has no leading dashes",
            format!("write {:?}", plain),
        ));
    }
    if !ALLOWED.contains(&name) {
        let message = format!("clients do not accept {name:?} from a server");
        return Err(Fault::new(message, "put it into the client's profile instead"));
    }
    if ["route", "route-ipv6"].contains(&name) && !words.contains(&"net_gateway") {
        let message = "a route into the tunnel is not an extra option";
        return Err(Fault::new(
            message,
            "add it to routes; only routes via net_gateway are pushed from here",
        ));
    }
    if name == "redirect-gateway" && split_tunnel {
        let message = "redirect-gateway contradicts split_tunnel = true";
        return Err(Fault::new(message, "remove one of them"));
    }
    Ok(())
}

/// Checks a search domain: letters, digits, `-` and `_` in labels of at most 63 bytes, 253 in all.
pub(crate) fn check_domain(domain: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(plain);
    if domain.len() <= 253 && domain.split('.').all(label) {
        return Ok(());
    }
    let message = format!("{domain:?} is not a domain name");
    Err(Fault::new(
        message,
        "write it as in corp.example.com, without a leading or final dot",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_extra_options_pass() {
        for option in [
            "route-metric 50",
            "dhcp-option DOMAIN corp.example.com",
            "route 192.0.2.0 255.255.255.0 net_gateway",
            "echo msg hello",
            "block-outside-dns",
        ] {
            assert_eq!(check_push(option, true), Ok(()), "{option}");
        }
    }

    #[test]
    fn options_of_the_server_name_the_setting_to_use() {
        let cure = |option| check_push(option, false).unwrap_err().cure;
        assert!(cure("cipher AES-128-CBC").contains("data_ciphers"));
        assert!(cure("topology net30").contains("subnet"));
        assert!(cure("route 10.0.0.0 255.0.0.0").contains("routes"));
        assert!(cure("up /bin/sh").contains("profile"));
        assert!(cure("--verb 3").contains("\"verb\""));
        assert!(cure("echo a,redirect-gateway").contains("one at a time"));
        assert!(check_push("redirect-gateway block-local", false).is_ok());
        assert!(check_push("redirect-gateway block-local", true).is_err());
        assert!(check_push(&format!("echo {}", "x".repeat(251)), true).is_err());
        assert!(check_push("echo a b c d e f g h i j k l m n o p", true).is_err());
        assert!(check_push("  ", true).is_err());
        assert!(check_push("echo a\0b", true).is_err());
    }

    #[test]
    fn domains_are_dotted_labels() {
        assert!(check_domain("corp.example.com").is_ok());
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "example.com.",
            "ex,ample",
            &"a".repeat(64),
        ] {
            assert!(check_domain(bad).is_err(), "{bad}");
        }
    }
}
