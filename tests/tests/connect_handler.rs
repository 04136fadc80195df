//! Connect handlers: programs and web services that are asked before the stock client is let in. docs/connect-handler.md
//! says what they are asked and how they answer.
#![cfg(feature = "netns")]

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_tests::crowd::spawn_logins;
use culvert_tests::hook::{Hook, HookAnswer};
use culvert_tests::lab::{HOST_V4, SERVER_V4};
use culvert_tests::pki::KeyKind;
use culvert_tests::server::{Proto, ServerPlan};
use culvert_tests::traffic::{
    BulkServer, EchoServer, reachable, spawn_pings, spawn_transfer, wait_reachable,
};
use culvert_tests::{Culvertd, EndpointPlan, Lab, OpenVpn, Profile};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const HOST: IpAddr = IpAddr::V4(HOST_V4);

/// What clients are told who are refused for want of an answer.
const DEFAULT_MESSAGE: &str = "AUTH_FAILED,Error establishing connection. Please contact your administrator.";

/// Notes each question as a line of DIR/asked, then does what the client's name says.
const PROGRAM: &str = r#"#!/bin/sh
question=$(cat)
echo "$question" >> "DIR/asked"
answer() {
    echo "{\"allow\": $1, \"error-msg-on-denied-connection\": \"$2\", \"posture-compliance-statuses\": [], \
\"schema-version\": \"v3\"}"
}
case "$question" in
    *'"common-name":"denied"'*) answer false "Update your device." ;;
    *'"common-name":"mute"'*) answer false "" ;;
    *'"common-name":"slow"'*) sleep 3600 & echo "$$ $!" > "DIR/processes"; wait ;;
    *'"common-name":"crash"'*) kill -SEGV $$ ;;
    *'"common-name":"failed"'*) echo "the inventory is down" >&2; exit 3 ;;
    *'"common-name":"garbage"'*) echo "{\"allow\": true" ;;
    *'"common-name":"half"'*) echo "{\"allow\": true, \"schema-version\": \"v3\"}" ;;
    *) answer true "" ;;
esac
"#;

/// Writes the program, under this name.
fn program(lab: &Lab, name: &str, text: &str) -> Result<String> {
    let path = lab.write(name, &text.replace("DIR", &lab.dir().display().to_string()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}

/// A block of the configuration.
fn handler(function: &str, lines: &str) -> String {
    format!("[[connect_handler]]\nfunction = \"AWSClientVPN-{function}\"\n{lines}\n")
}

/// An endpoint that asks [`PROGRAM`], with these further lines in the handler's block.
fn with_program<'l>(lab: &'l Lab, lines: &str) -> Result<ServerPlan<'l>> {
    let path = program(lab, "handler", PROGRAM)?;
    Ok(Culvertd::plan(lab)
        .daemon(&handler("test", &format!("command = [\"{path}\"]\n{lines}")))
        .set("connect_handler", "\"AWSClientVPN-test\""))
}

/// The questions so far.
fn asked(lab: &Lab) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(lab.path("asked")).unwrap_or_default();
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).with_context(|| format!("the handler was asked what isn't JSON: {line}"))
    });
    lines.collect()
}

/// Runs a client that must not get in, and waits for the reasons in both logs.
fn refused(
    lab: &Lab,
    server: &mut Culvertd,
    name: &str,
    in_server_log: &str,
    in_client_log: &str,
) -> Result<()> {
    let before = server.process().log().len();
    let profile = server.profile_for(Proto::Udp, name)?;
    let mut client = OpenVpn::start(lab, 0, name, &profile)?;
    let told = client.process().wait_for(in_client_log, SOON);
    told.with_context(|| format!("as client {name}"))?;
    let log = server.process().log();
    let since = log.get(before..).unwrap_or_default();
    ensure!(
        since.contains(in_server_log),
        "{name}: the server does not say {in_server_log:?}:\n{since}"
    );
    ensure!(client.times_connected() == 0, "{name} connected");
    ensure!(server.clients()?.is_empty(), "the server lists {name}");
    drop(client);
    Ok(())
}

