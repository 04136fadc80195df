//! Tags: `Tag.1.Key`, and within `TagSpecification.1` for resources that are being created.

use std::collections::BTreeSet;

use super::{Group, ParamError};

/// Characters of a key, from 1.
const MAX_KEY: usize = 127;
/// Characters of a value.
const MAX_VALUE: usize = 256;

/// A tag, or which tag to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Unique for a resource.
    pub key: String,
    /// Absent means empty for a new tag, and any value for one to be deleted.
    pub value: Option<String>,
}

/// The tags of a resource that is created by the same call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSpecification {
    /// `client-vpn-endpoint` for instance; what is allowed depends on the call.
    pub resource_type: String,
    /// Tags with different keys.
    pub tags: Vec<Tag>,
}

impl Group<'_> {
    /// The tags of the list `Tag`, at most `max`.
    ///
    /// # Errors
    /// [`ParamError::Missing`] without a key, [`ParamError::Value`] for a key that is reserved, used twice or too
    /// long, or a value that is, [`ParamError::TagLimit`].
    pub fn tags(&self, max: usize) -> Result<Vec<Tag>, ParamError> {
        let groups = self.groups("Tag");
        if groups.len() > max {
            return Err(ParamError::TagLimit {
                name: self.full_name("Tag"),
                max,
            });
        }
        let mut keys = BTreeSet::new();
        groups
            .iter()
            .map(|group| {
                let tag = tag(group)?;
                match keys.insert(tag.key.clone()) {
                    true => Ok(tag),
                    false => Err(group.invalid("Key", "Tag keys must be unique")),
                }
            })
            .collect()
    }

    /// The tag specifications of a create call, with at most `max` tags each.
    ///
    /// # Errors
    /// As [`Group::tags`]; [`ParamError::Missing`] without a resource type or without tags.
    pub fn tag_specifications(&self, max: usize) -> Result<Vec<TagSpecification>, ParamError> {
        self.groups("TagSpecification")
            .iter()
            .map(|group| {
                let resource_type = group.required("ResourceType")?.to_owned();
                let tags = group.tags(max)?;
                match tags.is_empty() {
                    true => Err(group.missing("Tag")),
                    false => Ok(TagSpecification { resource_type, tags }),
                }
            })
            .collect()
    }
}

fn tag(group: &Group<'_>) -> Result<Tag, ParamError> {
    let key = group.required("Key")?;
    if key.chars().count() > MAX_KEY {
        return Err(group.invalid("Key", format!("A tag key has at most {MAX_KEY} characters")));
    }
    if key
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
    {
        return Err(group.invalid("Key", "Tag keys starting with 'aws:' are reserved"));
    }
    let value = group.text("Value");
    if value.is_some_and(|value| value.chars().count() > MAX_VALUE) {
        return Err(group.invalid("Value", format!("A tag value has at most {MAX_VALUE} characters")));
    }
    Ok(Tag {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    })
}
