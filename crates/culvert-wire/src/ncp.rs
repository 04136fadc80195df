//! Choice of the data cipher (NCP): the server's order of preference against what the client says it has.

use crate::options::OptionsString;
use crate::peer_info::PeerInfo;

/// Ciphers a client with `IV_NCP=2` and without `IV_CIPHERS` accepts.
const NCP_2: [&str; 2] = ["AES-256-GCM", "AES-128-GCM"];

/// The outcome of a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenCipher<'s> {
    /// One of the server's names, as the server spells it.
    pub name: &'s str,
    /// Whether to push `cipher NAME`. Clients without negotiation keep the cipher they are configured with.
    pub push: bool,
}

/// The first of the server's ciphers that the client has, or `None` if they share none.
///
/// A client that lists its ciphers is held to the list; otherwise its configured cipher counts too.
/// Names are compared exactly. Source: OpenVPN 2.6 behaviour.
pub fn choose_cipher<'s>(
    server: impl IntoIterator<Item = &'s str>,
    peer_info: &PeerInfo,
    options: &OptionsString,
) -> Option<ChosenCipher<'s>> {
    let listed = peer_info.iv_ciphers().map(|list| list.collect::<Vec<_>>());
    let ncp = peer_info.iv_ncp() >= 2;
    let push = listed.is_some() || ncp;
    let has = |name: &str| match &listed {
        Some(list) => list.contains(&name),
        None => (ncp && NCP_2.contains(&name)) || options.cipher() == Some(name),
    };
    server
        .into_iter()
        .find(|name| has(name))
        .map(|name| ChosenCipher { name, push })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: [&str; 3] = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];

    fn choose(peer_info: &str, options: &str) -> Option<(&'static str, bool)> {
        choose_cipher(
            SERVER,
            &PeerInfo::parse(peer_info),
            &OptionsString::parse(options),
        )
        .map(|c| (c.name, c.push))
    }

    #[test]
    fn the_server_order_decides() {
        assert_eq!(
            choose("IV_CIPHERS=AES-128-GCM:AES-256-GCM\n", "V4"),
            Some(("AES-256-GCM", true))
        );
        assert_eq!(
            choose("IV_CIPHERS=CHACHA20-POLY1305\n", "V4"),
            Some(("CHACHA20-POLY1305", true))
        );
    }

    #[test]
    fn a_client_that_lists_ciphers_is_held_to_the_list() {
        assert_eq!(
            choose("IV_NCP=2\nIV_CIPHERS=BF-CBC\n", "V4,cipher AES-256-GCM"),
            None
        );
    }

    #[test]
    fn ncp_2_without_a_list_means_aes_gcm() {
        assert_eq!(
            choose("IV_NCP=2\n", "V4,cipher BF-CBC"),
            Some(("AES-256-GCM", true))
        );
    }

    #[test]
    fn without_negotiation_the_configured_cipher_is_kept_and_not_pushed() {
        assert_eq!(
            choose("IV_VER=2.4.9\n", "V4,cipher AES-128-GCM"),
            Some(("AES-128-GCM", false))
        );
        assert_eq!(choose("", "V4,cipher BF-CBC"), None);
        assert_eq!(choose("IV_CIPHERS=aes-256-gcm\n", "V4"), None);
    }
}
