//! What a handler answers.

use serde::Deserialize;

use crate::question::SchemaVersion;

/// Longest text of an answer, in characters.
pub const MAX_TEXT: usize = 255;
/// Most statuses of an answer.
pub const MAX_STATUSES: usize = 10;
/// Most groups of an answer.
pub const MAX_GROUPS: usize = 100;

/// A handler's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the client may connect.
    pub allow: bool,
    /// What a client that may not is told.
    pub message: String,
    /// What the handler found out about the device, in its own words.
    pub statuses: Vec<String>,
    /// Groups the client is in beside those its login leads to. No handler for AWS says any.
    pub groups: Vec<String>,
}

/// An answer that isn't one, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wire {
    allow: bool,
    // The first version has another name for it; either is taken in any version.
    error_msg_on_denied_connection: Option<String>,
    error_msg_on_failed_posture_compliance: Option<String>,
    posture_compliance_statuses: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    schema_version: String,
}

impl Answer {
    /// Reads an answer. Its version need not be that of the question.
    ///
    /// # Errors
    /// [`Malformed`] if it isn't JSON, lacks something, or says too much.
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let wire: Wire = serde_json::from_slice(json).map_err(|error| Malformed(error.to_string()))?;
        if SchemaVersion::from_name(&wire.schema_version).is_none() {
            return Err(Malformed("schema-version is neither v1, v2 nor v3".to_owned()));
        }
        let message = wire
            .error_msg_on_denied_connection
            .or(wire.error_msg_on_failed_posture_compliance)
            .ok_or_else(|| Malformed("error-msg-on-denied-connection is missing".to_owned()))?;
        let message = clean("error-msg-on-denied-connection", &message)?;
        Ok(Self {
            allow: wire.allow,
            message,
            statuses: clean_all(
                "posture-compliance-statuses",
                &wire.posture_compliance_statuses,
                MAX_STATUSES,
            )?,
            groups: clean_all("groups", &wire.groups, MAX_GROUPS)?,
        })
    }
}

/// The texts of a list, of which there may be so many.
fn clean_all(field: &str, texts: &[String], most: usize) -> Result<Vec<String>, Malformed> {
    if texts.len() > most {
        return Err(Malformed(format!("{field} has more than {most} entries")));
    }
    texts.iter().map(|text| clean(field, text)).collect()
}

/// A text of an answer: bounded, and fit for control messages and logs.
fn clean(field: &str, text: &str) -> Result<String, Malformed> {
    if text.chars().count() > MAX_TEXT {
        return Err(Malformed(format!(
            "a text of {field} has more than {MAX_TEXT} characters"
        )));
    }
    Ok(text.chars().filter(|letter| !letter.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Answer, String> {
        Answer::parse(json.as_bytes()).map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn answers_of_all_versions_are_read() {
        let denied = Answer {
            allow: false,
            message: "Update your device.".into(),
            statuses: vec!["outdated".into(), "unknown".into()],
            groups: Vec::new(),
        };
        for (version, message) in [
            ("v1", "error-msg-on-failed-posture-compliance"),
            ("v2", "error-msg-on-denied-connection"),
            ("v3", "error-msg-on-denied-connection"),
        ] {
            let json = format!(
                r#"{{"allow": false, "{message}": "Update\n your device.", "posture-compliance-statuses":
                ["outdated", "unknown"], "schema-version": "{version}", "more": 1}}"#
            );
            assert_eq!(parse(&json), Ok(denied.clone()), "{version}");
        }
    }

    #[test]
    fn an_answer_may_name_groups() {
        let text = |groups: &str| {
            format!(
                r#"{{"allow": true, "error-msg-on-denied-connection": "", "posture-compliance-statuses": [],
                "schema-version": "v3", "groups": {groups}}}"#
            )
        };
        assert_eq!(
            parse(&text(r#"["operators", "night"]"#)).unwrap().groups,
            ["operators", "night"]
        );
        let many = format!("[{}]", ["\"a\""; MAX_GROUPS + 1].join(","));
        assert!(parse(&text(&many)).unwrap_err().contains("more than 100"));
        assert!(parse(&text("\"operators\"")).is_err(), "a text is no list");
    }

    #[test]
    fn whatever_is_no_answer_is_malformed() {
        let texts = |message: &str, statuses: &str, version: &str| {
            format!(
                r#"{{"allow": true, "error-msg-on-denied-connection": "{message}",
                "posture-compliance-statuses": {statuses}, "schema-version": "{version}"}}"#
            )
        };
        assert!(parse(&texts("", "[]", "v3")).is_ok());
        let many = format!("[{}]", ["\"a\""; MAX_STATUSES + 1].join(","));
        for (json, part) in [
            (String::new(), "EOF"),
            ("null".to_owned(), "invalid type"),
            (r#"{"allow": true}"#.to_owned(), "missing field"),
            (
                texts("", "[]", "v3").replace("denied", "another"),
                "error-msg-on-denied-connection is missing",
            ),
            (
                texts("", "[]", "v3").replace("true", "\"true\""),
                "expected a boolean",
            ),
            (texts("", "[1]", "v3"), "expected a string"),
            (texts("", "[]", "v4"), "schema-version"),
            (texts("", &many, "v3"), "more than 10"),
            (texts(&"x".repeat(MAX_TEXT + 1), "[]", "v3"), "more than 255"),
            (
                texts("", &format!("[\"{}\"]", "x".repeat(256)), "v3"),
                "more than 255",
            ),
        ] {
            let error = parse(&json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>) {
            drop(Answer::parse(&bytes));
        }
    }
}
