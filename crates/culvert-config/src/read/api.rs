//! `[api]`: where endpoints are managed at run time.

use std::net::SocketAddr;
use std::path::Path;

use super::document::Document;
use super::table::Table;
use super::values::{path, socket_address};
use crate::config::FileKind;
use crate::environment::{Api, ApiCertificate, Environment, Quotas};
use crate::error::Fault;

/// Where the API is unless told otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8443);

/// Reads the section. Access keys are in the state folder unless a file is named.
pub(super) fn api(document: &Document<'_>, root: &Table<'_, '_>, state_dir: &Path) -> Option<Api> {
    let table = root.table("api")?;
    let listen = table.read("listen", socket_address).unwrap_or(DEFAULT_LISTEN);
    let certificate = table.file("certificate", FileKind::public("certificate of the API"));
    let private_key = table.file("private_key", FileKind::secret("private key of the API"));
    // Made by whoever adds the first key.
    let access_keys = table.read("access_keys", |value| {
        let kind = FileKind {
            optional: true,
            ..FileKind::secret("file of access keys")
        };
        Ok(document.file(path(value)?, &value.span, kind))
    });
    let tls = match (certificate, private_key) {
        (Some(certificate), Some(private_key)) => Some(ApiCertificate {
            certificate,
            private_key,
        }),
        _ => None,
    };
    for (given, other) in [("certificate", "private_key"), ("private_key", "certificate")] {
        if table.has(given) && !table.has(other) {
            let fault = Fault::new(
                format!("{given} is given, but {other} is missing"),
                format!("add {other}"),
            );
            table.refuse_key(given, fault);
        }
    }
    if !table.has("certificate") && !listen.ip().is_loopback() {
        let message =
            format!("whoever is on the way to {listen} could read and change what the API is asked");
        let cure = "add certificate and private_key, or listen on 127.0.0.1";
        table.refuse_key("listen", Fault::new(message, cure));
    }
    table.finish();
    Some(Api {
        listen,
        tls,
        access_keys: access_keys.unwrap_or_else(|| state_dir.join("access-keys")),
    })
}

/// Reports sections nothing uses.
pub(super) fn warn_of_unused(document: &Document<'_>, environment: &Environment) {
    let sections = [
        ("quotas", environment.quotas != Quotas::default()),
        ("vpc[0]", !environment.vpcs.is_empty()),
        ("directory[0]", !environment.directories.is_empty()),
    ];
    for (section, _) in sections.into_iter().filter(|(_, given)| *given) {
        let message = "only endpoints managed through the API use this, and there is no [api]";
        document.warn(section, Fault::new(message, "add [api], or remove this"));
    }
}
