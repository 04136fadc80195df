//! Why a signature was refused: in full for the log, and as much of it as the caller may know.

use time::OffsetDateTime;

use crate::{ApiError, ErrorCode};

/// Why a request can't be attributed to anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigV4Error {
    /// Neither an `Authorization` header nor a presigned query.
    #[error("the request is not signed: sign it with AWS Signature Version 4")]
    NotSigned,
    /// Something about the signature can't be read.
    #[error("the signature cannot be read: {0}")]
    Malformed(&'static str),
    /// A header or parameter that must be unique was sent more than once.
    #[error("'{0}' was sent more than once")]
    Duplicate(&'static str),
    /// A header and the query string both carry a signature.
    #[error("the request is signed twice, by header and by query string: leave one out")]
    SignedTwice,
    /// This header must be covered by the signature.
    #[error("'{0}' must be sent and be one of the signed headers")]
    Unsigned(String),
    /// A signed header wasn't sent; perhaps a proxy removed it.
    #[error("'{0}' is one of the signed headers but was not sent: does a proxy remove it?")]
    NotSent(String),
    /// The scope names another day than the time of the signature.
    #[error("the credential scope is of {scope}, the request of {signed}")]
    ScopeDate {
        /// Day of the scope.
        scope: String,
        /// Day of the time stamp.
        signed: String,
    },
    /// Signed for another region.
    #[error(
        "the request is signed for region '{found}', this endpoint is '{wanted}': set the client's region"
    )]
    Region {
        /// Ours.
        wanted: String,
        /// The client's.
        found: String,
    },
    /// Signed for another service.
    #[error("the request is signed for service '{found}', this endpoint is: {wanted}")]
    Service {
        /// Ours.
        wanted: String,
        /// The client's.
        found: String,
    },
    /// Too old.
    #[error("the request was signed at {signed} and has expired, it is {now}: is the client's clock right?")]
    Expired {
        /// By the client's clock.
        signed: OffsetDateTime,
        /// By ours.
        now: OffsetDateTime,
    },
    /// From the future.
    #[error("the request was signed at {signed}, it is only {now}: is the client's clock right?")]
    FromTheFuture {
        /// By the client's clock.
        signed: OffsetDateTime,
        /// By ours.
        now: OffsetDateTime,
    },
    /// No such access key.
    #[error("unknown access key '{0}'")]
    UnknownAccessKey(String),
    /// Temporary credentials without their token.
    #[error("the access key is temporary and needs its session token")]
    MissingSessionToken,
    /// A token for permanent credentials.
    #[error("the access key has no session token, but one was sent: unset AWS_SESSION_TOKEN")]
    UnexpectedSessionToken,
    /// Another token than the one issued with the access key.
    #[error("the session token is not the one that was issued with the access key")]
    WrongSessionToken,
    /// The body isn't the one that was signed.
    #[error("the body does not have the SHA-256 hash that 'x-amz-content-sha256' declares")]
    BodyHash,
    /// Another secret, or something was changed on the way.
    #[error(
        "the signature does not match: wrong secret key, or the request was changed on the way \
         (SHA-256 of the canonical request as received: {canonical_hash})"
    )]
    WrongSignature {
        /// Hash of the canonical request, to compare with the debug output of the client.
        canonical_hash: String,
    },
}

/// Which codes a service uses for the same refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// EC2, which calls it `AuthFailure`, whatever is wrong with the credentials.
    Ec2,
    /// STS, IAM and other services of the Query protocol.
    Query,
}

impl SigV4Error {
    /// The answer for the caller. Doesn't tell a stranger whether a key exists: an unknown key and a wrong signature
    /// look the same for EC2.
    pub fn to_api(&self, dialect: Dialect) -> ApiError {
        let ec2 = dialect == Dialect::Ec2;
        match self {
            Self::NotSigned => ApiError::new(ErrorCode::MissingAuthenticationToken, self.to_string()),
            Self::Malformed(_)
            | Self::Duplicate(_)
            | Self::SignedTwice
            | Self::Unsigned(_)
            | Self::NotSent(_) => ApiError::new(ErrorCode::IncompleteSignature, self.to_string()),
            Self::Expired { .. } | Self::FromTheFuture { .. } => {
                ApiError::new(ErrorCode::RequestExpired, self.to_string())
            }
            Self::ScopeDate { .. } | Self::Region { .. } | Self::Service { .. } | Self::BodyHash => {
                ApiError::new(
                    if ec2 {
                        ErrorCode::AuthFailure
                    } else {
                        ErrorCode::SignatureDoesNotMatch
                    },
                    self.to_string(),
                )
            }
            Self::UnknownAccessKey(_)
            | Self::MissingSessionToken
            | Self::UnexpectedSessionToken
            | Self::WrongSessionToken
                if !ec2 =>
            {
                ApiError::new(
                    ErrorCode::InvalidClientTokenId,
                    "The access key or the security token included in the request is invalid",
                )
            }
            Self::WrongSignature { .. } if !ec2 => ApiError::new(
                ErrorCode::SignatureDoesNotMatch,
                "The signature does not match the request. Check the secret access key and the signing method",
            ),
            Self::UnknownAccessKey(_)
            | Self::MissingSessionToken
            | Self::UnexpectedSessionToken
            | Self::WrongSessionToken
            | Self::WrongSignature { .. } => ApiError::new(
                ErrorCode::AuthFailure,
                "The provided access credentials could not be validated. Check the access key id, the secret access \
                 key and the session token",
            ),
        }
    }
}
