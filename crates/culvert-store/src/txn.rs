//! Transactions: if all comparisons hold then these operations, else those; all of them or none.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::error::StoreError;
use crate::key::{Key, KeyRange, Value};
use crate::lease::LeaseId;
use crate::record::{KeyValue, Revision};

/// Most comparisons, and most operations of a branch: etcd's default, so that what works embedded works there.
pub const MAX_OPS: usize = 128;

/// Most bytes of keys and values in a transaction: etcd's default limit of 1.5 MiB for a request, less what it needs
/// besides.
pub const MAX_TXN_BYTES: usize = 1472 * 1024;

/// A compare-and-set transaction.
///
/// Operations run in order and see what the ones before them did. A branch may change a key only once.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// All of these must hold for `success`.
    pub compares: Vec<Compare>,
    /// What is done if they hold.
    pub success: Vec<Op>,
    /// What is done if one doesn't.
    pub failure: Vec<Op>,
}

impl Txn {
    /// Does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds an operation for when all conditions hold.
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        self.success.push(op);
        self
    }

    /// Adds an operation for when a condition doesn't hold.
    #[must_use]
    pub fn otherwise(mut self, op: Op) -> Self {
        self.failure.push(op);
        self
    }

    /// Refuses what not every store could carry out. For those who implement [`crate::Store`].
    ///
    /// # Errors
    ///
    /// [`StoreError::TooManyOps`], [`StoreError::TooLarge`], [`StoreError::EmptyKey`] or
    /// [`StoreError::DuplicateKey`].
    pub fn check(&self) -> Result<(), StoreError> {
        let ops = self
            .compares
            .len()
            .max(self.success.len())
            .max(self.failure.len());
        if ops > MAX_OPS {
            return Err(StoreError::TooManyOps { ops });
        }
        let compared = self.compares.iter().map(Compare::bytes).sum::<usize>();
        let done = self.success.iter().chain(&self.failure).map(Op::bytes);
        let bytes = compared.saturating_add(done.sum());
        if bytes > MAX_TXN_BYTES {
            return Err(StoreError::TooLarge { bytes });
        }
        if self.compares.iter().any(|compare| is_empty(&compare.key)) {
            return Err(StoreError::EmptyKey);
        }
        check_branch(&self.success)?;
        check_branch(&self.failure)
    }
}

fn is_empty(key: &Key) -> bool {
    key.as_bytes().is_empty()
}

fn check_branch(ops: &[Op]) -> Result<(), StoreError> {
    let mut put = BTreeSet::new();
    for op in ops {
        if let Op::Put { key, .. } = op {
            if is_empty(key) {
                return Err(StoreError::EmptyKey);
            }
            if !put.insert(key) {
                return Err(StoreError::DuplicateKey { key: key.clone() });
            }
        }
    }
    for op in ops {
        if let Op::Delete(range) = op
            && let Some(key) = put.iter().find(|key| range.contains(key))
        {
            return Err(StoreError::DuplicateKey { key: (*key).clone() });
        }
    }
    Ok(())
}

/// A condition on one key.
#[derive(Clone, Debug)]
pub struct Compare {
    /// The key.
    pub key: Key,
    /// How the key's number or value must relate to the given one.
    pub relation: Relation,
    /// What is compared, and with what.
    pub target: Target,
}

/// How two things must relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The key's is the same.
    Equal,
    /// The key's is another.
    NotEqual,
    /// The key's is greater.
    Greater,
    /// The key's is less.
    Less,
}

/// What of a key is compared, and with what. A key that doesn't exist has revisions and version 0 and no value.
#[derive(Clone, Debug)]
pub enum Target {
    /// The revision that made it.
    CreateRevision(Revision),
    /// The revision of its last change.
    ModRevision(Revision),
    /// How often it was put since it was made.
    Version(u64),
    /// Its value; never holds for a key that doesn't exist.
    Value(Value),
}

impl Compare {
    /// Any comparison.
    pub fn new(key: impl Into<Key>, relation: Relation, target: Target) -> Self {
        Self {
            key: key.into(),
            relation,
            target,
        }
    }

    /// The key doesn't exist.
    pub fn absent(key: impl Into<Key>) -> Self {
        Self::new(key, Relation::Equal, Target::CreateRevision(Revision::NONE))
    }

    /// The key exists.
    pub fn present(key: impl Into<Key>) -> Self {
        Self::new(key, Relation::NotEqual, Target::CreateRevision(Revision::NONE))
    }

    /// Nobody changed the key since it was read with this `mod_revision`.
    pub fn unchanged(key: impl Into<Key>, mod_revision: Revision) -> Self {
        Self::new(key, Relation::Equal, Target::ModRevision(mod_revision))
    }

