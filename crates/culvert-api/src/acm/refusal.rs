//! Refusals in the form of the JSON protocol.

use std::borrow::Cow;

use culvert_query::{ApiError, ErrorCode};
use culvert_service::{AcmError, ServiceError};
use serde_json::json;

use super::CONTENT_TYPE;
use crate::answer::Answer;

/// Why a request isn't carried out.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request can't be carried out.
    Code {
        status: u16,
        code: &'static str,
        message: Cow<'static, str>,
    },
    /// The service layer refuses it or fails.
    Failed(ServiceError),
}

impl Refusal {
    /// A mistake of the caller's.
    pub(crate) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Code {
            status: 400,
            code,
            message: message.into(),
        }
    }

    /// A value that isn't valid.
    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ValidationException", message)
    }

    /// The answer.
    pub(crate) fn to_answer(&self) -> Answer {
        let (status, code, message) = match self {
            Self::Code {
                status,
                code,
                message,
            } => (*status, *code, message.to_string()),
            Self::Failed(ServiceError::Acm(AcmError { code, message })) => {
                (400, code.as_str(), message.clone())
            }
            Self::Failed(error) => {
                return Self::from(&error.to_api()).to_answer();
            }
        };
        Answer {
            status,
            content_type: CONTENT_TYPE,
            body: json!({ "__type": code, "message": message })
                .to_string()
                .into_bytes(),
            outcome: code,
            reason: Some(message),
        }
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

/// What the Query protocol calls otherwise.
///
/// Source: AWS Certificate Manager API Reference, "Common errors"; the names are those SDKs look for.
impl From<&ApiError> for Refusal {
    fn from(error: &ApiError) -> Self {
        let (status, code) = match error.code {
            ErrorCode::MissingAuthenticationToken => (400, "MissingAuthenticationTokenException"),
            ErrorCode::IncompleteSignature => (400, "IncompleteSignatureException"),
            ErrorCode::RequestExpired | ErrorCode::SignatureDoesNotMatch => {
                (400, "InvalidSignatureException")
            }
            ErrorCode::InvalidClientTokenId => (400, "UnrecognizedClientException"),
            ErrorCode::UnauthorizedOperation => (400, "AccessDeniedException"),
            ErrorCode::RequestLimitExceeded => (503, "ThrottlingException"),
            ErrorCode::ConcurrentMutationLimitExceeded => (400, "ConflictException"),
            ErrorCode::MalformedQueryString => (400, "SerializationException"),
            ErrorCode::Unavailable => (503, "ServiceUnavailableException"),
            ErrorCode::InternalError => (500, "InternalFailure"),
            other => (other.status(), other.as_str()),
        };
        Self::Code {
            status,
            code,
            message: error.message.clone().into(),
        }
    }
}