#[test]
fn a_program_lets_clients_in_and_turns_them_away_with_its_message() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = with_program(&lab, "")?.start()?;
    let message = "AUTH_FAILED,Update your device.";
    refused(&lab, &mut server, "denied", "client-connect-failed", message)?;
    refused(
        &lab,
        &mut server,
        "mute",
        "client-connect-failed",
        DEFAULT_MESSAGE,
    )?;
    for proto in [Proto::Udp, Proto::Tcp] {
        let name = format!("allowed-{proto:?}");
        let client = OpenVpn::connect(&lab, 0, &name, &server.profile_for(proto, &name)?)?;
        wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
        client.disconnect()?;
    }
    ensure!(asked(&lab)?.len() == 4, "asked: {:?}", asked(&lab)?);
    server.stop()
}

#[test]
fn whoever_gets_no_answer_is_turned_away() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = with_program(&lab, "timeout = \"2s\"")?.start()?;
    for (name, reason) in [
        ("slow", "client-connect-handler-timed-out"),
        ("crash", "client-connect-handler-other-execution-error"),
        ("failed", "client-connect-handler-other-execution-error: "),
        ("garbage", "client-connect-handler-invalid-response"),
        ("half", "client-connect-handler-invalid-response"),
    ] {
        refused(&lab, &mut server, name, reason, DEFAULT_MESSAGE)?;
    }
    let log = server.process().log();
    ensure!(
        log.contains("the inventory is down"),
        "the complaint is missing:\n{log}"
    );
    for process in std::fs::read_to_string(lab.path("processes"))?.split_whitespace() {
        ensure!(!is_running(process), "process {process} of the program lives on");
    }
    // A program that is gone can't be asked. Everybody is turned away until it is back.
    std::fs::rename(lab.path("handler"), lab.path("elsewhere"))?;
    let reason = "client-connect-handler-service-error";
    refused(&lab, &mut server, "gone", reason, DEFAULT_MESSAGE)?;
    std::fs::rename(lab.path("elsewhere"), lab.path("handler"))?;
    OpenVpn::connect(&lab, 0, "back", &server.profile_for(Proto::Udp, "back")?)?.disconnect()?;
    server.stop()
}

/// Whether a process exists and is more than an entry its parent has not collected.
fn is_running(process: &str) -> bool {
    let status = Path::new("/proc").join(process).join("status");
    std::fs::read_to_string(status).is_ok_and(|text| !text.contains("State:\tZ"))
}

/// The version of the stock client, by itself.
fn stock_version(lab: &Lab) -> Result<String> {
    // It ends with 1 after `--version`.
    let output = lab.server.command("openvpn").arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(1);
    Ok(version.context("openvpn tells no version")?.to_owned())
}

/// One endpoint for each version of the questions, on a port of its own.
fn versions(lab: &Lab) -> Result<Culvertd> {
    let path = program(lab, "handler", PROGRAM)?;
    let line = |more: &str| format!("command = [\"{path}\"]\n{more}");
    let mut plan = Culvertd::plan(lab)
        .with_member("ana", "right", &["engineering", "staff"])
        .and_certificate("required")
        .daemon(&handler("v1", &line("schema_version = \"v1\"")))
        .daemon(&handler(
            "v2",
            &line("schema_version = \"v2\"\ngroups = \"text\""),
        ))
        .daemon(&handler("v3", &line("")))
        .set("connect_handler", "\"AWSClientVPN-v1\"");
    for (name, block, port) in [("v2", "10.67.0.0/24", "444"), ("v3", "10.68.0.0/24", "445")] {
        let mut endpoint = EndpointPlan::new(name, block);
        endpoint
            .set("vpn_port", port)
            .set("connect_handler", &format!("\"AWSClientVPN-{name}\""))
            .users_file()
            .authentication("client_ca", "\"ca.crt\"")
            .authentication("client_certificate", "\"required\"");
        plan = plan.endpoint(endpoint);
    }
    plan.start()
}

