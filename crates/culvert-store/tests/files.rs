//! The store's files: locks, modes, limits of history, backup and restore.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use culvert_store::{
    EmbeddedStore, Key, KeyRange, Op, Options, RangeRequest, Revision, Store, StoreError, Txn,
};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    (folder, path)
}

fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(path, Options::default(), Instant::now)
}

fn put(store: &EmbeddedStore, key: &str, value: &str) -> Revision {
    let txn = Txn::new().then(Op::put(key, value));
    store.txn(&txn).expect("the transaction is carried out").revision
}

fn keys(store: &EmbeddedStore) -> Vec<Key> {
    let all = store
        .range(&KeyRange::all().into())
        .expect("the store can be read");
    all.kvs.into_iter().map(|kv| kv.key).collect()
}

#[test]
fn a_second_opener_is_told_who_has_the_store() {
    let (_folder, path) = folder();
    let store = open(&path).unwrap();
    for second in [
        open(&path).map(|_| ()),
        EmbeddedStore::restore(&path, &path).map(|_| ()),
    ] {
        let error = second.unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("store.redb") && text.contains("this process"),
            "{text}"
        );
    }
    drop(store);
    open(&path).unwrap();
}

#[test]
fn every_file_is_for_its_owner_only() {
    let (folder, path) = folder();
    drop(open(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&path).unwrap();
    store.backup(&folder.path().join("backup")).unwrap();
    let files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
}

#[test]
fn what_a_dead_process_began_to_make_is_no_obstacle() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    fs::write(path.with_extension("redb.new"), "half a database").unwrap();
    put(&open(&path).unwrap(), "/a", "1");
    assert_eq!(keys(&open(&path).unwrap()), ["/a".into()]);
    assert!(!path.with_extension("redb.new").exists());
}

#[test]
fn another_file_is_refused_and_left_alone() {
    let (_folder, path) = folder();
    fs::write(&path, "not a database").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"not a database");
}

#[test]
fn history_is_bounded_in_bytes() {
    let (_folder, path) = folder();
    let options = Options {
        history_revisions: u64::MAX,
        history_bytes: 50_000,
    };
    let store = EmbeddedStore::open(&path, options, Instant::now).unwrap();
    // Each revision but the first keeps the old value and the new one: 2,100 bytes and some.
    let value = "x".repeat(1_000);
    let mut revision = Revision::NONE;
    for _ in 0..100 {
        revision = put(&store, "/k", &value);
    }
    let at = |back: u64| {
        let revision = Some(Revision(revision.0 - back));
        store.range(&RangeRequest {
            revision,
            ..KeyRange::all().into()
        })
    };
    assert_eq!(at(20).unwrap().kvs[0].version, 80);
    assert!(matches!(at(26), Err(StoreError::Compacted { .. })));
    // The newest change is kept however large it is.
    let large = put(&store, "/large", &"x".repeat(100_000));
    let mut watch = store.watch(KeyRange::all(), Some(large)).unwrap();
    assert_eq!(watch.try_next().unwrap().unwrap().revision, large);
}

#[test]
fn a_backup_made_beside_writers_is_one_moment() {
    let (folder, path) = folder();
    let store = open(&path).unwrap();
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for number in 0..200 {
                let number = number.to_string();
                let both = Txn::new()
                    .then(Op::put("/left", &number))
                    .then(Op::put("/right", &number));
                store.txn(&both).unwrap();
            }
        })
    };
    for round in 0..20 {
        let backup = folder.path().join("backup");
        let written = store.backup(&backup).unwrap();
        let copy = folder.path().join(format!("copy-{round}"));
        assert_eq!(EmbeddedStore::restore(&backup, &copy).unwrap(), written);
        let restored = open(&copy).unwrap().range(&KeyRange::all().into()).unwrap();
        assert_eq!(restored.revision, written.revision);
        if let [left, right] = &restored.kvs[..] {
            assert_eq!((&left.value, left.mod_revision), (&right.value, written.revision));
        } else {
            assert!(restored.kvs.is_empty());
        }
    }
    writer.join().unwrap();
}

#[test]
fn a_damaged_backup_is_refused_and_the_store_stays() {
    let (folder, path) = folder();
    let store = open(&path).unwrap();
    put(&store, "/kept", "secret");
    let lease = store.grant(std::time::Duration::from_secs(60)).unwrap();
    store
        .txn(&Txn::new().then(Op::put_leased("/leased", "", lease.id)))
        .unwrap();
    let backup = folder.path().join("backup");
    store.backup(&backup).unwrap();
    put(&store, "/later", "1");
    drop(store);

    let whole = fs::read(&backup).unwrap();
    let refuse = |bytes: &[u8], what: &str| {
        fs::write(&backup, bytes).unwrap();
        match EmbeddedStore::restore(&backup, &path) {
            Err(StoreError::NotABackup { .. } | StoreError::NewerSchema { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    };
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        refuse(&flipped, &format!("byte {at} changed"));
    }
    for len in [0, 10, whole.len() / 2, whole.len() - 1] {
        refuse(&whole[..len], &format!("cut to {len}"));
    }
    refuse(&[&whole[..], b"x"].concat(), "one byte more");
    assert_eq!(
        keys(&open(&path).unwrap()),
        ["/kept".into(), "/later".into(), "/leased".into()]
    );

    fs::write(&backup, whole).unwrap();
    EmbeddedStore::restore(&backup, &path).unwrap();
    let restored = open(&path).unwrap();
    assert_eq!(keys(&restored), ["/kept".into(), "/leased".into()]);
    restored.revoke(lease.id).unwrap();
    assert_eq!(keys(&restored), ["/kept".into()]);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        3,
        "nothing is left behind"
    );
}

#[test]
fn a_backup_never_replaces_the_store_it_is_made_of() {
    let (folder, path) = folder();
    let store = open(&path).unwrap();
    let alias = folder.path().join("alias");
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    for target in [&path, &alias, &path.with_extension("redb.lock")] {
        let refused = store.backup(target);
        assert!(
            matches!(refused, Err(StoreError::BackupOverStore { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn restore_heals_a_damaged_store() {
    let (folder, path) = folder();
    let store = open(&path).unwrap();
    put(&store, "/a", "1");
    let backup = folder.path().join("backup");
    store.backup(&backup).unwrap();
    drop(store);
    fs::write(&path, "damaged").unwrap();
    assert!(open(&path).is_err());
    EmbeddedStore::restore(&backup, &path).unwrap();
    assert_eq!(keys(&open(&path).unwrap()), ["/a".into()]);
}
