//! `culvert keygen`, `culvert user` and `culvert access-key`, with the stock `openvpn` as judge of the keys.

// A test's helpers may fail loudly and talk.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{Bench, mode, stdout};

#[test]
fn every_kind_of_key_has_openvpns_form() {
    let bench = Bench::new();
    bench.ok("keygen tls-crypt-v2-server --output server.key");
    for (kind, label, lines) in [
        ("static", "OpenVPN Static key V1", 21),
        ("tls-crypt-v2-server", "OpenVPN tls-crypt-v2 server key", 5),
        ("auth-token", "OpenVPN auth-token server key", 5),
        (
            "tls-crypt-v2-client --server-key server.key",
            "OpenVPN tls-crypt-v2 client key",
            14,
        ),
    ] {
        let text = bench.ok(&format!("keygen {kind}"));
        assert!(text.contains(&format!("-----BEGIN {label}-----\n")), "{text}");
        assert!(text.ends_with(&format!("-----END {label}-----\n")), "{text}");
        assert!(text.lines().count().abs_diff(lines) <= 3, "{kind}: {text}");
        let document = bench.json(&format!("keygen {kind}"));
        assert!(document["key"].as_str().unwrap().contains(label));
        assert_ne!(document["key"].as_str().unwrap(), text, "another key each time");
    }
}

#[test]
fn key_files_are_private_and_never_overwritten() {
    let bench = Bench::new();
    assert_eq!(bench.ok("keygen static -o static.key"), "wrote static.key\n");
    assert_eq!(mode(bench.path("static.key")), 0o600);
    let before = bench.read("static.key");
    assert!(
        bench
            .fails("keygen static -o static.key", 1)
            .contains("left alone")
    );
    assert_eq!(bench.read("static.key"), before);
    assert!(
        bench
            .fails("keygen static -o no/such/folder.key", 1)
            .contains("cannot write")
    );
}

#[test]
fn openvpn_makes_client_keys_from_our_server_key_and_we_from_its() {
    let bench = Bench::new();
    bench.ok("keygen tls-crypt-v2-server -o ours.key");
    let Some((made, said)) = bench.other(
        "openvpn",
        "--tls-crypt-v2 ours.key --genkey tls-crypt-v2-client client.key",
    ) else {
        return;
    };
    assert!(made, "{said}");
    assert!(bench.read("client.key").contains("tls-crypt-v2 client key"));
    bench
        .other("openvpn", "--genkey tls-crypt-v2-server theirs.key")
        .unwrap();
    bench.ok("keygen tls-crypt-v2-client --server-key theirs.key -o second.key");
    bench.ok("keygen tls-crypt-v2-client --server-key theirs.key --metadata laptop-7 -o third.key");
    // As a client OpenVPN announces the wrapping once it has read the key.
    for key in ["second.key", "third.key"] {
        let said = load(&bench, &format!("--tls-crypt-v2 {key}"));
        assert!(
            said.contains("Outgoing Control Channel") || said.contains("TCP/UDP"),
            "{said}"
        );
    }
    let error = bench.fails("keygen tls-crypt-v2-client --server-key second.key", 1);
    assert!(
        error.contains("second.key") && error.contains("cannot be used"),
        "{error}"
    );
}

#[test]
fn openvpn_reads_our_static_key_in_both_uses() {
    let bench = Bench::new();
    bench.ok("keygen static -o static.key");
    if bench.other("openvpn", "--version").is_none() {
        return;
    }
    for (option, expected) in [
        (
            "--tls-auth static.key 1",
            "Outgoing Control Channel Authentication",
        ),
        ("--tls-crypt static.key", "Outgoing Control Channel Encryption"),
    ] {
        let said = load(&bench, option);
        assert!(said.contains(expected), "{option}: {said}");
    }
}

/// Lets `openvpn` start as a client far enough to read its keys; it gives up at once because nobody answers.
fn load(bench: &Bench, options: &str) -> String {
    if !bench.path("pki").exists() {
        bench.ok("pki init");
        bench.ok("pki issue-client tester");
    }
    let base = "--client --dev null --nobind --verb 4 --remote 127.0.0.1 9 tcp-client --connect-retry-max 1 \
                --connect-timeout 1 --ca pki/ca.crt --cert pki/issued/tester.crt --key pki/private/tester.key";
    bench
        .other(
            "openvpn",
            &format!("{base} {options}")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        )
        .unwrap()
        .1
}

