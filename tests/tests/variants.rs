//! What the matrix leaves out: legacy ciphers, IPv6 inside and outside, certificate kinds, key derivation, compression.
#![cfg(feature = "netns")]

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use culvert_tests::lab::{HOST_V4, HOST_V6, SERVER_V6};
use culvert_tests::pki::KeyKind;
use culvert_tests::server::{Proto, ServerPlan, Wrap};
use culvert_tests::traffic::{BulkServer, TRANSFER, transfer, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn, Profile};

/// One client, one transfer, and a look into the client's log.
fn one(
    plan: impl FnOnce(ServerPlan<'_>) -> ServerPlan<'_>,
    proto: Proto,
    change: impl FnOnce(Profile) -> Profile,
    expected: &str,
) -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let server = plan(Culvertd::plan(&lab)).start()?;
    let mut client = OpenVpn::connect(&lab, 0, "variant", &change(server.profile(proto)))?;
    let log = client.process().log();
    ensure!(
        log.contains(expected),
        "{expected:?} is not in the client's log:\n{log}"
    );
    transfer(&lab.clients[0], IpAddr::V4(HOST_V4), TRANSFER)?;
    client.disconnect()?;
    server.stop()
}

#[test]
fn aes_256_cbc_with_sha256_when_the_operator_enables_it() -> Result<()> {
    one(
        |plan| {
            plan.set("data_ciphers", "[\"AES-256-GCM\", \"AES-256-CBC\"]")
                .set("legacy_cbc", "true")
                .set("legacy_digest", "\"SHA256\"")
        },
        Proto::Udp,
        |profile| profile.line("data-ciphers AES-256-CBC").line("auth SHA256"),
        "Data Channel: cipher 'AES-256-CBC', auth 'SHA256'",
    )
}

#[test]
fn aes_192_gcm() -> Result<()> {
    one(
        |plan| plan.set("data_ciphers", "[\"AES-192-GCM\"]"),
        Proto::Udp,
        |profile| profile.line("data-ciphers AES-192-GCM"),
        "Data Channel: cipher 'AES-192-GCM'",
    )
}

#[test]
fn keys_from_the_tls1_prf() -> Result<()> {
    one(
        |plan| plan.set("tls_key_export", "false"),
        Proto::Udp,
        |profile| profile,
        "PUSH_REPLY",
    )
}

#[test]
fn a_client_configured_with_comp_lzo() -> Result<()> {
    one(
        |plan| plan,
        Proto::Udp,
        |profile| profile.line("comp-lzo").line("allow-compression asym"),
        "compress stub-v2",
    )
}

#[test]
fn a_client_configured_with_compress_lz4() -> Result<()> {
    one(
        |plan| plan,
        Proto::Tcp,
        |profile| profile.line("compress lz4").line("allow-compression asym"),
        "compress stub-v2",
    )
}

#[test]
fn ipv6_outside_over_udp() -> Result<()> {
    one(
        |plan| plan,
        Proto::Udp,
        |profile| profile.proto("udp6").remote(IpAddr::V6(SERVER_V6), 443),
        "Initialization Sequence Completed",
    )
}

#[test]
fn ipv6_outside_over_tcp() -> Result<()> {
    one(
        |plan| plan.wrap(Wrap::TlsCrypt),
        Proto::Tcp,
        |profile| profile.proto("tcp6-client").remote(IpAddr::V6(SERVER_V6), 443),
        "Initialization Sequence Completed",
    )
}

#[test]
fn ipv6_inside() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let server = Culvertd::plan(&lab)
        .set("client_ipv6_cidr_block", "\"fd66::/64\"")
        .target("fd77::/64")
        .start()?;
    let client = OpenVpn::connect(&lab, 0, "inside6", &server.profile(Proto::Udp))?;
    wait_reachable(&lab.clients[0], IpAddr::V6(HOST_V6), Duration::from_secs(5))?;
    transfer(&lab.clients[0], IpAddr::V6(HOST_V6), TRANSFER)?;
    transfer(&lab.clients[0], IpAddr::V4(HOST_V4), 1_000_000)?;
    client.disconnect()?;
    server.stop()
}

fn certificates(kind: KeyKind) -> Result<()> {
    for tls in ["1.2", "1.3"] {
        one(
            |plan| plan.keys(kind),
            Proto::Udp,
            |profile| profile.line(&format!("tls-version-max {tls}")),
            "Initialization Sequence Completed",
        )?;
    }
    Ok(())
}

#[test]
fn rsa_certificates() -> Result<()> {
    certificates(KeyKind::Rsa)
}

#[test]
fn p384_certificates() -> Result<()> {
    certificates(KeyKind::P384)
}

#[test]
fn ed25519_certificates() -> Result<()> {
    certificates(KeyKind::Ed25519)
}

#[test]
fn user_name_and_password_without_a_client_certificate() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let server = Culvertd::plan(&lab).with_user("alice", "correct horse").start()?;
    let login = lab.write("login", "alice\ncorrect horse\n")?;
    let profile = Profile::new("udp", &server.ca()).line(&format!("auth-user-pass {}", login.display()));
    let client = OpenVpn::connect(&lab, 0, "alice", &profile)?;
    let status = server.clients()?;
    ensure!(
        status.first().is_some_and(|client| client["username"] == "alice"),
        "status does not name alice"
    );
    transfer(&lab.clients[0], IpAddr::V4(HOST_V4), 1_000_000)?;
    client.disconnect()?;
    server.stop()
}