    /// Whether the condition holds for the key's present record. For those who implement [`crate::Store`].
    pub fn holds(&self, record: Option<&KeyValue>) -> bool {
        let revision = |pick: fn(&KeyValue) -> Revision| record.map_or(Revision::NONE, pick);
        let ordering = match &self.target {
            Target::CreateRevision(wanted) => revision(|kv| kv.create_revision).cmp(wanted),
            Target::ModRevision(wanted) => revision(|kv| kv.mod_revision).cmp(wanted),
            Target::Version(wanted) => record.map_or(0, |kv| kv.version).cmp(wanted),
            Target::Value(wanted) => match record {
                Some(kv) => kv.value.cmp(wanted),
                None => return false,
            },
        };
        match self.relation {
            Relation::Equal => ordering == Ordering::Equal,
            Relation::NotEqual => ordering != Ordering::Equal,
            Relation::Greater => ordering == Ordering::Greater,
            Relation::Less => ordering == Ordering::Less,
        }
    }

    fn bytes(&self) -> usize {
        let value = match &self.target {
            Target::Value(value) => value.as_bytes().len(),
            Target::CreateRevision(_) | Target::ModRevision(_) | Target::Version(_) => 0,
        };
        self.key.as_bytes().len() + value
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug)]
pub enum Op {
    /// Sets a key.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
        /// The lease it shall vanish with; `None` takes it off the one it had.
        lease: Option<LeaseId>,
    },
    /// Deletes the keys of a range.
    Delete(KeyRange),
    /// Reads the keys of a range.
    Get {
        /// Which keys.
        range: KeyRange,
        /// At most so many.
        limit: Option<usize>,
    },
}

impl Op {
    /// Sets a key that no lease ends.
    pub fn put(key: impl Into<Key>, value: impl Into<Value>) -> Self {
        Self::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        }
    }

    /// Sets a key that vanishes with a lease.
    pub fn put_leased(key: impl Into<Key>, value: impl Into<Value>, lease: LeaseId) -> Self {
        Self::Put {
            key: key.into(),
            value: value.into(),
            lease: Some(lease),
        }
    }

    /// Deletes one key.
    pub fn delete(key: impl Into<Key>) -> Self {
        Self::Delete(KeyRange::single(key))
    }

    /// Reads one key.
    pub fn get(key: impl Into<Key>) -> Self {
        Self::Get {
            range: KeyRange::single(key),
            limit: None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.as_bytes().len() + value.as_bytes().len(),
            Self::Delete(range) | Self::Get { range, .. } => {
                range.start().as_bytes().len() + range.end().map_or(0, |end| end.as_bytes().len())
            }
        }
    }
}

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// The key was set; what it was before.
    Put(Option<KeyValue>),
    /// These keys were deleted, in order.
    Deleted(Vec<KeyValue>),
    /// These keys are there, in order.
    Got(Vec<KeyValue>),
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResponse {
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// The store's revision afterwards: the transaction's own if it changed anything.
    pub revision: Revision,
    /// One for each operation of the branch that was taken.
    pub results: Vec<OpResult>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_may_change_a_key_only_once() {
        let twice = Txn::new().then(Op::put("k", "1")).then(Op::put("k", "2"));
        assert!(matches!(twice.check(), Err(StoreError::DuplicateKey { key }) if key == "k".into()));
        let both = Txn::new()
            .otherwise(Op::Delete(KeyRange::prefix("k")))
            .otherwise(Op::put("k1", "2"));
        assert!(matches!(both.check(), Err(StoreError::DuplicateKey { key }) if key == "k1".into()));
        let either = Txn::new().then(Op::put("k", "1")).otherwise(Op::delete("k"));
        assert!(either.check().is_ok());
    }

    #[test]
    fn what_etcd_would_refuse_is_refused() {
        assert!(matches!(
            Txn::new().then(Op::put("", "1")).check(),
            Err(StoreError::EmptyKey)
        ));
        let mut many = Txn::new();
        many.failure = (0..=MAX_OPS).map(|n| Op::put(n.to_string(), "")).collect();
        assert!(matches!(many.check(), Err(StoreError::TooManyOps { ops: 129 })));
        let large = Txn::new().then(Op::put("k", vec![0; MAX_TXN_BYTES]));
        assert!(matches!(large.check(), Err(StoreError::TooLarge { .. })));
    }

    #[test]
    fn a_missing_key_has_revisions_of_zero_and_no_value() {
        assert!(Compare::absent("k").holds(None) && !Compare::present("k").holds(None));
        assert!(Compare::unchanged("k", Revision::NONE).holds(None));
        assert!(Compare::new("k", Relation::Less, Target::Version(1)).holds(None));
        for relation in [Relation::Equal, Relation::NotEqual, Relation::Less] {
            assert!(!Compare::new("k", relation, Target::Value(Value::default())).holds(None));
        }
    }

    #[test]
    fn debug_of_a_transaction_never_shows_a_value() {
        let txn = Txn::new()
            .when(Compare::new(
                "k",
                Relation::Equal,
                Target::Value("hunter2".into()),
            ))
            .then(Op::put("k", "hunter3"));
        assert!(!format!("{txn:?}").contains("hunter"));
    }
}
