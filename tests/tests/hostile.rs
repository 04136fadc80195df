//! Hostile strangers, and machines that fail. The stock server's own figures, measured the same way, are in docs/hostile.md.
#![cfg(feature = "netns")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::{HOST_V4, SERVER_V4};
use culvert_tests::openvpn::CONNECT;
use culvert_tests::pki::KeyKind;
use culvert_tests::server::{Proto, Wrap};
use culvert_tests::stranger::{
    IP_UDP, add_addresses, closed, first_packet, flood_first_packets, open_connections, send_garbage,
    stall_handshakes,
};
use culvert_tests::traffic::{
    BulkServer, EchoServer, reachable, spawn_pings, spawn_transfer, wait_reachable,
};
use culvert_tests::{Culvertd, Lab, OpenVpn};

fn to() -> SocketAddr {
    SocketAddr::from((SERVER_V4, 443))
}

#[test]
fn an_unproved_address_gets_one_small_answer() -> Result<()> {
    let lab = Lab::new(1)?;
    let server = Culvertd::plan(&lab).start()?;
    let answers = lab.clients[0].enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(to())?;
        socket.send(&first_packet(0x0102_0304_0506_0708))?;
        let deadline = Instant::now() + Duration::from_secs(6);
        let mut sizes = Vec::new();
        while let Some(left) = deadline
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            socket.set_read_timeout(Some(left))?;
            if let Ok(n) = socket.recv(&mut [0; 2048]) {
                sizes.push(n);
            }
        }
        Ok(sizes)
    })?;
    ensure!(answers.len() == 1, "one answer expected: {answers:?}");
    // Compared as they cross the network: with IP and UDP headers.
    let (sent, received) = (
        (first_packet(1).len() + IP_UDP) * 100,
        (answers[0] + IP_UDP) * 100,
    );
    ensure!(
        received <= sent * 135 / 100,
        "the answer has {} bytes",
        answers[0]
    );

    println!(
        "figure: one first packet of {} bytes: {} answer of {} bytes",
        sent / 100,
        answers.len(),
        received / 100
    );

    // A reset cut short would be answered with more than it cost: it gets nothing.
    let silent = lab.clients[0].enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(to())?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        socket.send(&first_packet(0x0102_0304_0506_0709)[..9])?;
        Ok(socket.recv(&mut [0; 2048]).is_err())
    })?;
    ensure!(silent, "a truncated reset was answered");
    server.stop()
}

#[test]
fn a_flood_of_first_packets_does_not_keep_a_client_out() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).start()?;
    let sources = add_addresses(&lab.clients[1], 1, 250)?;
    let flood =
        lab.clients[1].spawn(move || flood_first_packets(&sources, to(), 2_000, Duration::from_secs(14)))?;
    std::thread::sleep(Duration::from_secs(1));
    let mut times = Vec::new();
    for attempt in 0..5 {
        let start = Instant::now();
        let client = OpenVpn::connect(&lab, 0, &format!("flood{attempt}"), &server.profile(Proto::Udp))?;
        times.push(start.elapsed());
        drop(client);
    }
    let still_flooding = !flood.is_finished();
    let sent = flood.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(
        still_flooding,
        "the flood of {sent} packets ended before the last attempt: {times:?}"
    );
    ensure!(
        times.iter().all(|time| *time < Duration::from_secs(2)),
        "connect times: {times:?}"
    );
    println!("figure: 2,000 first packets a second: connect times {times:?}");
    server.stop()
}

