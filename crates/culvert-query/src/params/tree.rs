//! Flattened names as a tree, which remembers what was read.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::{Limits, ParamError};

/// One part of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Number of a list item, from 1.
    Index(u32),
    /// Name of a member.
    Name(String),
}

/// The parameters below one name.
#[derive(Debug, Default)]
pub(super) struct Node {
    leaf: Option<Leaf>,
    children: BTreeMap<Part, Self>,
}

#[derive(Debug)]
struct Leaf {
    value: String,
    read: Cell<bool>,
}

impl Node {
    /// Adds a value; `false` if there is one already.
    pub(super) fn insert(&mut self, path: Vec<Part>, value: &str) -> bool {
        let node = path
            .into_iter()
            .fold(self, |node, part| node.children.entry(part).or_default());
        let new = node.leaf.is_none();
        node.leaf.get_or_insert_with(|| Leaf {
            value: value.to_owned(),
            read: Cell::new(false),
        });
        new
    }

    /// The value of this very name, which counts as read from now on.
    pub(super) fn read(&self) -> Option<&str> {
        let leaf = self.leaf.as_ref()?;
        leaf.read.set(true);
        Some(&leaf.value)
    }

    /// A member of the structure.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.children.get(&Part::Name(name.to_owned()))
    }

    /// The items of the list, by number.
    pub(super) fn items(&self) -> impl Iterator<Item = (u32, &Self)> {
        self.children.iter().filter_map(|(part, node)| match part {
            Part::Index(index) => Some((*index, node)),
            Part::Name(_) => None,
        })
    }

    /// Whether anything is below this name.
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Full name of the first value that wasn't read.
    pub(super) fn first_unread(&self) -> Option<String> {
        // As deep as names are allowed to be.
        if self.leaf.as_ref().is_some_and(|leaf| !leaf.read.get()) {
            return Some(String::new());
        }
        self.children.iter().find_map(|(part, node)| {
            let below = node.first_unread()?;
            let part = match part {
                Part::Index(index) => index.to_string(),
                Part::Name(name) => name.clone(),
            };
            Some(if below.is_empty() {
                part
            } else {
                [part, below].join(".")
            })
        })
    }
}

/// The parts of a flattened name.
pub(super) fn parse_name(name: &str, limits: &Limits) -> Result<Vec<Part>, ParamError> {
    let malformed = |reason: String| ParamError::Malformed(format!("The parameter name {name} {reason}"));
    if name.split('.').count() > limits.depth {
        return Err(malformed(format!("has more than {} parts", limits.depth)));
    }
    name.split('.')
        .map(|part| {
            if part.is_empty() {
                return Err(malformed("has an empty part".to_owned()));
            }
            if !part.bytes().all(|b| b.is_ascii_digit()) {
                return Ok(Part::Name(part.to_owned()));
            }
            // A leading zero would be a second name for the same item.
            part.parse()
                .ok()
                .filter(|index| (1..=limits.index).contains(index) && !part.starts_with('0'))
                .map(Part::Index)
                .ok_or_else(|| malformed(format!("must count from 1 to at most {}", limits.index)))
        })
        .collect()
}
