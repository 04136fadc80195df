//! The bounded history: what watches deliver and the past is read from.

use redb::{ReadTransaction, ReadableTable, Table};

use super::Options;
use super::fault::Fault;
use super::tables::{Event, LOG, META, Span, from_event};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::record::Revision;
use crate::watch::Changes;

/// What an entry costs beside its keys and values: revisions, version, lease and the tree's own bytes, about.
const ENTRY_BYTES: u64 = 100;

pub(super) type Log<'t> = Table<'t, (u64, u32), Event>;

/// About how many bytes an entry takes.
pub(super) fn bytes(event: &<Event as redb::Value>::SelfType<'_>) -> u64 {
    let (key, current, previous) = event;
    let value = |record: &Option<(u64, u64, u64, u64, &[u8])>| record.map_or(0, |record| record.4.len());
    ENTRY_BYTES + (key.len() + value(current) + value(previous)) as u64
}

/// Forgets all changes up to and with a revision. Returns the bytes of the ones that were there.
pub(super) fn forget(log: &mut Log<'_>, upto: Revision) -> Result<u64, Fault> {
    let mut freed = 0;
    loop {
        match log.first()? {
            Some((place, _)) if place.value().0 <= upto.0 => {}
            _ => return Ok(freed),
        }
        if let Some((_, event)) = log.pop_first()? {
            freed += bytes(&event.value());
        }
    }
}

/// Forgets the oldest revisions until what is left is within the limits. The newest one always stays.
pub(super) fn trim(
    log: &mut Log<'_>,
    span: &mut Span,
    used: &mut u64,
    options: Options,
) -> Result<(), Fault> {
    let kept = options.history_revisions.max(1);
    let mut upto = Revision(span.current.0.saturating_sub(kept)).max(span.compacted);
    loop {
        if upto > span.compacted {
            *used = used.saturating_sub(forget(log, upto)?);
            span.compacted = upto;
        }
        if *used <= options.history_bytes || upto.next() >= span.current {
            return Ok(());
        }
        upto = upto.next();
    }
}

/// The changes of a range from a revision on, of at most `most` revisions; and the revision to go on from.
pub(super) fn read(
    transaction: &ReadTransaction,
    range: &KeyRange,
    from: Revision,
    most: usize,
) -> Result<(Vec<Changes>, Revision), Fault> {
    let span = Span::read(&transaction.open_table(META)?)?;
    check(&span, from)?;
    let mut found: Vec<Changes> = Vec::new();
    for entry in transaction.open_table(LOG)?.range((from.0, 0)..)? {
        let (place, event) = entry?;
        let (revision, event) = (Revision(place.value().0), event.value());
        if !range.contains_bytes(event.0) {
            continue;
        }
        let change = from_event(event);
        if let Some(last) = found.last_mut()
            && last.revision == revision
        {
            last.changes.push(change);
            continue;
        }
        if found.len() == most {
            // The revisions before this one are complete.
            return Ok((found, revision));
        }
        found.push(Changes {
            revision,
            changes: vec![change],
        });
    }
    Ok((found, from.max(span.current.next())))
}

/// Refuses a watch from a revision whose changes are forgotten.
pub(super) fn check(span: &Span, from: Revision) -> Result<(), Fault> {
    if from > span.compacted {
        return Ok(());
    }
    Err(Fault::Refused(StoreError::Compacted {
        asked: from,
        oldest: span.compacted.next(),
    }))
}
