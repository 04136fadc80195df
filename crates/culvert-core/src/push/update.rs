//! What PUSH_UPDATE says: how a connected client gets from the options it has to those it would be sent now.
//!
//! Source: OpenVPN 2.7 and OpenVPN 3 behaviour. An option replaces all of its name, `-name` removes them. OpenVPN 2.7
//! couples some names: new routes switch redirection off, new `dns` options drop what `dhcp-option` brought.

use culvert_wire::peer_info::PeerInfo;

/// A name whose options are sent anew together, as each replaces all of its name.
struct Kind {
    name: &'static str,
    /// Names whose change undoes this one, so that it is sent again.
    undone_by: &'static [&'static str],
}

const fn kind(name: &'static str, undone_by: &'static [&'static str]) -> Kind {
    Kind { name, undone_by }
}

/// What can change while a client is connected, in the order sent: what undoes others comes before them. Addresses,
/// topology and MTU can be updated too, but an endpoint's are fixed while it runs.
const KINDS: [Kind; 10] = [
    kind("dns", &["dhcp-option"]),
    kind("dhcp-option", &["dns"]),
    kind("block-outside-dns", &[]),
    kind("block-ipv6", &[]),
    kind("route-metric", &[]),
    kind("route-gateway", &[]),
    kind("route", &[]),
    kind("route-ipv6", &[]),
    kind("redirect-private", &["route", "route-ipv6", "redirect-gateway"]),
    kind("redirect-gateway", &["route", "route-ipv6", "redirect-private"]),
];

/// Whether an option is one of those that can be updated.
pub(super) fn concerns(option: &str) -> bool {
    let name = option.split_ascii_whitespace().next();
    KINDS.iter().any(|kind| Some(kind.name) == name)
}

/// What a client changes while connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Nothing,
    /// All but DNS: OpenVPN 2.7 takes the options, but its script that sets DNS up is not run any more after that.
    ///
    /// Source: observed with OpenVPN 2.7.6.
    NotDns,
    Everything,
}

impl Scope {
    /// What a client with this peer info changes.
    pub(super) fn of(peer: &PeerInfo) -> Self {
        if !peer.iv_proto().push_update() {
            Self::Nothing
        } else if peer.iv_ver().is_some_and(|version| version.starts_with("2.")) {
            Self::NotDns
        } else {
            Self::Everything
        }
    }

    fn holds(self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::NotDns => !matches!(name, "dns" | "dhcp-option"),
            Self::Everything => true,
        }
    }
}

/// Names of options that differ and can be updated.
pub(super) fn changes(scope: Scope, before: &[&str], after: &[&str]) -> Vec<&'static str> {
    let names = KINDS.iter().map(|kind| kind.name);
    names
        .filter(|name| scope.holds(name) && !of(before, name).eq(of(after, name)))
        .collect()
}

/// The options of an update that makes these names what they are to be. Removals come first: a removed route must not
/// undo the redirection behind it.
pub(super) fn compose(changed: &[&'static str], after: &[&str]) -> Vec<String> {
    let is_changed = |name: &&'static str| changed.contains(name);
    let removed = KINDS
        .iter()
        .map(|kind| kind.name)
        .filter(|name| is_changed(name) && of(after, name).next().is_none())
        .map(|name| format!("-{name}"));
    let sent = KINDS
        .iter()
        .filter(|kind| is_changed(&kind.name) || kind.undone_by.iter().any(is_changed))
        .flat_map(|kind| of(after, kind.name));
    removed.chain(sent.map(str::to_owned)).collect()
}

/// The options of this name, in order.
fn of<'o>(options: &'o [&'o str], name: &'o str) -> impl Iterator<Item = &'o str> {
    let named = move |option: &&str| option.split_ascii_whitespace().next() == Some(name);
    options.iter().copied().filter(named)
}

#[cfg(test)]
mod tests {
    use culvert_wire::push::{PushOptions, UPDATABLE};
    use proptest::prelude::*;

    use super::*;

    fn between(before: &str, after: &str) -> String {
        let [before, after] = [before, after].map(|text| text.split(',').collect::<Vec<_>>());
        compose(&changes(Scope::Everything, &before, &after), &after).join(",")
    }

    #[test]
    fn only_what_changed_is_sent() {
        let before = "dhcp-option DNS 10.0.0.2,route 10.1.0.0 255.255.0.0,route-ipv6 fd00::/48,ping 10";
        assert_eq!(between(before, before), "");
        assert_eq!(
            between(
                before,
                "dhcp-option DNS 10.0.0.2,route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0,\
                 route-ipv6 fd00::/48,ping 20,echo hello"
            ),
            "route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0",
            "the whole list of routes, and nothing a client can't change"
        );
        assert_eq!(
            between(before, "dhcp-option DNS 10.0.0.2,route-ipv6 fd00::/48"),
            "-route"
        );
    }

