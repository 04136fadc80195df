//! Tags. Those that begin with `culvert:` are settings of an endpoint that AWS's own have no member for.

use std::collections::BTreeMap;

use culvert_config::RULE_EVALUATIONS;
use culvert_policy::RuleEvaluation;
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
/// What the keys of settings begin with.
const SETTINGS: &str = "culvert:";
/// The key of the tag that says which authorization rules count.
pub const RULE_EVALUATION_TAG: &str = "culvert:rule-evaluation";

impl Endpoint {
    /// Sets tags; those with the same keys are replaced.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a key or value that can't be, `TagLimitExceeded`. Nothing has changed then.
    pub fn create_tags(&mut self, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
        check_settings(tags)?;
        set(&mut self.tags, tags)
    }

    /// Which of its rules count, as its tag `culvert:rule-evaluation` says.
    pub fn rule_evaluation(&self) -> RuleEvaluation {
        let word = self.tags.get(RULE_EVALUATION_TAG);
        word.and_then(|word| evaluation(word)).unwrap_or_default()
    }

    /// Removes tags: each with this key, where a value is given only if it has that; all if none is named.
    pub fn delete_tags(&mut self, tags: &[(String, Option<String>)]) {
        remove(&mut self.tags, tags);
    }
}

fn evaluation(word: &str) -> Option<RuleEvaluation> {
    let found = RULE_EVALUATIONS.iter().find(|(name, _)| *name == word);
    found.map(|(_, evaluation)| *evaluation)
}

/// Refuses tags that look like a setting of an endpoint and are none.
pub(super) fn check_settings(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (key, value) in tags.iter().filter(|(key, _)| key.starts_with(SETTINGS)) {
        if key != RULE_EVALUATION_TAG {
            let reason = format!(
                "{key:?} begins with {SETTINGS}, which is reserved; the only such tag is {RULE_EVALUATION_TAG}"
            );
            return Err(invalid("Tag.Key", reason));
        }
        if evaluation(value).is_none() {
            let words = RULE_EVALUATIONS.map(|(name, _)| name).join(" or ");
            let reason = format!("{value:?} is no value of {RULE_EVALUATION_TAG}; use {words}");
            return Err(invalid("Tag.Value", reason));
        }
    }
    Ok(())
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

    #[test]
    fn a_tag_says_which_rules_count_and_must_be_right() {
        let mut endpoint = endpoint();
        assert_eq!(endpoint.rule_evaluation(), RuleEvaluation::LongestPrefix);
        let set = |word| tags(&[(RULE_EVALUATION_TAG, word)]);
        endpoint.create_tags(&set("additive")).unwrap();
        assert_eq!(endpoint.rule_evaluation(), RuleEvaluation::Additive);
        for wrong in [
            set(""),
            set("Additive"),
            tags(&[("culvert:rule-evalution", "additive")]),
        ] {
            assert_eq!(
                code(endpoint.create_tags(&wrong)),
                ErrorCode::InvalidParameterValue
            );
        }
        endpoint.create_tags(&set("longest-prefix")).unwrap();
        assert_eq!(endpoint.rule_evaluation(), RuleEvaluation::LongestPrefix);
        endpoint.create_tags(&set("additive")).unwrap();
        endpoint.delete_tags(&[]);
        assert_eq!(
            endpoint.rule_evaluation(),
            RuleEvaluation::LongestPrefix,
            "never more than before"
        );
    }
}
