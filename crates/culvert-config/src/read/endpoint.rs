//! An `[[endpoint]]` block.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use culvert_policy::{Access, AuthorizationRule};
use ipnetwork::IpNetwork;

use super::document::Document;
use super::table::{Table, Value};
use super::values::{
    address, boolean, choice, duration, duration_or_off, mssfix, network, network_v4, network_v6, number,
    path, string, text, word,
};
use crate::endpoint::{
    AuthToken, Authentication, CertificatePolicy, ClientCertificates, Combine, ControlChannel, DataCipher,
    Digest, EndpointConfig, EndpointSpec, ExternalCommand, KeyDirection, PasswordCheck, Route, StaticClient,
    StaticKeyWrap, TargetNetwork, TlsAuth, TlsCryptV2, TlsVersion, TransportProtocols, VerifyX509Name,
    default_device,
};
use crate::error::Fault;

/// Reads and validates one block; `None` when something was reported.
pub(crate) fn read_endpoint(
    document: &Document<'_>,
    table: Table<'_, '_>,
    devices: &mut HashSet<String>,
) -> Option<EndpointConfig> {
    let reader = Reader { document };
    let place = table.path.clone();
    let (spec, missing) = reader.endpoint(&table, devices);
    table.finish();
    match spec.validate() {
        Ok(endpoint) if missing.is_empty() => {
            warn(document, &place, &endpoint);
            Some(endpoint)
        }
        Ok(_) => None,
        Err(problems) => {
            // What is missing has been reported; what its stand-in led to would only confuse.
            let follows = |field: &str, key: &str| {
                field.starts_with(key) || key == "authentication" && field.starts_with("auth_token")
            };
            let real = problems
                .into_iter()
                .filter(|p| !missing.iter().any(|key| follows(&p.field, key)));
            real.for_each(|problem| document.refuse_field(&place, problem));
            None
        }
    }
}

struct Reader<'d> {
    document: &'d Document<'d>,
}

