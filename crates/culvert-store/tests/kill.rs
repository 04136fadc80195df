//! A process that is killed at any instant loses no acknowledged transaction and leaves none half done.
//!
//! This proves it for the death of the process. What a power cut leaves depends on the disk keeping its word
//! after `fdatasync`, which each commit waits for.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use culvert_store::{
    Compare, EmbeddedStore, KeyRange, Op, OpResult, Options, RangeRequest, Relation, Revision, Store, Target,
    Txn,
};

const STORE: &str = "CULVERT_STORE_KILL_TEST";
const KILLS: u32 = 50;

/// Each transaction removes what the one so many before it has put.
const WINDOW: u64 = 10;

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, Options::default(), Instant::now).expect("the store opens after any death")
}

fn name(prefix: &str, number: u64) -> String {
    format!("{prefix}/{number:08}")
}

/// The number of the last transaction.
fn last(store: &EmbeddedStore) -> u64 {
    let counter = store
        .range(&KeyRange::single("counter").into())
        .expect("the counter can be read");
    counter.kvs.first().map_or(0, |kv| {
        let text = String::from_utf8(kv.value.as_bytes().to_vec()).expect("a number");
        text.parse().expect("a number")
    })
}

/// Counts, marks the number in two places, and takes an old mark away: as one transaction.
fn numbered(number: u64) -> Txn {
    let before = match number {
        1 => Compare::absent("counter"),
        _ => {
            let value = (number - 1).to_string().into_bytes();
            Compare::new("counter", Relation::Equal, Target::Value(value.into()))
        }
    };
    Txn::new()
        .when(before)
        .then(Op::put("counter", number.to_string().as_bytes().to_vec()))
        .then(Op::put(name("all", number), vec![number as u8; 300]))
        .then(Op::put(name("recent", number), vec![1; 300]))
        .then(Op::delete(name("recent", number.saturating_sub(WINDOW))))
}

/// Not a test by itself: what the test below starts and kills.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nready").unwrap();
    let store = open(Path::new(&path));
    for number in last(&store) + 1.. {
        let response = store.txn(&numbered(number)).unwrap();
        assert!(response.succeeded);
        writeln!(out, "\nack {number}").unwrap();
        out.flush().unwrap();
    }
}

fn start_child(path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this test's own path"))
        .args([
            "--exact",
            "child_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts")
}

/// Starts a child, kills it some time after it began to open the store, and returns the last number it
/// acknowledged; 0: none.
fn run_and_kill(path: &Path, life: Duration) -> u64 {
    let mut child = start_child(path);
    let stdout = child.stdout.take().expect("stdout is piped");
    let (ready, is_ready) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut acknowledged = 0;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line == "ready" {
                ready.send(()).expect("the test waits for this");
            } else if let Some(number) = line.strip_prefix("ack ") {
                // A line that the kill cut off was no acknowledgement.
                acknowledged = number.parse().unwrap_or(acknowledged).max(acknowledged);
            }
        }
        acknowledged
    });
    is_ready
        .recv_timeout(Duration::from_secs(30))
        .expect("the child comes up");
    thread::sleep(life);
    // On Unix this is SIGKILL.
    child.kill().expect("the child is still there");
    child.wait().expect("the child ends");
    reader.join().expect("the reader ends")
}

/// Everything up to `number` is there as a whole, and nothing else.
fn check(store: &EmbeddedStore, number: u64) {
    let keys = |prefix: &str| -> Vec<String> {
        let found = store
            .range(&KeyRange::prefix(prefix).into())
            .expect("the keys can be read");
        found.kvs.iter().map(|kv| kv.key.to_string()).collect()
    };
    let wanted = |prefix: &str, from: u64| (from..=number).map(|n| name(prefix, n)).collect::<Vec<_>>();
    assert_eq!(keys("all/"), wanted("all", 1));
    assert_eq!(
        keys("recent/"),
        wanted("recent", (number + 1).saturating_sub(WINDOW).max(1))
    );

    let present: RangeRequest = KeyRange::all().into();
    let revision = store.range(&present).expect("the store can be read").revision;
    assert_eq!(
        revision,
        Revision(number + 1),
        "one revision for each transaction"
    );

    let from = Revision(revision.0.saturating_sub(100) + 1);
    let mut watch = store
        .watch(KeyRange::single("counter"), Some(from))
        .expect("a watch");
    let mut next = from.max(Revision(2));
    while let Some(changes) = watch.try_next().expect("the history can be read") {
        assert_eq!(changes.revision, next, "the history has no gap");
        next = next.next();
    }
    assert_eq!(next, revision.next());
}

/// A time below `most`.
fn random_life(round: u32, most: Duration) -> Duration {
    let fraction = RandomState::new().hash_one(round) as f64 / u64::MAX as f64;
    most.mul_f64(fraction)
}

#[test]
fn a_process_killed_while_it_makes_the_store_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..KILLS {
        let path = folder.path().join(format!("store-{round}.redb"));
        let acknowledged = run_and_kill(&path, random_life(round, Duration::from_millis(15)));
        let store = open(&path);
        let number = last(&store);
        assert!((acknowledged..=acknowledged + 1).contains(&number));
        check(&store, number);
    }
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged_and_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("store.redb");
    let mut acknowledged = 0;
    let mut productive = 0;
    for round in 0..KILLS {
        // Some die while they open and repair the file, most while they write.
        let heard = run_and_kill(&path, random_life(round, Duration::from_millis(60)));
        if heard > 0 {
            acknowledged = heard;
            productive += 1;
        }
        let store = open(&path);
        let number = last(&store);
        let possible = acknowledged..=acknowledged + 1;
        assert!(
            possible.contains(&number),
            "{number} is there, {acknowledged} was acknowledged"
        );
        check(&store, number);
        // What was committed but not heard of counts from now on.
        acknowledged = number;
    }
    assert!(
        productive > KILLS / 10,
        "only {productive} of {KILLS} lived long enough to write"
    );
    let store = open(&path);
    let response = store.txn(&numbered(acknowledged + 1)).unwrap();
    assert!(response.succeeded && matches!(response.results[0], OpResult::Put(_)));
}
