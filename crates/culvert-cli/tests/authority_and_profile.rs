//! `culvert pki`, `culvert profile` and `culvert check-config`: from nothing to a profile that `openvpn` reads.

// A test's helpers may fail loudly and talk.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{Bench, mode};

/// An authority, a server certificate, and a configuration with the given lines.
fn configured(authentication: &str, extra: &str) -> Bench {
    let bench = Bench::new();
    bench.ok("pki init --name Test-CA");
    bench.ok("pki issue-server vpn.example.com --san vpn.example.com --san 192.0.2.1");
    bench.write(
        "culvert.toml",
        &format!(
            "[[endpoint]]\nname = \"office\"\nclient_cidr_block = \"10.8.0.0/22\"\n\
             server_certificate = \"pki/issued/vpn.example.com.crt\"\n\
             server_private_key = \"pki/private/vpn.example.com.key\"\n\
             authentication = {{ {authentication} }}\n{extra}\n"
        ),
    );
    bench
}

const CERTIFICATE: &str = "client_ca = \"pki/ca.crt\", crl = \"pki/crl.pem\"";

#[test]
fn the_authority_answers_in_text_and_json() {
    let bench = Bench::new();
    let made = bench.json("pki init --name Test-CA --days 100");
    assert!(made["certificate"].as_str().unwrap().ends_with("pki/ca.crt"));
    assert_eq!(mode(bench.path("pki/private/ca.key")), 0o600);
    assert!(bench.fails("pki init", 1).contains("left alone"));
    let issued = bench.run("pki issue-client alice --json").success();
    let note = String::from_utf8_lossy(&issued.get_output().stderr).into_owned();
    assert!(note.contains("ends with its authority"), "{note}");
    let alice: serde_json::Value = serde_json::from_slice(&issued.get_output().stdout).unwrap();
    assert!(
        bench
            .ok("pki issue-server vpn --key p384 --days 10")
            .contains("issued vpn (serial ")
    );
    assert!(
        bench
            .fails("pki issue-client alice", 1)
            .contains("valid certificate already")
    );
    assert!(bench.fails("pki issue-client ../alice", 1).contains("slash"));
    assert!(
        bench
            .fails("pki issue-server x --san a..b", 2)
            .contains("neither host name nor IP address")
    );

    let listed = bench.json("pki list");
    assert_eq!(listed["certificates"][0]["serial"], alice["serial"]);
    assert_eq!(listed["certificates"][0]["status"], "valid");
    let revoked = bench.json("pki revoke alice --reason keyCompromise");
    assert_eq!(
        (&revoked["already"], &revoked["crl"]["revoked"]),
        (&false.into(), &1.into())
    );
    assert!(bench.ok("pki list").contains("(keyCompromise)"));
    let serial = alice["serial"].as_str().unwrap();
    assert_eq!(
        bench.json(&format!("pki revoke --serial {serial}"))["already"],
        true
    );
    assert_eq!(bench.json("pki renew-crl --days 7")["crl"]["number"], 4);
    bench.fails("pki revoke nobody", 4);
    bench.fails("pki revoke", 2);
    bench.fails("pki revoke alice --reason because", 2);
    bench.fails("pki list --pki elsewhere", 1);

    if let Some((fine, said)) = bench.other(
        "openssl",
        "verify -CAfile pki/ca.crt -crl_check -CRLfile pki/crl.pem pki/issued/vpn.crt",
    ) {
        assert!(fine, "{said}");
        let (fine, said) = bench
            .other("openssl", "crl -in pki/crl.pem -CAfile pki/ca.crt -noout -text")
            .unwrap();
        assert!(
            fine && said.contains("verify OK") && said.contains(serial),
            "{said}"
        );
    }
}

