//! A store as simple as possible: a copy of everything for each revision.

use std::collections::BTreeMap;
use std::time::Duration;

use culvert_store::{
    Change, Changes, Compare, Key, KeyRange, KeyValue, Lease, LeaseId, Op, OpResult, RangeRequest,
    RangeResponse, Revision, StoreError, Txn, TxnResponse,
};

type State = BTreeMap<Key, KeyValue>;

struct ModelLease {
    ttl: Duration,
    end: Duration,
}

pub(crate) struct Model {
    /// The state at each revision, by its number.
    states: Vec<State>,
    changes: Vec<Changes>,
    compacted: Revision,
    keep: u64,
    leases: BTreeMap<LeaseId, ModelLease>,
    last_lease: u64,
    now: Duration,
}

pub(crate) struct ModelWatch {
    range: KeyRange,
    next: Revision,
}

impl Model {
    pub(crate) fn new(keep: u64) -> Self {
        Self {
            states: vec![State::new(), State::new()],
            changes: Vec::new(),
            compacted: Revision(0),
            keep,
            leases: BTreeMap::new(),
            last_lease: 0,
            now: Duration::ZERO,
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision(self.states.len() as u64 - 1)
    }

    fn present(&self) -> &State {
        self.states.last().expect("there is always a state")
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let current = self.revision();
        let asked = request.revision.unwrap_or(current);
        if asked > current {
            return Err(StoreError::FutureRevision { asked, current });
        }
        if asked < self.compacted {
            let oldest = self.compacted;
            return Err(StoreError::Compacted { asked, oldest });
        }
        let kvs = select(&self.states[asked.0 as usize], &request.range);
        let limit = request.limit.unwrap_or(usize::MAX);
        Ok(RangeResponse {
            revision: current,
            more: kvs.len() > limit,
            kvs: kvs.into_iter().take(limit).collect(),
        })
    }

    pub(crate) fn txn(&mut self, txn: &Txn) -> Result<TxnResponse, StoreError> {
        txn.check()?;
        let holds = |compare: &Compare| compare.holds(self.present().get(&compare.key));
        let succeeded = txn.compares.iter().all(holds);
        let mut state = self.present().clone();
        let mut changes = Vec::new();
        let mut results = Vec::new();
        for op in if succeeded { &txn.success } else { &txn.failure } {
            results.push(self.op(op, &mut state, &mut changes)?);
        }
        self.commit(state, changes);
        Ok(TxnResponse {
            succeeded,
            revision: self.revision(),
            results,
        })
    }

    fn op(&self, op: &Op, state: &mut State, changes: &mut Vec<Change>) -> Result<OpResult, StoreError> {
        Ok(match op {
            Op::Put { key, value, lease } => {
                if let Some(lease) = lease {
                    self.lease(*lease)?;
                }
                let previous = state.get(key).cloned();
                let mod_revision = self.revision().next();
                let kv = KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: previous.as_ref().map_or(mod_revision, |kv| kv.create_revision),
                    mod_revision,
                    version: previous.as_ref().map_or(0, |kv| kv.version) + 1,
                    lease: *lease,
                };
                state.insert(key.clone(), kv.clone());
                changes.push(change(key, Some(kv), previous.clone()));
                OpResult::Put(previous)
            }
            Op::Delete(range) => {
                let gone = select(state, range);
                for kv in &gone {
                    state.remove(&kv.key);
                    changes.push(change(&kv.key, None, Some(kv.clone())));
                }
                OpResult::Deleted(gone)
            }
            Op::Get { range, limit } => {
                let mut found = select(state, range);
                found.truncate(limit.unwrap_or(usize::MAX));
                OpResult::Got(found)
            }
        })
    }

    fn commit(&mut self, state: State, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.states.push(state);
        let revision = self.revision();
        self.changes.push(Changes { revision, changes });
        let oldest = Revision(revision.0.saturating_sub(self.keep));
        self.compacted = self.compacted.max(oldest);
    }

