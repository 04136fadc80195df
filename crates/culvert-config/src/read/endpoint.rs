//! An `[[endpoint]]` block.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use super::authentication::authentication;
use super::control_channel::control_channel;
use super::document::Document;
use super::log_group::connection_log;
use super::networks::networks;
use super::table::Table;
use super::values::{
    address, boolean, choice, duration, duration_or_off, mssfix, network_v4, network_v6, number, string,
    text, word,
};
use super::warnings::warn;
use crate::config::FileKind;
use crate::endpoint::{
    AuthToken, Authentication, ClientCertificates, ConnectHandler, DataCipher, Digest, EndpointConfig,
    EndpointSpec, StaticClient, TlsVersion, TransportProtocols, default_device,
};
use crate::environment::Environment;
use crate::error::Fault;

/// Reads and validates one block; `None` when something was reported.
pub(crate) fn read_endpoint(
    document: &Document<'_>,
    table: Table<'_, '_>,
    devices: &mut HashSet<String>,
    environment: &Environment,
) -> Option<EndpointConfig> {
    let place = table.path.clone();
    let (mut spec, mut missing) = endpoint(&table, devices);
    spec.connect_handler = table.read("connect_handler", |value| {
        word(value, |name| handler(name, &environment.connect_handlers))
    });
    if table.has("connect_handler") && spec.connect_handler.is_none() {
        missing.push("connect_handler");
    }
    match connection_log(&table, &spec.name, &environment.log_groups) {
        Ok(log) => spec.connection_log = log,
        Err(()) => missing.push("connection_log"),
    }
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
                field.starts_with(key)
                    || key == "authentication" && field.starts_with("auth_token")
                    || key == "target_networks" && field.starts_with("routes")
            };
            let real = problems
                .into_iter()
                .filter(|p| !missing.iter().any(|key| follows(&p.field, key)));
            real.for_each(|problem| document.refuse_field(&place, problem));
            None
        }
    }
}

/// The handler with this name.
fn handler(name: &str, handlers: &[ConnectHandler]) -> Result<ConnectHandler, Fault> {
    let mut all = handlers.iter();
    all.find(|handler| handler.function == name)
        .cloned()
        .ok_or_else(|| {
            let cure = "name the function of a [[connect_handler]], or add one";
            Fault::new(format!("there is no connect handler {name:?}"), cure)
        })
}

/// The block as far as it could be read, and the keys that could not be read in full.
fn endpoint(table: &Table<'_, '_>, devices: &mut HashSet<String>) -> (EndpointSpec, Vec<&'static str>) {
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
    let certificate = table.require_file("server_certificate", FileKind::public("server certificate"));
    let key = table.require_file("server_private_key", FileKind::secret("server private key"));
    let authentication = authentication(table);
    let found = [
        ("name", name.is_some()),
        ("client_cidr_block", cidr.is_some()),
        ("server_certificate", certificate.is_some()),
        ("server_private_key", key.is_some()),
        ("authentication", authentication.is_some()),
    ];
    let mut missing: Vec<_> = found
        .into_iter()
        .filter(|(_, found)| !found)
        .map(|(key, _)| key)
        .collect();
    // Stand-ins let the rest of the block be read, and so reported.
    let certificates = ClientCertificates {
        ca: PathBuf::new().into(),
        crl: None,
        verify_x509_name: None,
        groups: None,
    };
    let mut spec = EndpointSpec::new(
        name.unwrap_or_default(),
        cidr.unwrap_or_else(stand_in),
        certificate.unwrap_or_default(),
        key.unwrap_or_default(),
        authentication.unwrap_or(Authentication::Certificate(certificates)),
    );
    outside(table, &mut spec);
    inside(table, &mut spec);
    networks(table, &mut spec);
    sessions(table, &mut spec);
    spec.device = table
        .read("device", string)
        .unwrap_or_else(|| default_device(devices));
    devices.insert(spec.device.clone());
    let lists = [
        ("listen_addresses", spec.listen_addresses.len()),
        ("data_ciphers", spec.data_ciphers.len()),
        ("dns_servers", spec.dns_servers.len()),
        ("domains", spec.domains.len()),
        ("target_networks", spec.target_networks.len()),
        ("routes", spec.routes.len()),
        ("authorization_rules", spec.authorization_rules.len()),
        ("static_addresses", spec.static_addresses.len()),
        ("push", spec.push.len()),
    ];
    // A list that lost a bad element has other indices than the file.
    missing.extend(
        lists
            .iter()
            .filter(|(key, read)| table.length(key).is_some_and(|n| n != *read))
            .map(|(key, _)| *key),
    );
    (spec, missing)
}