#[test]
fn an_authority_of_openssl_is_imported() {
    let bench = Bench::new();
    let make = "req -x509 -newkey rsa:2048 -nodes -subj /CN=Old -days 900 -keyout old.key -out old.crt";
    if bench.other("openssl", make).is_none() {
        return;
    }
    bench.ok("pki import --certificate old.crt --private-key old.key");
    bench.ok("pki issue-client alice");
    let (fine, said) = bench
        .other("openssl", "verify -CAfile old.crt pki/issued/alice.crt")
        .unwrap();
    assert!(fine, "{said}");
    assert!(
        bench
            .fails(
                "pki import --certificate old.crt --private-key old.crt --pki two",
                1
            )
            .contains("no PEM private key")
    );
}

#[test]
fn a_sound_configuration_is_said_to_be_sound() {
    let bench = configured(CERTIFICATE, "");
    assert!(
        bench
            .ok("check-config culvert.toml")
            .ends_with("culvert.toml: sound; endpoints: office\n")
    );
    let document = bench.json("check-config culvert.toml");
    assert_eq!(
        (&document["valid"], &document["endpoints"][0]),
        (&true.into(), &"office".into())
    );
}

#[test]
fn unsound_configurations_are_refused_with_place_and_cure() {
    let bench = configured(CERTIFICATE, "colour = \"red\"");
    let refused = bench.run("check-config culvert.toml").code(1);
    assert!(
        common::stdout(&refused).contains("culvert.toml:7:1: "),
        "{}",
        common::stdout(&refused)
    );
    let refused = bench.run("check-config culvert.toml --json").code(1);
    let document: serde_json::Value = serde_json::from_slice(&refused.get_output().stdout).unwrap();
    assert_eq!(
        (&document["valid"], &document["errors"][0]["line"]),
        (&false.into(), &7.into())
    );
    assert!(
        bench
            .fails("check-config nothing.toml", 1)
            .contains("nothing.toml")
    );

    // What the files hold counts too: here the key of another certificate, and a list that has ended.
    let bench = configured(CERTIFICATE, "");
    bench.ok("pki issue-server other");
    let text = bench
        .read("culvert.toml")
        .replace("private/vpn.example.com.key", "private/other.key");
    bench.write("wrong.toml", &text);
    let refused = bench.run("check-config wrong.toml").code(1);
    assert!(
        common::stdout(&refused).contains("endpoint office: "),
        "{}",
        common::stdout(&refused)
    );
    assert!(bench.ok("check-config wrong.toml --no-files").contains("sound"));
    bench.ok("pki renew-crl --days 5");
    assert!(
        bench
            .ok("check-config culvert.toml")
            .contains("ends within 30 days")
    );
    bench.write("pki/crl.pem", "nothing");
    bench.run("check-config culvert.toml").code(1);
}

#[test]
fn a_profile_holds_everything_and_openvpn_reads_it() {
    let bench = configured(CERTIFICATE, "transport_protocol = \"udp\"");
    bench.ok("pki issue-client alice");
    assert_eq!(
        bench.ok("profile --client alice --output alice.ovpn"),
        "wrote alice.ovpn\n"
    );
    assert_eq!(mode(bench.path("alice.ovpn")), 0o600);
    let text = bench.read("alice.ovpn");
    for line in [
        "remote vpn.example.com 443 udp",
        "remote 192.0.2.1 443 udp",
        "explicit-exit-notify 1",
        "remote-cert-tls server",
        "verify-x509-name \"vpn.example.com\" name",
        "nobind",
        "<ca>",
        "<cert>",
        "<key>",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!text.contains("auth-user-pass"));
    assert_eq!(bench.ok("profile --client alice"), text);
    assert_eq!(bench.json("profile --client alice")["profile"], text.as_str());
    assert!(
        bench
            .fails("profile --client alice --output alice.ovpn", 1)
            .contains("left alone")
    );
    start(&bench, "alice.ovpn", &[]);
}

