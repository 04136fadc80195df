//! Who gets in, and as whom: passwords with and without certificates, login commands, tokens, groups, addresses, names.
#![cfg(feature = "netns")]

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::pki::{KeyKind, Pki};
use culvert_tests::server::{Proto, ServerPlan};
use culvert_tests::traffic::{EchoServer, reachable, spawn_pings, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn, Profile};

const SOON: Duration = Duration::from_secs(20);
const HOST: IpAddr = IpAddr::V4(HOST_V4);

/// Accepts `good` with the password `right`, never answers `slow`, refuses everybody else with a reason. Each question
/// leaves a line in `asked`.
const COMMAND: &str = r#"#!/bin/sh
{ read -r user; read -r password; } < "$1"
echo "$user" >> "DIR/asked"
case "$user:$password" in
    good:right) exit 0 ;;
    slow:*) sleep 3600 & echo "$$ $!" > "DIR/processes"; wait ;;
esac
echo "Ask at the front desk" > "$auth_failed_reason_file"
exit 1
"#;

fn with_command<'l>(lab: &'l Lab) -> ServerPlan<'l> {
    Culvertd::plan(lab).with_command(&COMMAND.replace("DIR", &lab.dir().display().to_string()))
}

/// How often the command was asked.
fn asked(lab: &Lab) -> usize {
    std::fs::read_to_string(lab.path("asked")).map_or(0, |text| text.lines().count())
}

/// The profile line of a login with this name and password.
fn login(lab: &Lab, name: &str, password: &str) -> Result<String> {
    let path = lab.write(
        &format!("{name}-{password}.login"),
        &format!("{name}\n{password}\n"),
    )?;
    Ok(format!("auth-user-pass {}", path.display()))
}

fn password_profile(lab: &Lab, server: &Culvertd, name: &str, password: &str) -> Result<Profile> {
    Ok(Profile::new("udp", &server.ca()).line(&login(lab, name, password)?))
}

/// Runs a client that must not get in, and waits for the reason in what both logs say from now on.
fn refused(
    lab: &Lab,
    server: &mut Culvertd,
    name: &str,
    profile: &Profile,
    in_server_log: &str,
    in_client_log: &str,
) -> Result<()> {
    let before = server.process().log().len();
    let mut client = OpenVpn::start(lab, 0, name, profile)?;
    client
        .process()
        .wait_for(in_client_log, SOON)
        .with_context(|| format!("as client {name}"))?;
    let deadline = Instant::now() + SOON;
    loop {
        let log = server.process().log();
        let since = log.get(before..).unwrap_or_default();
        if since.contains(in_server_log) {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "{name}: the server does not say {in_server_log:?}:\n{since}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(client.times_connected() == 0, "{name} connected");
    ensure!(server.clients()?.is_empty(), "the server lists {name}");
    client.process().terminate()?;
    Ok(())
}

#[test]
fn certificate_and_password_must_both_be_right() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab)
        .with_user("alice", "right")
        .and_certificate("required")
        .start()?;
    let right = login(&lab, "alice", "right")?;
    let wrong = login(&lab, "alice", "wrong")?;
    let stranger = Pki::create(lab.dir(), "stranger", KeyKind::P256)?.client("eve", KeyKind::P256)?;
    let ca = server.ca();
    let certificate = server.profile(Proto::Udp);
    let cases = [
        (
            "wrong-password",
            certificate.clone().line(&wrong),
            "alice",
            "AUTH_FAILED",
        ),
        (
            "no-password",
            certificate.clone(),
            "no user name and password",
            "user name and password are required",
        ),
        (
            "no-certificate",
            Profile::new("udp", &ca).line(&right),
            "no certificate",
            "alert",
        ),
        (
            "foreign-certificate",
            Profile::udp(&ca, &stranger.certificate, &stranger.key).line(&right),
            "not issued by a certificate authority",
            "alert",
        ),
    ];
    for (name, profile, in_server_log, in_client_log) in &cases {
        refused(&lab, &mut server, name, profile, in_server_log, in_client_log)?;
    }
    let client = OpenVpn::connect(&lab, 0, "both", &certificate.line(&right))?;
    let clients = server.clients()?;
    ensure!(
        clients.len() == 1 && clients[0]["username"] == "alice" && clients[0]["common_name"] == "client",
        "{clients:?}"
    );
    client.disconnect()?;
    server.stop()
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_wrong() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab)
        .with_user("alice", "right")
        .and_certificate("optional")
        .start()?;
    let right = login(&lab, "alice", "right")?;
    let stranger = Pki::create(lab.dir(), "stranger", KeyKind::P256)?.client("eve", KeyKind::P256)?;
    let foreign = Profile::udp(&server.ca(), &stranger.certificate, &stranger.key).line(&right);
    refused(&lab, &mut server, "foreign", &foreign, "not issued by", "alert")?;
    let without = password_profile(&lab, &server, "alice", "right")?.line("explicit-exit-notify 1");
    OpenVpn::connect(&lab, 0, "without", &without)?.disconnect()?;
    let with = server.profile(Proto::Udp).line(&right);
    OpenVpn::connect(&lab, 0, "with", &with)?.disconnect()?;
    server.stop()
}