#[test]
fn users_are_added_changed_listed_and_removed() {
    let bench = Bench::new();
    let file = "--users-file users";
    let added = bench.feed(
        &format!("user add alice --password-stdin --group dev --group ops --address 10.8.0.9 {file}"),
        "wonderland\n",
    );
    assert_eq!(stdout(&added.success()), "added alice\n");
    assert_eq!(mode(bench.path("users")), 0o600);
    let first = bench.read("users");
    assert!(
        first.starts_with("alice $argon2id$") && first.ends_with(" groups=dev,ops address=10.8.0.9\n"),
        "{first}"
    );
    assert!(!first.contains("wonderland"));

    bench
        .feed(&format!("user add bob --password-stdin {file}"), "builder")
        .success();
    let listed = bench.json(&format!("user list {file}"));
    assert_eq!(listed["users"][0]["groups"][1], "ops");
    assert_eq!(listed["users"][1]["name"], "bob");
    assert!(bench.ok(&format!("user list {file}")).contains("dev, ops"));

    bench
        .feed(&format!("user passwd alice --password-stdin {file}"), "other\n")
        .success();
    assert_ne!(bench.read("users").lines().next(), first.lines().next());
    bench.ok(&format!("user remove bob {file}"));
    assert_eq!(
        bench.json(&format!("user list {file}"))["users"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn mistakes_with_users_are_named_and_change_nothing() {
    let bench = Bench::new();
    let file = "--users-file users";
    bench
        .feed(&format!("user add alice --password-stdin {file}"), "a\n")
        .success();
    let before = bench.read("users");
    let says = |arguments: &str, input: &str, status: i32, text: &str| {
        let assert = bench.feed(&format!("{arguments} {file}"), input).code(status);
        let error = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(
            error.starts_with("culvert: ") && error.contains(text),
            "{arguments}: {error}"
        );
    };
    says("user add alice --password-stdin", "b\n", 1, "exists already");
    says("user add ../x --password-stdin", "b\n", 1, "slash");
    says("user add carol --password-stdin", "\n", 1, "empty password");
    says("user add carol --password-stdin", &"x".repeat(5000), 1, "exceeds");
    says("user add carol", "", 1, "--password-stdin");
    says(
        "user passwd carol --password-stdin",
        "b\n",
        4,
        "no user \"carol\"",
    );
    says("user remove carol", "", 4, "no user \"carol\"");
    assert_eq!(bench.read("users"), before);
    bench.write("users", "alice plain\n");
    says("user list", "", 1, "users:1: ");
    let json = bench.fails("user remove carol --users-file nothing --json", 4);
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["error"].is_string());
}

#[test]
fn access_keys_are_made_listed_and_deleted() {
    let bench = Bench::new();
    let file = "--file state/access-keys";
    let made = bench.json(&format!("access-key create --description laptop {file}"));
    let (id, secret) = (
        made["access_key_id"].as_str().unwrap(),
        made["secret_access_key"].as_str().unwrap(),
    );
    assert!(id.starts_with("AKIA") && secret.len() == 40, "{made}");
    assert_eq!(mode(bench.path("state/access-keys")), 0o600);
    assert!(bench.read("state/access-keys").contains(secret));

    let text = bench.ok(&format!("access-key create {file}"));
    let second = text.lines().next().unwrap().split_whitespace().last().unwrap();
    assert!(
        text.contains(&format!(
            "aws configure set aws_access_key_id '{second}' --profile culvert\n"
        )),
        "{text}"
    );
    let listed = bench.ok(&format!("access-key list {file}"));
    assert!(
        listed.contains(id) && listed.contains("laptop") && listed.contains(second),
        "{listed}"
    );
    assert!(!listed.contains(secret), "{listed}");

    assert_eq!(
        bench.ok(&format!("access-key delete {id} {file}")),
        format!("deleted {id}\n")
    );
    let listed = bench.json(&format!("access-key list {file}"));
    assert_eq!(listed["access_keys"].as_array().unwrap().len(), 1);
    assert!(!bench.read("state/access-keys").contains(secret));
    let error = bench.fails(&format!("access-key delete {id} {file}"), 4);
    assert!(error.contains("no access key"), "{error}");
}

#[test]
fn access_keys_are_where_the_configuration_says_and_clients_learn_where_the_api_is() {
    let bench = Bench::new();
    bench.write(
        "culvert.toml",
        "[account]\nregion = \"eu-west-1\"\n[api]\nlisten = \"127.0.0.1:9443\"\naccess_keys = \"my-keys\"\n",
    );
    let text = bench.ok("access-key create");
    for setting in ["region 'eu-west-1'", "endpoint_url 'http://127.0.0.1:9443'"] {
        assert!(
            text.contains(&format!("aws configure set {setting} --profile")),
            "{text}"
        );
    }
    assert!(bench.read("my-keys").contains("[[access_key]]"));
}

#[test]
fn access_keys_that_others_can_read_are_not_used() {
    let bench = Bench::new();
    bench.write("open", "");
    std::fs::set_permissions(
        bench.path("open"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    for command in ["create", "list", "delete AKIAEXAMPLEEXAMPLE22"] {
        let error = bench.fails(&format!("access-key {command} --file open"), 1);
        assert!(error.contains("chmod 600 open"), "{error}");
    }
    assert_eq!(bench.read("open"), "");
}
