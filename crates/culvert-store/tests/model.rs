//! Random sequences of everything a store can do, against a store as simple as possible.

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use culvert_store::{
    Changes, Compare, EmbeddedStore, KeyRange, LeaseId, Op, Options, RangeRequest, Relation, Revision, Store,
    StoreError, Target, Txn, Watch,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use support::{Model, ModelWatch};

/// Short, so that sequences outlive it.
const HISTORY: u64 = 12;

#[derive(Clone, Debug)]
enum Step {
    Txn(Txn),
    /// Revisions count back from two behind the present, so that some are yet to come.
    Range(KeyRange, Option<usize>, Option<u64>),
    Watch(KeyRange, Option<u64>),
    Drain(usize),
    Compact(u64),
    Grant(u64),
    KeepAlive(LeaseId),
    Revoke(LeaseId),
    Advance(u64),
    Expire,
    Reopen,
    Restore,
}

fn key() -> impl Strategy<Value = &'static [u8]> {
    select(vec![&b"a"[..], b"a/b", b"a/c", b"b", b"b\xff", b"c"])
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        4 => key().prop_map(KeyRange::single),
        2 => key().prop_map(KeyRange::prefix),
        2 => (key(), key()).prop_map(|(start, end)| KeyRange::new(start, end)),
        1 => Just(KeyRange::all()),
    ]
}

fn lease() -> impl Strategy<Value = LeaseId> {
    (1..6_u64).prop_map(LeaseId)
}

fn value() -> impl Strategy<Value = &'static str> {
    select(vec!["", "1", "2"])
}

