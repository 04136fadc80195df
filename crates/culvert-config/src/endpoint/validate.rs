//! From wish to working endpoint: everything that concerns more than one value.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use culvert_policy::{Access, AuthorizationRule};
use culvert_pool::{Pool, PoolConfig, PoolError, StaticAddress};
use ipnetwork::IpNetwork;

use super::{
    DataCipher, EndpointConfig, EndpointSpec, MAX_BANNER, MAX_DNS_SERVERS, MAX_DOMAINS, MAX_SERVICES, Mssfix,
    Route, TargetNetwork,
};
use crate::error::{Fault, FieldProblem};
use crate::push::{check_domain, check_push};

/// Longest group id, as in AWS.
const MAX_GROUP_ID: usize = 255;

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 255;

/// What the jumbo frames of networks hold. A client is told no more than it accepts: 1600, unless its profile has a
/// `tun-mtu-max`.
const MAX_TUN_MTU: u16 = 9000;

impl EndpointSpec {
    /// Checks the whole endpoint and fills in what follows from its settings.
    ///
    /// # Errors
    /// Every problem found, each naming its field and cure.
    pub fn validate(mut self) -> Result<EndpointConfig, Vec<FieldProblem>> {
        let mut check = Check {
            spec: &self,
            problems: Vec::new(),
        };
        check.texts();
        if check.client_blocks() {
            check.networks();
            check.static_addresses();
        }
        check.listen();
        check.ciphers();
        check.times();
        check.sizes();
        check.pushed();
        let problems = check.problems;
        if !problems.is_empty() {
            return Err(problems);
        }
        if self.legacy_cbc.is_some() && !self.data_ciphers.iter().any(|cipher| cipher.is_cbc()) {
            self.data_ciphers.extend(DataCipher::LEGACY);
        }
        Ok(EndpointConfig { spec: self })
    }
}

struct Check<'s> {
    spec: &'s EndpointSpec,
    problems: Vec<FieldProblem>,
}