    #[test]
    fn a_tunnel_becomes_split_and_full_again() {
        let (full, split) = ("redirect-gateway def1,block-ipv6", "route 10.1.0.0 255.255.0.0");
        assert_eq!(
            between(full, split),
            "-block-ipv6,-redirect-gateway,route 10.1.0.0 255.255.0.0"
        );
        assert_eq!(between(split, full), "-route,block-ipv6,redirect-gateway def1");
    }

    #[test]
    fn redirection_follows_changed_routes_and_both_forms_of_dns_go_together() {
        let before = "redirect-gateway def1,route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0";
        assert_eq!(
            between(before, "redirect-gateway def1,route 10.1.0.0 255.255.0.0"),
            "route 10.1.0.0 255.255.0.0,redirect-gateway def1"
        );
        assert_eq!(
            between(before, "redirect-gateway def1"),
            "-route,redirect-gateway def1"
        );
        let dns = "dhcp-option DNS 10.0.0.2,dhcp-option NTP 10.0.0.3,dns server 0 address 10.0.0.2";
        assert_eq!(
            between(dns, "dhcp-option NTP 10.0.0.3"),
            "-dns,dhcp-option NTP 10.0.0.3"
        );
    }

    #[test]
    fn clients_are_told_what_they_can_change() {
        let scope = |peer: &str| Scope::of(&PeerInfo::parse(peer));
        assert_eq!(scope("IV_VER=2.6.14\nIV_PROTO=990\n"), Scope::Nothing);
        assert_eq!(scope("IV_VER=3.10.0\nIV_PROTO=2974\n"), Scope::Nothing);
        assert_eq!(scope("IV_VER=2.7.6\nIV_PROTO=8094\n"), Scope::NotDns);
        assert_eq!(scope("IV_VER=3.11.7\nIV_PROTO=8094\n"), Scope::Everything);
        let (before, after) = (
            ["dns search-domains a", "route 10.1.0.0"],
            ["dhcp-option DNS 10.0.0.1"],
        );
        assert_eq!(changes(Scope::NotDns, &before, &after), ["route"]);
        assert!(changes(Scope::Nothing, &before, &after).is_empty());
    }

    #[test]
    fn whatever_is_sent_can_be_updated() {
        for kind in &KINDS {
            assert!(UPDATABLE.contains(&kind.name), "{}", kind.name);
            assert!(kind.undone_by.iter().all(|name| UPDATABLE.contains(name)));
        }
    }

    fn option() -> impl Strategy<Value = String> {
        let name = proptest::sample::select(KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>());
        (name, 0u8..3).prop_map(|(name, value)| format!("{name} {value}"))
    }

    fn options() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(option(), 0..12)
    }

    /// What is left of the options, as lists by name: order between names carries no meaning.
    fn lists(options: &PushOptions) -> Vec<Vec<Vec<String>>> {
        let list = |kind: &Kind| options.all(kind.name).map(<[String]>::to_vec).collect();
        KINDS.iter().map(list).collect()
    }

    fn parse(options: &[String]) -> PushOptions {
        PushOptions::parse(&options.join(",")).unwrap()
    }

    fn texts(options: &[String]) -> Vec<&str> {
        options.iter().map(String::as_str).collect()
    }

    proptest! {
        #[test]
        fn updates_in_a_row_lead_to_what_a_fresh_reply_says(steps in proptest::collection::vec(options(), 2..6)) {
            let mut client = parse(&steps[0]);
            for pair in steps.windows(2) {
                let (before, after) = (texts(&pair[0]), texts(&pair[1]));
                let update = compose(&changes(Scope::Everything, &before, &after), &after);
                client.update(&parse(&update)).unwrap();
                prop_assert_eq!(lists(&client), lists(&parse(&pair[1])));
            }
        }

        #[test]
        fn all_names_ever_changed_make_up_for_lost_updates(
            steps in proptest::collection::vec(options(), 2..6),
            lost in any::<u8>(),
        ) {
            let mut client = parse(&steps[0]);
            let mut ever = Vec::new();
            for (number, pair) in steps.windows(2).enumerate() {
                let (before, after) = (texts(&pair[0]), texts(&pair[1]));
                let changed = changes(Scope::Everything, &before, &after);
                if lost & 1 << number == 0 {
                    client.update(&parse(&compose(&changed, &after))).unwrap();
                }
                ever.extend(changed);
            }
            let last = steps.last().unwrap();
            client.update(&parse(&compose(&ever, &texts(last)))).unwrap();
            prop_assert_eq!(lists(&client), lists(&parse(last)));
        }
    }
}
