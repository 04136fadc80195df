//! Why a client isn't let in.

/// What a client is told whom the handler did not refuse itself.
pub const DEFAULT_MESSAGE: &str = "Error establishing connection. Please contact your administrator.";

/// Why a client isn't let in, by the names connection logs have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The handler said no.
    Denied,
    /// It gave no answer in time.
    TimedOut,
    /// It failed.
    OtherExecutionError,
    /// Too many are asking it.
    Throttled,
    /// Its answer isn't one.
    InvalidResponse,
    /// It can't be asked.
    ServiceError,
}

impl Reason {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "client-connect-failed",
            Self::TimedOut => "client-connect-handler-timed-out",
            Self::OtherExecutionError => "client-connect-handler-other-execution-error",
            Self::Throttled => "client-connect-handler-throttled",
            Self::InvalidResponse => "client-connect-handler-invalid-response",
            Self::ServiceError => "client-connect-handler-service-error",
        }
    }
}

/// A client isn't let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The details, for the operator.
    pub detail: String,
    /// What the client is told.
    pub message: String,
    /// What the handler found out about the device, if it answered.
    pub statuses: Vec<String>,
}

impl Refusal {
    /// A refusal for want of an answer.
    pub(crate) fn without_answer(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            message: DEFAULT_MESSAGE.to_owned(),
            statuses: Vec::new(),
        }
    }
}