impl Check<'_> {
    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>, cure: impl Into<String>) {
        self.problems.push(Fault::new(message, cure).at(field));
    }

    fn keep(&mut self, field: impl Into<String>, result: Result<(), Fault>) {
        self.problems.extend(result.err().map(|fault| fault.at(field)));
    }

    fn texts(&mut self) {
        let spec = self.spec;
        self.keep("name", check_name(&spec.name));
        self.keep("device", check_device_name(&spec.device));
        self.keep("description", check_description(spec.description.as_deref()));
        if let Some(banner) = &spec.banner {
            let length = banner.chars().count();
            if length > MAX_BANNER {
                let message = format!("the banner has {length} characters");
                self.refuse("banner", message, format!("shorten it to {MAX_BANNER}"));
            } else if banner.trim().is_empty() {
                self.refuse("banner", "the banner is empty", "give a text or remove the key");
            } else if banner.chars().any(|c| c.is_control() && !"\n\t".contains(c)) {
                let cure = "use printable text, tabs and line breaks only";
                self.refuse("banner", "the banner holds a control character", cure);
            }
        }
    }

    /// True when the client CIDRs are sound, so that the rest can be compared with them.
    fn client_blocks(&mut self) -> bool {
        let (v4, v6) = (self.spec.client_cidr_block, self.spec.client_ipv6_cidr_block);
        let before = self.problems.len();
        if let Err(error) = Pool::new(PoolConfig { v4, v6, sticky: true }) {
            let (field, fault) = pool_fault(&error);
            self.problems.push(fault.at(field));
        } else {
            for (field, block) in [
                ("client_cidr_block", v4.map(IpNetwork::V4)),
                ("client_ipv6_cidr_block", v6.map(IpNetwork::V6)),
            ] {
                if let Some(special) = block.and_then(special_purpose) {
                    let message = format!("{special} addresses cannot be given to clients");
                    self.refuse(
                        field,
                        message,
                        "use a private range, for example 10.8.0.0/22 or fd00:8::/64",
                    );
                }
            }
        }
        self.problems.len() == before
    }

    fn networks(&mut self) {
        let spec = self.spec;
        for (index, network) in spec.target_networks.iter().enumerate() {
            let field = format!("target_networks[{index}]");
            self.target_network(&field, network, &spec.target_networks[..index]);
        }
        for (index, route) in spec.routes.iter().enumerate() {
            self.route(&format!("routes[{index}]"), route, &spec.routes[..index]);
        }
        for (index, rule) in spec.authorization_rules.iter().enumerate() {
            self.rule(
                &format!("authorization_rules[{index}]"),
                rule,
                &spec.authorization_rules[..index],
            );
        }
    }

    fn target_network(&mut self, field: &str, network: &TargetNetwork, earlier: &[TargetNetwork]) {
        let cidr = format!("{field}.cidr");
        let spec = self.spec;
        self.keep(&cidr, check_destination(network.cidr, spec));
        // As with routes: 0.0.0.0/0 covers the client CIDR too, but every system prefers the longer prefix.
        if network.cidr.prefix() > 0
            && let Some(block) = overlapping_block(network.cidr, spec)
        {
            let message = format!(
                "the target network {} overlaps the client CIDR {block}",
                network.cidr
            );
            self.refuse(&cidr, message, "choose a client CIDR that is used nowhere else");
        }
        if earlier.iter().any(|other| other.cidr == network.cidr) {
            let message = format!("the target network {} is given twice", network.cidr);
            self.refuse(&cidr, message, "remove one of them");
        }
        if let Some(interface) = &network.interface {
            self.keep(format!("{field}.interface"), check_device_name(interface));
            if *interface == spec.device {
                let message = format!("{interface} is the endpoint's own TUN device");
                let cure = "name the interface that leads to the network";
                self.refuse(format!("{field}.interface"), message, cure);
            }
        }
    }

    fn route(&mut self, field: &str, route: &Route, earlier: &[Route]) {
        let destination = route.destination_cidr;
        let key = format!("{field}.destination_cidr");
        let spec = self.spec;
        self.keep(&key, check_destination(destination, spec));
        self.keep(
            format!("{field}.description"),
            check_description(route.description.as_deref()),
        );
        // A default route covers the client CIDR too, but every system prefers the longer prefix.
        if destination.prefix() > 0
            && let Some(block) = overlapping_block(destination, spec)
        {
            let message = format!("the route {destination} overlaps the client CIDR {block}");
            let cure =
                "leave the client CIDR out of it; client_to_client = true lets clients reach each other";
            self.refuse(&key, message, cure);
        }
        // Through another target network it is a way of its own: which is taken is up to the system's routes.
        let same = |other: &Route| {
            other.destination_cidr == destination && other.target_network == route.target_network
        };
        if earlier.iter().any(same) {
            self.refuse(
                &key,
                format!("the route {destination} is given twice"),
                "remove one of them",
            );
        }
        if !spec
            .target_networks
            .iter()
            .any(|network| network.cidr == route.target_network)
        {
            let message = format!("no target network has the cidr {}", route.target_network);
            let cure = "name one of target_networks, or leave the key out for the best match";
            self.refuse(format!("{field}.target_network"), message, cure);
        }
    }

    fn rule(&mut self, field: &str, rule: &AuthorizationRule, earlier: &[AuthorizationRule]) {
        let destination = rule.destination;
        self.keep(
            format!("{field}.destination_cidr"),
            check_destination(destination, self.spec),
        );
        self.keep(
            format!("{field}.description"),
            check_description(rule.description.as_deref()),
        );
        if let Access::Group(group) = &rule.access
            && (group.is_empty() || group.len() > MAX_GROUP_ID || group.chars().any(char::is_control))
        {
            let cure = format!("use 1 to {MAX_GROUP_ID} printable bytes");
            self.refuse(format!("{field}.group_id"), "this is not a group id", cure);
        }
        if rule.services.len() > MAX_SERVICES {
            let message = format!("the rule has {} services", rule.services.len());
            let cure = format!("give at most {MAX_SERVICES}; a range of ports is one");
            self.refuse(format!("{field}.services"), message, cure);
        }
        if let Some(other) = earlier
            .iter()
            .find(|other| other.destination == destination && other.access == rule.access)
        {
            let message = format!("the same rule for {destination} is given twice");
            let cure = if other.services == rule.services {
                "remove one of them"
            } else {
                "make one rule of them, with the services of both"
            };
            self.refuse(format!("{field}.destination_cidr"), message, cure);
        }
    }

    fn static_addresses(&mut self) {
        let spec = self.spec;
        let config = PoolConfig {
            v4: spec.client_cidr_block,
            v6: spec.client_ipv6_cidr_block,
            sticky: false,
        };
        let Ok(mut pool) = Pool::new(config) else { return };
        let mut clients = HashSet::new();
        for (index, entry) in spec.static_addresses.iter().enumerate() {
            let field = format!("static_addresses[{index}]");
            if entry.client.is_empty() || entry.client.chars().any(char::is_control) {
                let cure = "give a user name, or the common name of a certificate";
                self.refuse(format!("{field}.client"), "this is not a client's name", cure);
            }
            if !clients.insert(entry.client.as_str()) {
                let message = format!("{:?} has a static address already", entry.client);
                self.refuse(format!("{field}.client"), message, "give each client one entry");
            }
            let address = entry.address();
            if address == StaticAddress::default() {
                let cure = "set ipv4_address or ipv6_address";
                self.refuse(&field, "no address is given", cure);
            } else if let Err(error) = pool.allocate(&entry.client, Some(address)) {
                let key = if entry.ipv4_address.is_some() {
                    "ipv4_address"
                } else {
                    "ipv6_address"
                };
                let fault = match error {
                    PoolError::AddressInUse(address) => {
                        let message = format!("the static address {address} belongs to another client");
                        Fault::new(message, "give each client an address of its own")
                    }
                    other => pool_fault(&other).1,
                };
                self.problems.push(fault.at(format!("{field}.{key}")));
            }
        }
    }

    fn listen(&mut self) {
        let spec = self.spec;
        if spec.listen_addresses.is_empty() {
            let cure = "name an address, or remove the key to listen on all";
            self.refuse("listen_addresses", "there is no address to listen on", cure);
        }
        for (index, &address) in spec.listen_addresses.iter().enumerate() {
            let field = format!("listen_addresses[{index}]");
            if spec.listen_addresses[..index].contains(&address) {
                self.refuse(&field, format!("{address} is given twice"), "remove one of them");
            }
            let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
            if address.is_multicast() || link_local || mapped {
                let message = format!("{address} is not an address to listen on");
                self.refuse(
                    &field,
                    message,
                    "use an IPv4 or global IPv6 address of this machine",
                );
            }
        }
    }

    fn ciphers(&mut self) {
        let spec = self.spec;
        if spec.data_ciphers.is_empty() {
            self.refuse(
                "data_ciphers",
                "no cipher is offered",
                "list one, or remove the key for the defaults",
            );
        }
        for (index, cipher) in spec.data_ciphers.iter().enumerate() {
            let field = format!("data_ciphers[{index}]");
            if spec.data_ciphers[..index].contains(cipher) {
                self.refuse(
                    &field,
                    format!("{} is given twice", cipher.name()),
                    "remove one of them",
                );
            }
            if cipher.is_cbc() && spec.legacy_cbc.is_none() {
                let message = format!("{} is for old clients only and legacy_cbc is off", cipher.name());
                self.refuse(&field, message, "remove it, or set legacy_cbc = true");
            }
        }
    }

    fn times(&mut self) {
        let spec = self.spec;
        let keepalive = spec.keepalive;
        self.within("keepalive.ping", keepalive.ping, 1, 3600);
        self.within("keepalive.ping_restart", keepalive.ping_restart, 2, 24 * 3600);
        if keepalive.ping_restart < keepalive.ping * 2 {
            let message = "ping_restart is less than two pings, so one lost packet would end a session";
            self.refuse("keepalive.ping_restart", message, "set it to at least twice ping");
        }
        self.within("handshake_window", spec.handshake_window, 5, 600);
        if let Some(timeout) = spec.session_timeout {
            self.within("session_timeout", timeout, 10, 365 * 24 * 3600);
        }
        if let Some(interval) = spec.renegotiation {
            self.within("renegotiation", interval, 5, 7 * 24 * 3600);
        }
        if let Some(command) = spec
            .authentication
            .password()
            .and_then(|password| password.command())
        {
            self.within("authentication.command_timeout", command.timeout, 1, 60);
        }
        let Some(token) = &spec.auth_token else { return };
        if spec.authentication.password().is_none() {
            let message = "tokens stand in for a password and this endpoint asks for none";
            self.refuse(
                "auth_token",
                message,
                "remove auth_token, or add password authentication",
            );
        }
        self.within("auth_token.renewal", token.renewal, 5, 24 * 3600);
        if let Some(lifetime) = token.lifetime {
            self.within("auth_token.lifetime", lifetime, 10, 365 * 24 * 3600);
            if token.renewal > lifetime {
                let message = "a token would expire before it is renewed";
                self.refuse(
                    "auth_token.renewal",
                    message,
                    "make renewal shorter than lifetime",
                );
            }
        }
    }

    fn within(&mut self, field: &str, time: Duration, least: u64, most: u64) {
        if time < Duration::from_secs(least) || time > Duration::from_secs(most) {
            let message = format!("{} seconds is out of range", time.as_secs());
            self.refuse(
                field,
                message,
                format!("choose between {least} and {most} seconds"),
            );
        }
    }

    fn sizes(&mut self) {
        let spec = self.spec;
        let least = if spec.client_ipv6_cidr_block.is_some() {
            1280
        } else {
            576
        };
        if !(least..=MAX_TUN_MTU).contains(&spec.tun_mtu) {
            let cure = format!(
                "choose between {least} and {MAX_TUN_MTU}: {} and networks carry no more",
                if least == 1280 {
                    "IPv6 needs 1280"
                } else {
                    "IPv4 needs 576"
                }
            );
            self.refuse("tun_mtu", format!("an MTU of {} cannot work", spec.tun_mtu), cure);
        }
        let (Mssfix::Mtu(size) | Mssfix::Payload(size) | Mssfix::Fixed(size)) = spec.mssfix else {
            return self.client_limit();
        };
        if !(576..=9000).contains(&size) {
            let cure = "choose between 576 and 9000, or false for none";
            self.refuse(
                "mssfix",
                format!("a packet size of {size} makes no sense here"),
                cure,
            );
        }
        self.client_limit();
    }

    fn client_limit(&mut self) {
        let (v4, v6) = (self.spec.client_cidr_block, self.spec.client_ipv6_cidr_block);
        // 0 where the blocks are no pool, which has been said already.
        let capacity = PoolConfig { v4, v6, sticky: true }.capacity();
        let Some(most) = self.spec.max_clients else { return };
        if most == 0 {
            self.refuse(
                "max_clients",
                "nobody could connect",
                "allow at least one client, or remove the key",
            );
        } else if (1..most).contains(&capacity) {
            let block = self.spec.client_blocks().next();
            let block = block.map(|block| block.to_string()).unwrap_or_default();
            let message = format!("{most} clients do not fit into {block}, which holds {capacity}");
            self.refuse(
                "max_clients",
                message,
                "use a larger client_cidr_block or a smaller number",
            );
        }
    }

    fn pushed(&mut self) {
        let spec = self.spec;
        if spec.dns_servers.len() > MAX_DNS_SERVERS {
            let message = format!("{} DNS servers are too many", spec.dns_servers.len());
            let cure = format!("list at most {MAX_DNS_SERVERS}; devices rarely use more than two");
            self.refuse("dns_servers", message, cure);
        }
        for (index, &server) in spec.dns_servers.iter().enumerate() {
            let field = format!("dns_servers[{index}]");
            if spec.dns_servers[..index].contains(&server) {
                self.refuse(&field, format!("{server} is given twice"), "remove one of them");
            }
            if server.is_unspecified() || server.is_multicast() || server.is_loopback() {
                let message = format!("clients cannot ask a DNS server at {server}");
                self.refuse(
                    &field,
                    message,
                    "give an address that clients can reach through the tunnel",
                );
            }
        }
        if spec.domains.len() > MAX_DOMAINS {
            let message = format!("{} search domains are too many", spec.domains.len());
            self.refuse("domains", message, format!("list at most {MAX_DOMAINS}"));
        }
        for (index, domain) in spec.domains.iter().enumerate() {
            self.keep(format!("domains[{index}]"), check_domain(domain));
        }
        for (index, option) in spec.push.iter().enumerate() {
            self.keep(format!("push[{index}]"), check_push(option, spec.split_tunnel));
        }
    }
}