#[test]
fn a_login_command_accepts_and_refuses_with_its_reason() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = with_command(&lab).start()?;
    let wrong = password_profile(&lab, &server, "good", "wrong")?;
    refused(
        &lab,
        &mut server,
        "wrong",
        &wrong,
        "the login command refused",
        "AUTH_FAILED,Ask at the front desk",
    )?;
    let right = password_profile(&lab, &server, "good", "right")?;
    let client = OpenVpn::connect(&lab, 0, "right", &right)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_login_command_that_hangs_is_killed_and_holds_up_nobody() -> Result<()> {
    let lab = Lab::new(2)?;
    let _echo = EchoServer::start(&lab.host)?;
    let mut server = with_command(&lab)
        .authentication("command_timeout", "\"3s\"")
        .start()?;
    let good = OpenVpn::connect(
        &lab,
        1,
        "good",
        &password_profile(&lab, &server, "good", "right")?,
    )?;
    wait_reachable(&lab.clients[1], HOST, Duration::from_secs(5))?;
    let pings = spawn_pings(&lab.clients[1], HOST, Duration::from_millis(10), 700)?;
    let mut slow = OpenVpn::start(&lab, 0, "slow", &password_profile(&lab, &server, "slow", "any")?)?;
    server
        .process()
        .wait_for("took longer than 3s and was killed", SOON)?;
    slow.process()
        .wait_for("The login service does not answer", SOON)?;
    for process in std::fs::read_to_string(lab.path("processes"))?.split_whitespace() {
        let gone = Instant::now() + Duration::from_secs(2);
        while is_running(process) {
            ensure!(Instant::now() < gone, "process {process} of the command lives on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let series = pings.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(series.longest_gap <= 3, "a gap in the pings: {series:?}");
    good.disconnect()?;
    server.stop()
}

/// Whether a process exists and is more than an entry its parent has not collected.
fn is_running(process: &str) -> bool {
    let status = Path::new("/proc").join(process).join("status");
    std::fs::read_to_string(status).is_ok_and(|text| !text.contains("State:\tZ"))
}

#[test]
fn renegotiations_use_the_token_and_ask_the_command_no_more() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = with_command(&lab)
        .set("renegotiation", "\"5s\"")
        .set("auth_token", "{ renewal = \"5s\" }")
        .start()?;
    let profile = password_profile(&lab, &server, "good", "right")?.line("reneg-sec 0");
    let mut client = OpenVpn::connect(&lab, 0, "good", &profile)?;
    let deadline = Instant::now() + Duration::from_secs(40);
    while client.process().log().matches("Control Channel: TLSv1").count() < 4 {
        ensure!(Instant::now() < deadline, "no renegotiations");
        std::thread::sleep(Duration::from_millis(100));
    }
    ensure!(
        reachable(&lab.clients[0], HOST),
        "no traffic after renegotiations"
    );
    ensure!(client.times_connected() == 1, "the client reconnected");
    ensure!(
        asked(&lab) == 1,
        "the command was asked {} times instead of once",
        asked(&lab)
    );
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_token_ends_with_its_lifetime() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = with_command(&lab)
        .set("renegotiation", "\"5s\"")
        .set("auth_token", "{ lifetime = \"12s\", renewal = \"5s\" }")
        .start()?;
    let profile = password_profile(&lab, &server, "good", "right")?.line("reneg-sec 0");
    let mut client = OpenVpn::connect(&lab, 0, "good", &profile)?;
    client
        .process()
        .wait_for("AUTH_FAILED,SESSION", Duration::from_secs(30))?;
    // The stock client forgets the token then and logs in with the password it has in a file.
    client.wait_times_connected(2)?;
    ensure!(asked(&lab) == 2, "the command was asked {} times", asked(&lab));
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_token_outlives_the_daemon_when_its_key_is_in_a_file() -> Result<()> {
    let lab = Lab::new(1)?;
    let plan = with_command(&lab).set("auth_token", "{ key = \"token.key\" }");
    let key = lab.path("token.key").display().to_string();
    culvert_tests::server::culvert(&["keygen", "auth-token", "--output", &key])?;
    let mut server = plan.start()?;
    let profile = password_profile(&lab, &server, "good", "right")?;
    let mut client = OpenVpn::connect(&lab, 0, "good", &profile)?;
    ensure!(asked(&lab) == 1, "the command was not asked");
    server.process().terminate()?;
    let server = server.start_again()?;
    client.wait_times_connected(2)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    ensure!(asked(&lab) == 1, "the password was needed again");
    client.disconnect()?;
    server.stop()
}

/// Without a key file the endpoint keeps a key in its state folder; tokens end with that key.
#[test]
fn without_a_key_file_tokens_last_as_long_as_the_key_in_the_state_folder() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = with_command(&lab).start()?;
    let profile = password_profile(&lab, &server, "good", "right")?;
    let mut client = OpenVpn::connect(&lab, 0, "good", &profile)?;
    server.process().terminate()?;
    let mut server = server.start_again()?;
    client.wait_times_connected(2)?;
    ensure!(asked(&lab) == 1, "the command was asked {} times", asked(&lab));
    server.process().terminate()?;
    std::fs::remove_file(lab.path("state/auth-token-lab.key"))?;
    let server = server.start_again()?;
    client.wait_times_connected(3)?;
    ensure!(asked(&lab) == 2, "the command was asked {} times", asked(&lab));
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_rule_for_a_group_admits_its_members_only() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab)
        .with_member("alice", "right", &["staff", "engineering"])
        .with_member("bob", "right", &["staff"])
        .only_group("10.77.0.0/24", "engineering")
        .start()?;
    let alice = OpenVpn::connect(
        &lab,
        0,
        "alice",
        &password_profile(&lab, &server, "alice", "right")?,
    )?;
    let bob = OpenVpn::connect(&lab, 1, "bob", &password_profile(&lab, &server, "bob", "right")?)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    ensure!(
        !reachable(&lab.clients[1], HOST),
        "bob got where only engineering may"
    );
    alice.disconnect()?;
    bob.disconnect()?;
    server.stop()
}

/// A login command that grants a group, then is asked no more: after a reconnect with the token the group must still
/// count.
#[test]
fn what_a_login_command_granted_lasts_as_long_as_the_token() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab)
        .with_command(&format!(
            "#!/bin/sh\necho once >> {}/asked\necho group=engineering > \"$culvert_grants_file\"\n",
            lab.dir().display()
        ))
        .only_group("10.77.0.0/24", "engineering")
        .start()?;
    let profile = password_profile(&lab, &server, "good", "right")?;
    let mut client = OpenVpn::connect(&lab, 0, "good", &profile)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    client.process().signal(nix::sys::signal::Signal::SIGUSR1)?;
    client.wait_times_connected(2)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    ensure!(asked(&lab) == 1, "the command was asked {} times", asked(&lab));
    client.disconnect()?;
    server.stop()
}

