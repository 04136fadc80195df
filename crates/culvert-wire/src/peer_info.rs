//! Peer info: what a client says about itself, as `NAME=value` lines inside the key exchange message.
//!
//! All of it is untrusted. At most [`MAX_LINES`] lines and [`MAX_LEN`] bytes are kept.

use std::fmt;

/// Most lines kept.
pub const MAX_LINES: usize = 256;
/// Most bytes kept, newlines included.
pub const MAX_LEN: usize = 8 * 1024;

/// The well-formed lines of a client's peer info, in the order received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// `NAME=value\n` for each line: one allocation per client, not two per line.
    text: Box<str>,
}

impl PeerInfo {
    /// Keeps the well-formed lines of `text` up to the limits.
    ///
    /// A name consists of ASCII letters, digits and `_`; control characters in values become `_`.
    pub fn parse(text: &str) -> Self {
        let mut kept = String::new();
        let lines = text
            .split('\n')
            .filter_map(|line| line.trim_end_matches('\r').split_once('='));
        for (name, value) in lines.filter(|(name, _)| is_name(name)).take(MAX_LINES) {
            if kept.len() + name.len() + value.len() + 2 > MAX_LEN {
                break;
            }
            kept.push_str(name);
            kept.push('=');
            kept.extend(value.chars().map(|c| if c.is_control() { '_' } else { c }));
            kept.push('\n');
        }
        Self {
            text: kept.into_boxed_str(),
        }
    }

    /// The text on the wire, without the final NUL; each line ends with a newline.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if the client sent nothing usable: 2.3 and older, or `push-peer-info` suppressed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The lines as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().filter_map(|line| line.split_once('='))
    }

    /// The value of `name`; of several, the last.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .filter(|(key, _)| *key == name)
            .last()
            .map(|(_, value)| value)
    }

    /// Client version, for example `2.6.14`.
    pub fn iv_ver(&self) -> Option<&str> {
        self.get("IV_VER")
    }

    /// Client platform, for example `linux`, `win`, `android`.
    pub fn iv_plat(&self) -> Option<&str> {
        self.get("IV_PLAT")
    }

    /// Name and version of the program around the client.
    pub fn iv_gui_ver(&self) -> Option<&str> {
        self.get("IV_GUI_VER")
    }

    /// Capability bits; none if the client sent no valid number.
    pub fn iv_proto(&self) -> IvProto {
        IvProto(
            self.get("IV_PROTO")
                .and_then(|value| value.parse().ok())
                .unwrap_or_default(),
        )
    }

    /// Cipher negotiation generation: 2 means AES-GCM is supported and a pushed cipher is accepted.
    pub fn iv_ncp(&self) -> u8 {
        self.get("IV_NCP")
            .and_then(|value| value.parse().ok())
            .unwrap_or_default()
    }

    /// Data ciphers the client accepts; `None` for clients before 2.4.10.
    pub fn iv_ciphers(&self) -> Option<impl Iterator<Item = &str>> {
        self.get("IV_CIPHERS")
            .map(|list| list.split(':').filter(|name| !name.is_empty()))
    }

    /// Largest `tun-mtu` the client lets the server push, in bytes.
    pub fn iv_mtu(&self) -> Option<u16> {
        self.get("IV_MTU")?.parse().ok()
    }

    /// Ways of pending authentication the client can show: `openurl`, `webauth`, `crtext`, ...
    pub fn iv_sso(&self) -> impl Iterator<Item = &str> {
        self.get("IV_SSO")
            .unwrap_or_default()
            .split(',')
            .filter(|method| !method.is_empty())
    }

    /// True if the client knows the `stub-v2` compression framing, which adds nothing to packets.
    pub fn has_comp_stub_v2(&self) -> bool {
        self.get("IV_COMP_STUBv2") == Some("1")
    }
}

impl fmt::Display for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The capability bits of `IV_PROTO`. Bits are independent: test each, never the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IvProto(pub u32);

impl IvProto {
    /// Bit 1: peer ids in data packets.
    pub const DATA_V2: Self = Self(1 << 1);
    /// Bit 2: accepts a push reply it did not ask for.
    pub const REQUEST_PUSH: Self = Self(1 << 2);
    /// Bit 3: data keys from the TLS exporter.
    pub const TLS_KEY_EXPORT: Self = Self(1 << 3);
    /// Bit 4: `AUTH_PENDING,timeout N`.
    pub const AUTH_PENDING_KW: Self = Self(1 << 4);
    /// Bit 6: the `dns` option as of 2.6.
    pub const DNS_OPTION: Self = Self(1 << 6);
    /// Bit 7: leaves with a control message; knows `protocol-flags`.
    pub const CC_EXIT_NOTIFY: Self = Self(1 << 7);
    /// Bit 8: `AUTH_FAILED,TEMP`.
    pub const AUTH_FAIL_TEMP: Self = Self(1 << 8);
    /// Bit 9: dynamic tls-crypt for renegotiations; usable only together with bit 3.
    pub const DYN_TLS_CRYPT: Self = Self(1 << 9);
    /// Bit 10: the epoch data format.
    pub const DATA_EPOCH: Self = Self(1 << 10);
    /// Bit 11: the `dns` option as of 2.7.
    pub const DNS_OPTION_V2: Self = Self(1 << 11);
    /// Bit 12: `PUSH_UPDATE`.
    pub const PUSH_UPDATE: Self = Self(1 << 12);

