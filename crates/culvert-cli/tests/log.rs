//! `culvert log`, on files as the daemon leaves them.

// A test's helpers may fail loudly.
#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

const STREAM: &str = "log/vpn/office/2026+11+26-a.log";

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "[[log_group]]\nname = \"/vpn/office\"\nfolder = \"log\"\n\
            [[log_group]]\nname = \"system\"\njournal = true\n";
        std::fs::write(folder.path().join("culvert.toml"), config).unwrap();
        std::fs::create_dir_all(folder.path().join("log/vpn/office")).unwrap();
        let bench = Self { folder };
        let old = entry("connection-attempt", "failed", "authentication-failed", "ana");
        bench.write(&format!("{STREAM}.1"), &[old]);
        let now = [
            entry("connection-attempt", "successful", "NA", "ana"),
            entry("connection-reset", "NA", "NA", "b\u{1b}[31mn"),
        ];
        bench.write(STREAM, &now);
        bench
    }

    fn write(&self, name: &str, entries: &[String]) {
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::cargo_bin("culvert").unwrap();
        command.current_dir(self.folder.path());
        command
            .args(["log"])
            .args(words.split(' '))
            .args(["--config", "culvert.toml"]);
        command
    }

    fn ok(&self, words: &str) -> String {
        let done = self.command(words).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    fn refusal(&self, words: &str, status: i32) -> String {
        let done = self.command(words).assert().code(status);
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    }
}

fn entry(kind: &str, status: &str, reason: &str, name: &str) -> String {
    serde_json::json!({
        "connection-log-type": kind,
        "connection-attempt-status": status,
        "connection-attempt-failure-reason": reason,
        "connection-id": "cvpn-connection-0a1b2c3d4e5f60718",
        "transport-protocol": "udp",
        "connection-last-update-time": "2026-11-26 18:00:01",
        "client-ip": "10.8.0.2",
        "common-name": name,
        "username": "NA",
        "device-ip": "192.0.2.2",
        "port": "5000",
        "ingress-bytes": "2048",
        "egress-bytes": "7",
        "connection-duration-seconds": "12",
    })
    .to_string()
}

#[test]
fn groups_are_listed_with_their_streams() {
    let bench = Bench::new();
    let text = bench.ok("list");
    assert!(
        text.contains("/vpn/office") && text.contains("2026/11/26-a") && text.contains("systemd journal"),
        "{text}"
    );
    let document: Value = serde_json::from_str(&bench.ok("list --output json")).unwrap();
    let groups = document["log_groups"].as_array().unwrap();
    assert_eq!(groups[0]["log_group_name"], "/vpn/office");
    assert_eq!(groups[0]["streams"][0]["log_stream_name"], "2026/11/26-a");
    assert_eq!(groups[0]["streams"][0]["files"], 2);
    assert_eq!(groups[1]["streams"], serde_json::json!([]));
}

#[test]
fn the_last_entries_are_told_oldest_first_across_files() {
    let bench = Bench::new();
    let text = bench.ok("tail /vpn/office 2026/11/26-a");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "2026-11-26 18:00:01  ana from 192.0.2.2 port 5000 (udp)  turned away: authentication-failed  \
             cvpn-connection-0a1b2c3d4e5f60718",
            "2026-11-26 18:00:01  ana from 192.0.2.2 port 5000 (udp)  connected as 10.8.0.2: 2.0 KiB in, 7 B out  \
             cvpn-connection-0a1b2c3d4e5f60718",
            "2026-11-26 18:00:01  b?[31mn from 192.0.2.2 port 5000 (udp)  ended after 12 s: 2.0 KiB in, 7 B out  \
             cvpn-connection-0a1b2c3d4e5f60718",
        ]
    );
    let document: Value = serde_json::from_str(&bench.ok("tail /vpn/office -n 1 --output json")).unwrap();
    assert_eq!(document["log_stream_name"], "2026/11/26-a", "the only one");
    let entries = document["entries"].as_array().unwrap();
    assert_eq!(
        (entries.len(), &entries[0]["connection-log-type"]),
        (1, &Value::from("connection-reset"))
    );
}

#[test]
fn a_stream_is_followed() {
    let bench = Bench::new();
    let mut command = bench.command("tail /vpn/office -n 0 --follow --json");
    command.timeout(std::time::Duration::from_secs(3));
    let path = bench.folder.path().join(STREAM);
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(&format!(
            "{}\n",
            entry("connection-attempt", "failed", "later", "ana")
        ));
        std::fs::write(&path, text).unwrap();
    });
    let output = command.output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let followed: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(followed.len(), 1, "{text}");
    assert_eq!(followed[0]["connection-attempt-failure-reason"], "later");
}

#[test]
fn what_can_not_be_read_here_is_told_with_what_reads_it() {
    let bench = Bench::new();
    assert!(
        bench
            .refusal("tail system", 1)
            .contains("journalctl CULVERT_LOG_GROUP=system")
    );
    assert!(bench.refusal("tail /vpn/home", 4).contains("culvert log list"));
    assert!(
        bench
            .refusal("tail /vpn/office other", 4)
            .contains("no log stream \"other\"")
    );
    bench.write("log/vpn/office/b.log", &[]);
    let several = bench.refusal("tail /vpn/office", 1);
    assert!(
        several.contains("several streams") && several.contains("2026/11/26-a, b"),
        "{several}"
    );
}
