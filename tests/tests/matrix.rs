//! Every transport, control-channel protection, TLS version and AEAD cipher: the stock client connects, gets an address,
//! moves 20 MB both ways unharmed, and leaves cleanly.
#![cfg(feature = "netns")]

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::server::{Proto, Wrap};
use culvert_tests::traffic::{BulkServer, TRANSFER, transfer};
use culvert_tests::{Culvertd, Lab, OpenVpn};

const CIPHERS: [&str; 3] = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];
const TLS: [&str; 2] = ["1.2", "1.3"];

fn cells(wrap: Wrap, proto: Proto) -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let server = Culvertd::plan(&lab).wrap(wrap).start()?;
    for tls in TLS {
        for cipher in CIPHERS {
            let cell = format!("{proto:?}-{wrap:?}-tls{tls}-{cipher}");
            one_cell(&lab, &server, proto, tls, cipher, &cell).with_context(|| cell)?;
        }
    }
    server.stop()
}

fn one_cell(lab: &Lab, server: &Culvertd, proto: Proto, tls: &str, cipher: &str, cell: &str) -> Result<()> {
    let profile = server
        .profile(proto)
        .line(&format!("data-ciphers {cipher}"))
        .line(&format!("tls-version-min {tls}"))
        .line(&format!("tls-version-max {tls}"));
    let mut client = OpenVpn::connect(lab, 0, cell, &profile)?;
    let log = client.process().log();
    ensure!(
        log.contains(&format!("Data Channel: cipher '{cipher}'")),
        "another cipher was chosen:\n{log}"
    );
    ensure!(
        log.contains(&format!("Control Channel: TLSv{tls}")),
        "another TLS version was chosen:\n{log}"
    );
    ensure!(client.virtual_v4().is_some(), "no address was pushed:\n{log}");
    transfer(&lab.clients[0], IpAddr::V4(HOST_V4), TRANSFER)?;
    client.disconnect()
}

#[test]
fn udp_without_wrapping() -> Result<()> {
    cells(Wrap::None, Proto::Udp)
}

#[test]
fn udp_with_tls_auth() -> Result<()> {
    cells(Wrap::TlsAuth, Proto::Udp)
}

#[test]
fn udp_with_tls_crypt() -> Result<()> {
    cells(Wrap::TlsCrypt, Proto::Udp)
}

#[test]
fn udp_with_tls_crypt_v2() -> Result<()> {
    cells(Wrap::TlsCryptV2, Proto::Udp)
}

#[test]
fn tcp_without_wrapping() -> Result<()> {
    cells(Wrap::None, Proto::Tcp)
}

#[test]
fn tcp_with_tls_auth() -> Result<()> {
    cells(Wrap::TlsAuth, Proto::Tcp)
}

#[test]
fn tcp_with_tls_crypt() -> Result<()> {
    cells(Wrap::TlsCrypt, Proto::Tcp)
}

#[test]
fn tcp_with_tls_crypt_v2() -> Result<()> {
    cells(Wrap::TlsCryptV2, Proto::Tcp)
}
