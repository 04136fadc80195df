//! TUN devices in a network namespace: configuration, deletion, leftovers, NAT.
#![allow(clippy::unwrap_used)]

mod common;

use std::{net::Ipv4Addr, time::Duration};

use common::{in_namespace, sh, udp4};
use culvert_tun::{
    AsyncTunQueue, TunDevice, TunError, TunOptions,
    firewall::{self, Egress, EgressProtocol, Firewall, Masquerade, Ruleset},
    forwarding,
    netlink::Netlink,
};
use tokio::time::timeout;

fn options(name: &str, v4: &str) -> TunOptions {
    TunOptions {
        v4: Some((v4.parse().unwrap(), 24)),
        offload: false,
        ..TunOptions::new(name)
    }
}

#[test]
fn root_a_device_has_its_addresses_mtu_queues_and_routes() {
    in_namespace(|| async {
        let wanted = TunOptions {
            queues: 4,
            mtu: 1420,
            v6: Some(("fd00::1".parse().unwrap(), 64)),
            ..options("cvpn7", "10.8.0.1")
        };
        let mut device = TunDevice::create(&wanted).await.unwrap();
        assert_eq!(
            (device.name(), device.mtu(), device.offload()),
            ("cvpn7", 1420, false)
        );
        let queues = device.take_queues();
        assert_eq!(queues.len(), 4);
        assert!(device.take_queues().is_empty());
        let shown = sh("ip address show dev cvpn7");
        assert!(shown.contains("inet 10.8.0.1/24"), "{shown}");
        assert!(shown.contains("inet6 fd00::1/64"), "{shown}");
        assert!(
            shown.contains("mtu 1420") && shown.contains("qlen 1000"),
            "{shown}"
        );
        assert!(!shown.contains("fe80"), "{shown}");
        for network in ["192.168.7.0/24", "2001:db8::/48"] {
            device.add_route(network.parse().unwrap()).await.unwrap();
            device.add_route(network.parse().unwrap()).await.unwrap();
            assert!(sh("ip route; ip -6 route").contains(network));
            device.remove_route(network.parse().unwrap()).await.unwrap();
            device.remove_route(network.parse().unwrap()).await.unwrap();
            assert!(!sh("ip route; ip -6 route").contains(network));
        }
    });
}

#[test]
fn root_no_other_user_can_attach_a_queue() {
    in_namespace(|| async {
        let device = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        assert!(sh("ip -d link show cvpn0").contains("user root"));
        let steal =
            "setpriv --reuid 65534 --regid 65534 --clear-groups ip tuntap add cvpn0 mode tun multi_queue";
        let said = sh(&format!("{steal} 2>&1 || true"));
        // The second where the device file itself is closed to others.
        assert!(
            ["Operation not permitted", "Permission denied"]
                .iter()
                .any(|no| said.contains(no)),
            "{said}"
        );
        drop(device);
    });
}

#[test]
fn root_packets_cross_in_both_directions() {
    in_namespace(|| async {
        let mut device = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        let queue = AsyncTunQueue::new(device.take_queues().remove(0)).unwrap();
        let host = tokio::net::UdpSocket::bind("10.8.0.1:5000").await.unwrap();
        let (us, peer) = (
            (Ipv4Addr::new(10, 8, 0, 1), 5000),
            (Ipv4Addr::new(10, 8, 0, 2), 6000),
        );
        queue.send(&udp4(peer, us, b"up")).unwrap();
        let mut buffer = [0; 2000];
        let (len, from) = timeout(Duration::from_secs(5), host.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (&buffer[..len], from.to_string()),
            (&b"up"[..], "10.8.0.2:6000".to_owned())
        );
        host.send_to(b"down", from).await.unwrap();
        let len = timeout(Duration::from_secs(5), queue.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&buffer[28..len], b"down");
        assert_eq!(queue.try_recv(&mut buffer).unwrap(), None);
        assert!(matches!(queue.send(&[0; 24]), Err(TunError::Io(_))));
    });
}

#[test]
fn root_a_device_without_ipv6_sends_nothing_of_its_own() {
    in_namespace(|| async {
        let mut device = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        let queue = AsyncTunQueue::new(device.take_queues().remove(0)).unwrap();
        let mut packet = [0; 2000];
        let stray = timeout(Duration::from_secs(3), queue.recv(&mut packet)).await;
        assert!(stray.is_err(), "{:x?}", &packet[..48]);
    });
}

