//! `culvert status`, `culvert kill` and `culvert reload` against a daemon's stand-in on a real socket.

// A test's helpers may fail loudly and talk.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::path::Path;

use common::Bench;
use culvert_admin::{
    AdminSocket, ClientInfo, ClientPage, DaemonInfo, EndpointInfo, EndpointState, ErrorCode, KilledClient,
    ListenerInfo, OffloadInfo, OffloadState, Peer, ReloadReport, Request, RequestError, Response,
    StatusReport, Transport,
};

fn client() -> ClientInfo {
    ClientInfo {
        connection_id: None,
        groups: Vec::new(),
        client_id: 7,
        endpoint: "office".into(),
        common_name: Some("laptop".into()),
        username: Some("al\u{1b}[31mice".into()),
        real_address: "198.51.100.7:1194".parse().unwrap(),
        transport: Transport::Udp,
        virtual_v4: Some("10.8.0.6".parse().unwrap()),
        virtual_v6: None,
        connected_since_unix: 1_700_000_000,
        cipher: "AES-256-GCM".into(),
        link_rx_bytes: 3_000,
        link_tx_bytes: 4_000,
        tunnel_rx_bytes: 2_048,
        tunnel_tx_bytes: 5 << 20,
        iv_ver: Some("2.6.14".into()),
        iv_plat: Some("linux".into()),
    }
}

fn status() -> StatusReport {
    StatusReport {
        daemon: DaemonInfo {
            version: "0.1.0".into(),
            pid: 4242,
            uptime_seconds: 90_061,
        },
        endpoints: vec![EndpointInfo {
            name: "office".into(),
            state: EndpointState::Available,
            applied_at_unix: Some(1_800_000_000),
            listeners: vec![ListenerInfo {
                transport: Transport::Udp,
                address: "0.0.0.0:443".parse().unwrap(),
            }],
            device: "cvpn0".into(),
            client_cidr: vec!["10.8.0.0/22".into()],
            clients: 1,
            max_clients: 1021,
            pool_in_use: 1,
            pool_capacity: 1021,
            drops: [("unauthentic".to_owned(), 3)].into(),
            workers: 2,
            offload: OffloadInfo {
                udp_gro: OffloadState::On,
                udp_gso: OffloadState::Refused,
                tun: OffloadState::On,
                tun_udp: OffloadState::Off,
                tun_join: OffloadState::On,
            },
        }],
    }
}

async fn handle(_: Peer, request: Request) -> Result<Response, RequestError> {
    match request {
        Request::Status => Ok(Response::Status(status())),
        Request::Clients(_) => Ok(Response::Clients(ClientPage {
            clients: vec![client()],
            next: None,
        })),
        Request::Kill(kill) if kill.target.matches(&client()) => Ok(Response::Killed {
            clients: vec![KilledClient {
                client_id: 7,
                endpoint: "office".into(),
                name: Some("alice".into()),
            }],
            more: 0,
        }),
        Request::Kill(kill) => Err(RequestError::new(
            ErrorCode::NotFound,
            format!("no client with {}", kill.target),
        )),
        Request::Reload => Ok(Response::Reloaded(ReloadReport {
            applied: vec!["endpoint office: 2 authorization rules".into()],
            warnings: vec!["workers: needs a restart".into()],
        })),
        _ => Err(RequestError::new(ErrorCode::Malformed, "unknown")),
    }
}

/// Serves `path` on a thread for as long as the test runs.
fn serve(path: &Path) {
    let path = path.to_owned();
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let socket = AdminSocket::bind(&path).unwrap();
            ready.send(()).unwrap();
            socket.serve(handle).await;
        });
    });
    wait.recv().unwrap();
}

fn bench() -> Bench {
    let bench = Bench::new();
    serve(&bench.path("s"));
    bench
}

