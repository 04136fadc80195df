//! TLS, with HTTP/1.1 and HTTP/2.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use culvert_api::Tls;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Request, exchange};
use crate::lab::{Lab, Pki, pki};

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

fn load(lab: &Lab, pki: &Pki) -> Tls {
    write(lab, pki);
    Tls::load(&lab.path("api.crt"), &lab.path("api.key")).unwrap()
}

fn write(lab: &Lab, pki: &Pki) {
    fs::write(lab.path("api.crt"), &pki.certificate).unwrap();
    fs::write(lab.path("api.key"), &pki.key).unwrap();
}

async fn connect(address: &str, trusted: &Pki, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for der in rustls_pemfile::certs(&mut trusted.chain.as_bytes()) {
        roots.add(der.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn requests_are_answered_over_tls() {
    let lab = Lab::new();
    let pki = pki("127.0.0.1");
    let served = lab.serve_with(Some(load(&lab, &pki)));
    let stream = connect(&served.address, &pki, b"http/1.1").await.unwrap();
    let answer = exchange(stream, &lab.signer("sts").form(WHO).bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // Without TLS nothing is answered.
    let answer = lab.signer("sts").form(WHO).send(&served.address).await;
    assert_eq!(answer.status, 0, "{answer:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_client_wants_it() {
    let lab = Lab::new();
    let pki = pki("127.0.0.1");
    let served = lab.serve_with(Some(load(&lab, &pki)));
    let stream = connect(&served.address, &pki, b"h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    // The host is signed, but sent as a part of the target.
    let mut request = Request::post(WHO).header("content-type", "application/x-www-form-urlencoded");
    request.headers[0].1 = served.address.clone();
    let signed = lab.signer("sts").sign(request);
    for _ in 0..3 {
        let mut builder = hyper::Request::post(format!("https://{}/", served.address));
        for (name, value) in signed.headers.iter().filter(|(name, _)| name != "host") {
            builder = builder.header(name, value);
        }
        let body = Full::new(Bytes::from(signed.body.clone()));
        let answer = sender.send_request(builder.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("<Account>"));
    }
}

#[tokio::test]
async fn a_silent_client_is_given_up_during_the_handshake() {
    let limits = culvert_api::Limits {
        head_time: std::time::Duration::from_millis(200),
        ..culvert_api::Limits::default()
    };
    let lab = Lab::with(limits);
    let served = lab.serve_with(Some(load(&lab, &pki("127.0.0.1"))));
    let mut silent = TcpStream::connect(&served.address).await.unwrap();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(3), silent.read_u8()).await;
    assert!(closed.unwrap().is_err());
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let lab = Lab::new();
    let (old, new) = (pki("127.0.0.1"), pki("127.0.0.1"));
    let tls = load(&lab, &old);
    let served = lab.serve_with(Some(tls.clone()));
    assert!(connect(&served.address, &old, b"h2").await.is_ok());
    assert!(connect(&served.address, &new, b"h2").await.is_err());
    write(&lab, &new);
    tls.reload().unwrap();
    assert!(connect(&served.address, &new, b"h2").await.is_ok());
    fs::write(lab.path("api.key"), &old.key).unwrap();
    let refused = tls.reload().unwrap_err().to_string();
    assert!(
        refused.contains("api.key") && refused.contains("not the key of"),
        "{refused}"
    );
    assert!(connect(&served.address, &new, b"h2").await.is_ok());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let lab = tempfile::tempdir().unwrap();
    let (certificate, key) = (lab.path().join("crt"), lab.path().join("key"));
    let refused = || Tls::load(&certificate, &key).err().unwrap().to_string();
    assert!(
        refused().contains("crt for the API: No such file"),
        "{}",
        refused()
    );
    fs::write(&certificate, "").unwrap();
    assert!(refused().contains("no certificate in PEM"), "{}", refused());
    let pki = pki("a");
    fs::write(&certificate, &pki.certificate).unwrap();
    fs::write(&key, &pki.certificate).unwrap();
    assert!(refused().contains("no private key in PEM"), "{}", refused());
}
