//! Commands on the API against a stand-in on a real socket, for what a daemon does rarely or never: long lists, things that
//! fail, answers nobody can read. `tests/aws` has the same commands against the daemon.

// A test's helpers may fail loudly and talk.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use common::Bench;
use serde_json::json;

/// What the stand-in was asked, in order.
type Asked = Arc<Mutex<Vec<String>>>;

/// Serves `api.sock` in the folder: `answer` makes status and body from how often it was asked and the request's body.
fn serve(bench: &Bench, answer: impl Fn(usize, &str) -> (u16, String) + Send + 'static) -> Asked {
    let listener = UnixListener::bind(bench.path("api.sock")).unwrap();
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut size = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(length) = line.strip_prefix("content-length:") {
                    size = length.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; size];
            stream.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            noted.lock().unwrap().push(body.clone());
            let (status, body) = answer(at, &body);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
            // Whoever has seen enough hangs up.
            let _ = stream.get_mut().write_all(format!("{head}{body}").as_bytes());
        }
    });
    asked
}

const SOCKET: &str = "--api-socket api.sock";

fn route(destination: &str, status: &str) -> String {
    format!(
        "<item><clientVpnEndpointId>cvpn-endpoint-1</clientVpnEndpointId><destinationCidr>{destination}</destinationCidr>\
         <targetSubnet>subnet-1</targetSubnet><origin>add-route</origin><status>{status}</status></item>"
    )
}

fn routes(items: &str, next: &str) -> (u16, String) {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeClientVpnRoutesResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId><routes>{items}</routes>{next}\
         </DescribeClientVpnRoutesResponse>"
    );
    (200, body)
}

