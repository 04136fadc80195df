//! What goes wrong inside, before it is known at which file.

use std::io;
use std::path::Path;

use crate::error::StoreError;

/// A refusal to hand on, or a failure that lacks its place.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(StoreError),
    Failed(Box<redb::Error>),
}

impl Fault {
    /// The error for callers.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(error) => match *error {
                redb::Error::Corrupted(reason) => StoreError::NotAStore {
                    path: path.into(),
                    reason,
                },
                error => StoreError::Backend {
                    place: path.display().to_string(),
                    source: Box::new(error),
                },
            },
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        redb::StorageError::Io(error).into()
    }
}

/// redb has an error for each kind of call, and one that takes in all.
macro_rules! from_redb {
    ($($kind:ident),*) => {
        $(impl From<redb::$kind> for Fault {
            fn from(error: redb::$kind) -> Self {
                Self::Failed(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(
    StorageError,
    TableError,
    TransactionError,
    CommitError,
    DatabaseError
);
