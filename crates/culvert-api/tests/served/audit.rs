//! Each request leaves one line in the log.

use std::io::{self, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tracing_subscriber::fmt::MakeWriter;

use crate::client::{Request, Response, exchange};
use crate::lab::{Lab, pki};
use crate::signer::Signer;

/// Everything that is logged in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

fn record() {
    static BEGUN: OnceLock<()> = OnceLock::new();
    BEGUN.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().json().with_writer(Log).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

fn logged() -> String {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8(log.clone()).unwrap()
}

/// The only line about the request that was answered so.
fn line(answer: &Response) -> Value {
    let log = logged();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(answer.field("x-amzn-requestid")))
        .collect();
    let [line] = lines[..] else {
        panic!("{lines:?} about {answer:?}");
    };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["target"], &line["level"]),
        (&json!("culvert_api::audit"), &json!("INFO"))
    );
    line["fields"].clone()
}

#[tokio::test]
async fn a_request_that_was_carried_out() {
    record();
    let lab = Lab::new();
    let served = lab.serve();
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let line = line(&lab.signer("sts").form(form).send(&served.address).await);
    for (field, value) in [
        ("action", json!("GetCallerIdentity")),
        ("service", json!("sts")),
        ("caller", json!(lab.key.id())),
        ("outcome", json!("Success")),
        ("status", json!(200)),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(
        line["source"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{line}"
    );
    assert!(
        line["milliseconds"].is_u64() && line.get("reason").is_none(),
        "{line}"
    );
}

#[tokio::test]
async fn a_refusal_tells_the_log_more_than_the_caller() {
    record();
    let lab = Lab::new();
    let served = lab.serve();
    let signer = Signer::new("AKIAEXAMPLEEXAMPLE22", "wrong", "ec2");
    let answer = signer
        .form("Action=DeleteClientVpnEndpoint")
        .send(&served.address)
        .await;
    assert!(!answer.body.contains("unknown access key"), "{answer:?}");
    let refused = line(&answer);
    assert_eq!(refused["reason"], "unknown access key 'AKIAEXAMPLEEXAMPLE22'");
    assert_eq!(
        (&refused["outcome"], &refused["caller"]),
        (&json!("AuthFailure"), &json!(""))
    );
    let elsewhere = line(&Request::new("PUT", "/").send(&served.address).await);
    assert_eq!(elsewhere["outcome"], "MethodNotAllowed");
    let nowhere = line(&Request::new("GET", "/x").send(&served.address).await);
    assert_eq!(
        (&nowhere["outcome"], &nowhere["status"]),
        (&json!("NotFound"), &json!(404))
    );
}

#[tokio::test]
async fn names_that_callers_choose_cannot_forge_lines() {
    record();
    let lab = Lab::new();
    let served = lab.serve();
    let form = format!("Action=Get%0A%22Caller{}&Version=2011-06-15", "x".repeat(200));
    let line = line(&lab.signer("sts").form(&form).send(&served.address).await);
    assert_eq!(
        line["action"].as_str().unwrap(),
        format!("GetCaller{}", "x".repeat(55))
    );
}

#[tokio::test]
async fn secrets_are_never_logged() {
    record();
    let lab = Lab::new();
    let served = lab.serve();
    let pki = pki("a.example");
    let key = BASE64.encode(pki.key.as_bytes());
    for input in [
        json!({ "Certificate": BASE64.encode(pki.certificate.as_bytes()), "PrivateKey": key }),
        json!({ "Certificate": [key], "PrivateKey": key }),
        json!({ "Certificate": "", "PrivateKey": "", "Tags": key }),
        json!({ "Certificate": "", "PrivateKey": pki.key }),
    ] {
        let request = lab.signer("acm").json("ImportCertificate", &input);
        let line = line(&request.send(&served.address).await);
        assert_eq!(line["action"], "ImportCertificate");
    }
    let body: Vec<&str> = pki.key.lines().filter(|line| !line.starts_with('-')).collect();
    let log = logged();
    for secret in [&**lab.key.expose_secret(), &key[60..100], body[0]] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn who_calls_over_the_unix_socket_is_named_by_uid() {
    record();
    let lab = Lab::new();
    let path = lab.path("api.sock");
    let _served = lab.run(culvert_api::Listener::bind_unix(&path).unwrap());
    let stream = UnixStream::connect(path).await.unwrap();
    let request = Request::post("Action=GetCallerIdentity&Version=2011-06-15");
    let line = line(&exchange(stream, &request.bytes()).await);
    let own = format!("uid {}", nix::unistd::geteuid());
    assert_eq!((&line["caller"], &line["source"]), (&json!(own), &json!("unix")));
}

#[tokio::test]
async fn a_client_that_leaves_early_leaves_a_line() {
    record();
    let lab = Lab::new();
    let served = lab.serve();
    let bytes = lab.signer("sts").form("Action=GetCallerIdentity").bytes();
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    let source = stream.local_addr().unwrap().to_string();
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let log = logged();
        if let Some(line) = log.lines().find(|line| line.contains(&format!("\"{source}\""))) {
            assert!(
                line.contains("Abandoned") || line.contains("ended early"),
                "{line}"
            );
            return;
        }
    }
    panic!("no line about {source}");
}
