//! Test: the power goes at any write. A disk that is simulated keeps what was synced, and of the rest what it
//! likes.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use redb::{Database, StorageBackend};

use super::files::Lock;
use super::{EmbeddedStore, Options, schema};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::store::Store;
use crate::txn::{Op, Txn};

const SECTOR: usize = 512;
const CUTS: u32 = 100;

/// Reproducible (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Debug)]
enum Unsynced {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// The disk, as the program sees it and as it is.
#[derive(Debug, Default)]
struct Platter {
    seen: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Until the power goes.
    calls_left: u64,
}

impl Platter {
    fn call(&mut self) -> io::Result<()> {
        self.calls_left = self
            .calls_left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the power is gone"))?;
        Ok(())
    }

    /// What is left after the power is gone: of each unsynced write all sectors, some or none.
    fn after_cut(mut self, random: &mut Random) -> Vec<u8> {
        for change in self.unsynced {
            match change {
                Unsynced::Length(length) if random.below(2) == 0 => self.synced.resize(length, 0),
                Unsynced::Length(_) => {}
                Unsynced::Write(offset, bytes) => {
                    let fate = random.below(3);
                    for (at, sector) in (offset..).step_by(SECTOR).zip(bytes.chunks(SECTOR)) {
                        if fate == 0 || (fate == 1 && random.below(2) == 0) {
                            put(&mut self.synced, at, sector);
                        }
                    }
                }
            }
        }
        self.synced
    }
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn new(image: Vec<u8>, calls_left: u64) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            seen: image.clone(),
            synced: image,
            unsynced: Vec::new(),
            calls_left,
        })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("no panic while it is held")
    }

    fn take(&self) -> Platter {
        std::mem::take(&mut self.platter())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter();
        let at = offset as usize;
        let bytes = platter.seen.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platter = self.platter();
        platter.call()?;
        platter.seen.resize(length as usize, 0);
        platter.unsynced.push(Unsynced::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.call()?;
        let Platter { synced, unsynced, .. } = &mut *platter;
        for change in unsynced.drain(..) {
            match change {
                Unsynced::Length(length) => synced.resize(length, 0),
                Unsynced::Write(offset, bytes) => put(synced, offset, &bytes),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter();
        platter.call()?;
        put(&mut platter.seen, offset as usize, data);
        platter
            .unsynced
            .push(Unsynced::Write(offset as usize, data.to_vec()));
        Ok(())
    }
}

fn database(disk: Disk) -> Result<Database, redb::DatabaseError> {
    schema::builder().create_with_backend(disk)
}

fn open(disk: Disk, path: &Path) -> Result<EmbeddedStore, StoreError> {
    let lock = Lock::take(path)?;
    let database = database(disk).map_err(|error| super::Fault::from(error).at(path))?;
    EmbeddedStore::with(database, lock, path, Options::default(), Instant::now)
}

/// The number that both keys agree on, and the revision too.
fn number(store: &EmbeddedStore) -> u64 {
    let all = store.range(&KeyRange::all().into()).unwrap();
    let numbers: Vec<u64> = all
        .kvs
        .iter()
        .map(|kv| u64::from_be_bytes(kv.value.as_bytes()[..8].try_into().unwrap()))
        .collect();
    let number = all.revision.0 - schema::FIRST_REVISION;
    match numbers[..] {
        [] => assert_eq!(number, 0),
        [a, b] => assert_eq!((a, b), (number, number)),
        _ => panic!("{numbers:?}"),
    }
    number
}

/// Puts the next number in two keys, far apart in the tree.
fn count_on(store: &EmbeddedStore, number: u64) -> Result<(), StoreError> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(2_000, 7);
    let both = Txn::new().then(Op::put("a", &value)).then(Op::put("z", &value));
    store.txn(&both).map(|_| ())
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_nothing_is_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let disk = Disk::new(Vec::new(), u64::MAX);
    schema::initialize(&database(disk.clone()).unwrap(), |_| Ok(())).unwrap();
    let mut image = disk.take().synced;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut acknowledged = 0;
    for cut in 0..CUTS {
        let disk = Disk::new(image, random.below(250));
        // The power may go while the damage of the last cut is being repaired.
        if let Ok(store) = open(disk.clone(), &path) {
            assert_eq!(number(&store), acknowledged);
            while count_on(&store, acknowledged + 1).is_ok() {
                acknowledged += 1;
            }
        }
        image = disk.take().after_cut(&mut random);

        let store = open(Disk::new(image.clone(), u64::MAX), &path).unwrap();
        let found = number(&store);
        assert!(
            (acknowledged..=acknowledged + 1).contains(&found),
            "cut {cut}: {found} is there, {acknowledged} was acknowledged"
        );
        // A change that was never acknowledged may be there: from now on it must stay.
        acknowledged = found;
    }
    assert!(
        acknowledged > u64::from(CUTS),
        "the cuts came too early to prove anything"
    );
}