#[test]
fn each_control_channel_yields_a_profile_that_openvpn_reads() {
    for (channel, expected) in [
        (
            "{ tls_auth = { key = \"static.key\", digest = \"SHA256\" } }",
            "Outgoing Control Channel Authentication",
        ),
        (
            "{ tls_crypt = { key = \"static.key\" } }",
            "Outgoing Control Channel Encryption",
        ),
        (
            "{ tls_crypt_v2 = { server_key = \"v2.key\" } }",
            "Outgoing Control Channel Encryption",
        ),
    ] {
        let bench = configured(CERTIFICATE, &format!("control_channel = {channel}"));
        bench.ok("keygen static -o static.key");
        bench.ok("keygen tls-crypt-v2-server -o v2.key");
        assert!(bench.ok("check-config culvert.toml").contains("sound"));
        bench.ok("profile --client alice --issue --host 127.0.0.1 --port 9 -o alice.ovpn");
        start(&bench, "alice.ovpn", &[expected]);
        bench.write("static.key", "nothing");
        bench.write("v2.key", "nothing");
        bench.run("check-config culvert.toml").code(1);
        assert!(
            bench
                .fails("profile --client alice", 1)
                .contains("cannot be used")
        );
    }
}

#[test]
fn a_wrong_auth_token_key_is_found_before_the_daemon_starts() {
    let bench = configured("users_file = \"users\"", "auth_token = { key = \"token.key\" }");
    bench.write("users", "");
    bench.run("check-config culvert.toml").code(1);
    bench.ok("keygen auth-token -o token.key");
    assert!(bench.ok("check-config culvert.toml").contains("sound"));
    bench.write("token.key", "nothing");
    bench.run("check-config culvert.toml").code(1);
}

#[test]
fn password_profiles_ask_for_the_password_and_need_no_certificate() {
    let bench = configured(
        "users_file = \"users\"",
        "transport_protocol = [\"udp\", \"tcp\"]",
    );
    bench
        .feed("user add alice --password-stdin", "wonderland\n")
        .success();
    assert_eq!(
        bench.json("user list")["users"][0]["name"],
        "alice",
        "the file the configuration names"
    );
    let text = bench.ok("profile --host vpn.example.org");
    assert!(
        text.contains("remote vpn.example.org 443 udp\nremote vpn.example.org 443 tcp\n"),
        "{text}"
    );
    assert!(
        text.contains("auth-user-pass\n")
            && !text.contains("<cert>")
            && !text.contains("explicit-exit-notify")
    );
    assert!(
        bench
            .fails("profile --client alice", 1)
            .contains("no client certificate")
    );
    bench.write("login", "alice\nwonderland\n");
    bench.write(
        "alice.ovpn",
        &text.replace("auth-user-pass", "auth-user-pass login"),
    );
    start(&bench, "alice.ovpn", &[]);
}

#[test]
fn profiles_that_could_not_work_are_refused() {
    let bench = configured(CERTIFICATE, "");
    assert!(bench.fails("profile", 1).contains("demands a client certificate"));
    assert!(bench.fails("profile --client nobody", 4).contains("--issue"));
    bench.ok("profile --client nobody --issue -o n.ovpn");
    assert!(bench.path("pki/issued/nobody.crt").exists());
    assert!(
        bench
            .fails("profile --client nobody --host bad/host", 1)
            .contains("neither host name nor address")
    );
    assert!(
        bench
            .fails("profile --client nobody --endpoint other", 1)
            .contains("there are: office")
    );
    bench.ok("pki init --pki second --name Test-CA");
    bench.ok("pki issue-client eve --pki second");
    assert!(
        bench
            .fails("profile --client eve --pki second", 1)
            .contains("did not issue")
    );
    let foreign = "profile --certificate second/issued/eve.crt --private-key pki/private/nobody.key";
    assert!(bench.fails(foreign, 1).contains("does not belong"));
    bench.ok("profile --certificate pki/issued/nobody.crt --private-key pki/private/nobody.key");
}