#[test]
fn root_a_deleted_device_is_reported_and_never_awaited() {
    in_namespace(|| async {
        let mut device = TunDevice::create(&TunOptions {
            queues: 2,
            ..options("cvpn0", "10.8.0.1")
        })
        .await
        .unwrap();
        let queues: Vec<_> = device
            .take_queues()
            .into_iter()
            .map(|queue| AsyncTunQueue::new(queue).unwrap())
            .collect();
        let delete = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            sh("ip link delete cvpn0");
        };
        let (mut first, mut second) = ([0; 2000], [0; 2000]);
        let waiting = async { tokio::join!(queues[0].recv(&mut first), queues[1].recv(&mut second), delete) };
        let (first, second, ()) = timeout(Duration::from_secs(5), waiting)
            .await
            .expect("a reader sleeps on");
        for result in [first, second, queues[0].recv(&mut [0; 100]).await] {
            assert!(
                matches!(&result, Err(TunError::Gone { name }) if name == "cvpn0"),
                "{result:?}"
            );
        }
        assert!(queues[1].send(&[0x45; 20]).unwrap_err().is_gone());
        let error = device
            .add_route("192.168.0.0/24".parse().unwrap())
            .await
            .unwrap_err();
        assert!(error.is_gone(), "{error}");
    });
}

#[test]
fn root_dropping_the_device_removes_it_while_queues_are_held() {
    in_namespace(|| async {
        let mut device = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        let queue = AsyncTunQueue::new(device.take_queues().remove(0)).unwrap();
        drop(device);
        assert_eq!(Netlink::open().unwrap().link("cvpn0").await.unwrap(), None);
        assert!(queue.recv(&mut [0; 100]).await.unwrap_err().is_gone());
        drop(TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap());
    });
}

#[test]
fn root_a_name_in_use_is_refused_and_a_leftover_replaced() {
    in_namespace(|| async {
        let _first = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        let error = TunDevice::create(&options("cvpn0", "10.9.0.1"))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("a TUN device another program uses"),
            "{error}"
        );
        sh("ip link add cvpn1 type veth peer name other");
        let error = TunDevice::create(&options("cvpn1", "10.9.0.1"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("not a TUN device"), "{error}");
        sh("ip tuntap add cvpn2 mode tun");
        let device = TunDevice::create(&options("cvpn2", "10.9.0.1")).await.unwrap();
        assert!(sh("ip address show dev cvpn2").contains("10.9.0.1"));
        drop(device);
        // A failure half-way leaves nothing.
        let wrong = TunOptions {
            v4: Some((Ipv4Addr::new(10, 9, 0, 1), 77)),
            ..TunOptions::new("cvpn3")
        };
        let error = TunDevice::create(&wrong).await.unwrap_err();
        assert!(error.to_string().contains("10.9.0.1/77"), "{error}");
        assert!(!sh("ip link").contains("cvpn3"));
    });
}

#[test]
fn root_masquerading_replaces_the_clients_address_towards_the_given_network_only() {
    in_namespace(|| async {
        assert!(!forwarding::check(true, false).is_empty());
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        assert!(forwarding::check(true, false).is_empty());
        let mut clients = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        let mut target = TunDevice::create(&options("lan0", "10.99.0.1")).await.unwrap();
        target.add_route("10.50.0.0/16".parse().unwrap()).await.unwrap();
        let clients = AsyncTunQueue::new(clients.take_queues().remove(0)).unwrap();
        let lan = AsyncTunQueue::new(target.take_queues().remove(0)).unwrap();
        let source_seen_at = async |destination: [u8; 4], port: u16| {
            let client = (Ipv4Addr::new(10, 8, 0, 2), port);
            clients
                .send(&udp4(client, (destination.into(), 53), b"query"))
                .unwrap();
            let mut packet = [0; 2000];
            let received = timeout(Duration::from_secs(5), lan.recv(&mut packet));
            assert_eq!(received.await.unwrap().unwrap(), 33);
            Ipv4Addr::from(*packet[12..].first_chunk::<4>().unwrap())
        };
        let client = Ipv4Addr::new(10, 8, 0, 2);
        let us = Ipv4Addr::new(10, 99, 0, 1);
        let rule = |destination: &str| Masquerade {
            clients: "10.8.0.0/24".parse().unwrap(),
            destination: destination.parse().unwrap(),
            interface: Some("lan0".into()),
        };
        assert_eq!(source_seen_at([10, 99, 0, 5], 1000).await, client);
        let rules = |masquerade: Masquerade| Ruleset {
            masquerades: vec![masquerade],
            egress: None,
        };
        let firewall = Firewall::install("cvpn0", &rules(rule("10.99.0.0/24")))
            .await
            .unwrap();
        assert_eq!(source_seen_at([10, 99, 0, 5], 1001).await, us);
        assert_eq!(source_seen_at([10, 50, 0, 5], 1002).await, client);
        firewall.replace(&rules(rule("0.0.0.0/0"))).await.unwrap();
        assert_eq!(source_seen_at([10, 50, 0, 5], 1003).await, us);
        assert_eq!(sh("nft list tables").trim(), "table inet culvert_cvpn0");
        let v6 = Masquerade {
            clients: "fd00::/64".parse().unwrap(),
            destination: "::/0".parse().unwrap(),
            interface: None,
        };
        firewall.replace(&rules(v6)).await.unwrap();
        assert!(sh("nft list ruleset").contains("ip6 saddr fd00::/64 oifname != \"cvpn0\" masquerade"));
        drop(firewall);
        assert_eq!(sh("nft list tables"), "");
    });
}

