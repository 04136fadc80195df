//! What an operator does and configures: the command line's files used by the stock client as they are, easy-rsa,
//! revocation, pushed options, sizes, logs, status.
#![cfg(feature = "netns")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::{HOST_V4, SERVER_V4};
use culvert_tests::netns::{Netns, run};
use culvert_tests::server::{Proto, ServerPlan, culvert};
use culvert_tests::traffic::{BulkServer, reachable, transfer, wait_reachable};
use culvert_tests::{Culvertd, Lab, OpenVpn, Profile};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(5);
const HOST: IpAddr = IpAddr::V4(HOST_V4);

fn path(lab: &Lab, name: &str) -> String {
    lab.path(name).display().to_string()
}

/// Uses the certificates of a PKI folder made by somebody else.
fn with_folder<'l>(plan: ServerPlan<'l>, folder: &str, server: &str) -> ServerPlan<'l> {
    let text = |path: &str| format!("\"{folder}/{path}\"");
    plan.set("server_certificate", &text(&format!("issued/{server}.crt")))
        .set("server_private_key", &text(&format!("private/{server}.key")))
        .authentication("client_ca", &text("ca.crt"))
        .authentication("crl", &text("crl.pem"))
}

fn wait_gone(server: &Culvertd, name: &str, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while server
        .clients()?
        .iter()
        .any(|client| client["common_name"] == name)
    {
        ensure!(Instant::now() < deadline, "{name} is still there after {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn only_our_command(transport: &str) -> Result<()> {
    let lab = Lab::new(2)?;
    let pki = path(&lab, "pki");
    culvert(&["pki", "init", "--pki", &pki])?;
    let host = SERVER_V4.to_string();
    culvert(&[
        "pki",
        "issue-server",
        "vpn.example.com",
        "--san",
        &host,
        "--pki",
        &pki,
    ])?;
    culvert(&["pki", "issue-client", "alice", "--pki", &pki])?;
    culvert(&["pki", "issue-client", "bob", "--pki", &pki])?;
    let server_key = path(&lab, "v2s.key");
    culvert(&["keygen", "tls-crypt-v2-server", "--output", &server_key])?;
    let mut server = with_folder(Culvertd::plan(&lab), "pki", "vpn.example.com")
        .set("transport_protocol", &format!("\"{transport}\""))
        .set(
            "control_channel",
            "{ tls_crypt_v2 = { server_key = \"v2s.key\", force_cookie = true } }",
        )
        .start()?;
    let config = path(&lab, "culvert.toml");
    culvert(&["check-config", &config])?;
    let profile = path(&lab, "alice.ovpn");
    culvert(&[
        "profile", "--config", &config, "--pki", &pki, "--client", "alice", "--host", &host, "--output",
        &profile,
    ])?;
    let mut alice = OpenVpn::start_file(&lab, 0, "alice", profile.as_ref())?;
    alice.wait_connected(culvert_tests::openvpn::CONNECT)?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;

    // A profile by hand, with a key of its own.
    let client_key = path(&lab, "bob-v2.key");
    culvert(&[
        "keygen",
        "tls-crypt-v2-client",
        "--server-key",
        &server_key,
        "--output",
        &client_key,
    ])?;
    let proto = if transport == "tcp" { "tcp-client" } else { "udp" };
    let by_hand = Profile::new(proto, &lab.path("pki/ca.crt"))
        .line(&format!("cert {pki}/issued/bob.crt"))
        .line(&format!("key {pki}/private/bob.key"))
        .line(&format!("tls-crypt-v2 {client_key}"));
    let bob = OpenVpn::connect(&lab, 1, "bob", &by_hand)?;

    culvert(&["pki", "revoke", "alice", "--pki", &pki])?;
    wait_gone(&server, "alice", Duration::from_secs(10))?;
    server
        .process()
        .wait_for("the client certificate was revoked", SOON)?;
    alice.process().terminate()?;
    let mut again = OpenVpn::start_file(&lab, 0, "alice-again", profile.as_ref())?;
    server
        .process()
        .wait_for("client refused", Duration::from_secs(20))?;
    again.process().terminate()?;
    ensure!(reachable(&lab.clients[1], HOST), "bob was ended, too");
    bob.disconnect()?;
    server.stop()
}

#[test]
fn everything_made_with_our_command_connects_over_udp_until_revoked() -> Result<()> {
    only_our_command("udp")
}

#[test]
fn everything_made_with_our_command_connects_over_tcp_until_revoked() -> Result<()> {
    only_our_command("tcp")
}

#[test]
fn a_pki_of_easy_rsa_works_and_can_revoke() -> Result<()> {
    let lab = Lab::new(1)?;
    let easyrsa = |args: &[&str]| -> Result<String> {
        let folder = format!("EASYRSA_PKI={}", path(&lab, "easy"));
        let mut all = vec![
            "EASYRSA_BATCH=1",
            &folder,
            "EASYRSA_REQ_CN=Easy CA",
            "/usr/share/easy-rsa/easyrsa",
        ];
        all.extend_from_slice(args);
        run("env", &all)
    };
    easyrsa(&["init-pki"])?;
    easyrsa(&["build-ca", "nopass"])?;
    let easyrsa = |args: &[&str]| -> Result<String> {
        let folder = format!("EASYRSA_PKI={}", path(&lab, "easy"));
        let mut all = vec!["EASYRSA_BATCH=1", &folder, "/usr/share/easy-rsa/easyrsa"];
        all.extend_from_slice(args);
        run("env", &all)
    };
    easyrsa(&["build-server-full", "gateway", "nopass"])?;
    easyrsa(&["build-client-full", "carol", "nopass"])?;
    easyrsa(&["build-client-full", "dave", "nopass"])?;
    easyrsa(&["gen-crl"])?;
    let server = with_folder(Culvertd::plan(&lab), "easy", "gateway").start()?;
    let folder = path(&lab, "easy");
    let profile = |name: &str| {
        Profile::new("udp", &lab.path("easy/ca.crt"))
            .line(&format!("cert {folder}/issued/{name}.crt"))
            .line(&format!("key {folder}/private/{name}.key"))
    };
    let mut carol = OpenVpn::connect(&lab, 0, "carol", &profile("carol"))?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    easyrsa(&["revoke", "carol"])?;
    easyrsa(&["gen-crl"])?;
    wait_gone(&server, "carol", Duration::from_secs(10))?;
    carol.process().terminate()?;

    // Our command takes over where easy-rsa left off.
    let mut dave = OpenVpn::connect(&lab, 0, "dave", &profile("dave"))?;
    culvert(&["pki", "revoke", "dave", "--pki", &folder])?;
    wait_gone(&server, "dave", Duration::from_secs(10))?;
    dave.process().terminate()?;
    server.stop()
}

#[test]
fn a_session_ends_with_its_timeout() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab).set("session_timeout", "\"10s\"").start()?;
    let mut client = OpenVpn::connect(&lab, 0, "long", &server.profile(Proto::Udp))?;
    let connected = Instant::now();
    server
        .process()
        .wait_for("longest allowed duration", Duration::from_secs(20))?;
    let took = connected.elapsed();
    ensure!(took > Duration::from_secs(8), "it ended after {took:?}");
    client
        .process()
        .wait_for("Connection reset command was pushed", SOON)?;
    client.wait_times_connected(2)?;
    client.disconnect()?;
    server.stop()
}

