//! Rules in, filters out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipnetwork::IpNetwork;

use crate::ClientFilter;
use crate::filter::{Limited, Reach};
use crate::flatten::{Segment, intersect, range, segments, union};
use crate::grant::Grant;
use crate::service::Service;

/// Distinct filters remembered before the ones nobody uses any more are swept out.
const CACHED_FILTERS: usize = 1024;

/// Who an authorization rule admits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Every client of the endpoint.
    AllUsers,
    /// Clients that are in this group; compared byte by byte with the group ids of the authentication.
    Group(String),
}

/// Which of the rules that cover a destination count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuleEvaluation {
    /// Those with the longest prefix, whoever they are for: as on AWS.
    #[default]
    LongestPrefix,
    /// All of them: what any rule for one of the client's groups allows is allowed.
    Additive,
}

/// One authorization rule: rules only ever allow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthorizationRule {
    /// Destination network; host bits are ignored.
    pub destination: IpNetwork,
    /// Who may reach it.
    pub access: Access,
    /// What it is limited to; empty: everything.
    pub services: Vec<Service>,
    /// Text for people.
    pub description: Option<String>,
}

/// Why a destination is allowed or not, for people who ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is allowed by a rule for this destination network.
    Allowed(IpNetwork),
    /// Rules allow these services; the most specific such rule is for this destination network.
    Limited(IpNetwork, Vec<Service>),
    /// A route is there, but no rule covers the address.
    NoRule,
    /// Rules for this most specific network exist, but none that counts admits the client. A shorter rule of its own
    /// groups does not help, unless the rules are additive.
    OtherGroups(IpNetwork),
    /// No route covers the address, whatever the rules say.
    NoRoute,
}

/// The compiled rules and routes of one endpoint. Immutable: build a new one for a change.
#[derive(Debug)]
pub struct Policy {
    evaluation: RuleEvaluation,
    rules: Box<[CompiledRule]>,
    routes: Box<[IpNetwork]>,
    v4: Box<[Segment]>,
    v6: Box<[Segment]>,
    /// Every group a rule names, sorted.
    groups: Box<[String]>,
    /// Filters in use, by the positions in `groups` that count for them.
    filters: Mutex<HashMap<Box<[usize]>, Weak<ClientFilter>>>,
}

/// All rules of one destination network taken together.
#[derive(Debug)]
struct CompiledRule {
    destination: IpNetwork,
    /// Position of the rule for the next larger network around it.
    around: Option<usize>,
    all_users: Grant,
    /// By position in [`Policy::groups`].
    groups: BTreeMap<usize, Grant>,
}

impl CompiledRule {
    fn new(destination: IpNetwork) -> Self {
        Self {
            destination,
            around: None,
            all_users: Grant::Nothing,
            groups: BTreeMap::new(),
        }
    }

    /// Adds what it allows these groups to `grant`.
    fn add_to(&self, grant: &mut Grant, groups: &[usize]) {
        grant.add(&self.all_users);
        for group in groups.iter().filter_map(|group| self.groups.get(group)) {
            grant.add(group);
        }
    }
}

impl Policy {
    /// Compiles rules, and the destinations of the endpoint's routes, for both families. The order of the
    /// rules is irrelevant and several may name one destination. The longest prefix decides.
    pub fn compile(rules: &[AuthorizationRule], routes: &[IpNetwork]) -> Arc<Self> {
        Self::compile_as(RuleEvaluation::LongestPrefix, rules, routes)
    }

    /// Like [`Policy::compile`], with a say in which rules count.
    pub fn compile_as(
        evaluation: RuleEvaluation,
        rules: &[AuthorizationRule],
        routes: &[IpNetwork],
    ) -> Arc<Self> {
        let groups: BTreeSet<&str> = rules.iter().filter_map(|rule| group_of(&rule.access)).collect();
        let groups: Box<[String]> = groups.into_iter().map(String::from).collect();
        let rules = by_destination(rules, &groups);
        let family = |v6: bool| {
            // Indices stay positions in `rules`: IPv4 sorts first, so an IPv6 segment is shifted by their count.
            let skip = if v6 {
                rules.partition_point(|rule| rule.destination.is_ipv4())
            } else {
                0
            };
            let of_family = |network: &IpNetwork| network.is_ipv6() == v6;
            let ranges: Vec<_> = rules
                .iter()
                .map(|rule| rule.destination)
                .filter(of_family)
                .map(range)
                .collect();
            let routed = union(routes.iter().copied().filter(of_family).map(range).collect());
            let mut flat = intersect(&segments(&ranges), &routed);
            flat.iter_mut().for_each(|segment| segment.prefix += skip);
            flat.into_boxed_slice()
        };
        Arc::new(Self {
            evaluation,
            v4: family(false),
            v6: family(true),
            routes: routes.into(),
            rules,
            groups,
            filters: Mutex::default(),
        })
    }

