//! Everything that must be refused is refused, with the reason in the server's log, and in the client's log wherever the
//! protocol can carry it.
#![cfg(feature = "netns")]

use std::time::Duration;

use anyhow::{Result, ensure};
use culvert_tests::pki::{KeyKind, Pki};
use culvert_tests::server::{Proto, ServerPlan, Wrap};
use culvert_tests::{Culvertd, Lab, OpenVpn, Profile};

const SOON: Duration = Duration::from_secs(20);

/// Runs a client that must not connect and waits for the reasons in both logs.
fn refused(
    lab: &Lab,
    mut server: Culvertd,
    profile: &Profile,
    in_server_log: &str,
    in_client_log: Option<&str>,
) -> Result<()> {
    let mut client = OpenVpn::start(lab, 0, "refused", profile)?;
    server.process().wait_for(in_server_log, SOON)?;
    if let Some(text) = in_client_log {
        client.process().wait_for(text, SOON)?;
    }
    ensure!(
        !client
            .process()
            .log()
            .contains("Initialization Sequence Completed"),
        "the client connected"
    );
    ensure!(server.clients()?.is_empty(), "the server lists a client");
    drop(client);
    server.stop()
}

fn simple(
    plan: impl FnOnce(ServerPlan<'_>) -> ServerPlan<'_>,
    change: impl FnOnce(Profile) -> Profile,
    in_server_log: &str,
    in_client_log: Option<&str>,
) -> Result<()> {
    let lab = Lab::new(1)?;
    let server = plan(Culvertd::plan(&lab)).start()?;
    let profile = change(server.profile(Proto::Udp));
    refused(&lab, server, &profile, in_server_log, in_client_log)
}

#[test]
fn a_certificate_of_another_ca() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let other = Pki::create(lab.dir(), "other-ca", KeyKind::P256)?;
    let leaf = other.client("stranger", KeyKind::P256)?;
    let profile = Profile::udp(&server.ca(), &leaf.certificate, &leaf.key);
    refused(
        &lab,
        server,
        &profile,
        "not issued by a certificate authority",
        Some("alert"),
    )
}

#[test]
fn an_expired_certificate() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let leaf = server.pki().expired_client("yesterday")?;
    let profile = Profile::udp(&server.ca(), &leaf.certificate, &leaf.key);
    refused(&lab, server, &profile, "expired", Some("certificate expired"))
}

#[test]
fn a_revoked_certificate() -> Result<()> {
    let lab = Lab::new(1)?;
    let plan = Culvertd::plan(&lab);
    let leaf = plan.pki().client("revoked", KeyKind::P256)?;
    plan.pki().crl(&lab.path("crl.pem"), &[&leaf], 30)?;
    let server = plan.authentication("crl", "\"crl.pem\"").start()?;
    let profile = Profile::udp(&server.ca(), &leaf.certificate, &leaf.key);
    refused(&lab, server, &profile, "revoked", Some("certificate revoked"))
}

#[test]
fn another_tls_crypt_key() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).wrap(Wrap::TlsCrypt).start()?;
    let wrong = lab.path("wrong.key");
    lab.server
        .run("openvpn", &["--genkey", "secret", &wrong.to_string_lossy()])?;
    let leaf = server.pki().client("wrongkey", KeyKind::P256)?;
    let profile = Profile::udp(&server.ca(), &leaf.certificate, &leaf.key)
        .line(&format!("tls-crypt {}", wrong.display()));
    // Nothing can be sent to such a client: it could not read it, and strangers get no answer.
    refused(&lab, server, &profile, "key", None)
}

#[test]
fn a_wrong_password() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).with_user("alice", "correct horse").start()?;
    let login = lab.write("login", "alice\nwrong horse\n")?;
    let profile = Profile::new("udp", &server.ca()).line(&format!("auth-user-pass {}", login.display()));
    refused(&lab, server, &profile, "alice", Some("AUTH_FAILED"))
}

#[test]
fn no_common_cipher() -> Result<()> {
    simple(
        |plan| plan.set("data_ciphers", "[\"AES-256-GCM\"]"),
        |profile| profile.line("data-ciphers AES-128-GCM"),
        "cipher",
        Some("no shared cipher"),
    )
}

#[test]
fn a_full_address_pool() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab)
        .set("client_cidr_block", "\"10.66.0.0/30\"")
        .start()?;
    let first = OpenVpn::connect(&lab, 1, "first", &server.profile_for(Proto::Udp, "first")?)?;
    let mut server = server;
    let mut client = OpenVpn::start(&lab, 0, "second", &server.profile_for(Proto::Udp, "second")?)?;
    server.process().wait_for("exhausted", SOON)?;
    client.process().wait_for("AUTH_FAILED", SOON)?;
    ensure!(server.clients()?.len() == 1, "the first client is gone");
    first.disconnect()?;
    server.stop()
}

#[test]
fn a_tls_version_that_is_too_old() -> Result<()> {
    simple(
        |plan| plan.set("tls_version_min", "\"1.3\""),
        |profile| profile.line("tls-version-max 1.2"),
        "TLS version",
        Some("alert"),
    )
}

#[test]
fn a_missing_certificate() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let login = lab.write("login", "alice\nsecret\n")?;
    let profile = Profile::new("udp", &server.ca()).line(&format!("auth-user-pass {}", login.display()));
    refused(&lab, server, &profile, "no certificate", Some("alert"))
}

#[test]
fn a_client_that_insists_on_fragmenting() -> Result<()> {
    simple(
        |plan| plan,
        |profile| profile.line("fragment 1200"),
        "fragment",
        Some("fragment"),
    )
}