#[test]
fn clients_are_told_what_is_configured() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab)
        .set("banner", "\"Authorised use only, please.\"")
        .set("dns_servers", "[\"10.77.0.53\", \"fd77::53\"]")
        .set("domains", "[\"corp.example.com\", \"example.net\"]")
        .set("tun_mtu", "1400")
        .set("push", "[\"block-outside-dns\"]")
        .target("172.20.5.0/24")
        .set(
            "routes",
            "[{ destination_cidr = \"192.168.50.0/24\", target_network = \"10.77.0.0/24\" }]",
        )
        .start()?;
    let mut client = OpenVpn::connect(&lab, 0, "told", &server.profile(Proto::Udp))?;
    let log = client.process().log();
    let reply = log
        .lines()
        .filter(|line| line.contains("PUSH: Received control message"))
        .collect::<String>();
    for option in [
        "dhcp-option DNS 10.77.0.53",
        "dhcp-option DNS6 fd77::53",
        "corp.example.com",
        "example.net",
        "route 10.77.0.0 255.255.255.0",
        "route 172.20.5.0 255.255.255.0",
        "route 192.168.50.0 255.255.255.0",
        "tun-mtu 1400",
        "block-outside-dns",
    ] {
        ensure!(reply.contains(option), "{option:?} was not pushed: {reply}");
    }
    // The stock client hides echoed texts in the message itself and tells them one by one.
    ensure!(
        log.contains("ECHO-PULL:") && log.contains("Authorised%20use%20only"),
        "no banner in the client's log:\n{log}"
    );

    let link = lab.clients[0].run("ip", &["link", "show", "dev", "tun0"])?;
    ensure!(link.contains("mtu 1400 "), "{link}");
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    let fits = |payload: &str| {
        lab.clients[0]
            .run(
                "ping",
                &["-n", "-c1", "-W1", "-Mdo", "-s", payload, &HOST.to_string()],
            )
            .is_ok()
    };
    ensure!(fits("1372"), "a packet of the tunnel's MTU does not get through");
    ensure!(!fits("1373"), "a packet above the tunnel's MTU got through");
    client.disconnect()?;
    server.stop()
}

