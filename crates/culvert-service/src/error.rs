//! Why a call of the service layer failed.

use culvert_query::{ApiError, ErrorCode};
use culvert_store::{Key, StoreError};

/// Errors of the service layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The caller's request can't be carried out.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(ApiError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is kept can't be read.
    #[error("the record {key} of the store can't be used: {reason}")]
    Record {
        /// Where it is.
        key: Key,
        /// What is wrong with it.
        reason: String,
    },
    /// Others changed the same thing again and again.
    #[error("too many changes at once; try again")]
    Contended,
}

impl From<ApiError> for ServiceError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl ServiceError {
    /// What the caller is told. What is wrong with the store is the operator's business: it belongs into the log.
    pub fn to_api(&self) -> ApiError {
        match self {
            Self::Refused(error) => error.clone(),
            Self::Contended => ApiError::new(
                ErrorCode::ConcurrentMutationLimitExceeded,
                "Cannot initiate another change at this time. Please try again later.",
            ),
            Self::Store(_) | Self::Record { .. } => ApiError::new(
                ErrorCode::InternalError,
                "The request failed for a reason that the server's log tells",
            ),
        }
    }
}
