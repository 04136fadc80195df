//! `listen` and `host` of `[account]`: the addresses that managed endpoints are given, and what clients reach them by.

use std::net::{IpAddr, Ipv4Addr};

use super::environment::host;
use super::table::{Table, Value};
use super::values::{address, word};
use crate::environment::ListenAddress;
use crate::error::Fault;

/// Reads `listen`; empty where it is left out.
pub(super) fn listen(table: &Table<'_, '_>) -> Vec<ListenAddress> {
    let read = table.mixed("listen", plain, entry).unwrap_or_default();
    if table.length("listen") == Some(0) {
        let cure = "name an address, or remove the key to listen on all";
        table.refuse_key("listen", Fault::new("there is no address to listen on", cure));
    }
    let mut addresses: Vec<ListenAddress> = Vec::new();
    for one in read {
        if addresses.iter().any(|other| other.address == one.address) {
            let message = format!("{} is given twice", one.address);
            table.refuse_key("listen", Fault::new(message, "remove one of them"));
        }
        addresses.push(one);
    }
    if table.has("host") && addresses.iter().filter(|one| one.host.is_none()).count() > 1 {
        let message = "host is one name, but listen has several addresses without one of their own";
        let cure =
            "give each its own: listen = [{ address = \"192.0.2.1\", host = \"vpn1.example.com\" }, ...]";
        table.refuse_key("host", Fault::new(message, cure));
    }
    addresses
}

fn plain(value: &Value<'_, '_>) -> Result<ListenAddress, Fault> {
    Ok(ListenAddress {
        address: usable(value)?,
        host: None,
    })
}

fn entry(table: Table<'_, '_>) -> Option<ListenAddress> {
    let address = table.require("address", "write it as in address = \"192.0.2.1\"", usable);
    let host = table.read("host", |value| word(value, host));
    table.finish();
    Some(ListenAddress {
        address: address?,
        host,
    })
}

/// One address of this machine, which an endpoint can have for itself.
fn usable(value: &Value<'_, '_>) -> Result<Ipv4Addr, Fault> {
    let found: IpAddr = address(value)?;
    let cure = "use an IPv4 address of this machine, or remove the key to listen on all addresses";
    match found {
        IpAddr::V4(v4) if !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast() => Ok(v4),
        _ => {
            let message = format!("{found} is not an address that a managed endpoint can be given");
            Err(Fault::new(message, cure))
        }
    }
}
