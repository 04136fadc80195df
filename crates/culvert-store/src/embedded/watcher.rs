//! A watch of the store in one file: a place in its history.
//!
//! Nothing is queued for a slow watcher: it reads the history when it comes round, and learns it if that is gone.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use redb::ReadableDatabase;
use tokio::sync::watch;

use super::fault::Fault;
use super::tables::{META, Span};
use super::{Inner, history};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::record::Revision;
use crate::watch::{Changes, Watch};

/// How many revisions are read ahead: a value may have a megabyte.
const READ_AHEAD: usize = 16;

pub(super) struct Watcher {
    store: Weak<Inner>,
    newest: watch::Receiver<Revision>,
    range: KeyRange,
    /// Everything before this revision was delivered or is in `ahead`.
    next: Revision,
    ahead: VecDeque<Changes>,
}

impl Watcher {
    pub(super) fn new(store: &Arc<Inner>, range: KeyRange, from: Option<Revision>) -> Result<Self, Fault> {
        let span = Span::read(&store.database.begin_read()?.open_table(META)?)?;
        // An empty store is at revision 1: from there on is from the beginning.
        let next = from.unwrap_or_else(|| span.current.next()).max(Revision(1));
        history::check(&span, next)?;
        Ok(Self {
            store: Arc::downgrade(store),
            newest: store.revision.subscribe(),
            range,
            next,
            ahead: VecDeque::new(),
        })
    }

    fn read_ahead(&mut self) -> Result<(), StoreError> {
        let store = self.store.upgrade().ok_or(StoreError::Closed)?;
        let read = || history::read(&store.database.begin_read()?, &self.range, self.next, READ_AHEAD);
        let (found, next) = read().map_err(|fault: Fault| fault.at(&store.path))?;
        self.ahead = found.into();
        self.next = next;
        Ok(())
    }
}

impl Watch for Watcher {
    fn try_next(&mut self) -> Result<Option<Changes>, StoreError> {
        if self.ahead.is_empty() {
            self.read_ahead()?;
        }
        Ok(self.ahead.pop_front())
    }

    fn ready(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if self.ahead.is_empty() {
                let next = self.next;
                // An error means that the store is closed, which `try_next` tells.
                let _ = self.newest.wait_for(|newest| *newest >= next).await;
            }
        })
    }
}