#[test]
fn stalled_handshakes_cost_little_and_do_not_keep_a_client_out() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).start()?;
    let sources = add_addresses(&lab.clients[1], 1, 240)?;
    let before = server.memory()?;
    let start = Instant::now();
    let (proved, sockets) = lab.clients[1].enter(move || stall_handshakes(&sources, to(), 1_200))?;
    let took = start.elapsed();
    ensure!(proved >= 1_000, "only {proved} of 1,200 handshakes were answered");
    std::thread::sleep(Duration::from_millis(200));
    let each = server.memory()?.saturating_sub(before) / u64::from(proved);
    ensure!(each <= 64 * 1024, "a stalled handshake costs {each} bytes");
    let start = Instant::now();
    let client = OpenVpn::connect(&lab, 0, "real", &server.profile(Proto::Udp))?;
    ensure!(
        start.elapsed() < Duration::from_secs(5),
        "connecting took {:?} (stalling {took:?})",
        start.elapsed()
    );
    println!(
        "figure: {proved} stalled handshakes: {each} bytes each, a client connects in {:?}",
        start.elapsed()
    );
    drop(sockets);
    client.disconnect()?;
    server.stop()
}

#[test]
fn garbage_is_neither_answered_nor_stored_nor_logged() -> Result<()> {
    let lab = Lab::new(1)?;
    let mut server = Culvertd::plan(&lab).wrap(Wrap::TlsCrypt).start()?;
    let (memory, log) = (server.memory()?, server.process().log_len());
    let answered = lab.clients[0].enter(|| send_garbage(to(), 100_000))?;
    ensure!(answered == 0, "{answered} answers to garbage");
    let grown = server.memory()?.saturating_sub(memory);
    ensure!(grown < 8 * 1024 * 1024, "memory grew by {grown} bytes");
    let logged = server.process().log_len() - log;
    ensure!(logged <= 20 * 100_000, "{logged} bytes were logged");
    println!(
        "figure: 100,000 garbage datagrams: {answered} answers, memory grew by {grown} bytes, {logged} log bytes"
    );
    OpenVpn::connect(&lab, 0, "after", &server.profile(Proto::Udp))?.disconnect()?;
    server.stop()
}

