//! `AddTagsToCertificate`, `RemoveTagsFromCertificate`, `ListTagsForCertificate`, and what a tag may be.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::input::{Tag, read};
use super::{Call, Refusal};

/// Tags of a certificate.
const MAX_TAGS: usize = 50;
/// Characters of a tag's key.
const MAX_KEY: usize = 128;
/// Characters of a tag's value.
const MAX_VALUE: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(rename = "CertificateArn")]
    arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

impl Call<'_> {
    /// The tags of a certificate.
    pub(super) fn list_tags(&self) -> Result<Value, Refusal> {
        let found = self.api.ec2.certificates.get(&self.named()?)?;
        let tags = found.tags.iter();
        let tags: Vec<Value> = tags
            .map(|(key, value)| json!({ "Key": key, "Value": value }))
            .collect();
        Ok(json!({ "Tags": tags }))
    }

    /// Adds tags, or gives those that are there other values.
    pub(super) fn add_tags(&self) -> Result<Value, Refusal> {
        let input: Input = read(self.body)?;
        let added = checked(input.tags)?;
        self.api.ec2.certificates.retag(&input.arn, |tags| {
            tags.extend(added.clone());
            check_count(tags.len())
        })?;
        Ok(Value::Null)
    }

    /// Removes tags: one with a value only if it has that value. Those that aren't there are no mistake.
    pub(super) fn remove_tags(&self) -> Result<Value, Refusal> {
        let input: Input = read(self.body)?;
        check_count(input.tags.len())?;
        self.api.ec2.certificates.retag(&input.arn, |tags| {
            for Tag { key, value } in &input.tags {
                if value.is_none() || tags.get(key) == value.as_ref() {
                    tags.remove(key);
                }
            }
            Ok::<_, Refusal>(())
        })?;
        Ok(Value::Null)
    }
}

fn check_count(count: usize) -> Result<(), Refusal> {
    if count > MAX_TAGS {
        let message = format!("A certificate has at most {MAX_TAGS} tags");
        return Err(Refusal::new("TooManyTagsException", message));
    }
    Ok(())
}

/// The tags, if each may be one.
pub(super) fn checked(given: Vec<Tag>) -> Result<BTreeMap<String, String>, Refusal> {
    check_count(given.len())?;
    let mut tags = BTreeMap::new();
    for Tag { key, value } in given {
        let value = value.unwrap_or_default();
        if let Some(reason) = fault(&key, &value) {
            return Err(Refusal::new("InvalidTagException", reason));
        }
        if tags.insert(key, value).is_some() {
            return Err(Refusal::new("InvalidTagException", "A tag's key was given twice"));
        }
    }
    Ok(tags)
}

fn fault(key: &str, value: &str) -> Option<&'static str> {
    let allowed = |letter: char| letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter);
    if !(1..=MAX_KEY).contains(&key.chars().count()) || value.chars().count() > MAX_VALUE {
        return Some("A tag's key has 1 to 128 characters and its value at most 256");
    }
    if !key.chars().chain(value.chars()).all(allowed) {
        return Some("A tag consists of letters, digits, spaces and _ . : / = + - @");
    }
    key.starts_with("aws:")
        .then_some("A tag's key may not begin with aws:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(given: &[(&str, &str)]) -> &'static str {
        let given = given.iter().map(|(key, value)| Tag {
            key: (*key).to_owned(),
            value: Some((*value).to_owned()),
        });
        checked(given.collect()).map_or_else(|refusal| refusal.to_answer().outcome, |_| "good")
    }

    #[test]
    fn tags_that_break_the_rules_are_refused() {
        assert_eq!(outcome(&[("Name", "a b"), ("x:y", "")]), "good");
        assert_eq!(outcome(&[("", "a")]), "InvalidTagException");
        assert_eq!(outcome(&[("aws:x", "a")]), "InvalidTagException");
        assert_eq!(outcome(&[("a", "<")]), "InvalidTagException");
        assert_eq!(outcome(&[("a", "1"), ("a", "2")]), "InvalidTagException");
        assert_eq!(outcome(&[("a", &"x".repeat(257))]), "InvalidTagException");
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (&**key, "")).collect();
        assert_eq!(outcome(&many), "TooManyTagsException");
        assert_eq!(outcome(&many[..50]), "good");
    }
}
