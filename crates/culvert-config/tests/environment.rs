//! What surrounds managed endpoints: read, completed, and refused with line and cure.

use culvert_config::{Config, ConfigError, HandlerTarget, IpProtocol, PortRange, Quotas, Resets};

const VPC: &str = "[[vpc]]\nid = \"vpc-0123456789abcdef0\"\ncidr_blocks = [\"10.20.0.0/16\"]\n";

fn read(text: &str) -> Config {
    Config::from_str(text, "culvert.toml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The text is refused with one message, at this line, that contains all the given words.
fn refuses(text: &str, line: usize, words: &[&str]) {
    let report = match Config::from_str(text, "culvert.toml") {
        Err(error @ ConfigError::Invalid(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("accepted:\n{text}"),
    };
    assert!(
        report.starts_with(&format!("culvert.toml:{line}:")),
        "{text}\n{report}"
    );
    assert!(words.iter().all(|word| report.contains(word)), "{text}\n{report}");
    assert_eq!(report.lines().count(), 1, "{text}\n{report}");
}

fn subnet(id: char, more: &str) -> String {
    format!("[[subnet]]\nid = \"subnet-0123456789abcdef{id}\"\nvpc_id = \"vpc-0123456789abcdef0\"\n{more}\n")
}

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    let plain = read("");
    assert_eq!(plain.api, None);
    let config = read(&format!(
        "state_dir = \"/state\"\n[api]\n{VPC}{}",
        subnet('0', "cidr_block = \"10.20.1.0/24\"")
    ));
    let api = config.api.unwrap();
    assert_eq!(api.listen.to_string(), "127.0.0.1:8443");
    assert_eq!(api.tls, None);
    assert_eq!(api.access_keys.to_str(), Some("/state/access-keys"));
    let account = &config.environment.account;
    assert_eq!(
        (account.id.as_str(), account.region.as_str()),
        ("000000000000", "us-east-1")
    );
    assert_eq!((account.host.as_deref(), account.resets), (None, Resets::Live));
    assert!(account.listen.is_empty() && !account.both_transports);
    let subnet = &config.environment.subnets[0];
    assert_eq!(subnet.availability_zone, "us-east-1a");
    assert_eq!(subnet.availability_zone_id, "use1-az1");
    assert!(subnet.nat && subnet.interface.is_none());
    let group = &config.environment.security_groups[0];
    assert_eq!(
        (group.name.as_str(), group.vpc_id.as_str()),
        ("default", "vpc-0123456789abcdef0")
    );
    assert_eq!(group.egress.len(), 2);
}

#[test]
fn quotas_are_each_their_own_and_within_bounds() {
    assert_eq!(read("").environment.quotas, Quotas::default());
    let config = read(
        "[api]\n[quotas]\nendpoints = 1\nauthorization_rules = 1000\nroutes_per_association = 3\n\
         crl_entries = 4\nsecurity_groups = 16\nterminate_connections = 6\n",
    );
    let wanted = Quotas {
        endpoints: 1,
        authorization_rules: 1000,
        routes_per_association: 3,
        crl_entries: 4,
        security_groups: 16,
        terminate_connections: 6,
    };
    assert_eq!(config.environment.quotas, wanted);
    for key in [
        "endpoints",
        "authorization_rules",
        "routes_per_association",
        "crl_entries",
        "security_groups",
        "terminate_connections",
    ] {
        for bad in ["0", "-1", "20001"] {
            refuses(
                &format!("[api]\n[quotas]\n{key} = {bad}"),
                3,
                &["out of range", "choose between 1 and"],
            );
        }
    }
    refuses("[api]\n[quotas]\nrules = 5", 3, &["rules", "authorization_rules"]);
    let unused = read("[quotas]\nendpoints = 6").warnings;
    assert!(unused[0].to_string().contains("there is no [api]"), "{unused:?}");
}

#[test]
fn a_declared_default_group_stands_in_for_the_one_made_up() {
    let group =
        "[[security_group]]\nid = \"sg-01234567\"\nvpc_id = \"vpc-0123456789abcdef0\"\nname = \"default\"\n";
    let egress = "egress = [{ protocol = \"tcp\", from_port = 22, to_port = 23, cidr = \"10.20.0.0/16\" }]\n";
    let config = read(&format!("[api]\n{VPC}{group}{egress}"));
    let groups = &config.environment.security_groups;
    assert_eq!(groups.len(), 1);
    assert_eq!(
        groups[0].egress[0].protocol,
        IpProtocol::Tcp(PortRange { first: 22, last: 23 })
    );
    assert!(
        read(&format!("[api]\n{VPC}{group}egress = []\n"))
            .environment
            .security_groups[0]
            .egress
            .is_empty()
    );
}

#[test]
fn the_api_is_not_served_in_the_clear_to_other_machines() {
    refuses(
        "[api]\nlisten = \"0.0.0.0:8443\"\n",
        2,
        &["could read and change", "private_key"],
    );
    refuses(
        "[api]\nlisten = \"10.0.0.1:8443\"\n",
        2,
        &["10.0.0.1:8443", "127.0.0.1"],
    );
    refuses("[api]\nlisten = \"127.0.0.1:0\"\n", 2, &["port 0"]);
    refuses("[api]\nlisten = \"127.0.0.1\"\n", 2, &["address with a port"]);
    refuses("[api]\ncertificate = \"a\"\n", 2, &["private_key is missing"]);
    let config =
        read("[api]\nlisten = \"0.0.0.0:8443\"\ncertificate = \"/a.crt\"\nprivate_key = \"/a.key\"\n");
    assert!(config.api.unwrap().tls.is_some());
    assert!(read("[api]\nlisten = \"[::1]:8443\"\n").api.is_some());
}

#[test]
fn an_account_is_named_as_on_aws() {
    for (line, words) in [
        ("id = \"12345\"", &["12 digits"] as &[&str]),
        ("region = \"EU\"", &["is not a region"]),
        ("region = \"-a\"", &["is not a region"]),
        ("host = \"a b\"", &["neither a host name"]),
        ("resets = \"never\"", &["\"live\" or \"strict\""]),
        ("ipv6_host = \"vpn6.example.com\"", &["no host", "set host"]),
        ("ipv6_host = \"192.0.2.1\"", &["IPv4 address"]),
        ("client_ipv6_range = \"2001:db8::/65\"", &["smaller than a /64"]),
        (
            "client_ipv6_range = \"2001:db8::1/48\"",
            &["2001:db8::/48 instead"],
        ),
        ("client_ipv6_range = \"fe80::/16\"", &["link-local"]),
    ] {
        refuses(&format!("[account]\n{line}\n"), 2, words);
    }
    let account = read("[account]\nhost = \"192.0.2.1\"\nresets = \"strict\"\n")
        .environment
        .account;
    assert_eq!(
        (account.host.as_deref(), account.resets),
        (Some("192.0.2.1"), Resets::Strict)
    );
    assert_eq!(
        (account.ipv6_host, account.client_ipv6_range.to_string()),
        (None, "fd00::/8".into())
    );
    let text = "[account]\nhost = \"192.0.2.1\"\nipv6_host = \"2001:db8::1\"\nclient_ipv6_range = \"2001:db8:8::/48\"\n";
    let account = read(text).environment.account;
    assert_eq!(
        (
            account.ipv6_host.as_deref(),
            account.client_ipv6_range.to_string()
        ),
        (Some("2001:db8::1"), "2001:db8:8::/48".into())
    );
    let text = "[account]\nlisten = [\"192.0.2.1\", \"192.0.2.2\"]\nipv6_host = \"2001:db8::1\"\n";
    assert!(
        read(text).environment.account.ipv6_host.is_some(),
        "each address is its own host"
    );
}

#[test]
fn translating_takes_addresses_to_translate() {
    let subnet = "[[subnet]]\nid = \"subnet-01234567\"\nvpc_id = \"vpc-0123456789abcdef0\"\n\
                  cidr_block = \"10.20.1.0/24\"\navailability_zone = \"us-east-1a\"\n";
    read(&format!("[api]\n{VPC}{subnet}"));
    let text = format!("[api]\n{VPC}{subnet}ipv6_nat = true\n");
    let line = text.lines().count();
    refuses(&text, line, &["no IPv6 addresses", "ipv6_cidr_block"]);
}

#[test]
fn addresses_to_listen_on_are_this_machines_and_each_has_one_name() {
    for (line, words) in [
        (
            "listen = []",
            &["no address to listen on", "remove the key"] as &[&str],
        ),
        ("listen = \"192.0.2.1\"", &["not a list"]),
        ("listen = [\"0.0.0.0\"]", &["0.0.0.0", "use an IPv4 address"]),
        (
            "listen = [\"2001:db8::1\"]",
            &["2001:db8::1", "use an IPv4 address"],
        ),
        ("listen = [\"224.0.0.1\"]", &["can be given"]),
        (
            "listen = [\"192.0.2.1\", \"192.0.2.1\"]",
            &["192.0.2.1 is given twice"],
        ),
        (
            "listen = [{ host = \"vpn.example.com\" }]",
            &["address is missing"],
        ),
        (
            "listen = [{ address = \"192.0.2.1\", name = \"x\" }]",
            &["\"name\" is unknown"],
        ),
        ("both_transports = \"tcp\"", &["true or false"]),
    ] {
        refuses(&format!("[account]\n{line}\n"), 2, words);
    }
    let several = "[account]\nlisten = [\"192.0.2.1\", \"192.0.2.2\"]\nhost = \"vpn.example.com\"\n";
    refuses(several, 3, &["host is one name", "give each its own"]);
    let account = read(
        "[account]\nlisten = [\"192.0.2.1\", { address = \"192.0.2.2\", host = \"b.example.com\" }]\n\
         host = \"a.example.com\"\nboth_transports = true\n",
    )
    .environment
    .account;
    let listen: Vec<(String, Option<&str>)> = account
        .listen
        .iter()
        .map(|one| (one.address.to_string(), one.host.as_deref()))
        .collect();
    assert_eq!(
        listen,
        [
            ("192.0.2.1".into(), None),
            ("192.0.2.2".into(), Some("b.example.com"))
        ]
    );
    assert!(account.both_transports);
}

#[test]
fn ids_have_their_form_and_are_used_once() {
    refuses(
        "[api]\n[[vpc]]\nid = \"vpc-1\"\ncidr_blocks = [\"10.0.0.0/16\"]\n",
        3,
        &["8 or 17"],
    );
    refuses(
        "[api]\n[[vpc]]\nid = \"vpc-ABCDEF01\"\ncidr_blocks = [\"10.0.0.0/16\"]\n",
        3,
        &["lower-case"],
    );
    let again = "[[vpc]]\nid = \"vpc-0123456789abcdef0\"\ncidr_blocks = [\"10.21.0.0/16\"]\n";
    refuses(&format!("[api]\n{VPC}{again}"), 6, &["another", "id of its own"]);
    let two = [
        subnet('0', "cidr_block = \"10.20.1.0/24\""),
        subnet('0', "cidr_block = \"10.20.2.0/24\""),
    ];
    refuses(&format!("[api]\n{VPC}{}", two.concat()), 10, &["another"]);
    refuses(
        "[api]\n[[directory]]\nid = \"d-1\"\nusers_file = \"users\"\n",
        3,
        &["10 lower-case"],
    );
    refuses(
        "[api]\n[[directory]]\nid = \"d-0123456789\"\n",
        2,
        &["judge nobody", "users_file"],
    );
}

#[test]
fn subnets_are_parts_of_their_vpc_and_share_nothing() {
    refuses(
        &format!("[api]\n{VPC}{}", subnet('0', "cidr_block = \"10.21.0.0/24\"")),
        8,
        &["outside the VPC"],
    );
    refuses(
        &format!("[api]\n{VPC}{}", subnet('0', "cidr_block = \"10.20.0.1/24\"")),
        8,
        &["10.20.0.0/24"],
    );
    let two = [
        subnet('0', "cidr_block = \"10.20.0.0/23\""),
        subnet('1', "cidr_block = \"10.20.1.0/24\""),
    ];
    refuses(
        &format!("[api]\n{VPC}{}", two.concat()),
        12,
        &["overlaps the subnet"],
    );
    let stray =
        "[[subnet]]\nid = \"subnet-01234567\"\nvpc_id = \"vpc-01234567\"\ncidr_block = \"10.20.0.0/24\"\n";
    refuses(
        &format!("[api]\n{VPC}{stray}"),
        7,
        &["there is no VPC", "[[vpc]]"],
    );
    let more = "cidr_block = \"10.20.1.0/24\"\nipv6_cidr_block = \"fd00::/64\"";
    refuses(
        &format!("[api]\n{VPC}{}", subnet('0', more)),
        9,
        &["outside the VPC"],
    );
}

#[test]
fn vpcs_share_nothing_either_and_have_addresses() {
    let other = "[[vpc]]\nid = \"vpc-01234567\"\ncidr_blocks = [\"10.20.128.0/17\"]\n";
    refuses(&format!("[api]\n{VPC}{other}"), 7, &["overlaps the VPC"]);
    refuses(
        "[api]\n[[vpc]]\nid = \"vpc-01234567\"\ncidr_blocks = []\n",
        4,
        &["no addresses"],
    );
    refuses(
        "[api]\n[[vpc]]\nid = \"vpc-01234567\"\ncidr_blocks = [\"0.0.0.0/0\"]\n",
        4,
        &["/8 or longer"],
    );
    refuses(
        "[api]\n[[vpc]]\nid = \"vpc-01234567\"\n",
        2,
        &["cidr_blocks is missing"],
    );
}

#[test]
fn a_zone_has_one_id() {
    let two = [
        subnet(
            '0',
            "cidr_block = \"10.20.1.0/24\"\navailability_zone_id = \"use1-az4\"",
        ),
        subnet(
            '1',
            "cidr_block = \"10.20.2.0/24\"\navailability_zone_id = \"use1-az5\"",
        ),
    ];
    refuses(
        &format!("[api]\n{VPC}{}", two.concat()),
        14,
        &["give each zone one id"],
    );
}

#[test]
fn security_groups_say_what_may_be_begun() {
    let group = |more: &str| {
        format!(
            "[api]\n{VPC}[[security_group]]\nid = \"sg-01234567\"\nvpc_id = \"vpc-0123456789abcdef0\"\nname = \"a\"\n{more}\n"
        )
    };
    let egress = |entry: &str| group(&format!("egress = [{{ cidr = \"0.0.0.0/0\", {entry} }}]"));
    refuses(&egress("protocol = \"gre\""), 9, &["\"icmp\""]);
    refuses(
        &egress("protocol = \"tcp\", from_port = 2, to_port = 1"),
        9,
        &["exchange"],
    );
    refuses(&egress("protocol = \"tcp\", from_port = 2"), 9, &["one end"]);
    refuses(
        &egress("protocol = \"all\", from_port = 2, to_port = 3"),
        9,
        &["mean nothing"],
    );
    let twice =
        "[[security_group]]\nid = \"sg-01234568\"\nvpc_id = \"vpc-0123456789abcdef0\"\nname = \"a\"\n";
    refuses(&format!("{}{twice}", group("")), 13, &["name of its own"]);
}

#[test]
fn networks_nothing_uses_are_warned_of() {
    let warnings = read(VPC).warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].message.contains("there is no [api]"),
        "{}",
        warnings[0]
    );
}

#[test]
fn a_managed_set_up_needs_no_endpoint_in_the_file() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/managed.toml");
    let config = Config::load(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.endpoints.len(), config.warnings.len()), (0, 0));
    assert_eq!(config.environment.subnets.len(), 2);
    assert_eq!(config.environment.security_groups.len(), 2, "one of them made up");
}

