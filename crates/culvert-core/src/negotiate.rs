//! What server and client agree on for a session: data cipher and format, key derivation, compression stub and the
//! small protocol flags. Decided once, when the client's key exchange arrives, and kept through renegotiations.

use culvert_crypto::{AuthDigest, DataCipher};
use culvert_data::{DataFormat, Framing};
use culvert_wire::ncp::choose_cipher;
use culvert_wire::options::OptionsString;
use culvert_wire::peer_info::{IvProto, PeerInfo};

use crate::event::RefusalKind;

/// The outcome of a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) cipher: DataCipher,
    /// The client takes a `cipher` option.
    pub(crate) push_cipher: bool,
    pub(crate) compression: Compression,
    /// DATA_V2 packets with a peer id.
    pub(crate) data_v2: bool,
    /// Data keys from the TLS exporter.
    pub(crate) tls_ekm: bool,
    /// Renegotiations are wrapped with a key of their own.
    pub(crate) dyn_tls_crypt: bool,
    /// How data packets are built.
    pub(crate) format: DataFormat,
    /// `protocol-flags` is understood, and EXIT over the control channel.
    pub(crate) cc_exit: bool,
    /// PUSH_REPLY may be sent unasked.
    pub(crate) request_push: bool,
}

/// What is pushed about compression, and how data is framed. Nothing is ever compressed.
///
/// Source: protocol facts, "What to push": observed with clients from 2.3 to 2.7 and OpenVPN 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// The client configured none: say nothing, frame nothing.
    None,
    /// The client configured some and knows `compress stub-v2`, which frames nothing.
    StubV2,
    /// An old client: `comp-lzo no`, one byte before each packet.
    LzoNo,
}

impl Compression {
    /// The byte in front of data packets that goes with it.
    pub(crate) fn framing(self) -> Framing {
        match self {
            Self::None | Self::StubV2 => Framing::None,
            Self::LzoNo => Framing::LzoByte,
        }
    }
}

/// What the server is willing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// In order of preference.
    pub(crate) ciphers: &'a [DataCipher],
    pub(crate) data_epoch: bool,
    pub(crate) tls_key_export: bool,
    /// Digest for CBC ciphers when the client names none we know.
    pub(crate) cbc_digest: Option<AuthDigest>,
}

/// Why no session is possible. The text goes to the log and, shortened, to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incompatible {
    /// Nothing in common; what the client offers.
    Cipher { offered: String },
    /// A digest for CBC packets we don't have.
    Digest { wanted: String },
    /// `dev tap`.
    Tap,
    /// `fragment`.
    Fragment,
}

impl Incompatible {
    /// The label it is counted under.
    pub(crate) fn kind(&self) -> RefusalKind {
        match self {
            Self::Cipher { .. } | Self::Digest { .. } => RefusalKind::NoSharedCipher,
            Self::Tap | Self::Fragment => RefusalKind::Unsupported,
        }
    }

    /// What the person at the client is told.
    pub(crate) fn for_client(&self) -> &'static str {
        match self {
            // The text of stock servers, which client front ends know.
            Self::Cipher { .. } => "Data channel cipher negotiation failed (no shared cipher)",
            Self::Digest { .. } => "The digest (auth) of the profile is not supported, use SHA256",
            Self::Tap => "dev tap is not supported, use dev tun",
            Self::Fragment => "fragment is not supported, remove it from the profile",
        }
    }

    /// What the operator is told.
    pub(crate) fn for_log(&self, offer: Offer<'_>) -> String {
        match self {
            Self::Cipher { offered } => {
                let ours: Vec<_> = offer.ciphers.iter().map(|cipher| cipher.name()).collect();
                format!(
                    "no data cipher in common: the client offers {offered:?}, the endpoint allows {:?}; \
                     update the client or allow one of its ciphers",
                    ours.join(":")
                )
            }
            Self::Digest { wanted } => {
                format!(
                    "the client wants CBC packets with digest {wanted:?}; use auth SHA256 or an AES-GCM cipher"
                )
            }
            Self::Tap => "the client uses dev tap, this endpoint carries IP packets only; use dev tun".into(),
            Self::Fragment => {
                "the client uses fragment, which is not supported; remove it from its profile".into()
            }
        }
    }
}