#[test]
fn root_clients_begin_only_what_their_security_groups_allow() {
    in_namespace(|| async {
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        let mut clients = TunDevice::create(&options("cvpn0", "10.8.0.1")).await.unwrap();
        let mut target = TunDevice::create(&options("lan0", "10.99.0.1")).await.unwrap();
        let clients = AsyncTunQueue::new(clients.take_queues().remove(0)).unwrap();
        let lan = AsyncTunQueue::new(target.take_queues().remove(0)).unwrap();
        let client = Ipv4Addr::new(10, 8, 0, 2);
        let host = |last| Ipv4Addr::new(10, 99, 0, last);
        // Whether a packet sent into `from` comes out of `to`; one that always passes tells that it is time to give up.
        async fn passes(from: &AsyncTunQueue, to: &AsyncTunQueue, packet: &[u8], sentinel: &[u8]) -> bool {
            from.send(packet).unwrap();
            from.send(sentinel).unwrap();
            let mut seen = false;
            loop {
                let mut received = [0; 2000];
                let length = timeout(Duration::from_secs(5), to.recv(&mut received));
                let length = length.await.unwrap().unwrap();
                if received[20..length] == sentinel[20..] {
                    return seen;
                }
                seen |= received[20..length] == packet[20..];
            }
        }
        let sentinel = udp4((client, 9), (host(9), 9), b"sentinel");
        let begins = async |port: u16, destination: Ipv4Addr, to: u16| {
            passes(
                &clients,
                &lan,
                &udp4((client, port), (destination, to), b"query"),
                &sentinel,
            )
            .await
        };
        let entry = |destination: &str, protocol| Egress {
            destination: destination.parse().unwrap(),
            protocol,
        };
        let rules = |mut entries: Vec<Egress>| {
            entries.push(entry("10.99.0.9/32", EgressProtocol::All));
            Ruleset {
                masquerades: Vec::new(),
                egress: Some(entries),
            }
        };
        assert!(begins(1000, host(5), 53).await, "without a security group");
        let dns = entry("10.99.0.0/24", EgressProtocol::Udp(53..=54));
        let firewall = Firewall::install("cvpn0", &rules(vec![dns.clone(), dns]))
            .await
            .unwrap();
        assert!(begins(1001, host(5), 53).await && begins(1002, host(5), 54).await);
        assert!(!begins(1003, host(5), 55).await, "another port");
        firewall.replace(&rules(vec![])).await.unwrap();
        assert!(!begins(1004, host(5), 53).await, "no entry allows it any more");
        // What a host begins with a client may be answered.
        let ask = udp4((host(7), 700), (client, 7000), b"hello");
        lan.send(&ask).unwrap();
        let mut received = [0; 2000];
        assert_eq!(clients.recv(&mut received).await.unwrap(), ask.len());
        assert!(begins(7000, host(7), 700).await, "an answer");
        assert!(!begins(7000, host(7), 701).await, "no answer");
        let ports = EgressProtocol::Tcp(443..=443);
        let v6 = entry("fd00::/8", EgressProtocol::Icmp);
        let echo = EgressProtocol::IcmpType {
            kind: 8,
            code: Some(0),
        };
        let echo = entry("10.99.0.0/24", echo);
        firewall
            .replace(&rules(vec![entry("10.99.0.0/24", ports), v6, echo]))
            .await
            .unwrap();
        let table = sh("nft list ruleset");
        assert!(
            table.contains("iifname \"cvpn0\" tcp dport 443 ip daddr @egress"),
            "{table}"
        );
        assert!(
            table.contains("meta l4proto ipv6-icmp ip6 daddr @egress"),
            "{table}"
        );
        // nft names code 0 after that of another type.
        assert!(table.contains("icmp type echo-request icmp code "), "{table}");
        drop(firewall);
        assert_eq!(sh("nft list tables"), "");
        assert!(begins(1005, host(5), 55).await, "the rules are gone");
    });
}

#[test]
fn root_stale_tables_go_and_foreign_ones_stay() {
    in_namespace(|| async {
        std::mem::forget(Firewall::install("cvpn0", &Ruleset::default()).await.unwrap()); // killed
        sh("nft add table inet other");
        sh("nft add chain inet other forward '{ type filter hook forward priority 0; policy drop; }'");
        let problems = forwarding::report("cvpn0", false, false).await.unwrap();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].to_string().contains("inet other forward"),
            "{}",
            problems[0]
        );
        sh("nft insert rule inet other forward iifname cvpn0 accept");
        assert_eq!(forwarding::report("cvpn0", false, false).await.unwrap(), []);
        firewall::remove_stale("cvpn0").await.unwrap();
        firewall::remove_stale("cvpn0").await.unwrap();
        assert_eq!(sh("nft list tables").trim(), "table inet other");
    });
}
