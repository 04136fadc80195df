//! Reading EC2's answers: members into the types of [`super::model`], refusals into errors.
//!
//! ```text
//! <DescribeClientVpnRoutesResponse><requestId>..</requestId><routes><item>..</item></routes></DescribeClientVpnRoutesResponse>
//! <Response><Errors><Error><Code>..</Code><Message>..</Message></Error></Errors><RequestID>..</RequestID></Response>
//! ```

use quick_xml::de::from_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::error::ManageError;

/// Reads the answer to a request that was carried out.
pub(crate) fn answer<T: DeserializeOwned>(action: &str, body: &str) -> Result<T, ManageError> {
    from_str(body).map_err(|error| ManageError::Malformed {
        action: action.to_owned(),
        reason: error.to_string(),
    })
}

/// Reads a refusal.
pub(crate) fn refusal(action: &str, body: &str) -> ManageError {
    match from_str::<Refusal>(body) {
        Ok(refusal) => ManageError::Refused {
            code: refusal.errors.error.code,
            message: refusal.errors.error.message,
        },
        Err(error) => ManageError::Malformed {
            action: action.to_owned(),
            reason: error.to_string(),
        },
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Errors")]
    errors: Errors,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(rename = "Error")]
    error: Fault,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fault {
    code: String,
    message: String,
}

/// A list is an element with an `item` for each.
#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

/// Takes the items of a list out of their wrapper.
pub(crate) fn items<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(List::deserialize(deserializer)?.item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_code_and_message() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidAction</Code>\
                    <Message>a &lt; b &amp; c</Message></Error></Errors><RequestID>1</RequestID></Response>";
        let error = refusal("X", body);
        assert_eq!(error.to_string(), "InvalidAction: a < b & c");
    }

    #[test]
    fn what_is_no_refusal_is_said_to_be_none() {
        for body in [
            "",
            "<",
            "Too many requests\n",
            "<Response/>",
            "<Response><Errors/></Response>",
            "\u{0}",
        ] {
            assert!(
                matches!(refusal("X", body), ManageError::Malformed { .. }),
                "{body:?}"
            );
        }
    }

    #[test]
    fn text_of_many_lines_survives() {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Exported {
            client_configuration: String,
        }
        let body = "<R xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId><clientConfiguration>\
                    client\nverb 3\n&lt;ca&gt;\nMII=\n&lt;/ca&gt;\nreneg-sec 0\n</clientConfiguration></R>";
        let exported: Exported = answer("X", body).unwrap();
        assert_eq!(
            exported.client_configuration.trim_end(),
            "client\nverb 3\n<ca>\nMII=\n</ca>\nreneg-sec 0"
        );
    }
}
