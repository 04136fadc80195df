//! What generations of clients say about themselves and do by default.

use culvert_control::ClientCredentials;
use culvert_crypto::DataCipher;
use culvert_wire::Transport;
use culvert_wire::options::OptionsString;
use culvert_wire::peer_info::PeerInfo;

/// A generation of clients: peer info, options string, and the habits that are not visible in either.
///
/// Source: peer info observed from stock clients with default settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personality {
    /// Peer info lines, `NAME=value\n`; empty for clients that send none.
    pub peer_info: String,
    /// Appended to the options string before `auth`, for instance `,cipher AES-256-CBC` or `,comp-lzo`.
    pub occ_extra: String,
    /// Data cipher if the server pushes none: what the profile says.
    pub configured_cipher: DataCipher,
    /// Announces its departure.
    pub explicit_exit_notify: bool,
}

impl Personality {
    fn new(peer_info: &str) -> Self {
        Self {
            peer_info: peer_info.to_owned(),
            occ_extra: String::new(),
            configured_cipher: DataCipher::Aes256Gcm,
            explicit_exit_notify: true,
        }
    }

    /// 2.3: no negotiation of anything. Needs a cipher from the profile.
    pub fn v2_3() -> Self {
        Self {
            occ_extra: ",cipher AES-256-CBC".to_owned(),
            configured_cipher: DataCipher::Aes256Cbc,
            ..Self::new("")
        }
    }

    /// 2.4: DATA_V2 and a list of ciphers; asks for its options.
    pub fn v2_4() -> Self {
        Self::new(
            "IV_VER=2.4.12\nIV_PLAT=linux\nIV_PROTO=2\nIV_NCP=2\nIV_CIPHERS=AES-256-GCM:AES-128-GCM:BF-CBC\n\
             IV_LZ4=1\nIV_LZ4v2=1\nIV_LZO=1\nIV_COMP_STUB=1\nIV_COMP_STUBv2=1\nIV_TCPNL=1\n",
        )
    }

    /// 2.5: takes options it did not ask for.
    pub fn v2_5() -> Self {
        Self::new(
            "IV_VER=2.5.11\nIV_PLAT=linux\nIV_PROTO=6\nIV_NCP=2\nIV_CIPHERS=AES-256-GCM:AES-128-GCM\nIV_LZ4=1\n\
             IV_LZ4v2=1\nIV_LZO=1\nIV_COMP_STUB=1\nIV_COMP_STUBv2=1\nIV_TCPNL=1\n",
        )
    }

    /// 2.6: exported keys, dynamic tls-crypt, exit over the control channel.
    pub fn v2_6() -> Self {
        Self::new(
            "IV_VER=2.6.14\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\n\
             IV_CIPHERS=AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\nIV_PROTO=990\nIV_LZO_STUB=1\nIV_COMP_STUB=1\n\
             IV_COMP_STUBv2=1\nIV_SSO=openurl,webauth,crtext\n",
        )
    }

    /// 2.7: the epoch data format as well.
    pub fn v2_7() -> Self {
        let mut personality = Self::v2_6();
        personality.peer_info = personality
            .peer_info
            .replace("2.6.14", "2.7.6")
            .replace("IV_PROTO=990", "IV_PROTO=8094");
        personality
    }

    /// OpenVPN 3, core 3.11: as 2.7, and changes its DNS settings while connected.
    pub fn v3_11() -> Self {
        Self::new(
            "IV_VER=3.11.7\nIV_PLAT=linux\nIV_NCP=2\nIV_TCPNL=1\nIV_PROTO=8094\nIV_MTU=1600\n\
             IV_CIPHERS=AES-128-GCM:AES-192-GCM:AES-256-GCM:CHACHA20-POLY1305\nIV_SSO=openurl,webauth,crtext\n",
        )
    }

    /// The options string of such a client.
    pub fn options(&self, transport: Transport) -> String {
        let default = OptionsString::default_client(transport);
        default
            .as_str()
            .replacen(",auth ", &format!("{},auth ", self.occ_extra), 1)
    }

    /// Credentials for the key exchange.
    pub fn credentials(&self, login: Option<(&str, &str)>) -> ClientCredentials {
        ClientCredentials {
            username: login.map(|(name, _)| name.to_owned()),
            password: login.map(|(_, password)| password.to_owned().into()),
            peer_info: PeerInfo::parse(&self.peer_info),
            ..ClientCredentials::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use culvert_wire::peer_info::PeerInfo;

    use super::*;

    #[test]
    fn each_generation_announces_what_it_can_do() {
        let proto = |personality: Personality| PeerInfo::parse(&personality.peer_info).iv_proto();
        assert!(!proto(Personality::v2_3()).data_v2());
        assert!(proto(Personality::v2_4()).data_v2() && !proto(Personality::v2_4()).request_push());
        assert!(proto(Personality::v2_5()).request_push() && !proto(Personality::v2_5()).tls_key_export());
        assert!(proto(Personality::v2_6()).dyn_tls_crypt() && !proto(Personality::v2_6()).data_epoch());
        assert!(!proto(Personality::v2_6()).push_update());
        assert!(proto(Personality::v2_7()).data_epoch() && proto(Personality::v2_7()).push_update());
        assert!(proto(Personality::v3_11()).push_update());
    }

    #[test]
    fn the_configured_cipher_is_in_the_options_of_an_old_client() {
        let options = Personality::v2_3().options(Transport::Udp);
        assert_eq!(OptionsString::parse(&options).cipher(), Some("AES-256-CBC"));
        assert!(OptionsString::parse(&options).is_usable());
    }
}
