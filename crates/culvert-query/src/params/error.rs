//! What can be wrong with parameters, in the words of the EC2 API.

use crate::{ApiError, ErrorCode};

/// Characters of a refused value that are repeated in the message.
const SHOWN: usize = 64;

/// Why parameters were refused. Always the caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// The form can't be read.
    #[error("{0}")]
    Malformed(String),
    /// No `Action`.
    #[error("The request must contain the parameter Action")]
    MissingAction,
    /// An `Action` that doesn't exist.
    #[error("The action {0} is not valid for this web service")]
    InvalidAction(String),
    /// Another version of the API.
    #[error("The API version {found} is not supported, use {wanted}")]
    Version {
        /// The one spoken here.
        wanted: &'static str,
        /// The one asked for.
        found: String,
    },
    /// A required parameter is missing or empty.
    #[error("The request must contain the parameter {0}")]
    Missing(String),
    /// A parameter the action doesn't have.
    #[error("The parameter {0} is not recognized")]
    Unknown(String),
    /// A value that isn't one of those allowed.
    #[error("Value ({}) for parameter {name} is invalid. {reason}", shown(value))]
    Value {
        /// Full name of the parameter.
        name: String,
        /// What was sent.
        value: String,
        /// Why it is refused and what would not be.
        reason: String,
    },
    /// A filter without name or without values.
    #[error("The filter {0} must have a name and at least one value")]
    Filter(String),
    /// Too many filters, or too many values in one.
    #[error("{name} has more than {max} items")]
    FilterLimit {
        /// Full name of the list.
        name: String,
        /// How many it may have.
        max: usize,
    },
    /// Too many tags.
    #[error("{name} has more than {max} tags")]
    TagLimit {
        /// Full name of the list.
        name: String,
        /// How many it may have.
        max: usize,
    },
}

impl ParamError {
    /// The code it is answered with.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::MalformedQueryString,
            Self::MissingAction => ErrorCode::MissingAction,
            Self::InvalidAction(_) => ErrorCode::InvalidAction,
            Self::Version { .. } => ErrorCode::NoSuchVersion,
            Self::Missing(_) => ErrorCode::MissingParameter,
            Self::Unknown(_) => ErrorCode::UnknownParameter,
            Self::Value { .. } => ErrorCode::InvalidParameterValue,
            Self::Filter(_) => ErrorCode::InvalidFilter,
            Self::FilterLimit { .. } => ErrorCode::FilterLimitExceeded,
            Self::TagLimit { .. } => ErrorCode::TagLimitExceeded,
        }
    }
}

impl From<ParamError> for ApiError {
    fn from(error: ParamError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// The beginning of a value, for a message.
fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => [&value[..end], "..."].concat(),
        None => value.to_owned(),
    }
}