/// Finds what `peer` and we have in common.
///
/// Source: OpenVPN 2.6 behaviour; see the protocol facts on cipher negotiation and peer info.
pub(crate) fn negotiate(
    offer: Offer<'_>,
    occ: &OptionsString,
    peer: &PeerInfo,
) -> Result<Negotiated, Incompatible> {
    if occ.dev_type() == Some("tap") {
        return Err(Incompatible::Tap);
    }
    if occ.has_fragment() {
        return Err(Incompatible::Fragment);
    }
    let chosen = choose_cipher(offer.ciphers.iter().map(|cipher| cipher.name()), peer, occ)
        .and_then(|chosen| Some((DataCipher::from_name(chosen.name).ok()?, chosen.push)));
    let (cipher, push_cipher) = chosen.ok_or_else(|| Incompatible::Cipher {
        offered: offered(occ, peer),
    })?;
    let proto = peer.iv_proto();
    let tls_ekm = offer.tls_key_export && proto.tls_key_export();
    Ok(Negotiated {
        cipher,
        push_cipher,
        compression: compression(occ, peer),
        data_v2: proto.data_v2(),
        tls_ekm,
        dyn_tls_crypt: proto.cc_exit_notify() && proto.dyn_tls_crypt(),
        format: data_format(offer, cipher, occ, proto)?,
        cc_exit: proto.cc_exit_notify(),
        request_push: proto.request_push(),
    })
}

/// CBC packets are authenticated with the digest the client is configured with, which it tells in its options.
fn data_format(
    offer: Offer<'_>,
    cipher: DataCipher,
    occ: &OptionsString,
    proto: IvProto,
) -> Result<DataFormat, Incompatible> {
    if cipher.is_aead() {
        let epoch = offer.data_epoch && proto.data_epoch() && proto.cc_exit_notify() && proto.data_v2();
        return Ok(if epoch {
            DataFormat::Epoch
        } else {
            DataFormat::Aead
        });
    }
    match occ.auth() {
        Some(name) => match AuthDigest::from_name(name) {
            Ok(digest) => Ok(DataFormat::Cbc(digest)),
            Err(_) => Err(Incompatible::Digest {
                wanted: name.to_owned(),
            }),
        },
        None => offer
            .cbc_digest
            .map(DataFormat::Cbc)
            .ok_or_else(|| Incompatible::Digest {
                wanted: "none".into(),
            }),
    }
}

/// What the client said it could use, for people.
fn offered(occ: &OptionsString, peer: &PeerInfo) -> String {
    match peer.iv_ciphers() {
        Some(list) => list.collect::<Vec<_>>().join(":"),
        None => occ.cipher().unwrap_or("none").to_owned(),
    }
}