const HANDLER: &str = "[[connect_handler]]\nfunction = \"AWSClientVPN-posture\"\n";

#[test]
fn connect_handlers_are_programs_or_web_services() {
    let config = read(&format!(
        "{HANDLER}command = [\"hooks/posture\", \"--strict\"]\nschema_version = \"v2\"\ngroups = \"text\"\ntimeout = \"5s\"\n\
         concurrency = 3\n[[connect_handler]]\nfunction = \"AWSClientVPN-web\"\nurl = \"https://hooks.example.com/vpn\"\n"
    ));
    let [program, web] = &config.environment.connect_handlers[..] else {
        panic!("two handlers");
    };
    let HandlerTarget::Command {
        program: path,
        arguments,
    } = &program.target
    else {
        panic!("a program");
    };
    assert!(path.ends_with("hooks/posture"), "{path:?}");
    assert_eq!(arguments, &["--strict"]);
    assert_eq!((program.schema_version, program.groups_as_text), (2, true));
    assert_eq!((program.timeout.as_secs(), program.concurrency), (5, 3));
    assert!(matches!(&web.target, HandlerTarget::Url { url, ca: None } if url.ends_with("/vpn")));
    assert_eq!((web.schema_version, web.timeout.as_secs()), (3, 30));
}

#[test]
fn a_connect_handler_that_could_not_be_asked_is_refused() {
    refuses(HANDLER, 1, &["asks nobody"]);
    refuses(
        &format!("{HANDLER}command = [\"posture\"]\n"),
        3,
        &["does not start with a path"],
    );
    refuses(
        &format!("{HANDLER}url = \"example.com\"\n"),
        3,
        &["not the address"],
    );
    refuses(
        &format!("{HANDLER}command = [\"/a\"]\nurl = \"http://b\"\n"),
        4,
        &["both given"],
    );
    refuses(
        &format!("{HANDLER}command = [\"/a\"]\ntimeout = \"31s\"\n"),
        4,
        &["30 seconds"],
    );
    refuses(
        &format!("{HANDLER}command = [\"/a\"]\nschema_version = \"v4\"\n"),
        4,
        &["v3"],
    );
    refuses(
        "[[connect_handler]]\nfunction = \"posture\"\nurl = \"http://b\"\n",
        2,
        &["begin with AWSClientVPN-"],
    );
    let twice = format!("{HANDLER}url = \"http://b\"\n").repeat(2);
    refuses(&twice, 5, &["another handler"]);
}