    /// The filter for a client in these groups. Clients whose groups make no difference share one.
    pub fn filter_for(&self, groups: &[String]) -> Arc<ClientFilter> {
        let mine = self.positions(groups);
        // A panic elsewhere while holding the lock leaves at worst a missing cache entry.
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = filters.get(&*mine).and_then(Weak::upgrade) {
            return filter;
        }
        let filter = Arc::new(ClientFilter::new(
            self.reach(&self.v4, false, &mine),
            self.reach(&self.v6, true, &mine),
        ));
        if filters.len() >= CACHED_FILTERS {
            filters.retain(|_, filter| filter.strong_count() > 0);
        }
        if filters.len() < CACHED_FILTERS {
            filters.insert(mine, Arc::downgrade(&filter));
        }
        filter
    }

    /// Judges one destination for a client in these groups and says why. Slower than a filter: for people.
    pub fn explain(&self, groups: &[String], destination: IpAddr) -> Verdict {
        if !self.routes.iter().any(|route| route.contains(destination)) {
            return Verdict::NoRoute;
        }
        let mut covering: Vec<&CompiledRule> = self.rules.iter().collect();
        covering.retain(|rule| rule.destination.contains(destination));
        covering.sort_by_key(|rule| std::cmp::Reverse(rule.destination.prefix()));
        let Some(longest) = covering.first().map(|rule| rule.destination) else {
            return Verdict::NoRule;
        };
        if self.evaluation == RuleEvaluation::LongestPrefix {
            covering.truncate(1);
        }
        let mine = self.positions(groups);
        let (mut all, mut named) = (Grant::Nothing, longest);
        for rule in covering {
            let before = all.clone();
            rule.add_to(&mut all, &mine);
            // Named is the first that allows anything, and the one that allows everything.
            if all != before && (before == Grant::Nothing || all == Grant::Everything) {
                named = rule.destination;
            }
        }
        match all {
            Grant::Everything => Verdict::Allowed(named),
            Grant::Services(services) => Verdict::Limited(named, services.into_iter().collect()),
            Grant::Nothing => Verdict::OtherGroups(longest),
        }
    }

    /// Positions of the groups that some rule names, sorted, without repetition.
    fn positions(&self, groups: &[String]) -> Box<[usize]> {
        let known: BTreeSet<usize> = groups
            .iter()
            .filter_map(|group| self.groups.binary_search(group).ok())
            .collect();
        known.into_iter().collect()
    }

    /// Where these groups get to.
    fn reach(&self, segments: &[Segment], v6: bool, groups: &[usize]) -> Reach {
        let mut reach = Reach::default();
        for segment in segments {
            match self.grant(segment.prefix, groups) {
                Grant::Nothing => {}
                Grant::Everything => reach.open.push(segment.range),
                grant @ Grant::Services(_) => {
                    let range = segment.range;
                    reach
                        .limited
                        .extend(grant.keys(v6).map(|services| Limited { range, services }));
                }
            }
        }
        reach.open = union(reach.open);
        reach
    }

    /// What these groups may do where the rule at this position is the most specific one.
    fn grant(&self, position: usize, groups: &[usize]) -> Grant {
        let mut grant = Grant::Nothing;
        let mut next = self.rules.get(position);
        while let Some(rule) = next {
            rule.add_to(&mut grant, groups);
            next = match self.evaluation {
                RuleEvaluation::LongestPrefix => None,
                RuleEvaluation::Additive => rule.around.and_then(|around| self.rules.get(around)),
            };
        }
        grant
    }
}

fn group_of(access: &Access) -> Option<&str> {
    match access {
        Access::AllUsers => None,
        Access::Group(group) => Some(group),
    }
}