impl Reader<'_> {
    /// The block as far as it could be read, and the keys that need a value and have none.
    fn endpoint(
        &self,
        table: &Table<'_, '_>,
        devices: &mut HashSet<String>,
    ) -> (EndpointSpec, Vec<&'static str>) {
        let name = table.require(
            "name",
            "write a name of your choice, as in name = \"office\"",
            string,
        );
        let cidr = table.require(
            "client_cidr_block",
            "write a range no network of yours uses, as in client_cidr_block = \"10.8.0.0/22\"",
            network_v4,
        );
        let certificate = self.require_file(table, "server_certificate", "server certificate", false);
        let key = self.require_file(table, "server_private_key", "server private key", true);
        let authentication = self.authentication(table);
        let found = [
            ("name", name.is_some()),
            ("client_cidr_block", cidr.is_some()),
            ("server_certificate", certificate.is_some()),
            ("server_private_key", key.is_some()),
            ("authentication", authentication.is_some()),
        ];
        let missing = found
            .into_iter()
            .filter(|(_, found)| !found)
            .map(|(key, _)| key)
            .collect();
        // Stand-ins let the rest of the block be read, and so reported.
        let certificates = ClientCertificates {
            ca: PathBuf::new(),
            crl: None,
            verify_x509_name: None,
        };
        let mut spec = EndpointSpec::new(
            name.unwrap_or_default(),
            cidr.unwrap_or_else(stand_in),
            certificate.unwrap_or_default(),
            key.unwrap_or_default(),
            authentication.unwrap_or(Authentication::Certificate(certificates)),
        );
        self.outside(table, &mut spec);
        self.inside(table, &mut spec);
        self.networks(table, &mut spec);
        self.sessions(table, &mut spec);
        spec.device = table
            .read("device", string)
            .unwrap_or_else(|| default_device(devices));
        devices.insert(spec.device.clone());
        (spec, missing)
    }

    /// How clients reach the endpoint and what protects the way.
    fn outside(&self, table: &Table<'_, '_>, spec: &mut EndpointSpec) {
        spec.description = table.read("description", string);
        replace(&mut spec.transport_protocol, transport(table));
        replace(
            &mut spec.listen_addresses,
            table.list("listen_addresses", address),
        );
        let port = table.read("vpn_port", |value| number::<u16>(value, 1, 65535));
        replace(&mut spec.vpn_port, port.and_then(NonZeroU16::new));
        replace(&mut spec.control_channel, self.control_channel(table));
        replace(
            &mut spec.tls_version_min,
            table.read("tls_version_min", |value| word(value, TlsVersion::parse)),
        );
        replace(
            &mut spec.data_ciphers,
            table.list("data_ciphers", |value| word(value, DataCipher::parse)),
        );
        let legacy = table.read("legacy_cbc", boolean).unwrap_or(false);
        let digest = table.read("legacy_digest", |value| word(value, Digest::parse));
        if digest.is_some() && !legacy {
            let message = "legacy_digest is for the CBC ciphers and legacy_cbc is off";
            table.refuse_key(
                "legacy_digest",
                Fault::new(message, "remove it, or set legacy_cbc = true"),
            );
        }
        spec.legacy_cbc = legacy.then(|| digest.unwrap_or(Digest::Sha1));
    }

    /// What clients are given.
    fn inside(&self, table: &Table<'_, '_>, spec: &mut EndpointSpec) {
        spec.client_ipv6_cidr_block = table.read("client_ipv6_cidr_block", network_v6);
        replace(&mut spec.dns_servers, table.list("dns_servers", address));
        replace(&mut spec.domains, table.list("domains", string));
        replace(&mut spec.split_tunnel, table.read("split_tunnel", boolean));
        spec.banner = table.read("banner", string);
        replace(
            &mut spec.tun_mtu,
            table.read("tun_mtu", |value| number(value, 0, 65535)),
        );
        replace(&mut spec.mssfix, table.read("mssfix", mssfix));
        replace(&mut spec.push, table.list("push", string));
        let _topology = table.read("topology", |value| match text(value)? {
            "subnet" => Ok(()),
            other => Err(Fault::new(
                format!(
                    "the topology {other:?} is not supported: it wastes addresses and no client needs it"
                ),
                "remove the key: clients always get \"subnet\"",
            )),
        });
        for entry in table.tables("static_addresses") {
            let client = entry.require("client", "write a user name or common name", string);
            let ipv4_address = entry.read("ipv4_address", address);
            let ipv6_address = entry.read("ipv6_address", address);
            entry.finish();
            let read = client.map(|client| StaticClient {
                client,
                ipv4_address,
                ipv6_address,
            });
            spec.static_addresses.extend(read);
        }
    }

    /// What lies behind the endpoint and who may go there.
    fn networks(&self, table: &Table<'_, '_>, spec: &mut EndpointSpec) {
        for entry in table.tables("target_networks") {
            let cidr = entry.require("cidr", "write the network, as in cidr = \"10.0.0.0/16\"", network);
            let interface = entry.read("interface", string);
            let nat = entry.read("nat", boolean);
            entry.finish();
            let read = cidr.map(|cidr| TargetNetwork {
                cidr,
                interface,
                nat: nat.unwrap_or_else(|| cidr.is_ipv4()),
            });
            spec.target_networks.extend(read);
        }
        for entry in table.tables("routes") {
            let cure = "write the destination, as in destination_cidr = \"0.0.0.0/0\"";
            let destination = entry.require("destination_cidr", cure, network);
            let through = entry.read("target_network", network);
            let description = entry.read("description", string);
            let Some(destination_cidr) = destination else {
                entry.finish();
                continue;
            };
            match through.or_else(|| best_target(destination_cidr, &spec.target_networks)) {
                Some(target_network) => {
                    spec.routes.push(Route {
                        destination_cidr,
                        target_network,
                        description,
                    });
                }
                None => entry.refuse(Fault::new(
                    format!("the route {destination_cidr} leads nowhere: there is no target network for it"),
                    "add one to target_networks",
                )),
            }
            entry.finish();
        }
        for entry in table.tables("authorization_rules") {
            spec.authorization_rules.extend(rule(&entry));
            entry.finish();
        }
        replace(
            &mut spec.client_to_client,
            table.read("client_to_client", boolean),
        );
    }

    /// How long sessions, keys and tokens live.
    fn sessions(&self, table: &Table<'_, '_>, spec: &mut EndpointSpec) {
        let hours = table.read("session_timeout_hours", |value| number::<u32>(value, 1, 8760));
        let timeout = table.read("session_timeout", duration_or_off);
        if hours.is_some() && timeout.is_some() {
            let message = "session_timeout and session_timeout_hours are both given";
            table.refuse_key("session_timeout_hours", Fault::new(message, "remove one of them"));
        }
        let hours = hours.map(|hours| Some(Duration::from_secs(u64::from(hours) * 3600)));
        replace(&mut spec.session_timeout, timeout.or(hours));
        if let Some(keepalive) = table.table("keepalive") {
            replace(&mut spec.keepalive.ping, keepalive.read("ping", duration));
            replace(
                &mut spec.keepalive.ping_restart,
                keepalive.read("ping_restart", duration),
            );
            keepalive.finish();
        }
        replace(
            &mut spec.renegotiation,
            table.read("renegotiation", duration_or_off),
        );
        self.auth_token(table, spec);
        spec.max_clients = table.read("max_clients", |value| number(value, 0, 1 << 24));
        replace(&mut spec.duplicate_cn, table.read("duplicate_cn", boolean));
    }

    fn auth_token(&self, table: &Table<'_, '_>, spec: &mut EndpointSpec) {
        let given = table.has("auth_token");
        let asks_password = spec.authentication.password().is_some();
        if given && table.is_false("auth_token") {
            spec.auth_token = None;
            return;
        }
        let lifetime_default = spec.session_timeout;
        let read = if given { table.table("auth_token") } else { None };
        let lifetime = read
            .as_ref()
            .and_then(|token| token.read("lifetime", duration_or_off));
        let renewal = read.as_ref().and_then(|token| token.read("renewal", duration));
        if let Some(token) = read {
            token.finish();
        }
        let lifetime = lifetime.unwrap_or(lifetime_default);
        let longest = lifetime.unwrap_or(Duration::MAX);
        let usual = spec.renegotiation.unwrap_or(Duration::from_secs(3600));
        let usual = usual.min(Duration::from_secs(24 * 3600)).min(longest);
        let token = AuthToken {
            lifetime,
            renewal: renewal.unwrap_or(usual),
        };
        spec.auth_token = (asks_password || given).then_some(token);
    }

    fn control_channel(&self, table: &Table<'_, '_>) -> Option<ControlChannel> {
        let table = table.table("control_channel")?;
        let tls_auth = table.table("tls_auth").and_then(|entry| {
            let key = self.require_file(&entry, "key", "tls-auth key", true);
            let direction = entry.read("direction", key_direction);
            let digest = entry.read("digest", |value| word(value, Digest::parse));
            entry.finish();
            Some(TlsAuth {
                key: key?,
                direction: direction.unwrap_or(KeyDirection::Zero),
                digest: digest.unwrap_or(Digest::Sha1),
            })
        });
        let tls_crypt = table.table("tls_crypt").and_then(|entry| {
            let key = self.require_file(&entry, "key", "tls-crypt key", true);
            entry.finish();
            key
        });
        let v2 = table.table("tls_crypt_v2").and_then(|entry| {
            let server_key = self.require_file(&entry, "server_key", "tls-crypt-v2 server key", true);
            let force_cookie = entry.read("force_cookie", boolean).unwrap_or(false);
            entry.finish();
            Some(TlsCryptV2 {
                server_key: server_key?,
                force_cookie,
            })
        });
        if tls_auth.is_some() && tls_crypt.is_some() {
            let message = "tls_auth and tls_crypt exclude each other: their packets look alike";
            table.refuse_key(
                "tls_auth",
                Fault::new(message, "keep one; tls_crypt_v2 may go with either"),
            );
            return None;
        }
        let wrap = tls_auth
            .map(StaticKeyWrap::TlsAuth)
            .or_else(|| tls_crypt.map(StaticKeyWrap::TlsCrypt));
        table.finish();
        Some(match (v2, wrap) {
            (Some(v2), wrap) => ControlChannel::TlsCryptV2(v2, wrap),
            (None, Some(wrap)) => ControlChannel::Static(wrap),
            (None, None) => ControlChannel::Plain,
        })
    }

    fn authentication(&self, endpoint: &Table<'_, '_>) -> Option<Authentication> {
        let how = "say how clients prove who they are: client_ca for certificates, users_file or command for \
                   passwords";
        if !endpoint.has("authentication") {
            endpoint.refuse(Fault::new(
                "authentication is missing",
                format!("add [endpoint.authentication] and {how}"),
            ));
        }
        let table = endpoint.table("authentication")?;
        let words = [
            ("required", CertificatePolicy::Required),
            ("optional", CertificatePolicy::Optional),
            ("none", CertificatePolicy::None),
        ];
        let wanted = table.read("client_certificate", |value| choice(value, &words));
        let certificates = self.certificates(&table);
        let password = self.password(&table);
        let (Ok(certificates), Ok(password)) = (certificates, password) else {
            table.finish();
            return None;
        };
        let wanted = wanted.unwrap_or_else(|| {
            if certificates.is_some() {
                CertificatePolicy::Required
            } else {
                CertificatePolicy::None
            }
        });
        let refuse = |key, message: &str, cure: &str| {
            table.refuse_key(key, Fault::new(message, cure));
            None
        };
        let found = match (wanted, certificates, password) {
            (CertificatePolicy::None, None, None) => {
                refuse("authentication", "nobody could prove who they are", how)
            }
            (CertificatePolicy::None, None, Some(password)) => Some(Authentication::Password(password)),
            (CertificatePolicy::None, Some(_), _) => refuse(
                "client_ca",
                "client_ca is given, but client_certificate is \"none\"",
                "remove one of them",
            ),
            (CertificatePolicy::Required | CertificatePolicy::Optional, None, _) => refuse(
                "client_certificate",
                "client certificates are wanted, but client_ca is missing",
                "add client_ca with the authority that issues them",
            ),
            (CertificatePolicy::Required, Some(certificates), None) => {
                Some(Authentication::Certificate(certificates))
            }
            (CertificatePolicy::Required, Some(certificates), Some(password)) => {
                Some(Authentication::CertificateAndPassword(certificates, password))
            }
            (CertificatePolicy::Optional, Some(certificates), Some(password)) => Some(
                Authentication::PasswordAndOptionalCertificate(certificates, password),
            ),
            (CertificatePolicy::Optional, Some(_), None) => refuse(
                "client_certificate",
                "an optional certificate and no password would let everybody in",
                "use \"required\", or add users_file or command",
            ),
        };
        table.finish();
        found
    }

    fn certificates(&self, table: &Table<'_, '_>) -> Result<Option<ClientCertificates>, Reported> {
        let ca = self.file(table, "client_ca", "client CA", false);
        let crl = self.file(table, "crl", "certificate revocation list", false);
        let verify_x509_name = table
            .table("verify_x509_name")
            .and_then(|entry| verify_x509_name(&entry));
        match ca {
            Some(ca) => Ok(Some(ClientCertificates {
                ca,
                crl,
                verify_x509_name,
            })),
            None if table.has("client_ca") => Err(Reported),
            None => {
                for key in ["crl", "verify_x509_name"] {
                    if table.has(key) {
                        let message = format!("{key} is about client certificates, but client_ca is missing");
                        table.refuse_key(key, Fault::new(message, "add client_ca, or remove this key"));
                        return Err(Reported);
                    }
                }
                Ok(None)
            }
        }
    }

    fn password(&self, table: &Table<'_, '_>) -> Result<Option<PasswordCheck>, Reported> {
        let users_file = self.file(table, "users_file", "users file", true);
        let command = self.command(table)?;
        let words = [("any", Combine::Any), ("all", Combine::All)];
        let combine = table.read("combine", |value| choice(value, &words));
        match (users_file, command) {
            (Some(users_file), Some(command)) => match combine {
                Some(combine) => Ok(Some(PasswordCheck::Combined {
                    users_file,
                    command,
                    combine,
                })),
                None => {
                    if !table.has("combine") {
                        let cure = "set combine = \"any\" (one must accept) or \"all\" (both must)";
                        table.refuse_key(
                            "command",
                            Fault::new("users_file and command are both given", cure),
                        );
                    }
                    Err(Reported)
                }
            },
            _ if table.has("combine") => {
                let message = "combine needs both users_file and command";
                table.refuse_key(
                    "combine",
                    Fault::new(message, "add the other one, or remove combine"),
                );
                Err(Reported)
            }
            (Some(users_file), None) => Ok(Some(PasswordCheck::UsersFile(users_file))),
            (None, Some(command)) => Ok(Some(PasswordCheck::Command(command))),
            (None, None) if table.has("users_file") => Err(Reported),
            (None, None) => Ok(None),
        }
    }

    fn command(&self, table: &Table<'_, '_>) -> Result<Option<ExternalCommand>, Reported> {
        let timeout = table.read("command_timeout", duration);
        let Some(words) = table.list("command", string) else {
            if table.has("command") {
                return Err(Reported);
            }
            if table.has("command_timeout") {
                let message = "command_timeout is given, but command is missing";
                table.refuse_key(
                    "command_timeout",
                    Fault::new(message, "add command, or remove this key"),
                );
                return Err(Reported);
            }
            return Ok(None);
        };
        let mut words = words.into_iter();
        match words.next().filter(|program| program.contains('/')) {
            Some(program) => Ok(Some(ExternalCommand {
                program: self.document.folder().join(program),
                arguments: words.collect(),
                timeout: timeout.unwrap_or(Duration::from_secs(30)),
            })),
            None => {
                let cure = "write [\"/path/to/program\", \"argument\"]; programs are not looked up in PATH";
                table.refuse_key(
                    "command",
                    Fault::new("the command does not start with a path", cure),
                );
                Err(Reported)
            }
        }
    }

    fn file(
        &self,
        table: &Table<'_, '_>,
        key: &'static str,
        purpose: &'static str,
        secret: bool,
    ) -> Option<PathBuf> {
        table.read(key, |value| {
            let path = path(value)?;
            Ok(self.document.file(path, &value.span, purpose, secret))
        })
    }

    fn require_file(
        &self,
        table: &Table<'_, '_>,
        key: &'static str,
        purpose: &'static str,
        secret: bool,
    ) -> Option<PathBuf> {
        if !table.has(key) {
            let cure = format!("give the path of the {purpose}");
            table.refuse(Fault::new(format!("{key} is missing"), cure));
        }
        self.file(table, key, purpose, secret)
    }
}