    pub(crate) fn compact(&mut self, asked: Revision) -> Result<(), StoreError> {
        let current = self.revision();
        if asked > current {
            return Err(StoreError::FutureRevision { asked, current });
        }
        self.compacted = self.compacted.max(asked);
        Ok(())
    }

    pub(crate) fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<ModelWatch, StoreError> {
        let next = from.unwrap_or_else(|| self.revision().next()).max(Revision(1));
        let watch = ModelWatch { range, next };
        self.check(&watch)?;
        Ok(watch)
    }

    fn check(&self, watch: &ModelWatch) -> Result<(), StoreError> {
        if watch.next <= self.compacted {
            return Err(StoreError::Compacted {
                asked: watch.next,
                oldest: self.compacted.next(),
            });
        }
        Ok(())
    }

    /// Everything a watch has to deliver now.
    pub(crate) fn drain(&self, watch: &mut ModelWatch) -> Result<Vec<Changes>, StoreError> {
        self.check(watch)?;
        let mut delivered = Vec::new();
        for changes in self
            .changes
            .iter()
            .filter(|changes| changes.revision >= watch.next)
        {
            let mut seen = changes.clone();
            seen.changes.retain(|change| watch.range.contains(&change.key));
            if !seen.changes.is_empty() {
                delivered.push(seen);
            }
        }
        watch.next = watch.next.max(self.revision().next());
        Ok(delivered)
    }

    pub(crate) fn grant(&mut self, ttl: Duration) -> Result<Lease, StoreError> {
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        let end = self.now + ttl;
        self.leases.insert(id, ModelLease { ttl, end });
        self.lease(id)
    }

    pub(crate) fn lease(&self, id: LeaseId) -> Result<Lease, StoreError> {
        let alive = self.leases.get(&id).filter(|lease| lease.end > self.now);
        let lease = alive.ok_or(StoreError::LeaseNotFound(id))?;
        Ok(Lease {
            id,
            ttl: lease.ttl,
            remaining: lease.end - self.now,
        })
    }

    pub(crate) fn keep_alive(&mut self, id: LeaseId) -> Result<Lease, StoreError> {
        let ttl = self.lease(id)?.ttl;
        let end = self.now + ttl;
        self.leases.insert(id, ModelLease { ttl, end });
        self.lease(id)
    }

    pub(crate) fn revoke(&mut self, id: LeaseId) -> Result<Revision, StoreError> {
        self.lease(id)?;
        self.end_lease(id);
        Ok(self.revision())
    }

    fn end_lease(&mut self, id: LeaseId) {
        self.leases.remove(&id);
        let mut state = self.present().clone();
        let mut changes = Vec::new();
        for kv in self.present().values().filter(|kv| kv.lease == Some(id)) {
            state.remove(&kv.key);
            changes.push(change(&kv.key, None, Some(kv.clone())));
        }
        self.commit(state, changes);
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    pub(crate) fn expire(&mut self) -> Vec<LeaseId> {
        let due = self.leases.iter().filter(|(_, lease)| lease.end <= self.now);
        let mut due: Vec<_> = due.map(|(id, lease)| (lease.end, *id)).collect();
        due.sort();
        due.iter().for_each(|(_, id)| self.end_lease(*id));
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// The store was closed and opened again.
    pub(crate) fn reopened(&mut self) {
        for lease in self.leases.values_mut() {
            lease.end = self.now + lease.ttl;
        }
    }

    /// The store was replaced with its own backup.
    pub(crate) fn restored(&mut self) {
        self.compacted = self.revision();
        self.reopened();
    }
}

fn select(state: &State, range: &KeyRange) -> Vec<KeyValue> {
    let inside = state.values().filter(|kv| range.contains(&kv.key));
    inside.cloned().collect()
}

fn change(key: &Key, current: Option<KeyValue>, previous: Option<KeyValue>) -> Change {
    Change {
        key: key.clone(),
        current,
        previous,
    }
}
