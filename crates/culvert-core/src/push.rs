//! What PUSH_REPLY says: the endpoint's options first, then those of the client, always in the same order, because
//! clients keep their tunnel device across reconnects only if nothing but a few options changed. And what PUSH_UPDATE
//! says to connected clients when the endpoint's options change.

mod banner;
mod dns;
mod pushed;
mod update;

use std::net::{Ipv4Addr, Ipv6Addr};

use culvert_data::DataFormat;
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::push::{PushKind, PushReplyBuilder, validate_option};
use culvert_wire::{EncodeError, PeerId};
use ipnetwork::IpNetwork;

use banner::banner_options;
use dns::{dhcp_options, dns_options};
pub(crate) use pushed::{KnownUpdates, Pushed};

use crate::negotiate::{Compression, Negotiated};
use crate::settings::{Keepalive, PushSettings, RedirectGateway, SettingsError};

/// The part of a reply that is the same for all clients of an endpoint, checked when the settings are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommonOptions {
    /// `(option, who gets it)`.
    options: Vec<(String, Audience)>,
    tun_mtu: u16,
}

/// Smallest MTU IPv6 works with; a client that claims less is not believed.
const SMALLEST: u16 = 1280;

/// Which clients get an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Everyone,
    /// Clients that know the `dns` option.
    DnsOption,
    /// Clients on UDP.
    Udp,
}

/// What a reply needs to know about one client.
pub(crate) struct ClientOptions<'a> {
    pub(crate) negotiated: &'a Negotiated,
    pub(crate) peer_info: &'a PeerInfo,
    pub(crate) udp: bool,
    /// Address and mask.
    pub(crate) v4: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Address, length of the prefix, the server's address.
    pub(crate) v6: Option<(Ipv6Addr, u8, Ipv6Addr)>,
    pub(crate) peer: PeerId,
    pub(crate) granted: &'a [String],
    pub(crate) auth_token: Option<&'a str>,
    /// Base64 of the user name to use with the token, if it differs from the one the client gave.
    pub(crate) auth_token_user: Option<&'a str>,
}

impl CommonOptions {
    /// Composes and checks the common part. `v4_gateway` is the server's own IPv4 address inside the
    /// tunnel, if it has one.
    pub(crate) fn compose(
        push: &PushSettings,
        keepalive: &Keepalive,
        v4_gateway: Option<Ipv4Addr>,
    ) -> Result<Self, SettingsError> {
        let mut options = Vec::new();
        let mut add = |option: String, audience| options.push((option, audience));
        if let Some(redirect) = &push.redirect_gateway {
            add(redirect_gateway(redirect), Audience::Everyone);
        }
        for option in dhcp_options(push) {
            add(option, Audience::Everyone);
        }
        for option in dns_options(push) {
            add(option, Audience::DnsOption);
        }
        if push.block_outside_dns {
            add("block-outside-dns".into(), Audience::Everyone);
        }
        if push.block_ipv6 {
            add("block-ipv6".into(), Audience::Everyone);
        }
        for route in &push.routes {
            add(route_option(*route), Audience::Everyone);
        }
        if let Some(gateway) = v4_gateway {
            add(format!("route-gateway {gateway}"), Audience::Everyone);
        }
        add("topology subnet".into(), Audience::Everyone);
        add(format!("ping {}", keepalive.ping.as_secs()), Audience::Everyone);
        add(
            format!("ping-restart {}", keepalive.ping_restart.as_secs()),
            Audience::Everyone,
        );
        if push.explicit_exit_notify {
            add("explicit-exit-notify 1".into(), Audience::Udp);
        }
        for option in push.banner.iter().flat_map(|text| banner_options(text)) {
            add(option, Audience::Everyone);
        }
        for option in &push.extra {
            add(option.clone(), Audience::Everyone);
        }
        for (option, _) in &options {
            validate_option(option).map_err(|cause| refused(option, &cause))?;
        }
        Ok(Self {
            options,
            tun_mtu: push.tun_mtu,
        })
    }
}

/// A reply that only renews the auth token.
pub(crate) fn token_reply(token: &str) -> Result<Vec<Vec<u8>>, SettingsError> {
    let mut builder = PushReplyBuilder::new(PushKind::Reply);
    checked(&mut builder, &format!("auth-token {token}"))?;
    Ok(builder.messages())
}

/// The largest packet a client's tunnel interface takes: ours, if the client can be told, and within its limit.
pub(crate) fn client_mtu(tun_mtu: u16, peer: &PeerInfo) -> u16 {
    /// What clients use that can't be told.
    const FIXED: u16 = 1500;
    peer.iv_mtu()
        .map_or(FIXED, |limit| tun_mtu.min(limit.max(SMALLEST)))
}

/// Checks options of one client, so that a mistake in them is found before anything is allocated.
pub(crate) fn check_options(options: &[String]) -> Result<(), SettingsError> {
    options
        .iter()
        .try_for_each(|option| validate_option(option).map_err(|cause| refused(option, &cause)))
}

