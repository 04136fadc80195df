//! Log groups and the endpoints that name them.

use std::time::Duration;

use culvert_config::{Config, LogSink, Rotation};

const GROUP: &str = "[[log_group]]\nname = \"/vpn/office\"\nfolder = \"/var/log/culvert\"\n";

fn endpoint(log: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"one\"\nclient_cidr_block = \"10.8.0.0/24\"\nserver_certificate = \"a.crt\"\n\
         server_private_key = \"a.key\"\nauthentication = {{ client_ca = \"ca.crt\" }}\n{log}\n"
    )
}

fn read(text: &str) -> Config {
    Config::from_str(text, "/etc/culvert/culvert.toml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refuses(text: &str, line: usize, words: &str) {
    let report = match Config::from_str(text, "culvert.toml") {
        Err(error) => error.to_string(),
        Ok(_) => panic!("accepted:\n{text}"),
    };
    assert!(report.starts_with(&format!("culvert.toml:{line}:")), "{report}");
    assert!(report.contains(words), "{report}");
    assert_eq!(report.lines().count(), 1, "{report}");
}

#[test]
fn a_group_keeps_files_below_its_folder() {
    let config = read(&format!(
        "{GROUP}rotate_size = \"1M\"\nrotate_age = \"1d\"\nkeep = 3\nupdate_interval = \"5m\"\n\
         [[log_group]]\nname = \"plain\"\nfolder = \"log\"\n"
    ));
    let [full, plain] = &config.environment.log_groups[..] else {
        panic!("two groups");
    };
    let rotation = Rotation {
        size: 1 << 20,
        age: Some(Duration::from_secs(86_400)),
        keep: 3,
    };
    let LogSink::Files {
        folder,
        rotation: read,
    } = &full.sink
    else {
        panic!("files")
    };
    assert_eq!(
        (folder.as_path(), *read),
        (std::path::Path::new("/var/log/culvert"), rotation)
    );
    assert_eq!(full.update_interval, Duration::from_secs(300));
    let LogSink::Files { folder, rotation } = &plain.sink else {
        panic!("files")
    };
    assert!(folder.ends_with("log") && folder.is_absolute(), "{folder:?}");
    assert_eq!(*rotation, Rotation::default());
    assert_eq!(plain.update_interval, Duration::from_secs(60));
}

#[test]
fn a_group_may_be_in_the_journal() {
    let config = read("[[log_group]]\nname = \"a\"\njournal = true\n");
    assert_eq!(config.environment.log_groups[0].sink, LogSink::Journal);
}

#[test]
fn a_group_may_be_in_cloudwatch_logs() {
    let service =
        "endpoint = \"http://127.0.0.1:4566\", region = \"us-east-1\", access_key_file = \"logs.key\"";
    let group = |more: &str| format!("[[log_group]]\nname = \"a\"\ncloudwatch = {{ {service}{more} }}\n");
    let config = read(&group(""));
    let LogSink::CloudWatch {
        endpoint,
        region,
        access_key_file,
        spool_size,
    } = &config.environment.log_groups[0].sink
    else {
        panic!("CloudWatch Logs");
    };
    assert_eq!(
        (endpoint.as_str(), region.as_str()),
        ("http://127.0.0.1:4566", "us-east-1")
    );
    assert!(
        access_key_file.ends_with("culvert/logs.key"),
        "{access_key_file:?}"
    );
    assert_eq!(*spool_size, 64 << 20);
    refuses(&group(", spool_size = \"1M\""), 3, "too small");
    refuses(&format!("{}journal = true\n", group("")), 3, "both given");
    let no_region = service.replace("region = \"us-east-1\", ", "");
    refuses(
        &format!("[[log_group]]\nname = \"a\"\ncloudwatch = {{ {no_region} }}\n"),
        3,
        "region is missing",
    );
}

#[test]
fn an_endpoint_names_a_group_and_may_leave_the_stream_to_its_own_name() {
    let log = |text: &str| {
        read(&format!("{GROUP}{}", endpoint(text))).endpoints[0]
            .connection_log
            .clone()
    };
    assert_eq!(log(""), None);
    let given = log("connection_log = { group = \"/vpn/office\", stream = \"a/b\" }").unwrap();
    assert_eq!(
        (given.group.as_str(), given.stream.as_str()),
        ("/vpn/office", "a/b")
    );
    let left_out = log("connection_log = { group = \"/vpn/office\" }").unwrap();
    assert_eq!(left_out.stream, "one");
}

#[test]
fn what_could_not_be_written_is_refused_at_its_place() {
    refuses("[[log_group]]\nname = \"a\"\n", 1, "kept nowhere");
    let journal = "[[log_group]]\nname = \"a\"\njournal";
    refuses(&format!("{journal} = false\n"), 3, "switched off");
    refuses(&format!("{journal} = true\nkeep = 3\n"), 4, "for files");
    refuses(&format!("{GROUP}journal = true\n"), 4, "both given");
    refuses(
        "[[log_group]]\nname = \"../a\"\nfolder = \"/l\"\n",
        2,
        "no name of a log group",
    );
    refuses(&format!("{GROUP}rotate_size = \"1T\"\n"), 4, "not a size");
    refuses(&format!("{GROUP}rotate_size = 1000\n"), 4, "too small");
    refuses(&format!("{GROUP}rotate_age = \"1s\"\n"), 4, "too short");
    refuses(&format!("{GROUP}update_interval = \"2h\"\n"), 4, "too long");
    let twice = format!("{GROUP}[[log_group]]\nname = \"vpn/office\"\nfolder = \"/other\"\n");
    refuses(&twice, 5, "another log group");
    for (log, words) in [
        ("{ group = \"other\" }", "there is no log group"),
        ("{ stream = \"a\" }", "group is missing"),
        (
            "{ group = \"/vpn/office\", stream = \"a:b\" }",
            "no name of a log stream",
        ),
        ("true", "connection_log"),
    ] {
        refuses(
            &format!("{GROUP}{}", endpoint(&format!("connection_log = {log}"))),
            10,
            words,
        );
    }
}
