//! The client library of the official tools. Skipped where Python has none; the other tests remain.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use culvert_api::Tls;
use serde_json::{Value, json};

use crate::lab::{ACCOUNT, Lab, pki};

fn is_there() -> bool {
    let found = Command::new("python3")
        .args(["-c", "import botocore"])
        .stderr(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: python3 has no botocore");
    }
    found
}

/// What the script says about a run against this address.
async fn run(lab: &Lab, url: String) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/served/data/calls.py");
    let mut python = Command::new("python3");
    python
        .arg(script)
        .arg(url)
        .arg(lab.folder.path())
        .env("AWS_ACCESS_KEY_ID", lab.key.id())
        .env("AWS_SECRET_ACCESS_KEY", &**lab.key.expose_secret())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = tokio::task::spawn_blocking(move || python.output().unwrap())
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn write(lab: &Lab) {
    let pki = pki("vpn.example.com");
    fs::write(lab.path("server.crt"), &pki.certificate).unwrap();
    fs::write(lab.path("server.key"), &pki.key).unwrap();
    fs::write(lab.path("chain.crt"), &pki.chain).unwrap();
}

fn check(said: &Value) {
    assert_eq!(said["account"], ACCOUNT, "{said}");
    assert_eq!(said["described"]["DomainName"], "vpn.example.com", "{said}");
    assert_eq!(said["described"]["Type"], "IMPORTED");
    assert_eq!(said["valid for days"], json!(true), "{said}");
    assert_eq!(said["pages"], json!([1, 1, 1]), "{said}");
    assert_eq!(said["chain comes back"], json!(true));
    assert_eq!(said["tags"], json!([{ "Key": "Name", "Value": "a b" }]));
    assert_eq!(said["deleted twice"], "ResourceNotFoundException");
    assert_eq!(said["wrong secret"], "SignatureDoesNotMatch");
    assert_eq!(said["wrong secret of acm"], "InvalidSignatureException");
    assert_eq!(said["wrong secret of ec2"], "AuthFailure");
}

#[tokio::test]
async fn all_calls_over_http() {
    if !is_there() {
        return;
    }
    let lab = Lab::new();
    write(&lab);
    let served = lab.serve();
    check(&run(&lab, format!("http://{}", served.address)).await);
}

#[tokio::test]
async fn all_calls_over_https() {
    if !is_there() {
        return;
    }
    let lab = Lab::new();
    write(&lab);
    let pki = pki("127.0.0.1");
    fs::write(lab.path("api.crt"), format!("{}{}", pki.certificate, pki.chain)).unwrap();
    fs::write(lab.path("api.key"), &pki.key).unwrap();
    fs::write(lab.path("ca.crt"), &pki.chain).unwrap();
    let tls = Tls::load(&lab.path("api.crt"), &lab.path("api.key")).unwrap();
    let served = lab.serve_with(Some(tls));
    check(&run(&lab, format!("https://{}", served.address)).await);
}