fn checked(builder: &mut PushReplyBuilder, option: &str) -> Result<(), SettingsError> {
    builder
        .push(option)
        .map(|_| ())
        .map_err(|cause| refused(option, &cause))
}

fn refused(option: &str, cause: &EncodeError) -> SettingsError {
    // A token is a secret; the rest may be shown.
    let shown = if option.starts_with("auth-token") {
        "auth-token"
    } else {
        option
    };
    SettingsError::PushOption {
        option: shown.to_owned(),
        cause: cause.to_string(),
    }
}

impl ClientOptions<'_> {
    /// The options that depend on the client, in the order stock servers use.
    fn own(&self, tun_mtu: u16) -> Vec<String> {
        let agreed = self.negotiated;
        let mut own = Vec::with_capacity(8);
        match agreed.compression {
            Compression::None => {}
            Compression::StubV2 => own.push("compress stub-v2".into()),
            Compression::LzoNo => own.push("comp-lzo no".into()),
        }
        if let Some((address, bits, gateway)) = self.v6 {
            own.push(format!("ifconfig-ipv6 {address}/{bits} {gateway}"));
        }
        if let Some((address, mask)) = self.v4 {
            own.push(format!("ifconfig {address} {mask}"));
        }
        if agreed.data_v2 {
            own.push(format!("peer-id {}", self.peer.value()));
        }
        if let Some(token) = self.auth_token {
            own.push(format!("auth-token {token}"));
            own.extend(self.auth_token_user.map(|user| format!("auth-token-user {user}")));
        }
        if agreed.push_cipher {
            own.push(format!("cipher {}", agreed.cipher.name()));
        }
        own.extend(protocol_flags(agreed));
        if self.peer_info.iv_mtu().is_some() {
            own.push(format!("tun-mtu {}", client_mtu(tun_mtu, self.peer_info)));
        }
        own
    }
}

/// `protocol-flags` for clients that know it, `key-derivation` for those that only know the exporter.
fn protocol_flags(agreed: &Negotiated) -> Option<String> {
    if !agreed.cc_exit {
        return agreed.tls_ekm.then(|| "key-derivation tls-ekm".into());
    }
    let mut flags = String::from("protocol-flags cc-exit");
    for (agreed, flag) in [
        (agreed.tls_ekm, " tls-ekm"),
        (agreed.dyn_tls_crypt, " dyn-tls-crypt"),
        (agreed.format == DataFormat::Epoch, " aead-epoch"),
    ] {
        if agreed {
            flags.push_str(flag);
        }
    }
    Some(flags)
}

fn redirect_gateway(redirect: &RedirectGateway) -> String {
    let mut option = String::from("redirect-gateway def1");
    for (wanted, flag) in [
        (redirect.bypass_dhcp, " bypass-dhcp"),
        (redirect.bypass_dns, " bypass-dns"),
        (redirect.block_local, " block-local"),
        (redirect.ipv6, " ipv6"),
        (!redirect.ipv4, " !ipv4"),
    ] {
        if wanted {
            option.push_str(flag);
        }
    }
    option
}