#[test]
fn pages_are_followed_to_their_end() {
    let bench = Bench::new();
    let asked = serve(&bench, |at, _| {
        let item = route(&format!("10.{at}.0.0/16"), "<code>active</code>");
        let next = if at < 2 {
            format!("<nextToken>t+{at}</nextToken>")
        } else {
            "<nextToken/>".into()
        };
        routes(&item, &next)
    });
    let found = bench.json(&format!("route list cvpn-endpoint-1 {SOCKET}"));
    let destinations: Vec<_> = found["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["destination_cidr"])
        .collect();
    assert_eq!(destinations, ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"]);
    let asked = asked.lock().unwrap();
    let form = "Action=DescribeClientVpnRoutes&Version=2016-11-15&ClientVpnEndpointId=cvpn-endpoint-1";
    assert_eq!(
        *asked,
        [
            form.to_owned(),
            format!("{form}&NextToken=t%2B0"),
            format!("{form}&NextToken=t%2B1")
        ]
    );
}

#[test]
fn pages_without_an_end_are_given_up() {
    let bench = Bench::new();
    serve(&bench, |_, _| routes("", "<nextToken>same</nextToken>"));
    let error = bench.fails(&format!("route list cvpn-endpoint-1 {SOCKET}"), 1);
    assert!(error.contains("its pages have no end"), "{error}");
}

#[test]
fn a_busy_daemon_is_asked_again_but_not_for_ever() {
    let busy = || {
        let error = "<Code>RequestLimitExceeded</Code><Message>Too many requests at once.</Message>";
        let body =
            format!("<Response><Errors><Error>{error}</Error></Errors><RequestID>1</RequestID></Response>");
        (503, body)
    };
    let bench = Bench::new();
    serve(&bench, move |at, _| if at == 0 { busy() } else { routes("", "") });
    assert_eq!(
        bench.ok(&format!("route list cvpn-endpoint-1 {SOCKET}")),
        "no routes\n"
    );
    let bench = Bench::new();
    let asked = serve(&bench, move |_, _| busy());
    let error = bench.fails(&format!("route list cvpn-endpoint-1 {SOCKET}"), 1);
    assert_eq!(
        error,
        "culvert: RequestLimitExceeded: Too many requests at once.\n"
    );
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[test]
fn waiting_tells_why_something_failed() {
    let bench = Bench::new();
    serve(&bench, |at, body| {
        if body.starts_with("Action=CreateClientVpnRoute&") {
            return (
                200,
                "<R><requestId>1</requestId><status><code>creating</code></status></R>".into(),
            );
        }
        let status = if at < 3 {
            "<code>creating</code>"
        } else {
            "<code>failed</code><message>no device lan9</message>"
        };
        routes(&route("10.30.0.0/24", status), "")
    });
    let error = bench.fails(
        &format!("route create cvpn-endpoint-1 10.30.0.0/24 subnet-1 --wait {SOCKET}"),
        1,
    );
    assert_eq!(
        error,
        "culvert: the route to 10.30.0.0/24 through subnet-1 is failed: no device lan9\n"
    );
}

#[test]
fn whoever_waits_longer_than_a_second_is_told_what_for() {
    let bench = Bench::new();
    let began = std::time::Instant::now();
    serve(&bench, move |_, body| {
        if body.starts_with("Action=CreateClientVpnRoute&") {
            return (200, "<R><status><code>creating</code></status></R>".into());
        }
        let code = if began.elapsed().as_millis() < 1_500 {
            "creating"
        } else {
            "active"
        };
        routes(&route("10.30.0.0/24", &format!("<code>{code}</code>")), "")
    });
    let done = bench
        .run(&format!(
            "route create cvpn-endpoint-1 10.30.0.0/24 subnet-1 --wait {SOCKET}"
        ))
        .success();
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert_eq!(
        said,
        "culvert: waiting: the route to 10.30.0.0/24 through subnet-1 is creating\n"
    );
    assert_eq!(
        common::stdout(&done),
        "added the route to 10.30.0.0/24 through subnet-1 (active)\n"
    );
}

#[test]
fn what_others_chose_cannot_command_the_terminal() {
    let bench = Bench::new();
    serve(&bench, |_, _| {
        routes(&route("\u{1b}[31m", "<code>active</code>"), "")
    });
    let text = bench.ok(&format!("route list cvpn-endpoint-1 {SOCKET}"));
    assert!(text.contains("?[31m") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn answers_nobody_can_read_are_named() {
    let huge = "x".repeat(17 << 20);
    for (status, body, reason) in [
        (200, "", "can't be read"),
        (
            200,
            "<R><routes><item><status/></item></routes></R>",
            "missing field",
        ),
        (200, "<R><routes>", "can't be read"),
        (200, huge.as_str(), "more than 16777216 bytes"),
        (503, "Too many connections\n", "can't be read"),
        (
            400,
            "<Response><Errors><Error><Code>InvalidAction</Code><Message>no</Message></Error></Errors></Response>",
            "culvert: InvalidAction: no\n",
        ),
    ] {
        let bench = Bench::new();
        let body = body.to_owned();
        serve(&bench, move |_, _| (status, body.clone()));
        let error = bench.fails(&format!("route list cvpn-endpoint-1 {SOCKET}"), 1);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn errors_are_json_where_results_are() {
    let bench = Bench::new();
    for form in ["--output json", "--json"] {
        let error = bench.fails(&format!("endpoint list {form} {SOCKET}"), 3);
        let error: serde_json::Value = serde_json::from_str(&error).unwrap();
        assert!(
            error["error"]
                .as_str()
                .unwrap()
                .contains("systemctl start culvert"),
            "{error}"
        );
    }
}

#[test]
fn certificates_are_named_by_domain_and_their_times_are_readable() {
    let bench = Bench::new();
    let arn = "arn:aws:acm:r:1:certificate/00000000-0000-4000-8000-000000000000";
    let asked = serve(&bench, move |_, _| {
        let one = json!({ "CertificateArn": arn, "DomainName": "vpn.test", "Status": "ISSUED", "NotAfter": 1_700_000_000,
                          "InUse": true, "Later": [] });
        (200, json!({ "CertificateSummaryList": [one] }).to_string())
    });
    let found = bench.json(&format!("certificate list {SOCKET}"));
    assert_eq!(
        found["certificates"],
        json!([{ "certificate_arn": arn, "domain_name": "vpn.test", "status": "ISSUED", "key_algorithm": null,
                 "not_after": "2023-11-14T22:13:20Z", "in_use": true }])
    );
    bench.ok(&format!("certificate delete vpn.test {SOCKET}"));
    assert_eq!(
        asked.lock().unwrap().last().unwrap(),
        &json!({ "CertificateArn": arn }).to_string()
    );
    let error = bench.fails(&format!("certificate delete other.test {SOCKET}"), 4);
    assert!(
        error.contains("there is no certificate \"other.test\""),
        "{error}"
    );
}

#[test]
fn who_may_connect_must_be_said() {
    let bench = Bench::new();
    let error = bench.fails(
        &format!("endpoint create --client-cidr 10.8.0.0/22 --server-certificate arn:x {SOCKET}"),
        1,
    );
    assert!(error.contains("--client-root"), "{error}");
}

#[test]
fn shells_and_manuals_know_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.ok(&format!("completion {shell}"));
        for word in ["quickstart", "security-group", "client-cidr"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    bench.write("bash", &bench.ok("completion bash"));
    if let Some((is_sound, said)) = bench.other("bash", "-n bash") {
        assert!(is_sound, "{said}");
    }
    bench.ok("man pages");
    for page in [
        "culvert.1",
        "culvert-endpoint-create.1",
        "culvert-profile-export.1",
    ] {
        assert!(bench.read(&format!("pages/{page}")).contains(".TH"), "{page}");
    }
    assert!(
        bench
            .fails("man /proc/nowhere", 1)
            .contains("cannot make the folder /proc/nowhere")
    );
}