/// Lets `openvpn` start with the profile: it must read it without an options error and have said `expected`.
fn start(bench: &Bench, profile: &str, expected: &[&str]) {
    let Some((_, version)) = bench.other("openvpn", "--version") else {
        return;
    };
    let arguments = format!(
        "--config {profile} --dev null --verb 4 --connect-retry-max 1 --connect-timeout 1 --resolv-retry 0 \
         --server-poll-timeout 1 --hand-window 1"
    );
    let (_, said) = bench
        .other(
            "timeout",
            &format!(
                "4 openvpn {}",
                arguments.split_whitespace().collect::<Vec<_>>().join(" ")
            ),
        )
        .unwrap();
    assert!(!said.contains("Options error"), "{version}: {said}");
    assert!(
        said.contains("library versions"),
        "it got past its options: {said}"
    );
    for part in expected {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// A stock server that demands what the configuration says, on a free port; killed when dropped.
struct Stock {
    process: std::process::Child,
    port: u16,
}

impl Drop for Stock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stock {
    fn start(bench: &Bench, options: &str) -> Self {
        let port = std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let base = format!(
            "--dev-type tun --dev null --server 10.99.0.0 255.255.255.0 --topology subnet --local 127.0.0.1 --port {port} --dh none \
             --ca pki/ca.crt --cert pki/issued/vpn.example.com.crt --key pki/private/vpn.example.com.key \
             --crl-verify pki/crl.pem --verb 3 --log server.log --ifconfig-noexec --route-noexec {options}"
        );
        let process = std::process::Command::new("openvpn")
            .args(base.split_whitespace())
            .current_dir(bench.path(""))
            .spawn()
            .unwrap();
        for _ in 0..500 {
            if bench.path("server.log").exists() && bench.read("server.log").contains("Sequence Completed") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Self { process, port }
    }

    /// Connects with a profile and returns what the client said until it was connected or gave up.
    fn connect(&self, bench: &Bench, client: &str) -> String {
        bench.ok(&format!(
            "profile --client {client} --issue --host 127.0.0.1 --port {} -o {client}.ovpn",
            self.port
        ));
        Self::connect_again(bench, client)
    }

    /// Connects with the profile that is there.
    fn connect_again(bench: &Bench, client: &str) -> String {
        let arguments = format!(
            "8 openvpn --config {client}.ovpn --dev null --ifconfig-noexec --route-noexec --connect-retry-max 1 \
             --connect-retry 1 --hand-window 5 --inactive 2 1000000 --verb 3"
        );
        bench
            .other(
                "timeout",
                &arguments.split_whitespace().collect::<Vec<_>>().join(" "),
            )
            .unwrap()
            .1
    }
}

#[test]
fn a_stock_server_and_a_stock_client_connect_with_nothing_but_our_files() {
    for (channel, options) in [
        ("", ""),
        (
            "control_channel = { tls_auth = { key = \"static.key\", digest = \"SHA512\" } }",
            "--tls-auth static.key 0 --auth SHA512",
        ),
        (
            "control_channel = { tls_crypt = { key = \"static.key\" } }",
            "--tls-crypt static.key",
        ),
        (
            "control_channel = { tls_crypt_v2 = { server_key = \"v2.key\" } }",
            "--tls-crypt-v2 v2.key",
        ),
    ] {
        let bench = configured(CERTIFICATE, channel);
        bench.ok("keygen static -o static.key");
        bench.ok("keygen tls-crypt-v2-server -o v2.key");
        if bench.other("openvpn", "--version").is_none() {
            return;
        }
        let server = Stock::start(&bench, options);
        let said = server.connect(&bench, "alice");
        assert!(
            said.contains("Initialization Sequence Completed"),
            "{channel}: {said}\n{}",
            bench.read("server.log")
        );
        assert!(said.contains("VERIFY X509NAME OK: CN=vpn.example.com"), "{said}");
        if channel.is_empty() {
            bench.ok("pki revoke alice");
            let said = Stock::connect_again(&bench, "alice");
            assert!(!said.contains("Initialization Sequence Completed"), "{said}");
            assert!(
                bench.read("server.log").contains("certificate revoked"),
                "{}",
                bench.read("server.log")
            );
        }
    }
}
