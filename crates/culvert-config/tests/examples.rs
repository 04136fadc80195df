//! Every example of the folder `config/` loads without an error, and the reference names every key.

use std::path::{Path, PathBuf};

use culvert_config::{
    Config, ControlChannel, DEFAULT_MODERATION, DataCipher, Digest, Mssfix, Offload, Quotas,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn load(name: &str) -> Config {
    Config::load(folder().join(name)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_example_loads_without_a_problem_or_a_warning() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
            // Those of one example are made at run time.
            let declared = usize::from(config.api.is_none() || path.ends_with("reference.toml"));
            assert_eq!(config.endpoints.len(), declared, "{}", path.display());
            assert_eq!(config.warnings, [], "{}", path.display());
            assert!(
                config
                    .endpoints
                    .iter()
                    .all(|endpoint| endpoint.build_pool().is_ok())
            );
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} examples");
}

/// An unknown key is answered with the list of the known ones, which is how this test learns them.
#[test]
fn the_reference_names_every_key() {
    let reference = std::fs::read_to_string(folder().join("reference.toml")).unwrap();
    let places = [
        "zzzzzzzzzzzz = 1",
        "[log]\nzzzzzzzzzzzz = 1",
        "[offload]\nzzzzzzzzzzzz = 1",
        "[admin]\nzzzzzzzzzzzz = 1",
        "[account]\nzzzzzzzzzzzz = 1",
        "[account]\nlisten = [{ zzzzzzzzzzzz = 1 }]",
        "[quotas]\nzzzzzzzzzzzz = 1",
        "[api]\nzzzzzzzzzzzz = 1",
        "[[vpc]]\nzzzzzzzzzzzz = 1",
        "[[subnet]]\nzzzzzzzzzzzz = 1",
        "[[security_group]]\nzzzzzzzzzzzz = 1",
        "[[security_group]]\negress = [{ zzzzzzzzzzzz = 1 }]",
        "[[directory]]\nzzzzzzzzzzzz = 1",
        "[[connect_handler]]\nzzzzzzzzzzzz = 1",
        "[[log_group]]\nzzzzzzzzzzzz = 1",
        "[[log_group]]\ncloudwatch = { zzzzzzzzzzzz = 1 }",
        "[[endpoint]]\nzzzzzzzzzzzz = 1",
        "[[endpoint]]\nauthentication = { zzzzzzzzzzzz = 1 }",
        "[[endpoint]]\nauthentication = { verify_x509_name = { zzzzzzzzzzzz = 1 } }",
        "[[endpoint]]\ncontrol_channel = { zzzzzzzzzzzz = 1 }",
        "[[endpoint]]\ncontrol_channel = { tls_auth = { zzzzzzzzzzzz = 1 } }",
        "[[endpoint]]\ncontrol_channel = { tls_crypt = { zzzzzzzzzzzz = 1 } }",
        "[[endpoint]]\ncontrol_channel = { tls_crypt_v2 = { zzzzzzzzzzzz = 1 } }",
        "[[endpoint]]\nconnection_log = { zzzzzzzzzzzz = 1 }",
        "[[endpoint]]\nkeepalive = { zzzzzzzzzzzz = 1 }",
        "[[endpoint]]\nauth_token = { zzzzzzzzzzzz = 1 }",
        "[[endpoint]]\ntarget_networks = [{ zzzzzzzzzzzz = 1 }]",
        "[[endpoint]]\nroutes = [{ zzzzzzzzzzzz = 1 }]",
        "[[endpoint]]\nauthorization_rules = [{ zzzzzzzzzzzz = 1 }]",
        "[[endpoint]]\nstatic_addresses = [{ zzzzzzzzzzzz = 1 }]",
    ];
    for place in places {
        let report = Config::from_str(place, "culvert.toml").unwrap_err().to_string();
        let keys = report
            .lines()
            .find_map(|line| line.split_once("the keys here are "))
            .unwrap()
            .1;
        for key in keys.split(", ") {
            let mentioned = [
                format!("{key} ="),
                format!("[{key}]"),
                format!(".{key}]"),
                format!("[[{key}]]"),
            ];
            assert!(
                mentioned.iter().any(|form| reference.contains(form)),
                "{key} is not in the reference"
            );
        }
    }
}

#[test]
fn settings_arrive_where_they_belong() {
    let config = load("reference.toml");
    let endpoint = &config.endpoints[0];
    assert_eq!(config.workers.unwrap().get(), 4);
    assert_eq!(config.worker_cpus, [0]);
    assert_eq!(config.moderation, DEFAULT_MODERATION);
    assert_eq!(config.offload, Offload::default());
    assert_eq!(
        config.environment.quotas,
        Quotas::default(),
        "the reference shows them"
    );
    assert_eq!(endpoint.server_v4().unwrap().to_string(), "10.8.0.1");
    assert_eq!(endpoint.server_v6().unwrap().to_string(), "fd00:8::1");
    let certificate = endpoint.server_certificate.path().unwrap();
    assert!(certificate.is_absolute());
    assert!(certificate.ends_with("config/pki/issued/server.crt"));
    assert!(matches!(
        endpoint.control_channel,
        ControlChannel::TlsCryptV2(_, Some(_))
    ));
    assert!(endpoint.data_ciphers.ends_with(&DataCipher::LEGACY));
    assert_eq!(endpoint.legacy_cbc, Some(Digest::Sha1));
    assert_eq!(endpoint.mssfix, Mssfix::Mtu(1492));
    assert_eq!(endpoint.effective_max_clients(), 1000);
    let nat: Vec<_> = endpoint
        .nat_rules()
        .iter()
        .map(|rule| rule.destination.to_string())
        .collect();
    assert_eq!(nat, ["10.20.0.0/16", "192.168.50.0/24"]);
    let limited = &endpoint.authorization_rules[1].services;
    let written: Vec<String> = limited.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["443/tcp", "8000-8999/tcp", "53/udp", "icmp"]);
    let lab = endpoint.policy().filter_for(&["engineering".to_owned()]);
    assert!(lab.allows_service("192.168.50.9".parse().unwrap(), 17, Some(53)));
    assert!(!lab.allows("192.168.50.9".parse().unwrap()));
    let printer = endpoint.static_address("printer").unwrap();
    assert_eq!(
        endpoint
            .build_pool()
            .unwrap()
            .allocate("printer", Some(printer))
            .unwrap()
            .index,
        10
    );
}