#[test]
fn status_shows_daemon_endpoints_and_on_request_clients() {
    let bench = bench();
    let text = bench.ok("status --socket s");
    for part in [
        "culvertd 0.1.0, process 4242, up 1d 1h",
        "office",
        "udp 0.0.0.0:443",
        "1/1021",
        "unauthentic 3",
        "offloads of office: udp_gro on, udp_gso refused by the kernel, tun on, tun_udp switched off, tun_join on",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("198.51.100.7"));
    let text = bench.ok("status --clients --socket s");
    for part in [
        "al?[31mice (laptop)",
        "198.51.100.7:1194",
        "10.8.0.6",
        "2023-11-14T22:13:20Z",
        "2.0 KiB",
        "5.0 MiB",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let document = bench.json("status --clients --socket s");
    assert_eq!(document["clients"][0]["common_name"], "laptop");
    assert_eq!(document["endpoints"][0]["drops"]["unauthentic"], 3);
    assert_eq!(document["endpoints"][0]["offload"]["udp_gso"], "refused");
    assert!(bench.json("status --socket s").get("clients").is_none());
    assert!(
        bench
            .fails("status --endpoint other --socket s", 4)
            .contains("no endpoint \"other\"")
    );
}

#[test]
fn kill_names_whom_it_disconnected_and_exits_4_for_nobody() {
    let bench = bench();
    for target in [
        "--id 7",
        "--name laptop",
        "--common-name laptop",
        "--address 10.8.0.6",
        "--address 198.51.100.7",
    ] {
        assert_eq!(
            bench.ok(&format!("kill {target} --socket s")),
            "disconnected client 7 (alice) of office\n"
        );
    }
    assert_eq!(bench.json("kill --id 7 --socket s")["clients"][0]["client_id"], 7);
    assert!(
        bench
            .fails("kill --name bob --socket s", 4)
            .contains("no client with name \"bob\"")
    );
    bench.fails("kill --socket s", 2);
    bench.fails("kill --id 7 --name laptop --socket s", 2);
    bench.fails("kill --address nonsense --socket s", 2);
}

#[test]
fn reload_tells_what_changed_and_what_needs_a_restart() {
    let bench = bench();
    let text = bench.ok("reload --socket s");
    assert_eq!(
        text,
        "endpoint office: 2 authorization rules\nwarning: workers: needs a restart\n"
    );
    assert_eq!(
        bench.json("reload --socket s")["warnings"][0],
        "workers: needs a restart"
    );
}

#[test]
fn a_daemon_that_is_not_there_is_exit_3_with_the_cure() {
    let bench = Bench::new();
    for command in ["status", "reload", "kill --id 1"] {
        let error = bench.fails(&format!("{command} --socket nothing"), 3);
        assert!(error.contains("systemctl start culvert"), "{error}");
    }
    let error = bench.fails("status --json --socket nothing", 3);
    assert!(
        serde_json::from_str::<serde_json::Value>(&error).unwrap()["error"].is_string(),
        "{error}"
    );
}

#[test]
fn the_socket_is_found_through_the_configuration() {
    let bench = bench();
    let endpoint = "name = \"one\"\nclient_cidr_block = \"10.8.0.0/24\"\nserver_certificate = \"a.crt\"\n\
                    server_private_key = \"a.key\"\nauthentication = { client_ca = \"ca.crt\" }\n";
    std::fs::write(
        bench.path("c.toml"),
        format!("admin = {{ socket = \"s\" }}\n[[endpoint]]\n{endpoint}"),
    )
    .unwrap();
    assert!(bench.ok("status --config c.toml").contains("office"));
    std::fs::write(bench.path("c.toml"), "workers = true").unwrap();
    let error = bench.fails("status --config c.toml", 1);
    assert!(error.contains("c.toml:1:"), "{error}");
}

#[test]
fn help_is_there_for_every_command() {
    let bench = Bench::new();
    for command in [
        "",
        "status",
        "kill",
        "reload",
        "check-config",
        "pki",
        "pki init",
        "pki import",
        "pki issue-server",
        "pki issue-client",
        "pki revoke",
        "pki renew-crl",
        "pki list",
        "profile",
        "keygen",
        "keygen static",
        "keygen tls-crypt-v2-client",
        "user",
        "user add",
        "user passwd",
        "user remove",
        "user list",
    ] {
        let text = bench.ok(format!("{command} --help").trim());
        assert!(text.contains("Usage: culvert"), "{text}");
    }
    assert!(bench.ok("--version").starts_with("culvert "));
    bench.fails("nonsense", 2);
}
