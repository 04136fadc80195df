//! `AUTH_FAILED` in its five forms.

use super::{MAX_MESSAGE, MAX_RECORD, terminate};
use crate::EncodeError;
use crate::challenge::DynamicChallenge;
use crate::text::{fit, prefix};

const HEAD: &str = "AUTH_FAILED";

/// What a client refused for the moment shall try next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// The same address again.
    No,
    /// The next address of the same name.
    Addr,
    /// The next `remote` of the profile.
    Remote,
}

impl Advance {
    fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Addr => "addr",
            Self::Remote => "remote",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::No, Self::Addr, Self::Remote]
            .into_iter()
            .find(|advance| advance.name() == name)
    }
}

/// Why, and how finally, a client is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthFailed {
    /// `AUTH_FAILED`: wrong credentials, no explanation.
    Plain,
    /// `AUTH_FAILED,reason`: the client shows or logs the reason.
    Reason(String),
    /// `AUTH_FAILED,TEMP[flags]:reason`: try again later. Only for clients with `IV_PROTO` bit 8; older ones
    /// take it for a plain failure.
    Temporary {
        /// Seconds to wait.
        backoff: Option<u32>,
        /// Where to try next.
        advance: Option<Advance>,
        /// For the client's log.
        reason: Option<String>,
    },
    /// `AUTH_FAILED,SESSION: reason`: the auth token is no longer good; log in again.
    Session(String),
    /// `AUTH_FAILED,CRV1:...`: answer this with the next connection.
    Challenge(DynamicChallenge),
}

impl AuthFailed {
    /// Reads what follows the comma, if there is one.
    pub(super) fn parse(rest: Option<&str>) -> Self {
        let Some(text) = rest.map(str::trim).filter(|text| !text.is_empty()) else {
            return Self::Plain;
        };
        if let Some(temporary) = text.strip_prefix("TEMP").and_then(parse_temporary) {
            return temporary;
        }
        if let Some(reason) = text.strip_prefix("SESSION:") {
            return Self::Session(reason.trim_start().to_owned());
        }
        // The untrimmed text: a question may end in a blank.
        match rest.and_then(DynamicChallenge::parse) {
            Some(challenge) => Self::Challenge(challenge),
            None => Self::Reason(text.to_owned()),
        }
    }

    /// The record to send, NUL included.
    ///
    /// Reasons are made fit: control characters become blanks and what is too long is cut.
    ///
    /// # Errors
    /// [`EncodeError`] if a challenge is malformed or longer than clients read.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        // Room for any of the heads below and the NUL.
        let fit = |reason: &str| fit(reason, MAX_MESSAGE - 80);
        let text = match self {
            Self::Plain => HEAD.to_owned(),
            Self::Reason(reason) => {
                let reason = fit(reason);
                let trimmed = reason.trim();
                // A blank keeps a reason from being taken for one of the other forms.
                let guard = ["TEMP", "SESSION:", "CRV1:"]
                    .iter()
                    .any(|word| trimmed.starts_with(word));
                match (trimmed.is_empty(), guard) {
                    (true, _) => HEAD.to_owned(),
                    (false, true) => format!("{HEAD}, {trimmed}"),
                    (false, false) => format!("{HEAD},{trimmed}"),
                }
            }
            Self::Temporary {
                backoff,
                advance,
                reason,
            } => {
                let backoff = backoff.map(|seconds| format!("backoff {seconds}"));
                let advance = advance.map(|advance| format!("advance {}", advance.name()));
                let flags: Vec<_> = [backoff, advance].into_iter().flatten().collect();
                let flags = if flags.is_empty() {
                    String::new()
                } else {
                    format!("[{}]", flags.join(","))
                };
                let reason = reason
                    .as_deref()
                    .map(|reason| format!(":{}", fit(reason)))
                    .unwrap_or_default();
                format!("{HEAD},TEMP{flags}{reason}")
            }
            Self::Session(reason) => format!("{HEAD},SESSION: {}", fit(reason)),
            Self::Challenge(challenge) => {
                let text = format!("{HEAD},{}", challenge.encode()?);
                return terminate(text, MAX_RECORD);
            }
        };
        terminate(prefix(&text, MAX_MESSAGE - 1).to_owned(), MAX_MESSAGE)
    }
}

/// Reads `[flags]:reason` behind `TEMP`, both parts optional.
fn parse_temporary(rest: &str) -> Option<AuthFailed> {
    let (flags, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let reason = match rest.strip_prefix(':') {
        Some(reason) => Some(reason.to_owned()),
        None if rest.is_empty() => None,
        None => return None,
    };
    let flag = |name: &str| {
        flags
            .split(',')
            .find_map(|flag| flag.trim().strip_prefix(name)?.strip_prefix(' '))
    };
    Some(AuthFailed::Temporary {
        backoff: flag("backoff").and_then(|seconds| seconds.trim().parse().ok()),
        advance: flag("advance").and_then(|name| Advance::parse(name.trim())),
        reason,
    })
}