#[test]
fn each_version_of_the_questions_tells_what_it_should() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = versions(&lab)?;
    let login = lab.write("login", "ana\nright\n")?;
    let profile = server
        .profile_for(Proto::Udp, "laptop-17")?
        .line(&format!("auth-user-pass {}", login.display()))
        .line("setenv IV_GUI_VER \"Test_5.3.1\"")
        .line("setenv IV_PLAT_VER 10.0")
        .line("push-peer-info");
    for (name, port) in [("v1", 443), ("v2", 444), ("v3", 445)] {
        let profile = profile.clone().remote(SERVER_V4.into(), port);
        OpenVpn::connect(&lab, 0, name, &profile)?.disconnect()?;
    }
    let mut wanted = json!({
        "endpoint-id": "lab",
        "common-name": "laptop-17",
        "username": "ana",
        "platform": "linux",
        "platform-version": "10.0",
        "public-ip": lab.client_real_address(0).to_string(),
        "client-openvpn-version": stock_version(&lab)?,
        "schema-version": "v1",
    });
    let mut all = asked(&lab)?.into_iter();
    let mut ids = Vec::new();
    let mut check = |wanted: &Value| -> Result<()> {
        let mut question = all.next().context("a question is missing")?;
        let id = question["connection-id"].take();
        let id = id.as_str().unwrap_or_default().to_owned();
        let digits = id.strip_prefix("cvpn-connection-").unwrap_or_default();
        ensure!(
            digits.len() == 17 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "connection-id: {id}"
        );
        ensure!(!ids.contains(&id), "{id} was used twice");
        ids.push(id);
        let fields = question.as_object_mut().context("no object")?;
        fields.remove("connection-id");
        ensure!(question == *wanted, "asked {question}\nwanted {wanted}");
        Ok(())
    };
    check(&wanted)?;
    wanted["endpoint-id"] = "v2".into();
    wanted["schema-version"] = "v2".into();
    wanted["groups"] = "engineering,staff".into();
    check(&wanted)?;
    wanted["endpoint-id"] = "v3".into();
    wanted["schema-version"] = "v3".into();
    wanted["groups"] = json!(["engineering", "staff"]);
    wanted["aws-client-version"] = "Test_5.3.1".into();
    check(&wanted)?;
    ensure!(all.next().is_none(), "asked more than once for one login");
    server.stop()
}

#[test]
fn whoever_fails_to_log_in_is_not_asked_about() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = with_program(&lab, "")?.with_user("ana", "right").start()?;
    let wrong = lab.write("wrong", "ana\nwrong\n")?;
    let profile = Profile::new("udp", &server.ca()).line(&format!("auth-user-pass {}", wrong.display()));
    let mut client = OpenVpn::start(&lab, 0, "wrong", &profile)?;
    client.process().wait_for("AUTH_FAILED", SOON)?;
    ensure!(asked(&lab)?.is_empty(), "asked: {:?}", asked(&lab)?);
    server.stop()
}

#[test]
fn renegotiations_ask_nobody_and_new_connections_do() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = with_program(&lab, "")?.set("renegotiation", "\"5s\"").start()?;
    let profile = server.profile(Proto::Udp).line("reneg-sec 0");
    let mut client = OpenVpn::connect(&lab, 0, "steady", &profile)?;
    let deadline = Instant::now() + Duration::from_secs(40);
    while client.process().log().matches("Control Channel: TLSv1").count() < 3 {
        ensure!(Instant::now() < deadline, "no renegotiations");
        std::thread::sleep(Duration::from_millis(100));
    }
    ensure!(
        reachable(&lab.clients[0], HOST),
        "no traffic after renegotiations"
    );
    ensure!(client.times_connected() == 1, "the client reconnected");
    ensure!(asked(&lab)?.len() == 1, "asked: {:?}", asked(&lab)?);
    client.process().signal(nix::sys::signal::Signal::SIGUSR1)?;
    client.wait_times_connected(2)?;
    ensure!(asked(&lab)?.len() == 2, "asked: {:?}", asked(&lab)?);
    // What a handler says now doesn't touch who is connected already.
    program(&lab, "handler", "#!/bin/sh\nexit 1\n")?;
    ensure!(reachable(&lab.clients[0], HOST), "the connection ended");
    ensure!(client.times_connected() == 2, "the connection ended");
    client.disconnect()?;
    server.stop()
}

/// An answer of a web service, or of AWS Lambda.
fn says(status: &'static str, headers: &'static str, allow: bool, message: &str) -> HookAnswer {
    let body = json!({
        "allow": allow,
        "error-msg-on-denied-connection": message,
        "posture-compliance-statuses": ["compliant"],
        "schema-version": "v2",
    });
    HookAnswer {
        status,
        headers,
        body: body.to_string(),
    }
}