/// A direction as in OpenVPN, 0 or 1 with or without quotes, or `"both"` for none.
fn key_direction(value: &Value<'_, '_>) -> Result<KeyDirection, Fault> {
    let words = [
        ("0", KeyDirection::Zero),
        ("1", KeyDirection::One),
        ("both", KeyDirection::Both),
    ];
    match number::<u8>(value, 0, 1) {
        Ok(0) => Ok(KeyDirection::Zero),
        Ok(_) => Ok(KeyDirection::One),
        Err(_) => choice(value, &words).map_err(|_| {
            let cure = "write 0 (usual for servers), 1, or \"both\" when the clients have no key-direction";
            Fault::new("this is not a key direction", cure)
        }),
    }
}

/// Something is wrong and has been reported.
struct Reported;

/// Overwrites a default with what was read.
fn replace<T>(slot: &mut T, read: Option<T>) {
    if let Some(value) = read {
        *slot = value;
    }
}

/// A client CIDR for reading on after the real one turned out unusable.
fn stand_in() -> ipnetwork::Ipv4Network {
    ipnetwork::Ipv4Network::from(std::net::Ipv4Addr::UNSPECIFIED)
}

fn transport(table: &Table<'_, '_>) -> Option<TransportProtocols> {
    let words = [("udp", TransportProtocols::Udp), ("tcp", TransportProtocols::Tcp)];
    if table.peek("transport_protocol").is_some() {
        return table.read("transport_protocol", |value| choice(value, &words));
    }
    let list = table.list("transport_protocol", |value| choice(value, &words))?;
    let (udp, tcp) = (
        list.contains(&TransportProtocols::Udp),
        list.contains(&TransportProtocols::Tcp),
    );
    match (udp, tcp) {
        (true, true) => Some(TransportProtocols::UdpAndTcp),
        (true, false) => Some(TransportProtocols::Udp),
        (false, true) => Some(TransportProtocols::Tcp),
        (false, false) => {
            let fault = Fault::new(
                "no transport is named",
                "write \"udp\", \"tcp\" or [\"udp\", \"tcp\"]",
            );
            table.refuse_key("transport_protocol", fault);
            None
        }
    }
}