/// A daemon that starts anew can't know what a login command granted: it asks for the password, and so the command.
#[test]
fn after_a_restart_grants_of_a_login_command_are_asked_for_again() -> Result<()> {
    let lab = Lab::new(1)?;
    let key = lab.path("token.key").display().to_string();
    culvert_tests::server::culvert(&["keygen", "auth-token", "--output", &key])?;
    let mut server = Culvertd::plan(&lab)
        .with_command(&format!(
            "#!/bin/sh\necho once >> {}/asked\necho group=engineering > \"$culvert_grants_file\"\n",
            lab.dir().display()
        ))
        .only_group("10.77.0.0/24", "engineering")
        .set("auth_token", "{ key = \"token.key\" }")
        .start()?;
    let profile = password_profile(&lab, &server, "good", "right")?;
    let mut client = OpenVpn::connect(&lab, 0, "good", &profile)?;
    server.process().terminate()?;
    let server = server.start_again()?;
    client.wait_times_connected(2)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    ensure!(asked(&lab) == 2, "the command was asked {} times", asked(&lab));
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_client_gets_its_fixed_address() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab)
        .set(
            "static_addresses",
            "[{ client = \"printer\", ipv4_address = \"10.66.0.77\" }]",
        )
        .start()?;
    let printer = OpenVpn::connect(&lab, 0, "printer", &server.profile_for(Proto::Udp, "printer")?)?;
    ensure!(
        printer.virtual_v4() == Some("10.66.0.77".parse()?),
        "{:?}",
        printer.virtual_v4()
    );
    let other = OpenVpn::connect(&lab, 1, "other", &server.profile_for(Proto::Udp, "other")?)?;
    ensure!(
        other.virtual_v4() != printer.virtual_v4(),
        "the address was given twice"
    );
    printer.disconnect()?;
    other.disconnect()?;
    server.stop()
}