#[test]
fn more_routes_than_one_message_holds_all_arrive() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut plan = Culvertd::plan(&lab);
    for third in 1..=60 {
        plan = plan.target(&format!("172.20.{third}.0/24"));
    }
    let server = plan.start()?;
    let mut client = OpenVpn::connect(&lab, 0, "routes", &server.profile(Proto::Udp))?;
    ensure!(
        client.process().log().contains("push-continuation 2"),
        "one message was enough:\n{}",
        client.process().log()
    );
    let routes = lab.clients[0].run("ip", &["route", "show", "dev", "tun0"])?;
    for third in 1..=60 {
        ensure!(
            routes.contains(&format!("172.20.{third}.0/24 ")),
            "172.20.{third}.0/24 is missing: {routes}"
        );
    }
    client.disconnect()?;
    server.stop()
}

/// IP packets this machine had to cut into fragments.
fn fragmented(machine: &Netns) -> Result<u64> {
    let text = machine.run("cat", &["/proc/net/snmp"])?;
    let mut lines = text.lines().filter(|line| line.starts_with("Ip:"));
    let (names, values) = (
        lines.next().context("no names")?,
        lines.next().context("no values")?,
    );
    let at = names
        .split(' ')
        .position(|name| name == "FragOKs")
        .context("no such counter")?;
    Ok(values.split(' ').nth(at).context("no value")?.parse()?)
}

fn narrow(mssfix: Option<&str>, proto: Proto) -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    lab.clients[0].run("ip", &["link", "set", "wan0", "mtu", "1400"])?;
    lab.server.run("ip", &["link", "set", "wan0", "mtu", "1400"])?;
    let plan = Culvertd::plan(&lab);
    let plan = match mssfix {
        Some(value) => plan.set("mssfix", value),
        None => plan,
    };
    let server = plan.start()?;
    let client = OpenVpn::connect(&lab, 0, "narrow", &server.profile(proto))?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    let before = fragmented(&lab.clients[0])? + fragmented(&lab.server)?;
    transfer(&lab.clients[0], HOST, 5_000_000)?;
    let after = fragmented(&lab.clients[0])? + fragmented(&lab.server)?;
    let cut = after - before;
    match (mssfix, proto) {
        (Some(_), _) => ensure!(cut == 0, "{cut} packets were fragmented in spite of mssfix"),
        // Shows that the counter counts; the packets arrive all the same.
        (None, Proto::Udp) => ensure!(cut > 0, "nothing was fragmented on a link this narrow"),
        (None, Proto::Tcp) => {}
    }
    client.disconnect()?;
    server.stop()
}