    /// True if every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The client understands DATA_V2.
    pub fn data_v2(self) -> bool {
        self.contains(Self::DATA_V2)
    }

    /// The client accepts a push reply before it asked.
    pub fn request_push(self) -> bool {
        self.contains(Self::REQUEST_PUSH)
    }

    /// The client can derive data keys with the TLS exporter.
    pub fn tls_key_export(self) -> bool {
        self.contains(Self::TLS_KEY_EXPORT)
    }

    /// The client honours `AUTH_PENDING,timeout N`.
    pub fn auth_pending_kw(self) -> bool {
        self.contains(Self::AUTH_PENDING_KW)
    }

    /// The client understands the `dns` option in either grammar.
    pub fn dns_option(self) -> bool {
        self.contains(Self::DNS_OPTION) || self.contains(Self::DNS_OPTION_V2)
    }

    /// The client understands `protocol-flags` and `cc-exit`.
    pub fn cc_exit_notify(self) -> bool {
        self.contains(Self::CC_EXIT_NOTIFY)
    }

    /// The client understands `AUTH_FAILED,TEMP`.
    pub fn auth_fail_temp(self) -> bool {
        self.contains(Self::AUTH_FAIL_TEMP)
    }

    /// Dynamic tls-crypt can be used: the client announces it and can export keys, which it needs.
    pub fn dyn_tls_crypt(self) -> bool {
        self.contains(Self::DYN_TLS_CRYPT.with(Self::TLS_KEY_EXPORT))
    }

    /// The client understands the epoch data format.
    pub fn data_epoch(self) -> bool {
        self.contains(Self::DATA_EPOCH)
    }

    /// The client takes option changes while connected.
    pub fn push_update(self) -> bool {
        self.contains(Self::PUSH_UPDATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STOCK_2_6: &str = "IV_VER=2.6.14\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\nIV_CIPHERS=AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\nIV_PROTO=990\nIV_LZO_STUB=1\nIV_COMP_STUB=1\nIV_COMP_STUBv2=1\n";

    #[test]
    fn a_stock_2_6_client_is_understood() {
        let info = PeerInfo::parse(STOCK_2_6);
        assert_eq!(info.as_str(), STOCK_2_6);
        assert_eq!((info.iv_ver(), info.iv_plat()), (Some("2.6.14"), Some("linux")));
        assert_eq!((info.iv_mtu(), info.iv_ncp()), (Some(1600), 2));
        let ciphers: Vec<_> = info.iv_ciphers().unwrap().collect();
        assert_eq!(ciphers, ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"]);
        assert!(info.has_comp_stub_v2());
        assert_eq!(info.iv_sso().count(), 0);
        let proto = info.iv_proto();
        assert!(proto.data_v2() && proto.request_push() && proto.tls_key_export() && proto.dyn_tls_crypt());
        assert!(
            proto.cc_exit_notify() && proto.auth_fail_temp() && proto.auth_pending_kw() && proto.dns_option()
        );
        assert!(!proto.data_epoch() && !proto.push_update());
    }

    #[test]
    fn dynamic_tls_crypt_needs_the_exporter() {
        assert!(
            !IvProto(8086).dyn_tls_crypt(),
            "OpenVPN 3 with mbedTLS announces bit 9 without bit 3"
        );
        assert!(IvProto(8094).dyn_tls_crypt());
        assert!(IvProto(8094).data_epoch() && IvProto(8094).push_update());
    }

    #[test]
    fn malformed_lines_are_left_out() {
        let info = PeerInfo::parse("IV_VER=1\r\nno equals sign\nBAD NAME=1\n=x\nIV_PLAT=a\tb\nUV_X=p=q");
        assert_eq!(info.as_str(), "IV_VER=1\nIV_PLAT=a_b\nUV_X=p=q\n");
    }

    #[test]
    fn the_last_of_several_values_counts_and_bad_numbers_count_as_none() {
        let info = PeerInfo::parse("IV_PROTO=2\nIV_PROTO=6\nIV_MTU=99999999\nIV_NCP=x\n");
        assert_eq!(
            (info.iv_proto(), info.iv_mtu(), info.iv_ncp()),
            (IvProto(6), None, 0)
        );
    }

    #[test]
    fn lines_and_bytes_are_capped() {
        let many = "A=1\n".repeat(1000);
        assert_eq!(PeerInfo::parse(&many).iter().count(), MAX_LINES);
        let long = format!("A={}\n", "x".repeat(3000)).repeat(10);
        assert!(PeerInfo::parse(&long).as_str().len() <= MAX_LEN);
    }

    proptest! {
        #[test]
        fn whatever_is_kept_parses_to_itself(text in "(?s).{0,300}") {
            let info = PeerInfo::parse(&text);
            prop_assert_eq!(PeerInfo::parse(info.as_str()), info);
        }

        #[test]
        fn lines_are_found_by_name(lines in proptest::collection::btree_map("[A-Z0-9_]{1,12}", "[ -~]{0,20}", 0..20)) {
            let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            let info = PeerInfo::parse(&text);
            prop_assert_eq!(info.as_str(), text);
            for (name, value) in &lines {
                prop_assert_eq!(info.get(name), Some(value.as_str()));
            }
        }
    }
}
