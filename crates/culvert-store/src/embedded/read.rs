//! Reads ranges, of the present and of the past.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadTransaction, ReadableTable};

use super::fault::Fault;
use super::tables::{KEYS, LOG, META, Record, Span, from_event, from_record};
use crate::error::StoreError;
use crate::key::{Key, KeyRange};
use crate::record::{KeyValue, Revision};
use crate::store::{RangeRequest, RangeResponse};

/// Answers a request from one snapshot.
pub(super) fn range(transaction: &ReadTransaction, request: &RangeRequest) -> Result<RangeResponse, Fault> {
    let span = Span::read(&transaction.open_table(META)?)?;
    let asked = request.revision.unwrap_or(span.current);
    if asked > span.current {
        return Err(Fault::Refused(StoreError::FutureRevision {
            asked,
            current: span.current,
        }));
    }
    if asked < span.compacted {
        return Err(Fault::Refused(StoreError::Compacted {
            asked,
            oldest: span.compacted,
        }));
    }
    let (kvs, more) = if asked == span.current {
        scan(&transaction.open_table(KEYS)?, &request.range, request.limit)?
    } else {
        past(transaction, &request.range, asked, request.limit)?
    };
    Ok(RangeResponse {
        revision: span.current,
        kvs,
        more,
    })
}

/// The keys of a range, and whether the limit cut some off.
pub(super) fn scan(
    keys: &impl ReadableTable<&'static [u8], Record>,
    range: &KeyRange,
    limit: Option<usize>,
) -> Result<(Vec<KeyValue>, bool), Fault> {
    let mut found = Vec::new();
    let Some(bounds) = range.bounds() else {
        return Ok((found, false));
    };
    for entry in keys.range::<&[u8]>(bounds)? {
        if limit.is_some_and(|limit| found.len() >= limit) {
            return Ok((found, true));
        }
        let (key, record) = entry?;
        found.push(from_record(key.value(), record.value()));
    }
    Ok((found, false))
}

/// The keys as of a revision: those of the present, with what happened since undone. Costs as much as happened
/// since.
fn past(
    transaction: &ReadTransaction,
    range: &KeyRange,
    asked: Revision,
    limit: Option<usize>,
) -> Result<(Vec<KeyValue>, bool), Fault> {
    let (present, _) = scan(&transaction.open_table(KEYS)?, range, None)?;
    let mut state: BTreeMap<_, _> = present.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
    let mut undone = BTreeSet::new();
    for entry in transaction.open_table(LOG)?.range((asked.next().0, 0)..)? {
        let (_, event) = entry?;
        let event = event.value();
        // Only the first change since tells what the key was.
        if !range.contains_bytes(event.0) || !undone.insert(Key::from(event.0)) {
            continue;
        }
        let change = from_event(event);
        match change.previous {
            Some(previous) => state.insert(change.key, previous),
            None => state.remove(&change.key),
        };
    }
    let limit = limit.unwrap_or(usize::MAX);
    let more = state.len() > limit;
    Ok((state.into_values().take(limit).collect(), more))
}