fn compare() -> impl Strategy<Value = Compare> {
    use Relation::{Equal, Greater, Less, NotEqual};
    let revision = || (0..30_u64).prop_map(Revision);
    let target = prop_oneof![
        revision().prop_map(Target::CreateRevision),
        revision().prop_map(Target::ModRevision),
        (0..4_u64).prop_map(Target::Version),
        value().prop_map(|value| Target::Value(value.into())),
    ];
    let relation = select(vec![Equal, NotEqual, Greater, Less]);
    prop_oneof![
        key().prop_map(Compare::absent),
        key().prop_map(Compare::present),
        (key(), relation, target).prop_map(|(key, relation, target)| Compare::new(key, relation, target)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (key(), value()).prop_map(|(key, value)| Op::put(key, value)),
        2 => (key(), value(), lease()).prop_map(|(key, value, lease)| Op::put_leased(key, value, lease)),
        2 => range().prop_map(Op::Delete),
        1 => (range(), option::of(0..3_usize)).prop_map(|(range, limit)| Op::Get { range, limit }),
    ]
}

fn txn() -> impl Strategy<Value = Txn> {
    (vec(compare(), 0..3), vec(op(), 0..4), vec(op(), 0..3)).prop_map(|(compares, success, failure)| Txn {
        compares,
        success,
        failure,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => txn().prop_map(Step::Txn),
        5 => (range(), option::of(0..4_usize), option::of(0..18_u64))
            .prop_map(|(range, limit, back)| Step::Range(range, limit, back)),
        3 => (range(), option::of(0..18_u64)).prop_map(|(range, back)| Step::Watch(range, back)),
        6 => (0..4_usize).prop_map(Step::Drain),
        1 => (0..18_u64).prop_map(Step::Compact),
        4 => (1..10_u64).prop_map(Step::Grant),
        2 => lease().prop_map(Step::KeepAlive),
        1 => lease().prop_map(Step::Revoke),
        3 => (1..6_u64).prop_map(Step::Advance),
        3 => Just(Step::Expire),
        1 => Just(Step::Reopen),
        1 => Just(Step::Restore),
    ]
}

/// The store beside the model, on a clock of its own.
struct Pair {
    path: PathBuf,
    store: Option<EmbeddedStore>,
    model: Model,
    watches: Vec<(Box<dyn Watch>, ModelWatch)>,
    start: Instant,
    seconds: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut pair = Self {
            path: folder.path().join("store.redb"),
            store: None,
            model: Model::new(HISTORY),
            watches: Vec::new(),
            start: Instant::now(),
            seconds: Arc::default(),
            _folder: folder,
        };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let options = Options {
            history_revisions: HISTORY,
            ..Options::default()
        };
        let (start, seconds) = (self.start, Arc::clone(&self.seconds));
        let clock = move || start + Duration::from_secs(seconds.load(Ordering::Relaxed));
        self.store = Some(EmbeddedStore::open(&self.path, options, clock).expect("the store opens"));
    }

    fn close(&mut self) {
        self.store = None;
        for (mut watch, _) in self.watches.drain(..) {
            assert!(matches!(watch.try_next(), Err(StoreError::Closed)));
        }
    }

    fn back(&self, back: u64) -> Revision {
        Revision((self.model.revision().0 + 2).saturating_sub(back))
    }

    fn step(&mut self, step: Step) {
        let store = self.store.clone().expect("open between steps");
        match step {
            Step::Txn(txn) => same(store.txn(&txn), self.model.txn(&txn)),
            Step::Range(range, limit, back) => {
                let revision = back.map(|back| self.back(back));
                let request = RangeRequest {
                    range,
                    limit,
                    revision,
                };
                same(store.range(&request), self.model.range(&request));
            }
            Step::Watch(range, back) => {
                let from = back.map(|back| self.back(back));
                match (store.watch(range.clone(), from), self.model.watch(range, from)) {
                    (Ok(real), Ok(model)) => self.watches.push((real, model)),
                    (real, model) => same(real.map(|_| ()), model.map(|_| ())),
                }
            }
            Step::Drain(at) => {
                if let Some((real, model)) = self.watches.get_mut(at) {
                    same(drain(real.as_mut()), self.model.drain(model));
                }
            }
            Step::Compact(back) => {
                let revision = self.back(back);
                same(store.compact(revision), self.model.compact(revision));
            }
            Step::Grant(seconds) => {
                let ttl = Duration::from_secs(seconds);
                same(store.grant(ttl), self.model.grant(ttl));
            }
            Step::KeepAlive(id) => same(store.keep_alive(id), self.model.keep_alive(id)),
            Step::Revoke(id) => same(store.revoke(id), self.model.revoke(id)),
            Step::Advance(by) => {
                self.seconds.fetch_add(by, Ordering::Relaxed);
                self.model.advance(Duration::from_secs(by));
            }
            Step::Expire => same(store.expire_leases(), Ok(self.model.expire())),
            Step::Reopen => {
                drop(store);
                self.close();
                self.open();
                self.model.reopened();
            }
            Step::Restore => self.restore(store),
        }
    }

    fn restore(&mut self, store: EmbeddedStore) {
        let backup = self.path.with_extension("backup");
        let written = store.backup(&backup).expect("the backup is written");
        drop(store);
        self.close();
        let restored = EmbeddedStore::restore(&backup, &self.path).expect("the backup is restored");
        assert_eq!(written, restored);
        self.open();
        self.model.restored();
    }

    /// Compares everything that can be read.
    fn compare(&self) {
        let store = self.store.as_ref().expect("open between steps");
        for revision in 0..=self.model.revision().0 + 1 {
            let revision = Some(Revision(revision));
            let request = RangeRequest {
                revision,
                ..KeyRange::all().into()
            };
            same(store.range(&request), self.model.range(&request));
        }
        for id in (1..6).map(LeaseId) {
            same(store.lease(id), self.model.lease(id));
        }
    }
}

fn drain(watch: &mut dyn Watch) -> Result<Vec<Changes>, StoreError> {
    let mut delivered = Vec::new();
    while let Some(changes) = watch.try_next()? {
        delivered.push(changes);
    }
    Ok(delivered)
}

/// Errors are the same when they say the same.
fn same<T: PartialEq + std::fmt::Debug>(real: Result<T, StoreError>, model: Result<T, StoreError>) {
    let text = |error: StoreError| error.to_string();
    assert_eq!(real.map_err(text), model.map_err(text));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in vec(step(), 1..70)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        pair.compare();
    }
}
