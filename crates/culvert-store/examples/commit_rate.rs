//! How many durable transactions a second this machine's disk gives:
//! `cargo run --release -p culvert-store --example commit_rate [folder]`.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use culvert_store::{Compare, EmbeddedStore, KeyRange, Op, Options, Revision, Store, StoreError, Txn};

const COMMITS: u32 = 2_000;
const KEYS: u32 = 500;
const VALUE_BYTES: usize = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path, Options::default(), Instant::now)?;

    let mut revisions = vec![Revision::NONE; KEYS as usize];
    rate("transactions, one after the other", COMMITS, || {
        for number in 0..COMMITS {
            let at = (number % KEYS) as usize;
            revisions[at] = put(&store, at, revisions[at])?;
        }
        Ok(())
    })?;
    rate("transactions of four threads", COMMITS, || four_writers(&store))?;
    rate("reads of one key", COMMITS * 10, || {
        for number in 0..COMMITS * 10 {
            store.range(&KeyRange::single(name((number % KEYS) as usize)).into())?;
        }
        Ok(())
    })?;
    println!("{:>10} bytes of file", size(&path)?);
    let backup = folder.path().join("backup");
    rate("backups", 1, || store.backup(&backup).map(|_| ()))?;
    println!("{:>10} bytes of backup", size(&backup)?);
    drop(store);
    rate("restores", 1, || {
        EmbeddedStore::restore(&backup, &path).map(|_| ())
    })?;
    println!("{:>10} bytes of file", size(&path)?);
    Ok(())
}

fn name(number: usize) -> String {
    format!("/endpoints/cvpn-endpoint-1/rules/{number}")
}

fn put(store: &EmbeddedStore, at: usize, seen: Revision) -> Result<Revision, StoreError> {
    let txn = Txn::new()
        .when(Compare::unchanged(name(at), seen))
        .then(Op::put(name(at), vec![b'x'; VALUE_BYTES]));
    Ok(store.txn(&txn)?.revision)
}

fn four_writers(store: &EmbeddedStore) -> Result<(), StoreError> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                scope.spawn(move || {
                    let key = format!("/writers/{writer}");
                    for _ in 0..COMMITS / 4 {
                        store.txn(&Txn::new().then(Op::put(&key, vec![b'x'; VALUE_BYTES])))?;
                    }
                    Ok(())
                })
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap_or(Err(StoreError::Closed)))
    })
}

fn rate(what: &str, count: u32, work: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
    let start = Instant::now();
    work()?;
    let took = start.elapsed();
    println!(
        "{:>10.0} {what} a second ({took:.2?} for {count})",
        f64::from(count) / took.as_secs_f64()
    );
    Ok(())
}

fn size(path: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}