#[test]
fn a_web_service_is_asked_by_post() -> Result<()> {
    let lab = Lab::new(1)?;
    let hook = Hook::start(&lab.server, says("200 OK", "", true, ""))?;
    let mut server = Culvertd::plan(&lab)
        .daemon(&handler(
            "web",
            &format!("url = \"{}\"\ntimeout = \"5s\"", hook.url()),
        ))
        .set("connect_handler", "\"AWSClientVPN-web\"")
        .start()?;
    let profile = server
        .profile_for(Proto::Udp, "allowed")?
        .line("explicit-exit-notify 1");
    let client = OpenVpn::connect(&lab, 0, "allowed", &profile)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    client.disconnect()?;
    let question: Value = serde_json::from_str(hook.asked().first().context("it was not asked")?)?;
    ensure!(
        question["common-name"] == "allowed" && question["schema-version"] == "v3",
        "{question}"
    );
    wait_nobody(&server)?;
    let no = says("200 OK", "", false, "Update your device.");
    let long = "x".repeat(300);
    for (name, answer, reason, message) in [
        (
            "denied",
            no,
            "client-connect-failed",
            "AUTH_FAILED,Update your device.",
        ),
        (
            "error",
            says("500 Oops", "", true, ""),
            "client-connect-handler-service-error",
            DEFAULT_MESSAGE,
        ),
        (
            "busy",
            says("429 Slow down", "", true, ""),
            "client-connect-handler-throttled",
            DEFAULT_MESSAGE,
        ),
        (
            "function",
            says("200 OK", "X-Amz-Function-Error: Unhandled\r\n", true, ""),
            "client-connect-handler-other-execution-error",
            DEFAULT_MESSAGE,
        ),
        (
            "wordy",
            says("200 OK", "", true, &long),
            "client-connect-handler-invalid-response",
            DEFAULT_MESSAGE,
        ),
    ] {
        hook.answer(answer);
        refused(&lab, &mut server, name, reason, message)?;
    }
    drop(hook);
    let reason = "client-connect-handler-service-error";
    refused(&lab, &mut server, "nobody", reason, DEFAULT_MESSAGE)?;
    server.stop()
}

/// Waits until the server has noticed that its client left.
fn wait_nobody(server: &Culvertd) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while !server.clients()?.is_empty() {
        ensure!(Instant::now() < deadline, "the client is still listed");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn two_hundred_logins_at_a_handler_that_hangs_disturb_nobody_who_is_connected() -> Result<()> {
    let lab = Lab::new(2)?;
    let (_echo, _bulk) = (EchoServer::start(&lab.host)?, BulkServer::start(&lab.host)?);
    let server = with_program(&lab, "timeout = \"15s\"")?.start()?;
    let steady = OpenVpn::connect(&lab, 0, "steady", &server.profile_for(Proto::Udp, "steady")?)?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    let slow = server.pki().client("slow", KeyKind::P256)?;
    let to = SocketAddr::from((SERVER_V4, 443));
    let crowd = spawn_logins(
        &lab.clients[1],
        to,
        &server.ca(),
        &slow,
        200,
        Duration::from_secs(30),
    )?;
    while asked(&lab)?.len() < 1 + 16 {
        ensure!(!crowd.is_finished(), "the crowd ended before the handler hung");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pings = spawn_pings(&lab.clients[0], HOST, Duration::from_millis(10), 500)?;
    let quiet = pings.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    let took = spawn_transfer(&lab.clients[0], HOST, 20_000_000)?;
    let took = took.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(
        !crowd.is_finished(),
        "the crowd ended before the traffic did, after {took:?}"
    );
    ensure!(
        asked(&lab)?.len() == 1 + 16,
        "more than 16 were asked about at a time"
    );
    ensure!(quiet.received == quiet.sent, "pings were lost: {quiet:?}");
    ensure!(took < Duration::from_secs(4), "20 MB each way took {took:?}");
    let fates = crowd.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(
        fates.refused.len() == 200 && fates.refused.iter().all(|told| DEFAULT_MESSAGE.ends_with(told)),
        "not all of the crowd were refused: {fates:?}"
    );
    println!(
        "figure: 200 logins at a handler that hangs: {} of 500 pings answered, median {:?}, slowest {:?}; 20 MB each way \
         in {took:?}",
        quiet.received, quiet.median, quiet.slowest
    );
    ensure!(server.clients()?.len() == 1, "only the first client is connected");
    steady.disconnect()?;
    server.stop()
}