#[test]
fn slow_and_silent_connections_are_reaped() -> Result<()> {
    let lab = Lab::new(2)?;
    let server = Culvertd::plan(&lab).set("handshake_window", "\"20s\"").start()?;
    // A framed first packet, and then nothing: the handshake window ends it.
    let mut framed = vec![0, 14];
    framed.extend_from_slice(&first_packet(0x0a0b_0c0d_0e0f_0001));
    let slow = lab.clients[1].enter(move || open_connections(to(), 300, &framed))?;
    let silent = lab.clients[1].enter(move || open_connections(to(), 20, &[]))?;
    let start = Instant::now();
    let client = OpenVpn::connect(&lab, 0, "meanwhile", &server.profile(Proto::Tcp))?;
    client.disconnect()?;
    while closed(&silent) < silent.len() {
        ensure!(
            start.elapsed() < Duration::from_secs(12),
            "{} of 20 silent are closed",
            closed(&silent)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    ensure!(
        start.elapsed() > Duration::from_secs(5),
        "silent connections were closed too early"
    );
    while closed(&slow) < slow.len() {
        ensure!(
            start.elapsed() < Duration::from_secs(25),
            "{} of 300 slow are closed",
            closed(&slow)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "figure: 300 slow connections are closed after {:?}",
        start.elapsed()
    );
    server.stop()
}

#[test]
fn running_out_of_descriptors_disturbs_no_live_client() -> Result<()> {
    let lab = Lab::new(3)?;
    let _echo = EchoServer::start(&lab.host)?;
    let server = Culvertd::plan(&lab).descriptor_limit(160).start()?;
    let host = IpAddr::V4(HOST_V4);
    let live = OpenVpn::connect(&lab, 0, "live", &server.profile(Proto::Tcp))?;
    wait_reachable(&lab.clients[0], host, Duration::from_secs(5))?;
    let pings = spawn_pings(&lab.clients[0], host, Duration::from_millis(20), 250)?;
    // The kernel's queue takes those that the server can't: all of them connect.
    let over = lab.clients[1].enter(move || open_connections(to(), 220, &[]))?;
    std::thread::sleep(Duration::from_secs(2));
    let cpu = server.cpu()?;
    std::thread::sleep(Duration::from_secs(1));
    let spent = server.cpu()?.saturating_sub(cpu);
    ensure!(
        spent < Duration::from_millis(500),
        "the server spins: {spent:?} of CPU in a second"
    );
    let series = pings.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(
        series.longest_gap <= 3,
        "the live client was disturbed: {series:?}"
    );
    drop(over);
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    let next = OpenVpn::connect(&lab, 2, "next", &server.profile_for(Proto::Tcp, "next")?)?;
    ensure!(
        start.elapsed() < Duration::from_secs(1),
        "service came back after {:?}",
        start.elapsed()
    );
    println!(
        "figure: out of descriptors: longest gap {} pings, {spent:?} of CPU in a second",
        series.longest_gap
    );
    next.disconnect()?;
    live.disconnect()?;
    server.stop()
}

#[test]
fn a_deleted_tun_device_comes_back() -> Result<()> {
    let lab = Lab::new(1)?;
    let _bulk = BulkServer::start(&lab.host)?;
    let mut server = Culvertd::plan(&lab).start()?;
    let host = IpAddr::V4(HOST_V4);
    let client = OpenVpn::connect(&lab, 0, "steady", &server.profile(Proto::Udp))?;
    wait_reachable(&lab.clients[0], host, Duration::from_secs(5))?;
    let transfer = spawn_transfer(&lab.clients[0], host, 200_000_000)?;
    std::thread::sleep(Duration::from_millis(500));
    let log = server.process().log_len();
    lab.server.run("ip", &["link", "del", "cvpn0"])?;
    let start = Instant::now();
    while !reachable(&lab.clients[0], host) {
        ensure!(
            start.elapsed() < Duration::from_secs(2),
            "no traffic {:?} after the deletion",
            start.elapsed()
        );
    }
    println!(
        "figure: deleted TUN device: traffic again after {:?}",
        start.elapsed()
    );
    transfer
        .join()
        .map_err(|_| anyhow::anyhow!("panicked"))?
        .context("the transfer did not survive")?;
    let logged = server.process().log_len() - log;
    ensure!(logged < 20_000, "{logged} bytes were logged");
    client.disconnect()?;
    server.stop()
}

#[test]
fn a_new_revocation_list_ends_the_live_session_of_whom_it_names() -> Result<()> {
    let lab = Lab::new(2)?;
    let plan = Culvertd::plan(&lab);
    let (good, bad) = (
        plan.pki().client("good", KeyKind::P256)?,
        plan.pki().client("bad", KeyKind::P256)?,
    );
    let list = lab.path("crl.pem");
    plan.pki().crl(&list, &[], 30)?;
    let mut server = plan.authentication("crl", "\"crl.pem\"").start()?;
    let good = OpenVpn::connect(&lab, 0, "good", &server.profile_with(Proto::Udp, &good))?;
    let bad_client = OpenVpn::connect(&lab, 1, "bad", &server.profile_with(Proto::Udp, &bad))?;
    ensure!(server.clients()?.len() == 2, "two clients expected");

    // A broken list and an expired one change nothing and say so.
    std::fs::write(
        &list,
        "-----BEGIN X509 CRL-----\nbm90IGEgbGlzdA==\n-----END X509 CRL-----\n",
    )?;
    server
        .process()
        .wait_for("the previous list stays in force", Duration::from_secs(10))?;
    server.pki().crl(&list, &[&bad], -1)?;
    server.process().wait_for("expired", Duration::from_secs(10))?;
    ensure!(server.clients()?.len() == 2, "a refused list ended a session");

    server.pki().crl(&list, &[&bad], 30)?;
    let start = Instant::now();
    while server.clients()?.len() != 1 {
        ensure!(
            start.elapsed() < Duration::from_secs(10),
            "the revoked client is still connected"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    ensure!(
        server.clients()?[0]["common_name"] == "good",
        "the wrong client was ended"
    );
    println!("figure: a revoked client is ended after {:?}", start.elapsed());
    drop(bad_client);
    let mut good = good;
    good.wait_connected(CONNECT)?;
    good.disconnect()?;
    server.stop()
}
