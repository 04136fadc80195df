//! What is refused, where, and with which words.

use std::time::Duration;

use culvert_config::{
    Authentication, Config, ConfigError, EndpointSpec, Mssfix, Offload, TransportProtocols,
};

/// A sound endpoint; `more` is added after its first line, `tables` at its end.
fn endpoint(more: &str, tables: &str) -> String {
    format!(
        "[[endpoint]]\n{more}\nname = \"one\"\nclient_cidr_block = \"10.8.0.0/24\"\n\
         server_certificate = \"a.crt\"\nserver_private_key = \"a.key\"\n\
         authentication = {{ client_ca = \"ca.crt\" }}\n{tables}"
    )
}

fn report(text: &str) -> String {
    match Config::from_str(text, "/etc/culvert/culvert.toml") {
        Err(error @ ConfigError::Invalid(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("accepted:\n{text}"),
    }
}

fn one(text: &str) -> culvert_config::EndpointConfig {
    Config::from_str(text, "culvert.toml")
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .endpoints
        .remove(0)
}

/// The line is refused with a message that contains all the given words.
fn refuses(line: &str, words: &[&str]) {
    let report = report(&endpoint(line, ""));
    assert!(words.iter().all(|word| report.contains(word)), "{line}\n{report}");
    assert!(
        report.starts_with("/etc/culvert/culvert.toml:2:"),
        "{line}\n{report}"
    );
    assert_eq!(report.lines().count(), 1, "{line}\n{report}");
}

#[test]
fn a_sound_endpoint_has_the_documented_defaults() {
    let endpoint = one(&endpoint("", ""));
    assert_eq!(endpoint.transport_protocol, TransportProtocols::Udp);
    assert_eq!(endpoint.vpn_port.get(), 443);
    assert_eq!(endpoint.device, "cvpn0");
    assert_eq!(endpoint.session_timeout, Some(Duration::from_secs(86_400)));
    assert_eq!(endpoint.auth_token, None);
    assert_eq!(endpoint.effective_max_clients(), 253);
    assert!(!endpoint.split_tunnel && endpoint.duplicate_cn);
}

#[test]
fn what_concerns_the_packet_threads_is_read_or_refused_at_its_place() {
    let read = |text: &str| Config::from_str(text, "culvert.toml").unwrap();
    let default = read("");
    assert!(default.worker_cpus.is_empty());
    assert_eq!(default.moderation, Duration::from_millis(1));
    assert_eq!(default.offload, Offload::default());
    for (value, micros) in [
        ("\"50us\"", 50),
        ("\"20us\"", 20),
        ("\"1ms\"", 1000),
        ("0", 0),
        ("\"0us\"", 0),
        ("\"off\"", 0),
        ("false", 0),
    ] {
        let read = read(&format!("moderation = {value}"));
        assert_eq!(read.moderation, Duration::from_micros(micros), "{value}");
    }
    let offload = read("[offload]\ntun_udp = false\nudp_gso = false\n").offload;
    let expected = Offload {
        tun_udp: false,
        udp_gso: false,
        ..Offload::default()
    };
    assert_eq!(offload, expected);
    assert_eq!(read("worker_cpus = [3, 0, 3]").worker_cpus, [3, 0, 3]);
    for (line, words) in [
        ("moderation = \"1001us\"", "too long to rest"),
        ("moderation = \"2ms\"", "at most \"1ms\""),
        ("moderation = \"19us\"", "too short to rest"),
        ("moderation = \"1us\"", "at least \"20us\""),
        ("moderation = 1", "not so short a duration"),
        ("moderation = true", "not so short a duration"),
        ("moderation = \"+5us\"", "not so short a duration"),
        ("moderation = \"us\"", "not so short a duration"),
        (
            "moderation = \"99999999999999999999ms\"",
            "not so short a duration",
        ),
        (
            "moderation = \"18446744073709551615ms\"",
            "not so short a duration",
        ),
        ("worker_cpus = []", "names no CPU"),
        ("worker_cpus = 1", "is not a list"),
        ("worker_cpus = [1024]", "choose between 0 and 1023"),
        ("worker_cpus = [-1]", "choose between 0 and 1023"),
        ("offload = { tun = 1 }", "true or false, not a number"),
        ("offload = { gro = true }", "unknown"),
        ("offload = false", "not a table"),
    ] {
        let report = report(line);
        assert!(
            report.starts_with("/etc/culvert/culvert.toml:1:") && report.contains(words),
            "{line}\n{report}"
        );
        assert_eq!(report.lines().count(), 1, "{line}\n{report}");
    }
}

#[test]
fn single_values_are_refused_with_the_cure() {
    refuses("vpn_port = 0", &["choose between 1 and 65535"]);
    refuses("vpn_port = \"443\"", &["a number, not a string"]);
    refuses("split_tunnel = 1", &["true or false, not a number"]);
    refuses("transport_protocol = \"sctp\"", &["\"udp\" or \"tcp\""]);
    refuses("transport_protocol = []", &["no transport"]);
    refuses("listen_addresses = []", &["no address to listen on"]);
    refuses(
        "listen_addresses = [\"fe80::1\"]",
        &["not an address to listen on"],
    );
    refuses("tls_version_min = \"1.0\"", &["broken", "1.2"]);
    refuses("data_ciphers = [\"BF-CBC\"]", &["64-bit blocks", "AES-256-GCM"]);
    refuses("data_ciphers = [\"none\"]", &["without encryption"]);
    refuses("data_ciphers = [\"AES-256-CBC\"]", &["legacy_cbc = true"]);
    refuses("data_ciphers = []", &["no cipher is offered"]);
    refuses("legacy_digest = \"SHA256\"", &["legacy_cbc is off"]);
    refuses("topology = \"net30\"", &["net30", "always get \"subnet\""]);
    refuses("tun_mtu = 9001", &["between 576 and 9000"]);
    refuses("tun_mtu = 100", &["between 576 and 9000"]);
    refuses("mssfix = \"1492 bytes\"", &["not an mssfix"]);
    refuses("mssfix = 90", &["between 576 and 9000"]);
    refuses("max_clients = 300", &["holds 253", "larger client_cidr_block"]);
    refuses("max_clients = 0", &["nobody could connect"]);
    refuses("session_timeout = \"soon\"", &["not a duration", "\"off\""]);
    refuses("session_timeout = \"5s\"", &["between 10 and"]);
    refuses("renegotiation = 2", &["between 5 and"]);
    refuses(
        "keepalive = { ping = 10, ping_restart = 15 }",
        &["at least twice ping"],
    );
    refuses("auth_token = { renewal = \"1h\" }", &["asks for none"]);
    refuses("dns_servers = [\"10.0.0.2/32\"]", &["not an IP address"]);
    refuses("dns_servers = [\"127.0.0.53\"]", &["clients cannot ask"]);
    refuses("dns_servers = \"10.0.0.2\"", &["brackets"]);
    refuses("domains = [\"bad domain\"]", &["not a domain name"]);
    refuses(
        "push = [\"ifconfig 1.2.3.4 255.0.0.0\"]",
        &["pushed by the server itself"],
    );
    refuses("device = \"a/b\"", &["network interface"]);
    refuses("description = 5", &["a string, not a number"]);
    refuses("client_ipv6_cidr_block = \"fd00::/125\"", &["/120 or shorter"]);
    refuses(
        "client_ipv6_cidr_block = \"fd00::1/64\"",
        &["write fd00::/64 instead"],
    );
    refuses(
        "routes = [{ destination_cidr = \"10.0.0.0/8\" }]",
        &["no target network", "target_networks"],
    );
    refuses(
        "target_networks = [{ cidr = \"10.8.0.128/25\" }]",
        &["overlaps the client CIDR 10.8.0.0/24"],
    );
    refuses(
        "target_networks = [{ cidr = \"10.9.0.1/16\" }]",
        &["write 10.9.0.0/16 instead"],
    );
    refuses(
        "target_networks = [{ cidr = \"10.9.0.1\" }]",
        &["no prefix length"],
    );
    refuses(
        "target_networks = [{ cidr = \"fd00::/64\" }]",
        &["client_ipv6_cidr_block"],
    );
    refuses(
        "target_networks = [{ cidr = \"10.9.0.0/16\", interface = \"cvpn0\" }]",
        &["own TUN device"],
    );
    refuses(
        "authorization_rules = [{ destination_cidr = \"10.0.0.0/8\" }]",
        &["admits nobody", "access_all"],
    );
    refuses(
        "authorization_rules = [{ destination_cidr = \"10.0.0.0/8\", access_all = true, group_id = \"g\" }]",
        &["names a group and admits everybody"],
    );
    let limited = |services: &str| {
        format!(
            "authorization_rules = [{{ destination_cidr = \"10.0.0.0/8\", access_all = true, services = {services} }}]"
        )
    };
    refuses(&limited("[]"), &["allows nothing", "remove the key"]);
    refuses(&limited("\"443/tcp\""), &["services is not a list"]);
    refuses(
        &limited("[\"443/tcp\", \"https\"]"),
        &["\"https\" is no service", "443/tcp"],
    );
    refuses(&limited("[443]"), &["should be a string"]);
    let many: Vec<String> = (1..34).map(|port| format!("\"{port}/tcp\"")).collect();
    refuses(
        &limited(&format!("[{}]", many.join(", "))),
        &["33 services", "at most 32"],
    );
    refuses(
        "authorization_rules = [{ destination_cidr = \"10.0.0.0/8\", access_all = true, services = [\"tcp\"] }, \
         { destination_cidr = \"10.0.0.0/8\", access_all = true }]",
        &["given twice", "with the services of both"],
    );
    refuses(
        "rule_evaluation = \"sum\"",
        &["\"sum\" is not a choice", "\"longest-prefix\" or \"additive\""],
    );
    refuses(
        "static_addresses = [{ client = \"a\" }]",
        &["no address is given"],
    );
    refuses(
        "static_addresses = [{ client = \"a\", ipv4_address = \"10.8.0.1\" }]",
        &["server"],
    );
    refuses(
        "static_addresses = [{ client = \"a\", ipv4_address = \"10.9.0.1\" }]",
        &["outside the client CIDR"],
    );
    refuses(
        "control_channel = { tls_auth = { key = \"a\" }, tls_crypt = { key = \"b\" } }",
        &["exclude each other"],
    );
    refuses(
        "control_channel = { tls_auth = { key = \"a\", direction = 2 } }",
        &["0 (usual for servers)"],
    );
    refuses(
        "control_channel = { tls_crypt = { key = \"-----BEGIN\\n\" } }",
        &["not its path"],
    );
}

#[test]
fn unknown_keys_are_answered_with_the_one_that_was_meant() {
    refuses(
        "split_tunel = true",
        &["\"split_tunel\" is unknown", "did you mean \"split_tunnel\"?"],
    );
    refuses("proto = \"tcp\"", &["did you mean \"transport_protocol\"?"]);
    refuses("split-tunnel = true", &["did you mean \"split_tunnel\"?"]);
    refuses("keepalive = { pings = 3 }", &["did you mean \"ping\"?"]);
    refuses(
        "qqqqqqqqqqqqqqqq = 1",
        &["the keys here are auth_token, authentication"],
    );
}

#[test]
fn client_blocks_must_fit() {
    let with = |cidr: &str| report(&endpoint("", "").replace("10.8.0.0/24", cidr));
    assert!(with("10.0.0.0/11").contains("from /12 to /30"));
    assert!(with("10.8.0.0/31").contains("from /12 to /30"));
    assert!(with("10.8.0.7/24").contains("4:21: 10.8.0.7/24 is not a network address; write 10.8.0.0/24"));
    assert!(with("127.0.0.0/24").contains("loopback addresses cannot be given to clients"));
    assert!(with("224.0.0.0/24").contains("multicast"));
    assert!(with("fd00::/64").contains("not an IPv4 network"));
    assert!(with("10.8.0.0").contains("has no prefix length"));
}

#[test]
fn a_route_may_cover_the_client_block_only_as_the_default_route() {
    let with = |route: &str| {
        let tables =
            "target_networks = [{ cidr = \"10.9.0.0/16\" }]\nroutes = [{ destination_cidr = \"R\" }]";
        Config::from_str(&endpoint("", &tables.replace('R', route)), "x").map_err(|error| error.to_string())
    };
    assert!(with("10.0.0.0/8").unwrap_err().contains("client_to_client"));
    assert!(with("10.8.0.5/32").unwrap_err().contains("overlaps"));
    assert!(with("0.0.0.0/0").is_ok());
    assert!(with("10.9.0.0/16").is_ok());
}

#[test]
fn all_errors_of_a_file_come_at_once_in_the_order_of_the_file() {
    let text = "workers = 0\n[[endpoint]]\nname = \"a b\"\nclient_cidr_block = \"10.8.0.1/24\"\nvpn_port = 0\n\
                dns = []\n[log]\nlevel = \"loud\"\n";
    let report = report(text);
    let places: Vec<_> = report
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    let at = |place: &str| format!("/etc/culvert/culvert.toml:{place}");
    let expected = ["1:11", "2:1", "2:1", "2:1", "3:8", "4:21", "5:12", "6:1", "8:9"].map(at);
    assert_eq!(places, expected, "{report}");
    for word in [
        "server_certificate is missing",
        "server_private_key is missing",
        "authentication is missing",
    ] {
        assert!(report.contains(word), "{report}");
    }
}

#[test]
fn what_is_not_toml_is_refused_at_its_place() {
    let report = report("name = \n[[endpoint\n");
    assert!(report.starts_with("/etc/culvert/culvert.toml:1:"), "{report}");
    assert!(report.contains("not TOML"), "{report}");
    assert!(report.contains(":2:"), "{report}");
}

#[test]
fn a_bad_element_does_not_shift_the_places_of_its_neighbours() {
    let report = report(&endpoint(
        "authorization_rules = [\n{ destination_cidr = \"x\", access_all = true },\n\
         { destination_cidr = \"10.0.0.1/8\", access_all = true } ]",
        "",
    ));
    assert_eq!(report.lines().count(), 1, "{report}");
    assert!(report.contains(":3:22: \"x\" has no prefix length"), "{report}");
}

#[test]
fn authentication_must_ask_something_of_everybody() {
    let with = |authentication: &str| {
        let text = endpoint("", "").replace("client_ca = \"ca.crt\"", authentication);
        Config::from_str(&text, "/etc/culvert/culvert.toml")
            .map(|mut config| config.endpoints.remove(0).into_spec().authentication)
            .map_err(|error| error.to_string())
    };
    assert!(with("").unwrap_err().contains("nobody could prove who they are"));
    assert!(
        with("client_certificate = \"required\"")
            .unwrap_err()
            .contains("client_ca is missing")
    );
    assert!(
        with("client_certificate = \"optional\", client_ca = \"c\"")
            .unwrap_err()
            .contains("let everybody in")
    );
    assert!(with("client_certificate = \"none\", client_ca = \"c\", users_file = \"u\"").is_err());
    assert!(
        with("crl = \"x\", users_file = \"u\"")
            .unwrap_err()
            .contains("crl is about client certificates")
    );
    assert!(
        with("users_file = \"u\", command = [\"/bin/x\"]")
            .unwrap_err()
            .contains("combine")
    );
    assert!(
        with("users_file = \"u\", combine = \"any\"")
            .unwrap_err()
            .contains("needs both")
    );
    assert!(
        with("command = [\"login\"]")
            .unwrap_err()
            .contains("does not start with a path")
    );
    assert!(
        with("command = []")
            .unwrap_err()
            .contains("does not start with a path")
    );
    assert!(
        with("command = [\"/x\"], command_timeout = \"5m\"")
            .unwrap_err()
            .contains("between 1 and 60")
    );
    assert!(
        with("users_file = \"u\", command_timeout = 5")
            .unwrap_err()
            .contains("command is missing")
    );
    assert!(matches!(
        with("users_file = \"u\""),
        Ok(Authentication::Password(_))
    ));
    let both = with("users_file = \"u\", client_ca = \"c\"");
    assert!(matches!(both, Ok(Authentication::CertificateAndPassword(..))));
    let optional = with("users_file = \"u\", client_ca = \"c\", client_certificate = \"optional\"");
    assert!(matches!(
        optional,
        Ok(Authentication::PasswordAndOptionalCertificate(..))
    ));
}

#[test]
fn tokens_live_as_long_as_the_session_unless_told_otherwise() {
    let with = |more: &str| {
        one(&endpoint(more, "").replace("client_ca = \"ca.crt\"", "users_file = \"u\""))
            .auth_token
            .clone()
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let token = with("session_timeout_hours = 8").unwrap();
    assert_eq!((token.lifetime, token.renewal), (Some(hours(8)), hours(1)));
    let token = with("auth_token = { lifetime = \"off\", renewal = \"2h\" }").unwrap();
    assert_eq!((token.lifetime, token.renewal), (None, hours(2)));
    assert_eq!(
        with("auth_token = { lifetime = \"10m\" }").unwrap().renewal,
        Duration::from_secs(600)
    );
    assert_eq!(token.key, None);
    let token = with("auth_token = { key = \"token.key\" }").unwrap();
    assert!(token.key.unwrap().ends_with("token.key"));
    assert_eq!(with("auth_token = false"), None);
}

#[test]
fn mssfix_reads_like_the_option_of_that_name() {
    let with = |mssfix: &str| one(&endpoint(&format!("mssfix = {mssfix}"), "")).mssfix;
    assert_eq!(with("false"), Mssfix::Off);
    assert_eq!(with("0"), Mssfix::Off);
    assert_eq!(with("1400"), Mssfix::Payload(1400));
    assert_eq!(with("\"1492 mtu\""), Mssfix::Mtu(1492));
    assert_eq!(with("\"1360 fixed\""), Mssfix::Fixed(1360));
}

#[test]
fn endpoints_must_not_get_into_each_others_way() {
    let second = |change: (&str, &str)| {
        let other = endpoint("", "")
            .replace("one", "two")
            .replace("10.8.0.0", "10.9.0.0");
        let other = other
            .replace("[[endpoint]]\n", "[[endpoint]]\nvpn_port = 1194")
            .replace(change.0, change.1);
        Config::from_str(&(endpoint("", "") + &other), "c.toml").map_err(|error| error.to_string())
    };
    let both = second(("", "")).unwrap();
    assert_eq!(both.endpoints[1].device, "cvpn1");
    assert!(
        second(("two", "one"))
            .unwrap_err()
            .contains("another endpoint \"one\"")
    );
    assert!(
        second(("10.9.0.0/24", "10.0.0.0/12"))
            .unwrap_err()
            .contains("overlaps that of the endpoint")
    );
    assert!(
        second(("1194", "443"))
            .unwrap_err()
            .contains("listens on port 443 there already")
    );
    assert!(second(("1194", "443\ntransport_protocol = \"tcp\"")).is_ok());
    assert!(
        second(("1194", "1194\ndevice = \"cvpn0\"")).is_ok(),
        "the first endpoint takes another device"
    );
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let warnings = |text: &str| {
        let config = Config::from_str(text, "c.toml").unwrap();
        config
            .warnings
            .iter()
            .map(|warning| warning.to_string())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let nothing = warnings(&endpoint("", ""));
    assert!(
        nothing.contains("may reach nothing") && nothing.contains("no default route"),
        "{nothing}"
    );
    let group = warnings(&endpoint(
        "split_tunnel = true",
        "target_networks = [{ cidr = \"10.9.0.0/16\" }]\n\
         authorization_rules = [{ destination_cidr = \"10.10.0.0/16\", group_id = \"g\" }]",
    ));
    assert!(
        group.contains("certificates carry no groups") && group.contains("no route leads to"),
        "{group}"
    );
}

#[test]
fn a_specification_is_validated_without_any_file() {
    let good = one(&endpoint("", "")).into_spec();
    assert!(good.clone().validate().is_ok());
    let bad = EndpointSpec {
        banner: Some("x".repeat(1401)),
        tun_mtu: 9001,
        ..good
    };
    let problems = bad.validate().unwrap_err();
    assert_eq!(problems.len(), 2);
    assert_eq!(
        problems[0].to_string(),
        "banner: the banner has 1401 characters; shorten it to 1400"
    );
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = Config::load("/nonexistent/culvert.toml").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read /nonexistent/culvert.toml:"),
        "{error}"
    );
}

#[test]
fn the_whole_internet_may_be_a_target_network_although_it_covers_the_client_cidr() {
    let endpoint = one(&endpoint("target_networks = [{ cidr = \"0.0.0.0/0\" }]", ""));
    assert_eq!(endpoint.nat_rules()[0].destination.to_string(), "0.0.0.0/0");
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
            let _ = Config::from_str(&text, "c.toml");
        }

        #[test]
        fn no_value_of_any_key_makes_it_panic(
            key in prop::sample::select(vec![
                "client_ipv6_cidr_block", "vpn_port", "mssfix", "tun_mtu", "max_clients", "session_timeout",
                "push", "domains", "routes", "keepalive", "auth_token", "static_addresses", "transport_protocol",
                "control_channel", "data_ciphers", "banner",
            ]),
            value in prop_oneof![
                any::<i64>().prop_map(|number| number.to_string()),
                "\"[0-9a-f:./ smhd]{0,24}\"",
                Just("[[]]".to_owned()), Just("{}".to_owned()), Just("[{}]".to_owned()), Just("nan".to_owned()),
                Just("[1, \"a\", {}]".to_owned()), Just("1979-05-27".to_owned()),
            ],
        ) {
            let _ = Config::from_str(&endpoint(&format!("{key} = {value}"), ""), "c.toml");
        }
    }
}
