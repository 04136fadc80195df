//! Recognising the repetition of a request that may already have taken effect. Remembers nothing itself.
//!
//! A client that got no answer sends its request again, with the same client token. Whoever carries out requests keeps
//! the answer under [`RepeatKey`] together with the [`Fingerprint`] for [`KEPT_FOR`], and asks [`Fingerprint::judge`]
//! when the key turns up again.

use std::time::Duration;

use ring::digest::{Context, SHA256};

use crate::params::{Group, Params};
use crate::{ApiError, ErrorCode};

/// How long an answer must be kept to be repeated.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Characters of a client token.
const MAX_TOKEN: usize = 64;
/// Parameters that may differ between a request and its repetition.
const NOT_COMPARED: [&str; 2] = ["ClientToken", "DryRun"];

/// A token a client chose for one request: 1 to 64 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientToken(String);

impl ClientToken {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Group<'_> {
    /// `ClientToken`, if one was sent.
    ///
    /// # Errors
    /// `InvalidClientToken` if it is longer than 64 characters or not ASCII.
    pub fn client_token(&self) -> Result<Option<ClientToken>, ApiError> {
        match self.text("ClientToken") {
            None | Some("") => Ok(None),
            Some(token) if token.len() <= MAX_TOKEN && token.bytes().all(|b| matches!(b, b' '..=b'~')) => {
                Ok(Some(ClientToken(token.to_owned())))
            }
            Some(_) => Err(ApiError::new(
                ErrorCode::InvalidClientToken,
                format!("The ClientToken must have at most {MAX_TOKEN} ASCII characters"),
            )),
        }
    }
}

/// Under what the answer to a request is kept: a token means something only to one account, region and action.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepeatKey {
    /// Whose request.
    pub account: String,
    /// Sent to which region.
    pub region: String,
    /// What was to be done.
    pub action: String,
    /// The client's token.
    pub token: ClientToken,
}

/// What a request asked for, in 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of all parameters, in whatever order they were sent; `ClientToken` and `DryRun` left out.
    pub fn of(params: &Params) -> Self {
        let mut context = Context::new(&SHA256);
        for (name, value) in params.pairs().filter(|(name, _)| !NOT_COMPARED.contains(name)) {
            for part in [name, value] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part.as_bytes());
            }
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }

    /// One that was kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To be kept.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Whether `self`, of a request whose key is known already, is the repetition of the one that was `kept`: then
    /// its answer is to be sent again, and nothing done.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` if it asks for something else.
    pub fn judge(self, kept: Self) -> Result<(), ApiError> {
        if self == kept {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::IdempotentParameterMismatch,
            "The ClientToken was already used for a request with other parameters: choose a new one",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Limits;
    use crate::{Method, Request};

    fn params(query: &str) -> Params {
        let request = Request {
            method: Method::Get,
            path: "/",
            query,
            headers: &[],
            body: &[],
        };
        Params::from_request(&request, &Limits::default()).expect("a form")
    }

    fn fingerprint(query: &str) -> Fingerprint {
        Fingerprint::of(&params(query))
    }

    #[test]
    fn a_repetition_is_recognised_in_any_order() {
        let first = fingerprint("Action=A&Id=1&ClientToken=t&Description=a+b");
        let again = fingerprint("Description=a%20b&ClientToken=t&DryRun=false&Id=1&Action=A");
        assert_eq!(again.judge(Fingerprint::from_bytes(first.to_bytes())), Ok(()));
    }

    #[test]
    fn another_request_with_the_same_token_is_refused() {
        let first = fingerprint("Action=A&Id=12&B=");
        for other in [
            "Action=A&Id=1&B=2",
            "Action=A&Id=12",
            "Action=B&Id=12&B=",
            "Action=A&Id=12&B=&C=",
        ] {
            let refusal = fingerprint(other).judge(first).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::IdempotentParameterMismatch, "{other}");
        }
    }

    #[test]
    fn tokens_are_short_and_ascii() {
        let token = |text: &str| params(&["ClientToken=", text].concat()).root().client_token();
        assert_eq!(token(""), Ok(None));
        let longest = "t".repeat(64);
        assert_eq!(token(&longest).expect("good").expect("sent").as_str(), longest);
        for bad in [&"t".repeat(65), "%C3%A4", "a%0Ab"] {
            assert_eq!(
                token(bad).unwrap_err().code,
                ErrorCode::InvalidClientToken,
                "{bad}"
            );
        }
    }
}
