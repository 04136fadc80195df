//! Watches beside writers, and in async code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use culvert_store::{
    Changes, EmbeddedStore, KeyRange, Op, Options, Revision, Store, StoreError, StoreHandle, Txn,
};

const WRITERS: u64 = 3;
const WRITES: u64 = 150;

fn store() -> (tempfile::TempDir, EmbeddedStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path, Options::default(), Instant::now).expect("the store opens");
    (folder, store)
}

fn put(key: &str, value: &str) -> Txn {
    Txn::new().then(Op::put(key, value))
}

/// Writes two watched keys and one that isn't, in each transaction.
fn write(store: &EmbeddedStore, writer: u64) {
    for number in 0..WRITES {
        let txn = put(&format!("/watched/{writer}/a"), &number.to_string())
            .then(Op::put(format!("/watched/{writer}/b"), &number.to_string()))
            .then(Op::put(format!("/other/{writer}"), &number.to_string()));
        store.txn(&txn).expect("the transaction is carried out");
    }
}

/// Each writer's numbers came once, in order, and each transaction as a whole.
fn check(seen: &[Changes]) {
    assert!(seen.windows(2).all(|two| two[0].revision < two[1].revision));
    let mut next = BTreeMap::new();
    for changes in seen {
        let [a, b] = &changes.changes[..] else {
            panic!("a transaction came in parts: {changes:?}");
        };
        let (a, b) = (
            a.current.as_ref().expect("a put"),
            b.current.as_ref().expect("a put"),
        );
        assert_eq!(a.value, b.value);
        assert_eq!(
            (a.mod_revision, b.mod_revision),
            (changes.revision, changes.revision)
        );
        let writer = a.key.to_string().split('/').nth(2).map(str::to_owned);
        let number: &mut u64 = next.entry(writer).or_default();
        assert_eq!(a.value, number.to_string().as_str().into());
        *number += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [WRITES; WRITERS as usize]);
}

#[test]
fn a_resumed_watch_sees_each_change_once_beside_writers() {
    let (_folder, store) = store();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            thread::spawn(move || write(&store, writer))
        })
        .collect();
    let range = KeyRange::prefix("/watched/");
    let mut seen: Vec<Changes> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while seen.len() < (WRITERS * WRITES) as usize {
        assert!(Instant::now() < deadline, "only {} transactions came", seen.len());
        // A new watch takes over where the last one was left, with changes read ahead and not taken.
        let from = seen.last().map_or(Revision(1), |last| last.revision.next());
        let mut watch = store.watch(range.clone(), Some(from)).unwrap();
        for _ in 0..7 {
            seen.extend(watch.try_next().unwrap());
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
    check(&seen);
    let after = seen.last().map(|last| last.revision.next());
    assert_eq!(store.watch(range, after).unwrap().try_next().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_whose_waiting_is_given_up_all_the_time_loses_nothing() {
    let (_folder, store) = store();
    let handle = StoreHandle::new(store.clone());
    let mut watch = handle
        .watch(KeyRange::prefix("/watched/"), Some(Revision(1)))
        .await
        .unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::task::spawn_blocking(move || write(&store, writer))
        })
        .collect();
    let mut seen = Vec::new();
    let mut given_up = 0;
    while seen.len() < (WRITERS * WRITES) as usize {
        tokio::select! {
            biased;
            changes = watch.next() => seen.push(changes.unwrap()),
            () = tokio::task::yield_now() => given_up += 1,
        }
        assert!(given_up < 50_000_000, "only {} transactions came", seen.len());
    }
    assert!(given_up > 0);
    for writer in writers {
        writer.await.unwrap();
    }
    check(&seen);
}

#[tokio::test]
async fn a_waiting_watch_wakes_for_its_change_and_for_the_end_of_the_store() {
    let (_folder, store) = store();
    let handle = StoreHandle::new(store.clone());
    let mut watch = handle.watch(KeyRange::single("/k"), None).await.unwrap();
    let waiting = tokio::spawn(async move {
        let first = watch.next().await.unwrap();
        (first, watch.next().await)
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    handle.txn(put("/other", "1")).await.unwrap();
    let response = handle.txn(put("/k", "2")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop((store, handle));
    let (first, end) = waiting.await.unwrap();
    assert_eq!(first.revision, response.revision);
    assert!(matches!(end, Err(StoreError::Closed)));
}

#[test]
fn a_watch_that_fell_behind_learns_that_history_is_gone() {
    let (_folder, store) = store();
    let mut watch = store.watch(KeyRange::all(), None).unwrap();
    for number in 0..5 {
        store.txn(&put("/k", &number.to_string())).unwrap();
    }
    store.compact(Revision(4)).unwrap();
    for _ in 0..2 {
        let behind = watch.try_next();
        assert!(
            matches!(
                behind,
                Err(StoreError::Compacted {
                    asked: Revision(2),
                    oldest: Revision(5)
                })
            ),
            "{behind:?}"
        );
    }
    let mut anew = store.watch(KeyRange::all(), Some(Revision(5))).unwrap();
    assert_eq!(anew.try_next().unwrap().unwrap().revision, Revision(5));
}

#[tokio::test]
async fn leases_run_out_by_themselves_while_expiry_runs() {
    let folder = tempfile::tempdir().unwrap();
    let offset = Arc::new(AtomicU64::new(0));
    let (start, shared) = (Instant::now(), Arc::clone(&offset));
    let clock = move || start + Duration::from_secs(shared.load(Ordering::Relaxed));
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path, Options::default(), clock).unwrap();
    let expiry = tokio::spawn(store.expiry());
    let handle = StoreHandle::new(store.clone());
    let lease = handle.grant(Duration::from_secs(30)).await.unwrap();
    let leased = Txn::new().then(Op::put_leased("/node/1", "alive", lease.id));
    let revision = handle.txn(leased).await.unwrap().revision;
    let mut watch = handle
        .watch(KeyRange::all(), Some(revision.next()))
        .await
        .unwrap();
    offset.store(30, Ordering::Relaxed);
    let gone = watch.next().await.unwrap();
    assert_eq!(gone.changes[0].key, "/node/1".into());
    assert_eq!(gone.changes[0].current, None);
    drop((store, handle));
    expiry.await.unwrap();
}