#[test]
fn an_identity_that_comes_back_gets_its_address_again() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).start()?;
    let returning = server
        .profile_for(Proto::Udp, "returning")?
        .line("explicit-exit-notify 1");
    let other = server.profile_for(Proto::Udp, "other")?;
    let client = OpenVpn::connect(&lab, 0, "first", &returning)?;
    let address = client.virtual_v4().context("no address")?;
    client.disconnect()?;
    let other = OpenVpn::connect(&lab, 1, "other", &other)?;
    ensure!(
        other.virtual_v4() != Some(address),
        "the address went to somebody else"
    );
    let client = OpenVpn::connect(&lab, 0, "second", &returning)?;
    ensure!(
        client.virtual_v4() == Some(address),
        "it had {address} and got {:?}",
        client.virtual_v4()
    );
    client.disconnect()?;
    other.disconnect()?;
    server.stop()
}

#[test]
fn without_duplicates_the_newer_session_replaces_the_older() -> Result<()> {
    let lab = Lab::new(2)?;
    let mut server = Culvertd::plan(&lab).set("duplicate_cn", "false").start()?;
    let profile = server.profile(Proto::Udp);
    let mut older = OpenVpn::connect(&lab, 0, "older", &profile)?;
    let newer = OpenVpn::connect(&lab, 1, "newer", &profile)?;
    server
        .process()
        .wait_for("replaced by a newer connection", Duration::from_secs(5))?;
    older.process().terminate()?;
    let clients = server.clients()?;
    ensure!(clients.len() == 1, "{clients:?}");
    let from = clients[0]["real_address"].as_str().unwrap_or_default();
    ensure!(
        from.contains(&lab.client_real_address(1).to_string()),
        "{from} is left"
    );
    wait_reachable(&lab.clients[1], HOST, Duration::from_secs(5))?;
    newer.disconnect()?;
    server.stop()
}

#[test]
fn certificates_with_another_name_are_refused() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab)
        .authentication(
            "verify_x509_name",
            "{ name = \"laptop-\", type = \"name-prefix\" }",
        )
        .start()?;
    let phone = server.profile_for(Proto::Udp, "phone-1")?;
    refused(&lab, &mut server, "phone-1", &phone, "phone-1", "alert")?;
    let laptop = server.profile_for(Proto::Udp, "laptop-1")?;
    OpenVpn::connect(&lab, 0, "laptop-1", &laptop)?.disconnect()?;
    server.stop()
}

#[test]
fn chains_with_an_intermediate_authority_are_followed_both_ways() -> Result<()> {
    let lab = Lab::new(1)?;
    let plan = Culvertd::plan(&lab);
    let servers = plan.pki().intermediate("servers", KeyKind::P256)?;
    let clients = plan.pki().intermediate("clients", KeyKind::P384)?;
    servers.server("chained-server", KeyKind::P256)?;
    let leaf = clients.client("chained-client", KeyKind::P256)?;
    let server = plan
        .set("server_certificate", "\"chained-server.crt\"")
        .set("server_private_key", "\"chained-server.key\"")
        .start()?;
    for proto in [Proto::Udp, Proto::Tcp] {
        let client = OpenVpn::connect(&lab, 0, &format!("{proto:?}"), &server.profile_with(proto, &leaf))?;
        wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
        client.disconnect()?;
    }
    server.stop()
}