#[test]
fn tcp_fits_a_narrow_link_with_mssfix() -> Result<()> {
    narrow(Some("\"1400 mtu\""), Proto::Udp)
}

#[test]
fn tcp_crosses_a_narrow_link_without_tuning() -> Result<()> {
    narrow(None, Proto::Udp)
}

#[test]
fn tcp_crosses_a_narrow_link_over_tcp() -> Result<()> {
    narrow(None, Proto::Tcp)
}

#[test]
fn the_log_is_json_when_asked_for() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab).log_format("json").start()?;
    OpenVpn::connect(&lab, 0, "logged", &server.profile_for(Proto::Udp, "logged")?)?.disconnect()?;
    let mut process_log = server.process().log();
    // The last line may still be in the making.
    process_log.truncate(process_log.rfind('\n').map_or(0, |end| end + 1));
    let mut connected = None;
    for line in process_log.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        for key in ["timestamp", "level", "message"] {
            ensure!(value[key].is_string(), "no {key} in {line}");
        }
        if value["message"] == "client connected" {
            connected = Some(value);
        }
    }
    let connected = connected.context("nothing says that the client connected")?;
    ensure!(
        connected["identity"] == "logged" && connected["endpoint"] == "lab",
        "{connected}"
    );
    server.stop()
}

#[test]
fn status_tells_everything_about_daemon_endpoints_and_clients() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let client = OpenVpn::connect(&lab, 0, "seen", &server.profile_for(Proto::Udp, "seen")?)?;
    wait_reachable(&lab.clients[0], HOST, SOON)?;
    let status: Value = serde_json::from_str(&server.culvert(&["status", "--clients", "--json"])?)?;
    let has = |value: &Value, keys: &[&str]| -> Result<()> {
        for key in keys {
            ensure!(!value[*key].is_null(), "no {key} in {value}");
        }
        Ok(())
    };
    has(&status["daemon"], &["version", "pid", "uptime_seconds"])?;
    let endpoint = &status["endpoints"][0];
    has(
        endpoint,
        &[
            "name",
            "state",
            "listeners",
            "device",
            "client_cidr",
            "clients",
            "max_clients",
            "pool_in_use",
            "pool_capacity",
            "drops",
            "workers",
        ],
    )?;
    ensure!(
        endpoint["state"] == "available" && endpoint["clients"] == 1 && endpoint["pool_in_use"] == 1,
        "{endpoint}"
    );
    let seen = &status["clients"][0];
    has(
        seen,
        &[
            "client_id",
            "endpoint",
            "common_name",
            "real_address",
            "transport",
            "virtual_v4",
            "connected_since_unix",
            "cipher",
            "link_rx_bytes",
            "link_tx_bytes",
            "tunnel_rx_bytes",
            "tunnel_tx_bytes",
            "iv_ver",
            "iv_plat",
        ],
    )?;
    ensure!(
        seen["common_name"] == "seen"
            && seen["transport"] == "udp"
            && seen["tunnel_rx_bytes"].as_u64() > Some(0),
        "{seen}"
    );
    client.disconnect()?;
    server.stop()
}

fn idle(proto: Proto) -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab)
        .set("keepalive", "{ ping = \"1s\", ping_restart = \"3s\" }")
        .start()?;
    // What the kernel sends by itself would keep the link busy.
    lab.server
        .run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
    lab.clients[0].run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
    let client = OpenVpn::connect(&lab, 0, "idle", &server.profile(proto))?;
    std::thread::sleep(Duration::from_secs(12));
    ensure!(client.times_connected() == 1, "the client reconnected");
    ensure!(server.clients()?.len() == 1, "the server gave the client up");
    ensure!(reachable(&lab.clients[0], HOST), "no traffic after the silence");
    client.disconnect()?;
    server.stop()
}

#[test]
fn pings_keep_an_idle_udp_client() -> Result<()> {
    idle(Proto::Udp)
}

#[test]
fn pings_keep_an_idle_tcp_client() -> Result<()> {
    idle(Proto::Tcp)
}
