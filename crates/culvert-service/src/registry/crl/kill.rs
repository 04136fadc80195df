//! A process that is killed while it imports revocation lists leaves endpoint and list as they belong together, with the
//! last list it had acknowledged or the one after it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::tests::{Lab, open_in};
use super::*;
use crate::crl::samples::now;
use crate::operations::samples::environment;

const FOLDER: &str = "CULVERT_SERVICE_KILL_TEST";
const KILLS: u32 = 20;
const LISTS: usize = 5;

fn list(folder: &Path, number: usize) -> String {
    std::fs::read_to_string(folder.join(format!("{number}.pem"))).unwrap()
}

fn only_endpoint(registry: &Registry) -> EndpointId {
    registry.endpoints().unwrap()[0].endpoint.id.clone()
}

/// Not a test by itself: what the test below starts and kills. It imports one list after another.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let store = open_in(folder);
    let (registry, certificates) = (Registry::new(store.clone()), Certificates::new(store));
    let id = only_endpoint(&registry);
    let mut out = std::io::stdout().lock();
    for number in (0..LISTS).cycle() {
        let pem = list(folder, number);
        registry
            .import_crl(id.as_str(), &pem, &certificates, &environment(), now())
            .unwrap();
        writeln!(out, "\nack {number}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts a child, kills it some time after its first acknowledgement, and returns the last one.
fn run_and_kill(folder: &Path, life: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "registry::crl::kill::child_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = lines
        .map_while(Result::ok)
        // A line that the kill cut off was no acknowledgement.
        .filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
    let first = acknowledged.next().expect("the child imports");
    std::thread::sleep(life);
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.last().unwrap_or(first)
}

#[test]
fn endpoint_and_list_belong_together_whenever_the_process_dies() {
    let Lab {
        folder,
        store,
        registry,
        certificates,
        authority,
        id,
        ..
    } = Lab::new();
    for number in 0..LISTS {
        let entries = 1 + 700 * u32::try_from(number).unwrap();
        std::fs::write(
            folder.path().join(format!("{number}.pem")),
            authority.long_crl(entries),
        )
        .unwrap();
    }
    drop((store, registry, certificates));
    for round in 0..KILLS {
        let last = run_and_kill(folder.path(), Duration::from_micros(u64::from(round) * 1_700));
        let registry = Registry::new(open_in(folder.path()));
        let (kept, state) = registry.export_crl(id.as_str()).unwrap().unwrap();
        assert_eq!(state, CrlState::Pending(None));
        let possible =
            [last, (last + 1) % LISTS].map(|number| list(folder.path(), number).replace("\r\n", "\n"));
        assert!(
            possible.contains(&kept),
            "neither list {last} nor the next, in round {round}"
        );
    }
}
