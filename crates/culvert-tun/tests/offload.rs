//! Real TCP and UDP between two network namespaces, through split and join, with offload on both sides, on
//! one, and on none.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Barrier,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use culvert_transport::{RecvBatch, SendBatch, UdpOptions, UdpSocket};
use culvert_tun::{AsyncTunQueue, JoinBatch, SuperBuf, TunDevice, TunError, TunOptions, TunQueue};
use culvert_wire::UdpPath;

const BULK: usize = 24 << 20;

/// Which side has the offload.
#[derive(Clone, Copy, Debug)]
struct Sides {
    client: bool,
    server: bool,
}

/// What crossed in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    reads: u64,
    packets: u64,
    writes: u64,
    dropped: u64,
}

/// Makes a namespace with a TUN device on a thread, hands its queue out, and runs `work` when told to.
fn side(
    number: u8,
    offload: bool,
    queue: Sender<TunQueue>,
    start: Receiver<()>,
    done: Arc<Barrier>,
    work: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let options = TunOptions {
            v4: Some(([10, 8, 0, number].into(), 24)),
            v6: Some((format!("fd00::{number}").parse().unwrap(), 64)),
            offload,
            ..TunOptions::new("cvpn0")
        };
        let mut device = runtime.block_on(TunDevice::create(&options)).unwrap();
        assert_eq!(device.offload(), offload, "this kernel has no TUN offload");
        queue.send(device.take_queues().remove(0)).unwrap();
        start.recv().unwrap();
        let result = catch_unwind(AssertUnwindSafe(work));
        done.wait(); // the other side's last bytes may still be on their way
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    })
}

/// Moves packets from one device to the other until one is gone.
async fn pump(from: &AsyncTunQueue, to: &AsyncTunQueue) -> Counts {
    let (mut buffer, mut join, mut counts) = (SuperBuf::new(), JoinBatch::new(), Counts::default());
    loop {
        if from.recv_super(&mut buffer).await.is_err() {
            return counts;
        }
        let mut packets = Vec::new();
        loop {
            counts.reads += 1;
            assert!(!buffer.packet_mut().is_empty());
            let mut segments = buffer.segments();
            while let Some(segment) = segments.next() {
                assert!(segment.len() <= 1500);
                packets.push([&*segment.header, segment.payload].concat());
            }
            if packets.len() > 200 || !matches!(from.try_recv_super(&mut buffer), Ok(true)) {
                break;
            }
        }
        counts.packets += packets.len() as u64;
        let mut joiner = join.start();
        packets.iter().for_each(|packet| joiner.push(packet));
        match joiner.flush(to) {
            Ok(report) => {
                counts.writes += report.calls;
                counts.dropped += report.dropped;
            }
            Err(TunError::Gone { .. }) => return counts,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Runs `client` and `server` in their namespaces and returns what went up and down.
fn between(
    sides: Sides,
    client: impl FnOnce() + Send + 'static,
    server: impl FnOnce() + Send + 'static,
) -> Option<(Counts, Counts)> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test needs root for network namespaces and TUN devices");
        return None;
    }
    let (client_queue, client_queues) = channel();
    let (server_queue, server_queues) = channel();
    let (start_client, client_start) = channel();
    let (start_server, server_start) = channel();
    let done = Arc::new(Barrier::new(2));
    let client = side(
        1,
        sides.client,
        client_queue,
        client_start,
        Arc::clone(&done),
        client,
    );
    let server = side(2, sides.server, server_queue, server_start, done, server);
    let (client_queue, server_queue) = (client_queues.recv().unwrap(), server_queues.recv().unwrap());
    let pumps = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = AsyncTunQueue::new(client_queue).unwrap();
            let server = AsyncTunQueue::new(server_queue).unwrap();
            tokio::join!(pump(&client, &server), pump(&server, &client))
        })
    });
    start_server.send(()).unwrap();
    thread::sleep(Duration::from_millis(100)); // the server listens
    start_client.send(()).unwrap();
    client.join().unwrap();
    server.join().unwrap();
    Some(pumps.join().unwrap())
}

