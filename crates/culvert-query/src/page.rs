//! Pages of long lists: how many items, and the token that asks for the next ones.
//!
//! ```text
//! base64url of: version 1 | issued, unix seconds u64 | cursor | HMAC-SHA256 32
//! HMAC over:    version, issued, length and text of action, scope and each filter, cursor
//! ```
//!
//! A token is opaque to clients, can't be made by them, and is good only for the question it was the answer to: the
//! same action, endpoint and filters, for a limited time. It holds no secret; the cursor can be read by whoever
//! decodes it.

use std::fmt;
use std::ops::RangeInclusive;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use time::{Duration, OffsetDateTime};

use crate::params::{Filter, Group, ParamError};
use crate::{ApiError, ErrorCode};

/// What `MaxResults` may be.
pub const PAGE_SIZES: RangeInclusive<i64> = 5..=1000;
/// How long a token is good. A client asks for the next page at once; a script may stop for the night.
const LIFETIME: Duration = Duration::hours(24);
const VERSION: u8 = 1;
const HEADER: usize = 1 + 8;
const TAG: usize = 32;
/// Characters of a token that is looked at; cursors are short.
const MAX_TOKEN: usize = 2048;

/// A page token that isn't good for this question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// Not made by this server, changed, or made for another question.
    #[error(
        "The pagination token is invalid: use it unchanged, with the action, endpoint and filters it was returned for"
    )]
    Foreign,
    /// Once good.
    #[error("The pagination token has expired: start again without NextToken")]
    Expired,
}

impl From<PageError> for ApiError {
    fn from(error: PageError) -> Self {
        Self::new(ErrorCode::InvalidPaginationToken, error.to_string())
    }
}

/// The question a page is a part of the answer to.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The action.
    pub action: &'a str,
    /// Whose items are listed: account, region, endpoint id.
    pub scope: &'a [&'a str],
    /// The filters, whose order doesn't matter.
    pub filters: &'a [Filter],
}

/// The key that makes page tokens. All nodes that answer the same clients need the same one.
pub struct PageKey(hmac::Key);

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageKey(..)")
    }
}

impl PageKey {
    /// A key of 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The token that continues the answer to `question` behind `cursor`, issued `now`.
    pub fn seal(&self, question: &Question<'_>, cursor: &str, now: OffsetDateTime) -> String {
        // Before 1970 there were no tokens.
        let issued = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let mut token = Vec::with_capacity(HEADER + cursor.len() + TAG);
        token.push(VERSION);
        token.extend_from_slice(&issued.to_be_bytes());
        token.extend_from_slice(cursor.as_bytes());
        let tag = hmac::sign(&self.0, &signed(question, &token));
        token.extend_from_slice(tag.as_ref());
        BASE64URL_NOPAD.encode(&token)
    }

    /// The cursor in a token that came back with the same question.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn open(
        &self,
        question: &Question<'_>,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<String, PageError> {
        if token.len() > MAX_TOKEN {
            return Err(PageError::Foreign);
        }
        let token = BASE64URL_NOPAD
            .decode(token.as_bytes())
            .map_err(|_| PageError::Foreign)?;
        let (content, tag) = token.split_last_chunk::<TAG>().ok_or(PageError::Foreign)?;
        hmac::verify(&self.0, &signed(question, content), tag).map_err(|_| PageError::Foreign)?;
        // Only now it is known to be ours.
        let Some((&[VERSION, ref issued @ ..], cursor)) = content.split_first_chunk::<HEADER>() else {
            return Err(PageError::Foreign);
        };
        let age = i128::from(now.unix_timestamp()) - i128::from(u64::from_be_bytes(*issued));
        if age > i128::from(LIFETIME.whole_seconds()) {
            return Err(PageError::Expired);
        }
        String::from_utf8(cursor.to_vec()).map_err(|_| PageError::Foreign)
    }
}

/// What the tag covers: nothing in it can be moved from one part to another.
fn signed(question: &Question<'_>, content: &[u8]) -> Vec<u8> {
    let mut signed = Vec::with_capacity(256);
    let mut part = |text: &[u8]| {
        signed.extend_from_slice(&(text.len() as u64).to_be_bytes());
        signed.extend_from_slice(text);
    };
    part(question.action.as_bytes());
    part(&(question.scope.len() as u64).to_be_bytes());
    question.scope.iter().for_each(|scope| part(scope.as_bytes()));
    let mut filters: Vec<_> = question
        .filters
        .iter()
        .map(|filter| {
            let mut values: Vec<_> = filter.values.iter().map(|value| &**value).collect();
            values.sort_unstable();
            (&*filter.name, values)
        })
        .collect();
    filters.sort();
    part(&(filters.len() as u64).to_be_bytes());
    for (name, values) in filters {
        part(name.as_bytes());
        part(&(values.len() as u64).to_be_bytes());
        values.iter().for_each(|value| part(value.as_bytes()));
    }
    part(content);
    signed
}

impl Group<'_> {
    /// `MaxResults`, or `default`, as a number of items.
    ///
    /// # Errors
    /// [`ParamError::Value`] outside [`PAGE_SIZES`].
    pub fn page_size(&self, default: usize) -> Result<usize, ParamError> {
        let size = self.integer("MaxResults", PAGE_SIZES)?;
        Ok(size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(default))
    }

    /// `NextToken`, opened; `None` asks for the first page.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn cursor(
        &self,
        key: &PageKey,
        question: &Question<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<String>, PageError> {
        self.text("NextToken")
            .filter(|token| !token.is_empty())
            .map(|token| key.open(question, token, now))
            .transpose()
    }
}

#[cfg(test)]
mod tests;
