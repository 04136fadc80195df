//! Watches: every change of a range, in order, without gaps.

use std::pin::Pin;

use crate::error::StoreError;
use crate::key::Key;
use crate::record::{KeyValue, Revision};

/// What one transaction changed in the watched range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The transaction's revision. A watch that takes over starts at [`Revision::next`] of it.
    pub revision: Revision,
    /// Each change, in the order of the transaction; never empty.
    pub changes: Vec<Change>,
}

/// One changed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// What it is now; `None`: deleted.
    pub current: Option<KeyValue>,
    /// What it was before; `None`: it didn't exist.
    pub previous: Option<KeyValue>,
}

/// A watch: a place in the store's history that moves on.
pub trait Watch: Send {
    /// The next changes if there are any yet. May read from disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] if the watch fell so far behind that changes were forgotten: read the range
    /// anew, and watch from behind the revision of that answer. [`StoreError::Closed`] if the store is gone.
    fn try_next(&mut self) -> Result<Option<Changes>, StoreError>;

    /// Waits until `try_next` is worth calling. Blocks no thread; may be dropped and called again.
    fn ready(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
