//! UDP sockets against each other and against plain ones, on loopback and in a network namespace.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    net::{IpAddr, SocketAddr, UdpSocket as Plain},
    process::Command,
    time::Duration,
};

use culvert_transport::{AsyncUdpSocket, RecvBatch, SendBatch, SendReport, UdpOptions, UdpSocket};
use culvert_wire::UdpPath;

fn open(address: &str) -> UdpSocket {
    UdpSocket::bind(address.parse().unwrap(), &UdpOptions::default()).unwrap()
}

fn path(remote: SocketAddr) -> UdpPath {
    UdpPath {
        remote,
        local: None,
        socket: 0,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Receives until `count` datagrams are there.
async fn receive(socket: &AsyncUdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut batch = RecvBatch::new();
    let mut seen = Vec::new();
    while seen.len() < count {
        let received = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut batch));
        received.await.expect("datagrams are missing").unwrap();
        seen.extend(
            batch
                .datagrams_mut()
                .map(|(meta, datagram)| (meta.remote, datagram.to_vec())),
        );
    }
    seen
}

/// Sizes that make trains end in every way: a shorter one, a longer one, too many, too much.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![1400; 10];
    sizes.extend([700, 1400, 1400, 1500, 1, 1]);
    sizes.extend([100; 130]);
    sizes.extend([1472; 50]);
    sizes.extend([9000; 9]);
    sizes
}

fn exchange(address: &str, options: &UdpOptions) -> SendReport {
    runtime().block_on(async {
        let server = UdpSocket::bind(address.parse().unwrap(), options).unwrap();
        let server = AsyncUdpSocket::new(server).unwrap();
        let client = UdpSocket::bind(address.parse().unwrap(), options).unwrap();
        let mut batch = SendBatch::with_capacity(&client, 1 << 20);
        let to = path(server.local_addr());
        let sizes = sizes();
        for (number, size) in sizes.iter().enumerate() {
            let room = batch.reserve(&to, size + 7).unwrap();
            room[..*size].fill(number as u8);
            batch.commit(*size);
        }
        let report = batch.flush(&client).unwrap();
        assert!(batch.is_empty());
        let seen = receive(&server, sizes.len()).await;
        for (number, size) in sizes.iter().enumerate() {
            assert_eq!(seen[number].0, client.local_addr());
            assert!(seen[number].1 == vec![number as u8; *size], "datagram {number}");
        }
        assert_eq!(report.sent, sizes.len() as u64);
        assert_eq!(report.bytes, sizes.iter().sum::<usize>() as u64);
        assert_eq!((report.full, report.unreachable), (0, 0));
        report
    })
}

#[test]
fn datagrams_arrive_unchanged_and_in_order_with_and_without_offload() {
    let plain = UdpOptions {
        gro: false,
        gso: false,
        ..UdpOptions::default()
    };
    for address in ["127.0.0.1:0", "[::1]:0"] {
        assert!(exchange(address, &UdpOptions::default()).calls <= 2);
        assert_eq!(
            exchange(address, &plain).calls,
            (sizes().len() as u64).div_ceil(64)
        );
    }
}

#[test]
fn trains_to_several_clients_in_one_batch_reach_each() {
    runtime().block_on(async {
        let server = open("127.0.0.1:0");
        let clients: Vec<AsyncUdpSocket> = (0..5)
            .map(|_| AsyncUdpSocket::new(open("127.0.0.1:0")).unwrap())
            .collect();
        let mut batch = SendBatch::new(&server);
        for round in 0..4u8 {
            for (number, client) in clients.iter().enumerate() {
                for _ in 0..3 {
                    assert!(batch.push(&path(client.local_addr()), &[round * 8 + number as u8; 500]));
                }
            }
        }
        let report = batch.flush(&server).unwrap();
        assert_eq!(
            report,
            SendReport {
                sent: 60,
                bytes: 30_000,
                calls: 1,
                ..SendReport::default()
            }
        );
        for (number, client) in clients.iter().enumerate() {
            let seen = receive(client, 12).await;
            let rounds: Vec<u8> = seen.iter().map(|(_, datagram)| datagram[0]).collect();
            let expected: Vec<u8> = (0..12).map(|index| index / 3 * 8 + number as u8).collect();
            assert_eq!(rounds, expected);
        }
    });
}

#[test]
fn replies_leave_from_the_address_the_client_used() {
    for (any, used) in [("0.0.0.0:0", "127.0.0.77"), ("[::]:0", "::1")] {
        let used: IpAddr = used.parse().unwrap();
        runtime().block_on(async {
            let server = AsyncUdpSocket::new(open(any)).unwrap();
            let to = SocketAddr::new(used, server.local_addr().port());
            let client = Plain::bind((if used.is_ipv6() { "::1" } else { "127.0.0.1" }, 0)).unwrap();
            client.send_to(b"hello", to).unwrap();
            let mut received = RecvBatch::new();
            server.recv(&mut received).await.unwrap();
            let mut replies = SendBatch::new(&server);
            for (meta, datagram) in received.datagrams_mut() {
                assert_eq!(meta.local, Some(used));
                assert!(replies.push(&meta.path(3), datagram));
            }
            assert_eq!(replies.flush(&server).unwrap().sent, 1);
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (5, to));
        });
    }
}