fn verify_x509_name(table: &Table<'_, '_>) -> Option<VerifyX509Name> {
    type Make = fn(String) -> VerifyX509Name;
    let kinds: [(&str, Make); 3] = [
        ("subject", VerifyX509Name::Subject),
        ("name", VerifyX509Name::Name),
        ("name-prefix", VerifyX509Name::NamePrefix),
    ];
    let name = table.require("name", "write the name to compare with", |value| {
        match string(value)? {
            name if name.is_empty() => Err(Fault::new("the name is empty", "write the name to compare with")),
            name => Ok(name),
        }
    });
    let cure = "write \"subject\", \"name\" or \"name-prefix\"";
    let make = table.require("type", cure, |value| choice(value, &kinds));
    Some(make?(name?))
}

fn rule(table: &Table<'_, '_>) -> Option<AuthorizationRule> {
    let cure = "write the destination, as in destination_cidr = \"10.0.0.0/16\"";
    let destination = table.require("destination_cidr", cure, network);
    let all = table.read("access_all", boolean);
    let group = table.read("group_id", string);
    let description = table.read("description", string);
    let access = match (all.unwrap_or(false), group) {
        (true, None) => Some(Access::AllUsers),
        (false, Some(group)) => Some(Access::Group(group)),
        (true, Some(_)) => {
            let message = "the rule names a group and admits everybody";
            table.refuse_key("access_all", Fault::new(message, "keep access_all or group_id"));
            None
        }
        (false, None) if table.has("group_id") => None,
        (false, None) => {
            let cure = "write access_all = true or group_id = \"...\"";
            table.refuse(Fault::new("the rule admits nobody", cure));
            None
        }
    };
    Some(AuthorizationRule {
        destination: destination?,
        access: access?,
        description,
    })
}