#[test]
fn the_split_tunnel_example_means_what_its_comments_say() {
    let config = load("split-tunnel.toml");
    let policy = config.endpoints[0].policy();
    let allows = |group: &str, to: &str| policy.filter_for(&[group.to_owned()]).allows(to.parse().unwrap());
    assert!(allows("developers", "10.20.5.5"));
    assert!(!allows("developers", "10.20.99.5"));
    assert!(allows("operators", "10.20.99.5"));
    assert!(!allows("operators", "10.20.5.5"));
    assert!(allows("partners", "10.20.0.2"));
    assert!(allows("partners", "192.168.50.9"));
    assert!(!allows("developers", "192.168.50.9"));
    let nat = config.endpoints[0].nat_rules();
    assert_eq!(nat.len(), 1);
    assert_eq!(nat[0].interface.as_deref(), Some("eth2"));
}

#[test]
fn additive_rules_add_up() {
    let text = std::fs::read_to_string("../../config/split-tunnel.toml").unwrap();
    let text = text.replace("[[endpoint]]\n", "[[endpoint]]\nrule_evaluation = \"additive\"\n");
    let config = Config::from_str(&text, "../../config/split-tunnel.toml").unwrap();
    let policy = config.endpoints[0].policy();
    let operators = policy.filter_for(&["developers".to_owned(), "operators".to_owned()]);
    assert!(operators.allows("10.20.5.5".parse().unwrap()));
    assert!(operators.allows("10.20.99.5".parse().unwrap()));
    let developers = policy.filter_for(&["developers".to_owned()]);
    assert!(
        developers.allows("10.20.99.5".parse().unwrap()),
        "nothing shadows its rule"
    );
}

#[test]
fn files_that_are_not_there_are_reported_where_they_are_named() {
    let config = load("certificate.toml");
    let report = config.check_files().unwrap_err().to_string();
    assert_eq!(report.lines().count(), 3, "{report}");
    assert!(
        report.contains("certificate.toml:10:22: cannot open the server certificate"),
        "{report}"
    );
}

#[test]
fn a_cpu_the_machine_does_not_have_is_reported_where_it_is_named() {
    let text = "workers = 2\nworker_cpus = [0, 1023]\n";
    let config = Config::from_str(text, "/etc/culvert/culvert.toml").unwrap();
    let report = config.check_files().unwrap_err().to_string();
    assert_eq!(report.lines().count(), 1, "{report}");
    assert!(
        report.starts_with("/etc/culvert/culvert.toml:2:19: this machine has no CPU 1023"),
        "{report}"
    );
}

#[test]
fn a_private_key_open_to_everybody_is_warned_of_and_a_users_file_may_come_later() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("culvert.toml");
    std::fs::create_dir_all(folder.path().join("pki/issued")).unwrap();
    std::fs::create_dir_all(folder.path().join("pki/private")).unwrap();
    std::fs::create_dir_all(folder.path().join("keys")).unwrap();
    for name in ["pki/issued/server.crt", "pki/private/server.key", "keys/tc.key"] {
        std::fs::write(folder.path().join(name), "").unwrap();
        let mode = std::fs::Permissions::from_mode(if name == "keys/tc.key" { 0o600 } else { 0o644 });
        std::fs::set_permissions(folder.path().join(name), mode).unwrap();
    }
    std::fs::copy(self::folder().join("users-file.toml"), &file).unwrap();
    let warnings = Config::load(&file).unwrap().check_files().unwrap();
    let texts: Vec<_> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("may read the server private key"), "{texts:?}");
    assert!(texts[1].contains("there is no users file"), "{texts:?}");
}
