//! Reading the JSON of a request: members the action doesn't have are refused, never ignored.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use zeroize::Zeroizing;

use data_encoding::BASE64;

use super::Refusal;

/// The input of actions that take an ARN and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    #[serde(rename = "CertificateArn")]
    pub(super) certificate_arn: String,
}

/// A text that travels as base64. It may be a secret: wiped when dropped.
pub(super) struct Blob(Zeroizing<String>);

impl Blob {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_secret(self) -> Zeroizing<String> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let encoded = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| D::Error::custom("a blob is not base64"))?;
        String::from_utf8(bytes)
            .map(|text| Self(Zeroizing::new(text)))
            .map_err(|error| {
                drop(Zeroizing::new(error.into_bytes()));
                D::Error::custom("a blob does not hold text, as PEM is")
            })
    }
}

/// A tag.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tag {
    #[serde(rename = "Key")]
    pub(super) key: String,
    #[serde(rename = "Value", default)]
    pub(super) value: Option<String>,
}

/// Reads the input of an action. No body is an empty object.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Refusal::validation(describe(&error)),
        Category::Syntax | Category::Eof | Category::Io => {
            let message = format!(
                "The body is not JSON (line {}, column {})",
                error.line(),
                error.column()
            );
            Refusal::new("SerializationException", message)
        }
    })
}

/// What is wrong with a member. A message that might repeat a value, which may be a secret, is replaced.
fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let harmless = [
        "unknown field",
        "missing field",
        "duplicate field",
        "unknown variant",
        "a blob",
    ];
    if harmless.iter().any(|beginning| message.starts_with(beginning)) {
        return format!("The request is not valid: {message}");
    }
    format!(
        "The request is not valid: a member has another type than the action's model says (line {}, column {})",
        error.line(),
        error.column()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[serde(rename = "Name")]
        name: Option<String>,
    }

    fn refused(body: &str) -> String {
        let answer = read::<Input>(body.as_bytes()).unwrap_err().to_answer();
        assert_eq!(answer.status, 400);
        format!("{}: {}", answer.outcome, answer.reason.unwrap())
    }

    #[test]
    fn unknown_members_are_refused_by_name() {
        assert_eq!(read::<Input>(b"").unwrap().name, None);
        assert_eq!(
            read::<Input>(b"{\"Name\":\"a\"}").unwrap().name.as_deref(),
            Some("a")
        );
        let refused = refused("{\"Nam\":1}");
        assert!(
            refused.starts_with("ValidationException: ") && refused.contains("unknown field `Nam`"),
            "{refused}"
        );
    }

    #[test]
    fn values_are_never_repeated() {
        for body in [
            "{\"Name\":[\"s3cret\"]}",
            "\"s3cret\"",
            "{\"Name\":{\"s3cret\":1}}",
        ] {
            assert!(!refused(body).contains("s3cret"), "{}", refused(body));
        }
        assert!(refused("{").starts_with("SerializationException"));
    }

    #[test]
    fn blobs_are_text_in_base64() {
        let read = |text: &str| serde_json::from_str::<Blob>(text).map_err(|error| error.to_string());
        assert_eq!(read("\"YWJj\"").ok().unwrap().as_str(), "abc");
        assert!(read("\"YW Jj\"").err().unwrap().contains("not base64"));
        assert!(read("\"/w==\"").err().unwrap().contains("not hold text"));
    }
}