/// The target network a route most likely means: one that contains it, else the first of its family.
fn best_target(destination: IpNetwork, targets: &[TargetNetwork]) -> Option<IpNetwork> {
    let same_family = |target: &&TargetNetwork| target.cidr.is_ipv4() == destination.is_ipv4();
    let containing = targets
        .iter()
        .filter(same_family)
        .filter(|target| {
            target.cidr.contains(destination.network()) && target.cidr.prefix() <= destination.prefix()
        })
        .max_by_key(|target| target.cidr.prefix());
    containing
        .or_else(|| targets.iter().find(same_family))
        .map(|target| target.cidr)
}

/// Reports what is possible but hardly meant.
fn warn(document: &Document<'_>, place: &str, endpoint: &EndpointConfig) {
    let warn = |field: &str, message: &str, cure: &str| {
        document.warn(&format!("{place}.{field}"), Fault::new(message, cure));
    };
    if endpoint.authorization_rules.is_empty() {
        let cure = "add authorization_rules; nothing is allowed without one";
        warn(
            "authorization_rules",
            "clients of this endpoint may reach nothing",
            cure,
        );
    } else if endpoint.target_networks.is_empty() && !endpoint.client_to_client {
        let cure = "add target_networks";
        warn(
            "target_networks",
            "clients of this endpoint can reach nothing but the server itself",
            cure,
        );
    }
    let default_route = endpoint.route_table().iter().any(|network| network.prefix() <= 1);
    if !endpoint.split_tunnel && !default_route {
        let message = "clients send everything into the tunnel, but there is no default route behind it";
        let cure = "set split_tunnel = true, or add a route and a rule for 0.0.0.0/0";
        warn("split_tunnel", message, cure);
    }
    if endpoint.split_tunnel && default_route {
        let message = "a default route makes split_tunnel behave like a full tunnel";
        warn(
            "split_tunnel",
            message,
            "remove the route for 0.0.0.0/0, or set split_tunnel = false",
        );
    }
    for (index, rule) in endpoint.authorization_rules.iter().enumerate() {
        let field = format!("authorization_rules[{index}]");
        if endpoint.authentication.password().is_none() && matches!(rule.access, Access::Group(_)) {
            let message = "certificates carry no groups, so this rule admits nobody";
            warn(
                &field,
                message,
                "use access_all = true, or add password authentication",
            );
        }
        let routed = endpoint.forwarded_destinations();
        if !routed
            .iter()
            .any(|network| crate::endpoint::overlap(*network, rule.destination))
        {
            let message = format!("no route leads to {}", rule.destination);
            warn(&field, &message, "add it to routes or target_networks");
        }
    }
}