/// How clients reach the endpoint and what protects the way.
fn outside(table: &Table<'_, '_>, spec: &mut EndpointSpec) {
    spec.description = table.read("description", string);
    replace(&mut spec.transport_protocol, transport(table));
    replace(
        &mut spec.listen_addresses,
        table.list("listen_addresses", address),
    );
    let port = table.read("vpn_port", |value| number::<u16>(value, 1, 65535));
    replace(&mut spec.vpn_port, port.and_then(NonZeroU16::new));
    replace(&mut spec.control_channel, control_channel(table));
    replace(
        &mut spec.tls_version_min,
        table.read("tls_version_min", |value| word(value, TlsVersion::parse)),
    );
    replace(
        &mut spec.data_ciphers,
        table.list("data_ciphers", |value| word(value, DataCipher::parse)),
    );
    replace(&mut spec.data_epoch, table.read("data_epoch", boolean));
    replace(&mut spec.tls_key_export, table.read("tls_key_export", boolean));
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
fn inside(table: &Table<'_, '_>, spec: &mut EndpointSpec) {
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
            format!("the topology {other:?} is not supported: it wastes addresses and no client needs it"),
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

/// How long sessions, keys and tokens live.
fn sessions(table: &Table<'_, '_>, spec: &mut EndpointSpec) {
    let hours = table.read("session_timeout_hours", |value| number::<u32>(value, 1, 8760));
    let timeout = table.read("session_timeout", duration_or_off);
    if hours.is_some() && timeout.is_some() {
        let message = "session_timeout and session_timeout_hours are both given";
        table.refuse_key("session_timeout_hours", Fault::new(message, "remove one of them"));
    }
    let hours = hours.map(|hours| Some(Duration::from_secs(u64::from(hours) * 3600)));
    replace(&mut spec.session_timeout, timeout.or(hours));
    let stays_away = table.read("disconnect_on_session_timeout", boolean);
    replace(&mut spec.disconnect_on_session_timeout, stays_away);
    if let Some(keepalive) = table.table("keepalive") {
        replace(&mut spec.keepalive.ping, keepalive.read("ping", duration));
        replace(
            &mut spec.keepalive.ping_restart,
            keepalive.read("ping_restart", duration),
        );
        keepalive.finish();
    }
    replace(
        &mut spec.handshake_window,
        table.read("handshake_window", duration),
    );
    replace(
        &mut spec.renegotiation,
        table.read("renegotiation", duration_or_off),
    );
    auth_token(table, spec);
    spec.max_clients = table.read("max_clients", |value| number(value, 0, 1 << 24));
    replace(&mut spec.duplicate_cn, table.read("duplicate_cn", boolean));
}

fn auth_token(table: &Table<'_, '_>, spec: &mut EndpointSpec) {
    let given = table.has("auth_token");
    let asks_password = spec.authentication.password().is_some();
    if given && table.is_false("auth_token") {
        spec.auth_token = None;
        return;
    }
    let lifetime_default = spec.session_timeout;
    let read = if given { table.table("auth_token") } else { None };
    let key = read
        .as_ref()
        .and_then(|token| token.file("key", FileKind::secret("auth-token key")));
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
        key,
        lifetime,
        renewal: renewal.unwrap_or(usual),
    };
    spec.auth_token = (asks_password || given).then_some(token);
}

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
