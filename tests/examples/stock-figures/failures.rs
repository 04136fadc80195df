//! What fails on the server itself: its device, and its list of revoked certificates.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use culvert_tests::lab::HOST_V4;
use culvert_tests::pki::{KeyKind, Leaf};
use culvert_tests::stock::{STOCK_DEVICE, StockPlan, StockServer};
use culvert_tests::traffic::{BulkServer, reachable, spawn_transfer, wait_reachable};
use culvert_tests::{Lab, OpenVpn};

use crate::figure;

const HOST: IpAddr = IpAddr::V4(HOST_V4);
/// How long is watched whether something changes: many times what is asked of `culvertd`.
const WATCH: Duration = Duration::from_secs(120);

pub(crate) fn device() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let mut server = StockServer::plan(&lab)?.start()?;
    let _client = OpenVpn::connect(&lab, 0, "steady", &server.profile())?;
    wait_reachable(&lab.clients[0], HOST, Duration::from_secs(5))?;
    let transfer = spawn_transfer(&lab.clients[0], HOST, 200_000_000)?;
    std::thread::sleep(Duration::from_millis(500));
    let (cpu, log) = (server.process().cpu()?, server.process().log_len());
    lab.server.run("ip", &["link", "del", STOCK_DEVICE])?;
    let start = Instant::now();
    let back = until(WATCH, || reachable(&lab.clients[0], HOST));
    // A process that is gone has no figures of its own any more.
    let spent = server.process().cpu().map(|now| now.saturating_sub(cpu)).ok();
    println!(
        "deleted TUN device: traffic is back after {}; the server ended: {:?}; in {:?} it spent {spent:?} of CPU and logged \
         {} bytes",
        figure(back, WATCH),
        server.process().exit_status()?,
        start.elapsed(),
        server.process().log_len() - log,
    );
    let transfer = transfer
        .join()
        .map_err(|_| anyhow!("the transferring thread panicked"))?
        .map_err(|error| error.to_string());
    println!("deleted TUN device: the transfer: {transfer:?}");
    Ok(())
}

pub(crate) fn revocation() -> Result<()> {
    // The default, and a short time between key exchanges to see whether one of those notices.
    for line in ["reneg-sec 3600", "reneg-sec 30"] {
        let lab = Lab::new(2)?;
        let (plan, good, bad) = with_list(&lab)?;
        let mut server = plan.line(line).start()?;
        let _good = connect(&lab, 0, "good", &server, &good)?;
        let bad_client = connect(&lab, 1, "bad", &server, &bad)?;
        server.pki().crl(&lab.path("crl.pem"), &[&bad], 30)?;
        let ended = until(WATCH, || !reachable(&lab.clients[1], HOST));
        println!(
            "revoked while connected, {line}: its traffic ends after {}; the other's goes on: {}; the server refused its \
             certificate {} times",
            figure(ended, WATCH),
            reachable(&lab.clients[0], HOST),
            server.process().log().matches("certificate revoked").count()
        );
        drop(bad_client);
        println!(
            "revoked, {line}: connects again: {}",
            connects(&lab, 1, "again", &server, &bad)?
        );
    }
    Ok(())
}

pub(crate) fn broken_list() -> Result<()> {
    bad_list("broken", |lab, _, _| {
        std::fs::write(
            lab.path("crl.pem"),
            "-----BEGIN X509 CRL-----\nbm90IGEgbGlzdA==\n-----END X509 CRL-----\n",
        )?;
        Ok(())
    })
}

pub(crate) fn expired_list() -> Result<()> {
    bad_list("expired", |lab, server, bad| {
        server.pki().crl(&lab.path("crl.pem"), &[bad], -1)
    })
}

/// Spoils the list under a live client and sees who connects after that.
fn bad_list(what: &str, spoil: impl FnOnce(&Lab, &StockServer, &Leaf) -> Result<()>) -> Result<()> {
    let lab = Lab::new(3)?;
    let (plan, good, bad) = with_list(&lab)?;
    plan.pki().crl(&lab.path("crl.pem"), &[&bad], 30)?;
    let mut server = plan.start()?;
    let _live = connect(&lab, 0, "live", &server, &good)?;
    ensure!(
        !connects(&lab, 2, "bad-before", &server, &bad)?,
        "the stock server admits a revoked certificate"
    );
    let log = server.process().log().len();
    spoil(&lab, &server, &bad)?;
    let good_connects = connects(&lab, 1, "good", &server, &good)?;
    let bad_connects = connects(&lab, 2, "bad", &server, &bad)?;
    println!(
        "{what} list: the live client's traffic goes on: {}; a good certificate connects: {good_connects}; \
         a revoked one: {bad_connects}",
        reachable(&lab.clients[0], HOST)
    );
    let log = server.process().log().split_off(log);
    for line in log
        .lines()
        .filter(|line| line.contains("CRL") || line.contains("VERIFY ERROR"))
    {
        println!("{what} list: the log says: {line}");
    }
    Ok(())
}

/// A plan with a list that revokes nobody yet, and two certificates.
fn with_list(lab: &Lab) -> Result<(StockPlan<'_>, Leaf, Leaf)> {
    let list = lab.path("crl.pem");
    let plan = StockServer::plan(lab)?.line(&format!("crl-verify {}", list.display()));
    let (good, bad) = (
        plan.pki().client("good", KeyKind::P256)?,
        plan.pki().client("bad", KeyKind::P256)?,
    );
    plan.pki().crl(&list, &[], 30)?;
    Ok((plan, good, bad))
}

fn connect(lab: &Lab, index: usize, name: &str, server: &StockServer, leaf: &Leaf) -> Result<OpenVpn> {
    let client = OpenVpn::connect(lab, index, name, &server.profile_with(leaf))?;
    wait_reachable(&lab.clients[index], HOST, Duration::from_secs(5))?;
    Ok(client)
}

/// Whether a client with this certificate comes up in a time that is ample without load.
fn connects(lab: &Lab, index: usize, name: &str, server: &StockServer, leaf: &Leaf) -> Result<bool> {
    let mut client = OpenVpn::start(lab, index, name, &server.profile_with(leaf))?;
    Ok(client.wait_connected(Duration::from_secs(10)).is_ok())
}

/// How long it takes until something is so; nothing if it isn't within `limit`.
fn until(limit: Duration, mut so: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if so() {
            return Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}
