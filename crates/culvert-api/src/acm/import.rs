//! `ImportCertificate`.

use std::collections::BTreeMap;

use culvert_service::{CertificateArn, ImportCertificate, MalformedId, PrivateKeyPem};
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::{Blob, Tag, read};
use super::{Call, Refusal};
use crate::random;

/// Tags of a certificate.
const MAX_TAGS: usize = 50;
/// Characters of a tag's key.
const MAX_KEY: usize = 128;
/// Characters of a tag's value.
const MAX_VALUE: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(rename = "CertificateArn", default)]
    arn: Option<String>,
    #[serde(rename = "Certificate")]
    certificate: Blob,
    #[serde(rename = "PrivateKey")]
    private_key: Blob,
    #[serde(rename = "CertificateChain", default)]
    chain: Option<Blob>,
    #[serde(rename = "Tags", default)]
    tags: Option<Vec<Tag>>,
}

impl Call<'_> {
    /// Imports a new certificate, or one in place of another.
    pub(super) fn import(&self) -> Result<Value, Refusal> {
        let input: Input = read(self.body)?;
        let arn: Option<CertificateArn> = input
            .arn
            .map(|arn| arn.parse())
            .transpose()
            .map_err(|error: MalformedId| Refusal::new("InvalidArnException", error.to_string()))?;
        if arn.is_some() && input.tags.is_some() {
            return Err(Refusal::new(
                "InvalidParameterException",
                "A certificate that is imported again keeps its tags: leave Tags out",
            ));
        }
        let request = ImportCertificate {
            arn,
            certificate: input.certificate.as_str().to_owned(),
            private_key: PrivateKeyPem::new(input.private_key.into_secret()),
            chain: input
                .chain
                .as_ref()
                .map(Blob::as_str)
                .unwrap_or_default()
                .to_owned(),
            tags: tags(input.tags.unwrap_or_default())?,
        };
        let ec2 = &self.api.ec2;
        let environment = ec2.environment.load_full();
        let arn = ec2
            .certificates
            .import(&request, &environment, random::bytes(), self.now)?;
        Ok(json!({ "CertificateArn": arn.to_string() }))
    }
}

fn tags(given: Vec<Tag>) -> Result<BTreeMap<String, String>, Refusal> {
    if given.len() > MAX_TAGS {
        let message = format!("A certificate has at most {MAX_TAGS} tags");
        return Err(Refusal::new("TooManyTagsException", message));
    }
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
        tags(given.collect()).map_or_else(|refusal| refusal.to_answer().outcome, |_| "good")
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