/// The field a pool error is about, and the error as a fault.
fn pool_fault(error: &PoolError) -> (&'static str, Fault) {
    let field = match error {
        PoolError::HostBitsSetV6 { .. } | PoolError::V6TooSmall { .. } | PoolError::LoneV6TooSmall { .. } => {
            "client_ipv6_cidr_block"
        }
        _ => "client_cidr_block",
    };
    let text = error.to_string();
    let (message, cure) = text.split_once("; ").unwrap_or((&text, "choose another address"));
    (field, Fault::new(message, cure))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be an endpoint's name");
    Err(Fault::new(
        message,
        "use 1 to 64 letters, digits, '.', '_' and '-'",
    ))
}

fn check_description(description: Option<&str>) -> Result<(), Fault> {
    match description.map(|text| text.chars().count()) {
        Some(length) if length > MAX_DESCRIPTION => Err(Fault::new(
            format!("the description has {length} characters"),
            format!("shorten it to {MAX_DESCRIPTION}"),
        )),
        _ => Ok(()),
    }
}

/// Linux: at most 15 bytes, no slash, no blank, not `.` or `..`.
pub(crate) fn check_device_name(name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if (1..=15).contains(&name.len()) && name.chars().all(plain) && name != "." && name != ".." {
        return Ok(());
    }
    let message = format!("{name:?} cannot be the name of a network interface");
    Err(Fault::new(
        message,
        "use 1 to 15 letters, digits, '.', '_' and '-'",
    ))
}