fn route_option(route: IpNetwork) -> String {
    match route {
        IpNetwork::V4(v4) => format!("route {} {}", v4.network(), v4.mask()),
        IpNetwork::V6(v6) => format!("route-ipv6 {}/{}", v6.network(), v6.prefix()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use culvert_crypto::DataCipher;

    use super::*;

    fn agreed() -> Negotiated {
        Negotiated {
            cipher: DataCipher::Aes256Gcm,
            push_cipher: true,
            compression: Compression::None,
            data_v2: true,
            tls_ekm: true,
            dyn_tls_crypt: true,
            format: DataFormat::Aead,
            cc_exit: true,
            request_push: true,
        }
    }

    fn reply(push: &PushSettings, negotiated: &Negotiated, peer_info: &str, udp: bool) -> String {
        let common =
            CommonOptions::compose(push, &Keepalive::default(), Some(Ipv4Addr::new(10, 8, 0, 1))).unwrap();
        let options = ClientOptions {
            negotiated,
            peer_info: &PeerInfo::parse(peer_info),
            udp,
            v4: Some((Ipv4Addr::new(10, 8, 0, 2), Ipv4Addr::new(255, 255, 255, 0))),
            v6: None,
            peer: PeerId::new(0).unwrap(),
            granted: &[],
            auth_token: None,
            auth_token_user: None,
        };
        let messages = Pushed::new(Arc::new(common), &options).unwrap().reply().unwrap();
        assert_eq!(messages.len(), 1);
        String::from_utf8(messages[0].clone()).unwrap()
    }

    fn basic() -> PushSettings {
        PushSettings {
            tun_mtu: 1500,
            ..PushSettings::default()
        }
    }

    #[test]
    fn a_client_without_ipv4_is_told_nothing_of_it() {
        let common = CommonOptions::compose(&basic(), &Keepalive::default(), None).unwrap();
        let address = |text: &str| text.parse().unwrap();
        let options = ClientOptions {
            negotiated: &agreed(),
            peer_info: &PeerInfo::parse(""),
            udp: true,
            v4: None,
            v6: Some((address("fd00::2"), 64, address("fd00::1"))),
            peer: PeerId::new(0).unwrap(),
            granted: &[],
            auth_token: None,
            auth_token_user: None,
        };
        let messages = Pushed::new(Arc::new(common), &options).unwrap().reply().unwrap();
        let reply = String::from_utf8(messages[0].clone()).unwrap();
        assert!(reply.contains(",ifconfig-ipv6 fd00::2/64 fd00::1,"), "{reply}");
        assert!(
            !reply.contains("ifconfig ") && !reply.contains("route-gateway"),
            "{reply}"
        );
    }

    #[test]
    fn a_modern_client_gets_the_same_reply_as_from_a_stock_server() {
        assert_eq!(
            reply(&basic(), &agreed(), "IV_PROTO=990\nIV_MTU=1600\n", true),
            "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10,ping-restart 60,ifconfig 10.8.0.2 \
             255.255.255.0,peer-id 0,cipher AES-256-GCM,protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1500\0"
        );
    }

    #[test]
    fn an_old_client_gets_no_option_it_could_not_know() {
        let old = Negotiated {
            push_cipher: false,
            data_v2: false,
            tls_ekm: false,
            dyn_tls_crypt: false,
            cc_exit: false,
            request_push: false,
            compression: Compression::LzoNo,
            ..agreed()
        };
        let text = reply(&basic(), &old, "", true);
        assert!(
            text.ends_with("comp-lzo no,ifconfig 10.8.0.2 255.255.255.0\0"),
            "{text}"
        );
        let exporter_only = Negotiated { tls_ekm: true, ..old };
        assert!(reply(&basic(), &exporter_only, "", true).contains(",key-derivation tls-ekm"));
    }

    #[test]
    fn dns_goes_out_in_the_old_form_to_all_and_in_the_new_form_to_those_who_know_it() {
        let push = PushSettings {
            dns_servers: vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            search_domains: vec!["corp.example".into()],
            resolve_domains: vec!["int.example".into()],
            ..basic()
        };
        let old = reply(&push, &agreed(), "", true);
        assert!(old.contains(
            "dhcp-option DNS 10.0.0.2,dhcp-option DNS6 fd00::2,dhcp-option DOMAIN corp.example,\
             dhcp-option DOMAIN-SEARCH corp.example,dhcp-option DOMAIN-SEARCH int.example,route-gateway"
        ));
        let new = reply(&push, &agreed(), "IV_PROTO=2048\n", true);
        assert!(new.contains(
            "dns search-domains corp.example,dns server 0 address 10.0.0.2 fd00::2,\
             dns server 0 resolve-domains int.example,"
        ));
    }

    #[test]
    fn routes_and_redirection_are_spelled_for_each_family() {
        let push = PushSettings {
            routes: vec!["10.20.0.0/16".parse().unwrap(), "fd00:1::/48".parse().unwrap()],
            redirect_gateway: Some(RedirectGateway {
                ipv4: true,
                ipv6: true,
                bypass_dhcp: true,
                ..RedirectGateway::default()
            }),
            ..basic()
        };
        let text = reply(&push, &agreed(), "", true);
        assert!(text.starts_with(
            "PUSH_REPLY,redirect-gateway def1 bypass-dhcp ipv6,route 10.20.0.0 255.255.0.0,route-ipv6 fd00:1::/48,"
        ));
    }

    #[test]
    fn exit_notification_is_asked_of_udp_clients_only() {
        let push = PushSettings {
            explicit_exit_notify: true,
            ..basic()
        };
        assert!(reply(&push, &agreed(), "", true).contains("explicit-exit-notify 1"));
        assert!(!reply(&push, &agreed(), "", false).contains("explicit-exit-notify"));
    }

    #[test]
    fn the_mtu_never_exceeds_what_the_client_allows() {
        let push = PushSettings {
            tun_mtu: 9000,
            ..basic()
        };
        assert!(reply(&push, &agreed(), "IV_MTU=1600\n", true).contains("tun-mtu 1600"));
        assert!(!reply(&push, &agreed(), "", true).contains("tun-mtu"));
    }

    #[test]
    fn an_option_with_a_comma_is_refused_with_its_text() {
        let push = PushSettings {
            extra: vec!["setenv-safe A 1,route 1.2.3.4".into()],
            ..basic()
        };
        let error =
            CommonOptions::compose(&push, &Keepalive::default(), Some(Ipv4Addr::LOCALHOST)).unwrap_err();
        assert!(
            error.to_string().contains("setenv-safe A 1,route 1.2.3.4"),
            "{error}"
        );
    }
}
