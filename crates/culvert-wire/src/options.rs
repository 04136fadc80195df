//! The options string (OCC): how each side summarises its configuration so that the other can compare.
//!
//! `V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,key-method 2,tls-client`
//!
//! A mismatch never disconnects anybody, but 2.4 and 2.5 clients warn about each difference, so the server
//! answers with the client's own string turned around. The server also reads a few facts from it.

use std::fmt;

use crate::Transport;

/// What 2.5+ clients with default settings announce over UDP.
pub const DEFAULT_CLIENT: &str =
    "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,key-method 2,tls-client";

/// What a server with default settings announces; the answer to an unusable client string.
pub const DEFAULT_SERVER: &str =
    "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,key-method 2,tls-server";

/// Longest string that is mirrored; stock keeps 512 bytes including the NUL.
const MAX_MIRRORED: usize = 511;

/// A received options string; any text is one, the accessors find what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsString {
    text: String,
}

impl OptionsString {
    /// Takes the text as received.
    pub fn parse(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// What a client with default settings announces over `transport`.
    pub fn default_client(transport: Transport) -> Self {
        let udp = Self::parse(DEFAULT_CLIENT);
        match transport {
            Transport::Udp => udp,
            Transport::Tcp => Self {
                text: udp
                    .text
                    .replace("link-mtu 1541", "link-mtu 1543")
                    .replace("UDPv4", "TCPv4_CLIENT"),
            },
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The server's answer: the client's string with the roles exchanged, or [`DEFAULT_SERVER`] if the client's
    /// is not one a client would send.
    pub fn mirror(&self) -> String {
        if !self.is_usable() {
            return DEFAULT_SERVER.to_owned();
        }
        let mut out = String::with_capacity(self.text.len() + 8);
        for field in self.fields() {
            if !out.is_empty() {
                out.push(',');
            }
            match field {
                "tls-client" => out.push_str("tls-server"),
                "keydir 0" => out.push_str("keydir 1"),
                "keydir 1" => out.push_str("keydir 0"),
                "proto TCPv4_CLIENT" => out.push_str("proto TCPv4_SERVER"),
                "proto TCPv6_CLIENT" => out.push_str("proto TCPv6_SERVER"),
                other => out.push_str(other),
            }
        }
        out
    }

    /// Data cipher the client is configured with; absent in default 2.5+ clients.
    pub fn cipher(&self) -> Option<&str> {
        self.value("cipher")
    }

    /// Name of the `auth` digest.
    pub fn auth(&self) -> Option<&str> {
        self.value("auth")
    }

    /// True if some compression framing is configured (`comp-lzo`, `compress`, `stub-v2`, ...).
    pub fn has_comp_lzo(&self) -> bool {
        self.has("comp-lzo")
    }

    /// True if `fragment` is configured, which adds a header to every data packet.
    pub fn has_fragment(&self) -> bool {
        self.has("mtu-dynamic")
    }

    /// `"tun"` or `"tap"`.
    pub fn dev_type(&self) -> Option<&str> {
        self.value("dev-type")
    }

    /// MTU of the client's tunnel interface in bytes.
    pub fn tun_mtu(&self) -> Option<u32> {
        self.value("tun-mtu")?.parse().ok()
    }

    /// The `proto` field, `UDPv4` or `TCPv4_CLIENT`, also over IPv6.
    pub fn proto(&self) -> Option<&str> {
        self.value("proto")
    }

    /// True if the string is one a stock client would send: version 4, TLS client, printable and short.
    pub fn is_usable(&self) -> bool {
        self.text.len() <= MAX_MIRRORED
            && self
                .text
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic())
            && self.fields().next() == Some("V4")
            && self.has("tls-client")
    }

    fn fields(&self) -> impl Iterator<Item = &str> {
        self.text.split(',')
    }

    fn has(&self, name: &str) -> bool {
        self.fields().any(|field| field == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.fields()
            .find_map(|field| field.strip_prefix(name)?.strip_prefix(' '))
    }
}

impl fmt::Display for OptionsString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_client_is_answered_by_the_default_server() {
        assert_eq!(OptionsString::parse(DEFAULT_CLIENT).mirror(), DEFAULT_SERVER);
    }

    #[test]
    fn tcp_keydir_and_compression_are_mirrored() {
        let client = "V4,dev-type tun,link-mtu 1544,tun-mtu 1500,proto TCPv4_CLIENT,comp-lzo,keydir 1,auth SHA1,keysize 128,tls-auth,key-method 2,tls-client";
        let server = "V4,dev-type tun,link-mtu 1544,tun-mtu 1500,proto TCPv4_SERVER,comp-lzo,keydir 0,auth SHA1,keysize 128,tls-auth,key-method 2,tls-server";
        let options = OptionsString::parse(client);
        assert_eq!(options.mirror(), server);
        assert!(options.has_comp_lzo());
        assert!(!options.has_fragment());
    }

    #[test]
    fn unusable_strings_get_the_default_answer() {
        for text in [
            "",
            "V0 UNDEF",
            "V4,tls-server",
            "V4,tls-client,\u{1}",
            &format!("V4,tls-client,{}", "x".repeat(600)),
        ] {
            assert_eq!(OptionsString::parse(text).mirror(), DEFAULT_SERVER, "{text:?}");
        }
    }

    #[test]
    fn facts_are_read_from_whole_fields_only() {
        let options = OptionsString::parse(
            "V4,dev-type tap,link-mtu 1557,tun-mtu 1400,proto UDPv4,mtu-dynamic,cipher AES-256-CBC,auth SHA256,keysize 256,tls-client",
        );
        assert_eq!(options.cipher(), Some("AES-256-CBC"));
        assert_eq!(options.auth(), Some("SHA256"));
        assert_eq!(options.dev_type(), Some("tap"));
        assert_eq!(options.tun_mtu(), Some(1400));
        assert_eq!(options.proto(), Some("UDPv4"));
        assert!(options.has_fragment());
        assert_eq!(OptionsString::parse("V4,ciphers X,tls-client").cipher(), None);
    }

    #[test]
    fn a_tcp_client_announces_its_own_link_mtu() {
        let options = OptionsString::default_client(Transport::Tcp);
        assert!(
            options
                .as_str()
                .contains("link-mtu 1543,tun-mtu 1500,proto TCPv4_CLIENT,")
        );
        assert!(options.is_usable());
    }

    proptest! {
        #[test]
        fn the_answer_is_always_a_short_server_string(text in ".{0,600}") {
            let answer = OptionsString::parse(&text).mirror();
            prop_assert!(answer.len() <= 530);
            prop_assert!(answer.split(',').any(|field| field == "tls-server"));
        }
    }
}