fn compression(occ: &OptionsString, peer: &PeerInfo) -> Compression {
    match (occ.has_comp_lzo(), peer.has_comp_stub_v2()) {
        (false, _) => Compression::None,
        (true, true) => Compression::StubV2,
        (true, false) => Compression::LzoNo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [DataCipher; 3] = [
        DataCipher::Aes256Gcm,
        DataCipher::Aes128Gcm,
        DataCipher::ChaCha20Poly1305,
    ];

    fn offer() -> Offer<'static> {
        Offer {
            ciphers: &OURS,
            data_epoch: true,
            tls_key_export: true,
            cbc_digest: None,
        }
    }

    fn occ(extra: &str) -> OptionsString {
        OptionsString::parse(&format!(
            "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4{extra},auth SHA1,keysize 128,key-method 2,tls-client"
        ))
    }

    fn peer(lines: &[&str]) -> PeerInfo {
        PeerInfo::parse(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    }

    #[test]
    fn the_servers_preference_decides_among_listed_ciphers() {
        let peer = peer(&["IV_CIPHERS=AES-128-GCM:CHACHA20-POLY1305:AES-256-GCM"]);
        let agreed = negotiate(offer(), &occ(""), &peer).unwrap();
        assert_eq!(agreed.cipher, DataCipher::Aes256Gcm);
        assert!(agreed.push_cipher);
    }

    #[test]
    fn a_client_with_ncp_but_no_list_takes_the_gcm_ciphers() {
        let agreed = negotiate(offer(), &occ(",cipher BF-CBC"), &peer(&["IV_NCP=2"])).unwrap();
        assert_eq!(agreed.cipher, DataCipher::Aes256Gcm);
        assert!(agreed.push_cipher);
    }

    #[test]
    fn a_client_without_negotiation_keeps_its_configured_cipher_and_is_pushed_none() {
        let agreed = negotiate(offer(), &occ(",cipher AES-128-GCM"), &peer(&[])).unwrap();
        assert_eq!(agreed.cipher, DataCipher::Aes128Gcm);
        assert!(!agreed.push_cipher);
    }

    #[test]
    fn the_configured_cipher_does_not_count_next_to_a_list() {
        let peer = peer(&["IV_CIPHERS=BF-CBC"]);
        let refused = negotiate(offer(), &occ(",cipher AES-256-GCM"), &peer).unwrap_err();
        assert_eq!(
            refused,
            Incompatible::Cipher {
                offered: "BF-CBC".into()
            }
        );
        assert!(
            refused
                .for_log(offer())
                .contains("AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305")
        );
    }

    #[test]
    fn names_are_compared_exactly() {
        assert!(negotiate(offer(), &occ(""), &peer(&["IV_CIPHERS=aes-256-gcm"])).is_err());
    }

    #[test]
    fn compression_in_the_profile_is_answered_with_a_stub() {
        let modern = peer(&["IV_CIPHERS=AES-256-GCM", "IV_COMP_STUBv2=1"]);
        let old = peer(&["IV_CIPHERS=AES-256-GCM"]);
        let with = |peer: &PeerInfo, extra| negotiate(offer(), &occ(extra), peer).unwrap().compression;
        assert_eq!(with(&modern, ""), Compression::None);
        assert_eq!(with(&modern, ",comp-lzo"), Compression::StubV2);
        assert_eq!(with(&old, ",comp-lzo"), Compression::LzoNo);
    }

    #[test]
    fn tap_and_fragment_are_refused_in_plain_words() {
        let peer = peer(&["IV_CIPHERS=AES-256-GCM"]);
        let tap = OptionsString::parse("V4,dev-type tap,link-mtu 1573,tun-mtu 1532");
        assert_eq!(negotiate(offer(), &tap, &peer), Err(Incompatible::Tap));
        assert_eq!(
            negotiate(offer(), &occ(",mtu-dynamic"), &peer),
            Err(Incompatible::Fragment)
        );
    }

    #[test]
    fn flags_follow_the_bits_one_by_one() {
        let with = |bits: u32| {
            let peer = peer(&["IV_CIPHERS=AES-256-GCM", &format!("IV_PROTO={bits}")]);
            negotiate(offer(), &occ(""), &peer).unwrap()
        };
        let modern = with(8094);
        assert!(
            modern.tls_ekm && modern.dyn_tls_crypt && modern.format == DataFormat::Epoch && modern.cc_exit
        );
        assert!(modern.data_v2 && modern.request_push);
        let without_exporter = with(8086);
        assert!(!without_exporter.tls_ekm && !without_exporter.dyn_tls_crypt);
        let old = with(2);
        assert!(old.data_v2 && !old.request_push && !old.cc_exit && old.format == DataFormat::Aead);
        assert!(!with(0).data_v2);
    }
}
