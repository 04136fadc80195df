//! Typed access to the members of one structure.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::ParamError;
use super::tree::Node;

/// One structure: the whole request, or what is below `Authentication.1` for instance. Members are asked for by their
/// names within it; errors give the full name.
#[derive(Clone, Debug)]
pub struct Group<'p> {
    node: &'p Node,
    path: String,
}

impl<'p> Group<'p> {
    pub(super) const fn new(node: &'p Node, path: String) -> Self {
        Self { node, path }
    }

    /// The full name of a member.
    pub fn full_name(&self, member: &str) -> String {
        match &*self.path {
            "" => member.to_owned(),
            path => [path, member].join("."),
        }
    }

    /// The full name of this structure, empty for the whole request.
    pub fn name(&self) -> &str {
        &self.path
    }

    /// A text. Empty is not the same as absent: it means "set to nothing".
    pub fn text(&self, member: &str) -> Option<&'p str> {
        self.node.member(member)?.read()
    }

    /// A text that must be there and not empty.
    ///
    /// # Errors
    /// [`ParamError::Missing`].
    pub fn required(&self, member: &str) -> Result<&'p str, ParamError> {
        self.text(member)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.missing(member))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`ParamError::Value`] for anything else.
    pub fn boolean(&self, member: &str) -> Result<Option<bool>, ParamError> {
        self.parsed(member, "It must be true or false", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// A decimal number within `range`.
    ///
    /// # Errors
    /// [`ParamError::Value`] for anything else.
    pub fn integer(&self, member: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ParamError> {
        let reason = format!("It must be a number from {} to {}", range.start(), range.end());
        self.parsed(member, reason, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// One of several words, each with its meaning. Case matters.
    ///
    /// # Errors
    /// [`ParamError::Value`] for any other word; it lists those allowed.
    pub fn choice<T: Copy>(&self, member: &str, words: &[(&str, T)]) -> Result<Option<T>, ParamError> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let reason = ["It must be one of: ", &names.join(", ")].concat();
        self.parsed(member, reason, |text| {
            words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, meaning)| *meaning)
        })
    }

    /// Whatever `parse` makes of the text; `reason` tells what it accepts.
    ///
    /// # Errors
    /// [`ParamError::Value`] if `parse` returns `None`.
    pub fn parsed<T>(
        &self,
        member: &str,
        reason: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ParamError> {
        match self.text(member) {
            None => Ok(None),
            Some(text) => match parse(text) {
                Some(value) => Ok(Some(value)),
                None => Err(self.invalid(member, reason)),
            },
        }
    }

    /// A structure within this one, if anything of it was sent.
    pub fn group(&self, member: &str) -> Option<Self> {
        let node = self.node.member(member).filter(|node| node.has_children())?;
        Some(Self::new(node, self.full_name(member)))
    }

    /// The texts of a list, in the order of their numbers. Nothing is sent for an empty list.
    pub fn texts(&self, member: &str) -> Vec<&'p str> {
        self.node
            .member(member)
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|(_, item)| item.read())
            .collect()
    }

    /// The structures of a list, in the order of their numbers.
    pub fn groups(&self, member: &str) -> Vec<Self> {
        let list = self.full_name(member);
        self.node
            .member(member)
            .into_iter()
            .flat_map(Node::items)
            .filter(|(_, item)| item.has_children())
            .map(|(index, item)| Self::new(item, [&*list, &index.to_string()].join(".")))
            .collect()
    }

    /// The error for a member that has to be there.
    pub fn missing(&self, member: &str) -> ParamError {
        ParamError::Missing(self.full_name(member))
    }

    /// The error for a member whose value is no good; `reason` tells why and what would be.
    pub fn invalid(&self, member: &str, reason: impl Display) -> ParamError {
        ParamError::Value {
            name: self.full_name(member),
            value: self.text(member).unwrap_or_default().to_owned(),
            reason: reason.to_string(),
        }
    }
}