fn pattern(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..BULK).map(|_| next()).collect()
}

/// Sends and receives at the same time and checks every byte.
fn exchange(stream: TcpStream, send: u64, receive: u64) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        writer.write_all(&pattern(send)).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    (&stream).read_to_end(&mut received).unwrap();
    assert!(received == pattern(receive), "{} bytes arrived", received.len());
    sending.join().unwrap();
}

fn tcp(server: &'static str, sides: Sides) {
    let client = move || exchange(TcpStream::connect((server, 5000)).unwrap(), 1, 2);
    let serve = move || {
        exchange(
            TcpListener::bind((server, 5000)).unwrap().accept().unwrap().0,
            2,
            1,
        )
    };
    let Some((up, down)) = between(sides, client, serve) else {
        return;
    };
    println!("TCP to {server} with {sides:?}: up {up:?}, down {down:?}");
    assert_eq!((up.dropped, down.dropped), (0, 0));
    for (counts, from, to) in [
        (up, sides.client, sides.server),
        (down, sides.server, sides.client),
    ] {
        assert_eq!(counts.packets > 3 * counts.reads, from, "super-packets are read");
        assert_eq!(
            counts.packets > 3 * counts.writes,
            to,
            "super-packets are written"
        );
    }
}

#[test]
fn root_tcp_over_ipv4_survives_split_and_join() {
    for (client, server) in [(true, true), (true, false), (false, true), (false, false)] {
        tcp("10.8.0.2", Sides { client, server });
    }
}

#[test]
fn root_tcp_over_ipv6_survives_split_and_join() {
    tcp(
        "fd00::2",
        Sides {
            client: true,
            server: true,
        },
    );
    tcp(
        "fd00::2",
        Sides {
            client: true,
            server: false,
        },
    );
}

fn udp(server: &'static str, sides: Sides) {
    const DATAGRAMS: usize = 400;
    let address: IpAddr = server.parse().unwrap();
    let any = if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let size = |number: usize| if number % 20 == 19 { 700 } else { 1200 };
    let client = move || {
        let socket = UdpSocket::bind(any.parse().unwrap(), &UdpOptions::default()).unwrap();
        let mut batch = SendBatch::new(&socket);
        let to = UdpPath {
            remote: SocketAddr::new(address, 6000),
            local: None,
            socket: 0,
        };
        for number in 0..DATAGRAMS {
            assert!(batch.push(&to, &vec![number as u8; size(number)]));
            if number % 40 == 39 {
                let report = batch.flush(&socket).unwrap();
                assert_eq!(report.sent, 40, "{report:?}");
                thread::sleep(Duration::from_millis(5));
            }
        }
        thread::sleep(Duration::from_secs(1));
    };
    let serve = move || {
        let socket = UdpSocket::bind(SocketAddr::new(address, 6000), &UdpOptions::default()).unwrap();
        let mut batch = RecvBatch::new();
        let mut next = 0;
        while next < DATAGRAMS {
            if socket.recv(&mut batch).is_err() {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            for (_, datagram) in batch.datagrams_mut() {
                assert!(
                    *datagram == vec![next as u8; size(next)],
                    "datagram {next}: {} bytes, number {}",
                    datagram.len(),
                    datagram[0]
                );
                next += 1;
            }
        }
    };
    let Some((up, _)) = between(sides, client, serve) else {
        return;
    };
    println!("UDP to {server} with {sides:?}: {up:?}");
    assert_eq!(up.dropped, 0);
}

#[test]
fn root_udp_trains_survive_split_and_join() {
    for server in ["10.8.0.2", "fd00::2"] {
        for (client, with) in [(true, true), (true, false), (false, true)] {
            udp(server, Sides { client, server: with });
        }
    }
}
