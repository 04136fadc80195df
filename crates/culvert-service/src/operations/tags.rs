//! Tags.

use std::collections::BTreeMap;

use culvert_query::{ApiError, ErrorCode};

use super::invalid;
use crate::endpoint::Endpoint;

/// Most tags of a resource.
const MAX_TAGS: usize = 50;
/// Longest key, in characters.
const MAX_KEY: usize = 127;
/// Longest value, in characters.
const MAX_VALUE: usize = 256;
/// What no key of an operator begins with.
const RESERVED: &str = "aws:";

impl Endpoint {
    /// Sets tags; those with the same keys are replaced.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a key or value that can't be, `TagLimitExceeded`. Nothing has changed then.
    pub fn create_tags(&mut self, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
        set(&mut self.tags, tags)
    }

    /// Removes tags: each with this key, where a value is given only if it has that; all if none is named.
    pub fn delete_tags(&mut self, tags: &[(String, Option<String>)]) {
        remove(&mut self.tags, tags);
    }
}

/// As [`Endpoint::create_tags`].
pub(crate) fn set(
    own: &mut BTreeMap<String, String>,
    tags: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let mut after = own.clone();
    after.extend(tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    *own = checked(after)?;
    Ok(())
}

/// As [`Endpoint::delete_tags`].
pub(crate) fn remove(own: &mut BTreeMap<String, String>, tags: &[(String, Option<String>)]) {
    let named = |key: &String, value: &String| {
        let mut tags = tags.iter();
        tags.any(|(wanted, only)| wanted == key && only.as_ref().is_none_or(|only| only == value))
    };
    own.retain(|key, value| !tags.is_empty() && !named(key, value));
}

/// Tags that a resource may have.
///
/// # Errors
/// As [`Endpoint::create_tags`].
pub(crate) fn checked(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    for (key, value) in &tags {
        if key.starts_with(RESERVED) {
            return Err(invalid(
                "Tag.Key",
                format!("{key:?} begins with {RESERVED}, which is reserved"),
            ));
        }
        if !(1..=MAX_KEY).contains(&key.chars().count()) {
            return Err(invalid("Tag.Key", format!("a key has 1 to {MAX_KEY} characters")));
        }
        if value.chars().count() > MAX_VALUE {
            return Err(invalid(
                "Tag.Value",
                format!("the value of {key:?} has more than {MAX_VALUE} characters"),
            ));
        }
    }
    if tags.len() > MAX_TAGS {
        let message = format!("A resource has at most {MAX_TAGS} tags");
        return Err(ApiError::new(ErrorCode::TagLimitExceeded, message));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{code, endpoint};
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn keys_are_unique_and_deleted_by_key_or_by_key_and_value() {
        let mut endpoint = endpoint();
        endpoint
            .create_tags(&tags(&[("Name", "office"), ("team", "net"), ("empty", "")]))
            .unwrap();
        endpoint.create_tags(&tags(&[("Name", "lab")])).unwrap();
        assert_eq!(
            endpoint.tags,
            tags(&[("Name", "lab"), ("team", "net"), ("empty", "")])
        );
        let some = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        endpoint.delete_tags(&[
            some("Name", Some("office")),
            some("team", None),
            some("unknown", None),
        ]);
        assert_eq!(endpoint.tags, tags(&[("Name", "lab"), ("empty", "")]));
        endpoint.delete_tags(&[some("empty", Some(""))]);
        assert_eq!(endpoint.tags, tags(&[("Name", "lab")]));
        endpoint.delete_tags(&[]);
        assert!(endpoint.tags.is_empty());
    }

    #[test]
    fn tags_that_can_not_be_are_refused_as_a_whole() {
        let mut endpoint = endpoint();
        let (key, value) = ("k".repeat(128), "v".repeat(257));
        for refused in [("aws:x", "1"), ("", "1"), (&*key, "1"), ("k", &*value)] {
            let refused = endpoint.create_tags(&tags(&[("fine", "1"), refused]));
            assert_eq!(code(refused), ErrorCode::InvalidParameterValue);
        }
        let many: Vec<String> = (0..=MAX_TAGS).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
        assert_eq!(
            code(endpoint.create_tags(&tags(&many))),
            ErrorCode::TagLimitExceeded
        );
        assert!(endpoint.tags.is_empty());
        endpoint.create_tags(&tags(&many[1..])).unwrap();
    }
}
