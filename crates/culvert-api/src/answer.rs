//! The answer to a request, before it becomes HTTP.

/// The answer to a request.
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Type of the body.
    pub(crate) content_type: &'static str,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// What became of the request: `Success`, or the code of the error.
    pub(crate) outcome: &'static str,
    /// Why it was refused, for the log.
    pub(crate) reason: Option<String>,
}

/// The outcome of a request that was carried out.
pub(crate) const SUCCESS: &str = "Success";

impl Answer {
    /// The request was carried out.
    pub(crate) const fn done(content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status: 200,
            content_type,
            body,
            outcome: SUCCESS,
            reason: None,
        }
    }

    /// A refusal to someone who speaks none of the services.
    pub(crate) fn plain(status: u16, outcome: &'static str, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain;charset=UTF-8",
            body: format!("{text}\n").into_bytes(),
            outcome,
            reason: Some(text.to_owned()),
        }
    }
}
