//! Why a call of the service layer failed.

use culvert_query::params::ParamError;
use culvert_query::{ApiError, ErrorCode};
use culvert_store::{Key, StoreError};

use crate::tunnels::TunnelsError;

/// Errors of the service layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The caller's request can't be carried out.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(ApiError),
    /// The caller's request about certificates can't be carried out.
    #[error(transparent)]
    Acm(#[from] AcmError),
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
    /// The running endpoints can't be asked.
    #[error(transparent)]
    Tunnels(#[from] TunnelsError),
    /// Others changed the same thing again and again.
    #[error("too many changes at once; try again")]
    Contended,
}

impl From<ApiError> for ServiceError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<ParamError> for ServiceError {
    fn from(error: ParamError) -> Self {
        Self::Refused(error.into())
    }
}

impl ServiceError {
    /// What the caller is told. What is wrong with the store or the running endpoints is the operator's business: it
    /// belongs into the log.
    pub fn to_api(&self) -> ApiError {
        match self {
            Self::Refused(error) => error.clone(),
            Self::Acm(error) => ApiError::new(ErrorCode::InvalidParameterValue, error.message.clone()),
            Self::Contended => ApiError::new(
                ErrorCode::ConcurrentMutationLimitExceeded,
                "Cannot initiate another change at this time. Please try again later.",
            ),
            Self::Tunnels(_) => ApiError::new(
                ErrorCode::Unavailable,
                "The endpoint does not answer at this time. Please try again later.",
            ),
            Self::Store(StoreError::TooLarge { .. }) => ApiError::new(
                ErrorCode::ResourceLimitExceeded,
                "The resource has grown too large to be kept; remove rules, routes or tags, or shorten descriptions",
            ),
            Self::Store(_) | Self::Record { .. } => ApiError::new(
                ErrorCode::InternalError,
                "The request failed for a reason that the server's log tells",
            ),
        }
    }
}

/// Why a request about certificates is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct AcmError {
    /// What programs decide by.
    pub code: AcmErrorCode,
    /// What people read: cause and cure.
    pub message: String,
}

impl AcmError {
    pub(crate) fn new(code: AcmErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// The error codes of AWS Certificate Manager that Culvert answers with.
///
/// Source: AWS Certificate Manager API Reference, "Errors" of each action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcmErrorCode {
    /// Not an ARN of a certificate.
    InvalidArn,
    /// No such certificate.
    ResourceNotFound,
    /// An endpoint uses the certificate.
    ResourceInUse,
    /// Something about the certificate, its key or its chain isn't right.
    Validation,
}

impl AcmErrorCode {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArn => "InvalidArnException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::Validation => "ValidationException",
        }
    }
}
