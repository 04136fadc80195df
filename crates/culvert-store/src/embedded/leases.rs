//! The deadlines of leases, in memory: keeping one alive costs no write.
//!
//! After a restart every lease has its whole time again, as after a change of leader in etcd.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase};

use super::fault::Fault;
use super::tables::{LEASES, META, REVISION, number};
use crate::error::StoreError;
use crate::lease::{Lease, LeaseId};
use crate::record::Revision;

#[derive(Default)]
pub(super) struct LeaseTable {
    granted: HashMap<LeaseId, Deadline>,
    by_end: BTreeSet<(Instant, LeaseId)>,
}

#[derive(Clone, Copy)]
struct Deadline {
    ttl: Duration,
    end: Instant,
}

impl LeaseTable {
    /// Lets a lease live for its whole time from now on.
    pub(super) fn arm(&mut self, id: LeaseId, ttl: Duration, now: Instant) {
        self.disarm(id);
        // An end no clock can represent can't be reached either: a year is far below it.
        let end = now.checked_add(ttl).unwrap_or(now);
        self.granted.insert(id, Deadline { ttl, end });
        self.by_end.insert((end, id));
    }

    /// Forgets a lease.
    pub(super) fn disarm(&mut self, id: LeaseId) {
        if let Some(old) = self.granted.remove(&id) {
            self.by_end.remove(&(old.end, id));
        }
    }

    /// A lease that lives. One that ran out doesn't, also if its keys are still there.
    pub(super) fn lease(&self, id: LeaseId, now: Instant) -> Result<Lease, StoreError> {
        match self.granted.get(&id) {
            Some(&Deadline { ttl, end }) if end > now => Ok(Lease {
                id,
                ttl,
                remaining: end - now,
            }),
            _ => Err(StoreError::LeaseNotFound(id)),
        }
    }

    /// The lease that ran out first.
    pub(super) fn first_due(&self, now: Instant) -> Option<LeaseId> {
        self.by_end
            .first()
            .filter(|(end, _)| *end <= now)
            .map(|(_, id)| *id)
    }
}

/// The store's revision and the leases that were granted.
pub(super) fn load(database: &Database) -> Result<(Revision, Vec<(LeaseId, Duration)>), Fault> {
    let transaction = database.begin_read()?;
    let revision = Revision(number(&transaction.open_table(META)?, REVISION)?);
    let mut granted = Vec::new();
    for entry in transaction.open_table(LEASES)?.range(0..)? {
        let (id, ttl) = entry?;
        granted.push((LeaseId(id.value()), Duration::from_millis(ttl.value())));
    }
    Ok((revision, granted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: LeaseId = LeaseId(7);

    #[test]
    fn a_lease_ends_at_its_deadline_and_not_before() {
        let mut table = LeaseTable::default();
        let start = Instant::now();
        let ttl = Duration::from_secs(10);
        table.arm(ID, ttl, start);
        let before = start + Duration::from_millis(9_999);
        assert_eq!(
            table.lease(ID, before).unwrap().remaining,
            Duration::from_millis(1)
        );
        assert_eq!(table.first_due(before), None);
        assert!(table.lease(ID, start + ttl).is_err());
        assert_eq!(table.first_due(start + ttl), Some(ID));
    }

    #[test]
    fn arming_again_moves_the_deadline() {
        let mut table = LeaseTable::default();
        let start = Instant::now();
        let ttl = Duration::from_secs(10);
        table.arm(ID, ttl, start);
        table.arm(ID, ttl, start + Duration::from_secs(5));
        assert_eq!(table.first_due(start + ttl), None);
        table.disarm(ID);
        assert_eq!(table.first_due(start + ttl * 9), None);
    }
}