#[test]
fn a_destination_that_cannot_be_reached_holds_nobody_back() {
    runtime().block_on(async {
        let server = open("127.0.0.1:0");
        let client = AsyncUdpSocket::new(open("127.0.0.1:0")).unwrap();
        let good = path(client.local_addr());
        let bad = path("[2001:db8::1]:9".parse().unwrap()); // of the other family
        let broadcast = path("255.255.255.255:9".parse().unwrap()); // needs SO_BROADCAST
        let mut batch = SendBatch::new(&server);
        for to in [&bad, &good, &bad, &bad, &broadcast, &good] {
            assert!(batch.push(to, &[1; 300]));
        }
        let report = batch.flush(&server).unwrap();
        assert_eq!((report.sent, report.unreachable), (2, 4));
        assert_eq!(receive(&client, 2).await.len(), 2);
    });
}

#[test]
fn a_batch_is_full_in_time_and_a_reservation_without_commit_never_happened() {
    let server = open("127.0.0.1:0");
    let to = path("127.0.0.1:9".parse().unwrap());
    let mut batch = SendBatch::with_capacity(&server, 1);
    assert!(batch.reserve(&to, 65_508).is_none());
    assert!(batch.reserve(&to, 65_507).is_some());
    batch.abandon();
    batch.commit(5);
    assert!(batch.is_empty());
    assert!(batch.reserve(&to, 60_000).is_some());
    batch.commit(usize::MAX);
    assert_eq!(batch.len(), 60_000);
    assert!(batch.reserve(&to, 6000).is_none());
    assert!(batch.reserve(&to, 5000).is_some());
    assert_eq!(batch.flush(&server).unwrap().bytes, 60_000);
}

#[test]
fn both_families_share_a_port_and_workers_share_an_address() {
    let v4 = open("0.0.0.0:0");
    let port = v4.local_addr().port();
    let _v6 = open(&format!("[::]:{port}"));
    let _second_worker = open(&format!("0.0.0.0:{port}"));
    let alone = UdpOptions {
        reuse_port: false,
        ..UdpOptions::default()
    };
    assert!(UdpSocket::bind(v4.local_addr(), &alone).is_err());
}

/// Runs `test` in a network namespace of its own, on a thread of its own, or says why not.
fn in_namespace(name: &str, test: fn()) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: {name} needs root for a network namespace");
        return;
    }
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        test();
    });
    thread.join().unwrap();
}

fn ip(command: &str) {
    let status = Command::new("ip")
        .args(command.split_whitespace())
        .status()
        .unwrap();
    assert!(status.success(), "ip {command}");
}

#[test]
fn root_trains_larger_than_the_devices_mtu_are_sent_singly_and_that_is_remembered() {
    in_namespace("the MTU test", || {
        ip("link add d0 mtu 1300 type veth peer name d1");
        ip("link set d0 up");
        ip("link set d1 up");
        ip("address add 10.9.0.1/24 dev d0");
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev d0");
        let server = open("0.0.0.0:0");
        let to = path("10.9.0.2:1000".parse().unwrap());
        let mut batch = SendBatch::new(&server);
        let flush = |batch: &mut SendBatch, size: usize| {
            for _ in 0..10 {
                assert!(batch.push(&to, &vec![0; size]));
            }
            batch.flush(&server).unwrap()
        };
        let first = flush(&mut batch, 1400);
        assert_eq!((first.sent, first.unreachable, first.full), (10, 0, 0));
        assert!(first.calls > 1);
        assert_eq!(flush(&mut batch, 1400).calls, 1, "no train is tried again");
        let small = flush(&mut batch, 1200);
        assert_eq!((small.sent, small.calls), (10, 1));
        assert!(server.gso(), "one path's MTU is no reason to give up on all");
    });
}

#[test]
fn root_a_destination_without_a_route_holds_nobody_back() {
    in_namespace("the routing test", || {
        ip("link set lo up");
        runtime().block_on(async {
            let server = open("0.0.0.0:0");
            let client = AsyncUdpSocket::new(open("127.0.0.1:0")).unwrap();
            let good = path(client.local_addr());
            let nowhere = path("192.0.2.1:9".parse().unwrap());
            let mut batch = SendBatch::new(&server);
            for to in [&nowhere, &nowhere, &good, &nowhere, &good] {
                assert!(batch.push(to, &[1; 300]));
            }
            let report = batch.flush(&server).unwrap();
            assert_eq!((report.sent, report.unreachable), (2, 3));
            assert_eq!(receive(&client, 2).await.len(), 2);
        });
    });
}