/// The first device `cvpn0`, `cvpn1`, ... that is not taken.
pub(crate) fn default_device(taken: &HashSet<String>) -> String {
    (0..=taken.len())
        .map(|n| format!("cvpn{n}"))
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

/// A destination must be a network address of a family the clients have.
fn check_destination(network: IpNetwork, spec: &EndpointSpec) -> Result<(), Fault> {
    if network.ip() != network.network() {
        let cure = format!("write {}/{} instead", network.network(), network.prefix());
        return Err(Fault::new(format!("{network} is not a network address"), cure));
    }
    if network.is_ipv6() && spec.client_ipv6_cidr_block.is_none() {
        let message = format!("{network} is IPv6, but clients of this endpoint get no IPv6 address");
        return Err(Fault::new(message, "set client_ipv6_cidr_block, or remove this"));
    }
    if network.is_ipv4() && spec.client_cidr_block.is_none() {
        let message = format!("{network} is IPv4, but clients of this endpoint get no IPv4 address");
        return Err(Fault::new(message, "set client_cidr_block, or remove this"));
    }
    Ok(())
}

/// The client CIDR that shares addresses with a network.
fn overlapping_block(network: IpNetwork, spec: &EndpointSpec) -> Option<IpNetwork> {
    spec.client_blocks().find(|&block| overlap(block, network))
}

/// True when two networks share an address.
pub fn overlap(a: IpNetwork, b: IpNetwork) -> bool {
    a.is_ipv4() == b.is_ipv4() && (a.contains(b.network()) || b.contains(a.network()))
}

/// What is special about a block that clients cannot live in.
pub(crate) fn special_purpose(block: IpNetwork) -> Option<&'static str> {
    let special: [(&str, &str); 8] = [
        ("0.0.0.0/8", "unspecified"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/8", "reserved"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    ];
    special
        .into_iter()
        .find(|(network, _)| network.parse().is_ok_and(|network| overlap(network, block)))
        .map(|(_, name)| name)
}
