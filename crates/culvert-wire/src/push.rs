//! `PUSH_REPLY` and `PUSH_UPDATE`: option lines from server to client, separated by commas.
//!
//! An option cannot contain a comma and is at most [`MAX_OPTION`] bytes. A list that does not fit one message is
//! split; every message of a series but the last ends with `push-continuation 2`, the last with
//! `push-continuation 1`, and the client applies them together.

mod options;
mod update;

pub use options::{PushAssembler, PushOptions};
pub use update::UPDATABLE;

use crate::EncodeError;
use crate::message::MAX_MESSAGE;
use crate::text::{check_chars, prefix};

/// Longest option 2.x clients accept, in bytes.
pub const MAX_OPTION: usize = 255;
/// Most words of an option, its name included.
pub const MAX_WORDS: usize = 16;

/// The option that joins the messages of a series; ours to write, never an operator's.
const CONTINUATION: &str = "push-continuation";

/// A message is closed before it reaches this length, as stock does: room for the continuation and more.
const SPLIT_AT: usize = MAX_MESSAGE - 84;

/// Which of the two messages is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushKind {
    /// `PUSH_REPLY`: the client's options, once.
    Reply,
    /// `PUSH_UPDATE`: changes while connected, for clients with `IV_PROTO` bit 12.
    Update,
}

impl PushKind {
    fn head(self) -> &'static str {
        match self {
            Self::Reply => "PUSH_REPLY",
            Self::Update => "PUSH_UPDATE",
        }
    }
}

/// Collects options and writes them as control messages. The order given is the order sent; keep it stable,
/// because clients recognise unchanged options by a hash over the list and then keep their tunnel interface.
#[derive(Clone)]
pub struct PushReplyBuilder {
    kind: PushKind,
    options: Vec<String>,
}

impl PushReplyBuilder {
    /// An empty list.
    pub fn new(kind: PushKind) -> Self {
        Self {
            kind,
            options: Vec::new(),
        }
    }

    /// Adds one option, for example `ping 10`.
    ///
    /// # Errors
    /// [`EncodeError`] if the option is empty, too long, has too many words or an unclosed quotation mark,
    /// contains a comma or a control character, or is `push-continuation`.
    pub fn push(&mut self, option: impl Into<String>) -> Result<&mut Self, EncodeError> {
        let option = option.into();
        validate_option(&option)?;
        self.options.push(option);
        Ok(self)
    }

    /// The options so far, in order.
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// The records to send, in order, each with its NUL and at most [`MAX_MESSAGE`] bytes.
    ///
    /// An empty list is one message whose list is empty: OpenVPN 3 clients need the comma.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        let mut current = self.kind.head().to_owned();
        for option in &self.options {
            if current.len() + option.len() >= SPLIT_AT && current.contains(',') {
                parts.push(std::mem::replace(&mut current, self.kind.head().to_owned()));
            }
            current.push(',');
            current.push_str(option);
        }
        if self.options.is_empty() {
            current.push(',');
        }
        parts.push(current);
        let last = parts.len() - 1;
        let finish = |(index, mut text): (usize, String)| {
            if last > 0 {
                text.push_str(if index == last {
                    ",push-continuation 1"
                } else {
                    ",push-continuation 2"
                });
            }
            text.push('\0');
            text.into_bytes()
        };
        parts.into_iter().enumerate().map(finish).collect()
    }
}

/// Shows no options: they may contain an auth token.
impl std::fmt::Debug for PushReplyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushReplyBuilder")
            .field("kind", &self.kind)
            .field("options", &self.options.len())
            .finish()
    }
}

/// Checks that clients will read `option` exactly as given; for configuration checks as well as for sending.
///
/// # Errors
/// As for [`PushReplyBuilder::push`].
pub fn validate_option(option: &str) -> Result<(), EncodeError> {
    const WHAT: &str = "a pushed option";
    if option.trim().is_empty() {
        return Err(EncodeError::Empty(WHAT));
    }
    if option.len() > MAX_OPTION {
        return Err(EncodeError::TooLong {
            what: WHAT,
            len: option.len(),
            max: MAX_OPTION,
        });
    }
    check_chars(WHAT, option, &[','])?;
    let Some(words) = options::split_words(option) else {
        return Err(EncodeError::UnbalancedQuote(option.to_owned()));
    };
    if words.first().is_some_and(|name| name == CONTINUATION) {
        return Err(EncodeError::Reserved(CONTINUATION));
    }
    if words.len() > MAX_WORDS {
        let name = words
            .first()
            .map(|word| prefix(word, 32).to_owned())
            .unwrap_or_default();
        return Err(EncodeError::TooManyWords {
            option: name,
            count: words.len(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