/// Joins rules of the same destination; sorted by family, start, then prefix, as the flattening needs it.
fn by_destination(rules: &[AuthorizationRule], groups: &[String]) -> Box<[CompiledRule]> {
    let key = |network: &IpNetwork| (network.is_ipv6(), range(*network).0, network.prefix());
    let mut sorted: Vec<&AuthorizationRule> = rules.iter().collect();
    sorted.sort_by_key(|rule| key(&rule.destination));
    let mut out: Vec<CompiledRule> = Vec::with_capacity(sorted.len());
    for rule in sorted {
        if out
            .last()
            .is_none_or(|last| key(&last.destination) != key(&rule.destination))
        {
            out.push(CompiledRule::new(rule.destination));
        }
        let Some(compiled) = out.last_mut() else { continue };
        let grant = match group_of(&rule.access) {
            None => Some(&mut compiled.all_users),
            Some(group) => {
                let position = groups.binary_search_by(|g| g.as_str().cmp(group));
                position.ok().map(|at| compiled.groups.entry(at).or_default())
            }
        };
        if let Some(grant) = grant {
            grant.add(&Grant::of(&rule.services));
        }
    }
    nest(&mut out);
    out.into_boxed_slice()
}

/// Notes for each rule which one is around it. A range follows those around it.
fn nest(rules: &mut [CompiledRule]) {
    let mut open: Vec<(usize, IpNetwork)> = Vec::new();
    for (position, rule) in rules.iter_mut().enumerate() {
        let start = rule.destination.network();
        while open.pop_if(|(_, outer)| !outer.contains(start)).is_some() {}
        rule.around = open.last().map(|(outer, _)| *outer);
        open.push((position, rule.destination));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(destination: &str, group: Option<&str>) -> AuthorizationRule {
        let access = group.map_or(Access::AllUsers, |group| Access::Group(group.into()));
        AuthorizationRule {
            destination: destination.parse().unwrap(),
            access,
            services: Vec::new(),
            description: None,
        }
    }

    fn limited(destination: &str, group: Option<&str>, services: &[&str]) -> AuthorizationRule {
        AuthorizationRule {
            services: services.iter().map(|service| service.parse().unwrap()).collect(),
            ..rule(destination, group)
        }
    }

    fn everywhere() -> Vec<IpNetwork> {
        vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]
    }

    fn groups(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn allows(policy: &Policy, group: &str, destination: &str) -> bool {
        let (groups, destination) = (groups(&[group]), destination.parse().unwrap());
        let allowed = policy.filter_for(&groups).allows(destination);
        let verdict = policy.explain(&groups, destination);
        assert_eq!(
            matches!(verdict, Verdict::Allowed(_)),
            allowed,
            "{group} {destination}: {verdict:?}"
        );
        allowed
    }

    /// The documented example scenarios as one table: which rules are active, who reaches what.
    #[test]
    fn the_golden_table_of_the_documented_scenarios_holds() {
        let rules = [
            rule("172.16.0.0/24", Some("eng")),
            rule("10.0.0.0/16", Some("dev")),
            rule("0.0.0.0/0", Some("mgr")),
            rule("10.0.2.119/32", Some("mgr")),
            rule("172.16.0.128/25", Some("eng")),
            rule("0.0.0.0/0", Some("eng")),
            rule("192.168.0.0/24", Some("mgr")),
            rule("0.0.0.0/0", None),
        ];
        let columns = [
            ("eng", "172.16.0.5"),
            ("eng", "172.16.0.200"),
            ("eng", "192.168.0.9"),
            ("eng", "198.51.100.1"),
            ("dev", "10.0.1.1"),
            ("dev", "10.0.2.119"),
            ("dev", "198.51.100.1"),
            ("mgr", "10.0.1.1"),
            ("mgr", "10.0.2.119"),
            ("mgr", "192.168.0.9"),
            ("mgr", "198.51.100.1"),
            ("admin", "198.51.100.1"),
            ("admin", "10.0.1.1"),
        ];
        let rows: [(&[usize], &str); 7] = [
            (&[1, 2, 7], "yynnyynnnynnn"),
            (&[1, 2, 3], "yynnyynnnyynn"),
            (&[1, 2, 3, 4], "yynnynnnyyynn"),
            (&[1, 2, 3, 4, 5], "yynnynnnyyynn"),
            (&[1, 2, 3, 4, 5, 6], "yyyyynnnyyynn"),
            (&[1, 2, 3, 4, 5, 6, 7], "yynyynnnyyynn"),
            (&[1, 2, 3, 4, 5, 6, 7, 8], "yynyynynyyyyn"),
        ];
        for (active, expected) in rows {
            let active_rules: Vec<_> = active.iter().map(|&n| rules[n - 1].clone()).collect();
            let policy = Policy::compile(&active_rules, &everywhere());
            for ((group, destination), expected) in columns.iter().zip(expected.chars()) {
                let allowed = allows(&policy, group, destination);
                assert_eq!(
                    allowed,
                    expected == 'y',
                    "rules {active:?}: {group} to {destination}"
                );
            }
        }
    }

    #[test]
    fn a_rule_without_a_route_and_a_route_without_a_rule_are_both_closed() {
        let routes = ["10.0.0.0/16".parse().unwrap(), "10.2.0.0/16".parse().unwrap()];
        let policy = Policy::compile(&[rule("10.0.0.0/15", None)], &routes);
        assert!(allows(&policy, "any", "10.0.255.255"));
        assert!(!allows(&policy, "any", "10.1.0.0"));
        assert!(!allows(&policy, "any", "10.2.0.1"));
        assert_eq!(policy.explain(&[], "10.1.0.1".parse().unwrap()), Verdict::NoRoute);
        assert_eq!(policy.explain(&[], "10.2.0.1".parse().unwrap()), Verdict::NoRule);
    }

    #[test]
    fn ipv6_follows_the_same_rules_and_never_mixes_with_ipv4() {
        let rules = [
            rule("2001:db8::/32", None),
            rule("2001:db8:5::/48", Some("eng")),
            rule("::/0", Some("mgr")),
        ];
        let policy = Policy::compile(&rules, &everywhere());
        assert!(allows(&policy, "dev", "2001:db8::1"));
        assert!(!allows(&policy, "dev", "2001:db8:5::1"));
        assert!(allows(&policy, "eng", "2001:db8:5:ffff:ffff:ffff:ffff:ffff"));
        assert!(!allows(&policy, "mgr", "2001:db8:5::1"));
        assert!(allows(&policy, "mgr", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert!(!allows(&policy, "mgr", "198.51.100.1"));
    }

    #[test]
    fn the_whole_address_space_can_be_nested_to_its_last_address() {
        let rules = [
            rule("0.0.0.0/0", None),
            rule("255.255.255.255/32", Some("eng")),
            rule("255.0.0.0/8", Some("dev")),
        ];
        let policy = Policy::compile(&rules, &everywhere());
        assert!(allows(&policy, "eng", "255.255.255.255"));
        assert!(!allows(&policy, "dev", "255.255.255.255"));
        assert!(allows(&policy, "dev", "255.255.255.254"));
        assert!(allows(&policy, "mgr", "254.255.255.255"));
    }

    #[test]
    fn nothing_is_allowed_without_rules() {
        let policy = Policy::compile(&[], &everywhere());
        assert!(policy.filter_for(&groups(&["admin"])).is_empty());
        assert!(!allows(&policy, "admin", "10.0.0.1"));
    }

    #[test]
    fn clients_with_the_same_effective_groups_share_one_filter() {
        let policy = Policy::compile(
            &[rule("10.0.0.0/8", Some("a")), rule("10.1.0.0/16", Some("b"))],
            &everywhere(),
        );
        let one = policy.filter_for(&groups(&["a", "unrelated"]));
        assert!(Arc::ptr_eq(
            &one,
            &policy.filter_for(&groups(&["other", "a", "a"]))
        ));
        assert!(!Arc::ptr_eq(&one, &policy.filter_for(&groups(&["b", "a"]))));
    }

    #[test]
    fn the_filter_cache_stays_bounded() {
        let rules: Vec<_> = (0..12)
            .map(|n| rule(&format!("10.{n}.0.0/16"), Some(&n.to_string())))
            .collect();
        let policy = Policy::compile(&rules, &everywhere());
        let mut kept = Vec::new();
        for set in 0..4096_u32 {
            let mine: Vec<String> = (0..12)
                .filter(|n| set & (1 << n) != 0)
                .map(|n| n.to_string())
                .collect();
            kept.push(policy.filter_for(&mine));
        }
        assert!(policy.filters.lock().unwrap().len() <= CACHED_FILTERS);
        drop(kept);
        policy.filter_for(&groups(&["1"]));
        policy.filter_for(&groups(&[
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11",
        ]));
        assert!(policy.filters.lock().unwrap().len() <= 2);
    }

    #[test]
    fn a_limited_rule_allows_its_services_and_closes_the_rest_of_its_network() {
        let rules = [
            rule("10.0.0.0/8", None),
            limited("10.1.0.0/16", None, &["443/tcp", "53/udp"]),
            limited("10.1.0.0/16", Some("ops"), &["22/tcp"]),
            limited("fd00::/8", None, &["icmp"]),
        ];
        let policy = Policy::compile(&rules, &everywhere());
        let asks = |group: &str, to: &str, protocol, port| {
            let filter = policy.filter_for(&groups(&[group]));
            filter.allows_service(to.parse().unwrap(), protocol, Some(port))
        };
        assert!(asks("dev", "10.2.0.1", 6, 80));
        assert!(asks("dev", "10.1.0.1", 6, 443) && asks("dev", "10.1.0.1", 17, 53));
        assert!(!asks("dev", "10.1.0.1", 6, 80) && !asks("dev", "10.1.0.1", 17, 443));
        assert!(!asks("dev", "10.1.0.1", 6, 22) && asks("ops", "10.1.0.1", 6, 22));
        assert!(asks("ops", "10.1.0.1", 6, 443), "rules for one network add up");
        assert!(!asks("dev", "10.1.0.1", 1, 0) && asks("dev", "fd00::1", 58, 0));
        assert!(!asks("dev", "fd00::1", 1, 0), "ICMP over IPv6 is ICMPv6");
        assert_eq!(
            policy.explain(&groups(&["ops"]), "10.1.0.1".parse().unwrap()),
            Verdict::Limited(
                "10.1.0.0/16".parse().unwrap(),
                ["22/tcp", "443/tcp", "53/udp"]
                    .map(|service| service.parse().unwrap())
                    .into()
            )
        );
    }

    /// The documented example scenarios once more, with rules that add up: nobody loses by another's rule.
    #[test]
    fn additive_rules_shadow_nothing() {
        let rules = [
            rule("10.0.0.0/16", Some("dev")),
            rule("10.0.2.119/32", Some("mgr")),
            rule("0.0.0.0/0", Some("mgr")),
            limited("10.0.2.0/24", Some("eng"), &["443/tcp"]),
        ];
        let policy = Policy::compile_as(RuleEvaluation::Additive, &rules, &everywhere());
        let to = |to: &str| to.parse().unwrap();
        assert!(
            allows(&policy, "dev", "10.0.2.119"),
            "the larger rule of its own counts"
        );
        assert!(allows(&policy, "mgr", "10.0.1.1") && allows(&policy, "mgr", "10.0.2.119"));
        assert!(!allows(&policy, "dev", "198.51.100.1"));
        assert_eq!(
            policy.explain(&groups(&["dev"]), to("10.0.2.119")),
            Verdict::Allowed(to_network("10.0.0.0/16"))
        );
        let https = vec!["443/tcp".parse().unwrap()];
        assert_eq!(
            policy.explain(&groups(&["eng"]), to("10.0.2.119")),
            Verdict::Limited(to_network("10.0.2.0/24"), https)
        );
        assert_eq!(
            policy.explain(&groups(&["eng"]), to("10.0.3.1")),
            Verdict::OtherGroups(to_network("10.0.0.0/16"))
        );
        assert_eq!(policy.explain(&groups(&["eng"]), to("::1")), Verdict::NoRule);
        let both = groups(&["eng", "dev"]);
        assert_eq!(
            policy.explain(&both, to("10.0.2.119")),
            Verdict::Allowed(to_network("10.0.0.0/16")),
            "a limit of one rule is none of another"
        );
        assert!(policy.filter_for(&both).allows(to("10.0.2.119")));
        assert!(
            !Policy::compile(&rules, &everywhere())
                .filter_for(&both)
                .reaches(to("10.0.2.119"))
        );
    }

    fn to_network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    mod agreement {
        use proptest::prelude::*;

        use super::*;

        /// Networks in a tiny corner of the address space, so that nesting and touching are common.
        fn network() -> impl Strategy<Value = IpNetwork> {
            (any::<bool>(), 0..64_u8, 0..=6_u8).prop_map(|(v6, low, length)| {
                let (address, prefix): (IpAddr, u8) = if v6 {
                    (
                        std::net::Ipv6Addr::from_bits(u128::MAX - 63 + u128::from(low)).into(),
                        122 + length,
                    )
                } else {
                    (std::net::Ipv4Addr::from_bits(u32::from(low)).into(), 26 + length)
                };
                IpNetwork::new(address, prefix).unwrap()
            })
        }

        fn services() -> impl Strategy<Value = Vec<Service>> {
            let some = ["1/tcp", "2-4/tcp", "tcp", "3/udp", "icmp"].map(|service| service.parse().unwrap());
            prop::collection::vec(prop::sample::select(some.to_vec()), 0..3)
        }

        fn any_rule() -> impl Strategy<Value = AuthorizationRule> {
            (network(), prop::option::of(0..3_u8), services()).prop_map(|(destination, group, services)| {
                AuthorizationRule {
                    destination,
                    access: group.map_or(Access::AllUsers, |group| Access::Group(group.to_string())),
                    services,
                    description: None,
                }
            })
        }

        /// Whether a rule is about a packet; written without the numbers that filters use.
        fn speaks(rule: &AuthorizationRule, protocol: u8, port: Option<u16>) -> bool {
            let icmp = if rule.destination.is_ipv6() { 58 } else { 1 };
            rule.services.is_empty()
                || rule.services.iter().any(|service| match *service {
                    Service::Tcp(ports) => protocol == 6 && port.is_none_or(|port| ports.contains(port)),
                    Service::Udp(ports) => protocol == 17 && port.is_none_or(|port| ports.contains(port)),
                    Service::Icmp => protocol == icmp,
                })
        }

        proptest! {
            #[test]
            fn filters_agree_with_a_direct_reading_of_the_rules(
                rules in prop::collection::vec(any_rule(), 0..12),
                routes in prop::collection::vec(network(), 0..5),
                mine in prop::collection::vec(0..4_u8, 0..3),
                additive in any::<bool>(),
            ) {
                let evaluation = if additive { RuleEvaluation::Additive } else { RuleEvaluation::LongestPrefix };
                let policy = Policy::compile_as(evaluation, &rules, &routes);
                let mine: Vec<String> = mine.iter().map(u8::to_string).collect();
                let filter = policy.filter_for(&mine);
                let corner = (0..80_u32).flat_map(|low| {
                    let v6 = std::net::Ipv6Addr::from_bits(u128::MAX - u128::from(low));
                    [IpAddr::V4(std::net::Ipv4Addr::from_bits(low)), IpAddr::V6(v6)]
                });
                for address in corner {
                    let routed = routes.iter().any(|route| route.contains(address));
                    let covering = rules.iter().filter(|rule| rule.destination.contains(address));
                    let longest = covering.clone().map(|rule| rule.destination.prefix()).max();
                    let admitting: Vec<&AuthorizationRule> = covering
                        .filter(|rule| routed && (additive || Some(rule.destination.prefix()) == longest))
                        .filter(|rule| group_of(&rule.access).is_none_or(|g| mine.iter().any(|m| m == g)))
                        .collect();
                    let open = admitting.iter().any(|rule| rule.services.is_empty());
                    prop_assert_eq!(filter.allows(address), open, "{}", address);
                    prop_assert_eq!(filter.reaches(address), !admitting.is_empty(), "{}", address);
                    for (protocol, port) in [6, 17, 1, 58, 47].into_iter().flat_map(|protocol| {
                        [None, Some(1), Some(2), Some(3), Some(4), Some(5)].map(|port| (protocol, port))
                    }) {
                        let wanted = admitting.iter().any(|rule| speaks(rule, protocol, port));
                        prop_assert_eq!(
                            filter.allows_service(address, protocol, port), wanted,
                            "{} {} {:?}", address, protocol, port
                        );
                    }
                    let explained = policy.explain(&mine, address);
                    prop_assert_eq!(matches!(explained, Verdict::Allowed(_)), open, "{}", address);
                    let limited = !open && !admitting.is_empty();
                    prop_assert_eq!(matches!(explained, Verdict::Limited(..)), limited, "{}", address);
                }
            }
        }
    }
}
