//! A key with its value and its numbers.

use std::fmt;

use crate::key::{Key, Value};
use crate::lease::LeaseId;

/// The store's counter of changes: every transaction that changes anything raises it by one.
///
/// An empty store is at revision 1; what doesn't exist has the revision 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of what doesn't exist.
    pub const NONE: Self = Self(0);

    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key with its value, as of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Value,
    /// The revision that made the key, the last time it was made.
    pub create_revision: Revision,
    /// The revision of its last change.
    pub mod_revision: Revision,
    /// How often it was put since it was made: 1 for a new key.
    pub version: u64,
    /// The lease it vanishes with.
    pub lease: Option<LeaseId>,
}
