//! Challenges: how a question and its answer travel in messages that were made for user name and password.
//!
//! | direction | form |
//! |---|---|
//! | server, dynamic | `AUTH_FAILED,CRV1:flags:state:base64(user):text` |
//! | client, dynamic | a new connection whose password is `CRV1::state::response` |
//! | client, static | password `SCRV1:base64(password):base64(response)` |
//! | client, SAML start | password `ACS::port`, from AWS VPN clients |
//! | server, pending | `INFO_PRE,WEB_AUTH:flags:url`, `INFO_PRE,OPEN_URL:url`, `INFO_PRE,CR_TEXT:flags:text` |

use std::fmt;

use zeroize::Zeroizing;

use crate::EncodeError;
use crate::message::ControlMessage;
use crate::text::{base64_decode_text, base64_encode, check_chars};

/// A question for the user that ends this connection; the answer comes with the next one.
///
/// Source: OpenVPN 2.6 behaviour; AWS VPN clients use it for SAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicChallenge {
    /// Flag `E`: show what the user types.
    pub echo: bool,
    /// Flag `R`: a response is required.
    pub response_required: bool,
    /// Names the conversation; comes back with the response. Contains no `:`.
    pub state_id: String,
    /// The user field as sent, usually base64 of the user name; see [`Self::username`]. Contains no `:`.
    pub user_field: String,
    /// The question, or the URL of the identity provider. May contain `:`.
    pub text: String,
}

impl DynamicChallenge {
    /// A challenge that requires a response and does not echo it, for the user of this name.
    pub fn new(state_id: impl Into<String>, username: &str, text: impl Into<String>) -> Self {
        Self {
            echo: false,
            response_required: true,
            state_id: state_id.into(),
            user_field: base64_encode(username.as_bytes()),
            text: text.into(),
        }
    }

    /// Reads everything behind `AUTH_FAILED,`; `None` if it is not a challenge.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix("CRV1:")?.splitn(4, ':');
        let (flags, state_id, user_field, text) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            echo: has_flag(flags, "E"),
            response_required: has_flag(flags, "R"),
            state_id: state_id.to_owned(),
            user_field: user_field.to_owned(),
            text: text.to_owned(),
        })
    }

    /// Everything behind `AUTH_FAILED,`.
    ///
    /// # Errors
    /// [`EncodeError`] if a field is empty where it must not be, or contains control characters, or `:` where it
    /// would split.
    pub fn encode(&self) -> Result<String, EncodeError> {
        if self.state_id.is_empty() {
            return Err(EncodeError::Empty("the challenge's state id"));
        }
        check_chars("the challenge's state id", &self.state_id, &[':'])?;
        check_chars("the challenge's user", &self.user_field, &[':'])?;
        check_chars("the challenge", &self.text, &[])?;
        let flags = flags(&[("R", self.response_required), ("E", self.echo)]);
        Ok(format!(
            "CRV1:{flags}:{}:{}:{}",
            self.state_id, self.user_field, self.text
        ))
    }

    /// The user name in the user field; `None` if the field is not base64 of text.
    pub fn username(&self) -> Option<String> {
        base64_decode_text(&self.user_field).map(|name| name.to_string())
    }
}

/// What a password field turned out to contain.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordField {
    /// A password as typed, or an auth token.
    Plain(Zeroizing<String>),
    /// Password and answer to the profile's static challenge.
    StaticChallenge {
        /// The password.
        password: Zeroizing<String>,
        /// The answer.
        response: Zeroizing<String>,
    },
    /// The answer to a dynamic challenge of an earlier connection.
    DynamicResponse {
        /// The state id of that challenge.
        state_id: String,
        /// The answer; tens of kilobytes for a SAML assertion.
        response: Zeroizing<String>,
    },
    /// A client that wants to log in with SAML and listens on this port of its own machine.
    SamlStart {
        /// The port on 127.0.0.1 for the assertion.
        port: u16,
    },
}

impl PasswordField {
    /// Recognises the form of a password. Anything that is not exactly one of the special forms is plain.
    pub fn parse(password: &str) -> Self {
        static_challenge(password)
            .or_else(|| dynamic_response(password))
            .or_else(|| saml_start(password))
            .unwrap_or_else(|| Self::Plain(Zeroizing::new(password.to_owned())))
    }

    /// The password field on the wire.
    pub fn encode(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Plain(password) => password.to_string(),
            Self::StaticChallenge { password, response } => {
                let password = Zeroizing::new(base64_encode(password.as_bytes()));
                let response = Zeroizing::new(base64_encode(response.as_bytes()));
                format!("SCRV1:{}:{}", *password, *response)
            }
            Self::DynamicResponse { state_id, response } => format!("CRV1::{state_id}::{}", **response),
            Self::SamlStart { port } => format!("ACS::{port}"),
        })
    }
}

impl fmt::Debug for PasswordField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(..)"),
            Self::StaticChallenge { .. } => f.write_str("StaticChallenge { .. }"),
            Self::DynamicResponse { .. } => f.write_str("DynamicResponse { .. }"),
            Self::SamlStart { port } => f.debug_struct("SamlStart").field("port", port).finish(),
        }
    }
}

fn static_challenge(text: &str) -> Option<PasswordField> {
    let (password, response) = text.strip_prefix("SCRV1:")?.split_once(':')?;
    Some(PasswordField::StaticChallenge {
        password: base64_decode_text(password)?,
        response: base64_decode_text(response)?,
    })
}

fn dynamic_response(text: &str) -> Option<PasswordField> {
    let (state_id, response) = text.strip_prefix("CRV1::")?.split_once("::")?;
    if state_id.is_empty() || state_id.contains(':') {
        return None;
    }
    Some(PasswordField::DynamicResponse {
        state_id: state_id.to_owned(),
        response: Zeroizing::new(response.to_owned()),
    })
}

fn saml_start(text: &str) -> Option<PasswordField> {
    let port = text.strip_prefix("ACS::")?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse()
        .ok()
        .filter(|port| digits && *port != 0)
        .map(|port| PasswordField::SamlStart { port })
}

/// What a client is asked to do while its authentication is pending. Send only kinds its `IV_SSO` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingMethod {
    /// Open a web page, possibly inside the client.
    WebAuth {
        /// Flags such as `hidden`, `external`; usually none. Contains no `:`.
        flags: String,
        /// The page.
        url: String,
    },
    /// Open a web page; older clients.
    OpenUrl(String),
    /// Ask the user a question; the answer comes as `CR_RESPONSE`.
    CrText {
        /// Flag `E`: show what the user types.
        echo: bool,
        /// Flag `R`: a response is expected.
        response: bool,
        /// The question.
        text: String,
    },
}

impl PendingMethod {
    /// The word by which `IV_SSO` announces support.
    pub fn sso_name(&self) -> &'static str {
        match self {
            Self::WebAuth { .. } => "webauth",
            Self::OpenUrl(_) => "openurl",
            Self::CrText { .. } => "crtext",
        }
    }

    /// Reads the text of an `INFO_PRE` message; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("WEB_AUTH:") {
            let (flags, url) = rest.split_once(':')?;
            return Some(Self::WebAuth {
                flags: flags.to_owned(),
                url: url.to_owned(),
            });
        }
        if let Some(url) = text.strip_prefix("OPEN_URL:") {
            return Some(Self::OpenUrl(url.to_owned()));
        }
        let (flags, text) = text.strip_prefix("CR_TEXT:")?.split_once(':')?;
        Some(Self::CrText {
            echo: has_flag(flags, "E"),
            response: has_flag(flags, "R"),
            text: text.to_owned(),
        })
    }

    /// The `INFO_PRE` message that carries it.
    ///
    /// # Errors
    /// [`EncodeError`] if a URL contains quotes, a field control characters, or the flags `:`.
    pub fn message(&self) -> Result<ControlMessage, EncodeError> {
        let text = match self {
            Self::WebAuth { flags, url } => {
                check_chars("the flags of the login page", flags, &[':'])?;
                check_chars("the URL of the login page", url, &['"', '\''])?;
                format!("WEB_AUTH:{flags}:{url}")
            }
            Self::OpenUrl(url) => {
                check_chars("the URL of the login page", url, &['"', '\''])?;
                format!("OPEN_URL:{url}")
            }
            Self::CrText { echo, response, text } => {
                check_chars("the question to the user", text, &[])?;
                format!("CR_TEXT:{}:{text}", flags(&[("R", *response), ("E", *echo)]))
            }
        };
        Ok(ControlMessage::InfoPre(text))
    }
}

fn has_flag(list: &str, flag: &str) -> bool {
    list.split(',').any(|entry| entry.trim() == flag)
}

fn flags(set: &[(&'static str, bool)]) -> String {
    let names: Vec<_> = set.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_aws_saml_challenge_splits_at_the_first_four_colons() {
        let text = "CRV1:R:instance-1/123/abc:b'Ti9B':https://idp.example/sso?SAMLRequest=x:y";
        let challenge = DynamicChallenge::parse(text).unwrap();
        assert_eq!(challenge.state_id, "instance-1/123/abc");
        assert_eq!(challenge.text, "https://idp.example/sso?SAMLRequest=x:y");
        assert_eq!(challenge.username(), None);
        assert_eq!(challenge.encode().unwrap(), text);
    }

    #[test]
    fn the_user_name_travels_in_base64() {
        let challenge = DynamicChallenge::new("s1", "N/A", "https://idp");
        assert_eq!(challenge.encode().unwrap(), "CRV1:R:s1:Ti9B:https://idp");
        assert_eq!(challenge.username().as_deref(), Some("N/A"));
    }

    #[test]
    fn fields_that_would_split_the_challenge_are_refused() {
        assert!(DynamicChallenge::new("a:b", "u", "t").encode().is_err());
        assert!(DynamicChallenge::new("", "u", "t").encode().is_err());
        assert!(DynamicChallenge::new("a", "u", "t\nu").encode().is_err());
        assert!(
            DynamicChallenge {
                user_field: "a:b".into(),
                ..DynamicChallenge::new("a", "u", "t")
            }
            .encode()
            .is_err()
        );
    }

    #[test]
    fn password_forms_are_recognised() {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        assert_eq!(
            PasswordField::parse("SCRV1:cHc=:MTIzNDU2"),
            PasswordField::StaticChallenge {
                password: secret("pw"),
                response: secret("123456")
            }
        );
        assert_eq!(
            PasswordField::parse("CRV1::inst/1::PHNhbWw+::x"),
            PasswordField::DynamicResponse {
                state_id: "inst/1".into(),
                response: secret("PHNhbWw+::x")
            }
        );
        assert_eq!(
            PasswordField::parse("ACS::35001"),
            PasswordField::SamlStart { port: 35001 }
        );
        for plain in [
            "",
            "SCRV1:",
            "SCRV1:cHc=",
            "SCRV1:!:!",
            "CRV1::",
            "CRV1::::x",
            "CRV1:R:a:b:c",
            "ACS::",
            "ACS::0",
            "ACS::+1",
            "ACS::70000",
        ] {
            assert_eq!(
                PasswordField::parse(plain),
                PasswordField::Plain(secret(plain)),
                "{plain}"
            );
        }
    }

    #[test]
    fn no_password_is_shown() {
        assert_eq!(format!("{:?}", PasswordField::parse("hunter2")), "Plain(..)");
        assert_eq!(
            format!("{:?}", PasswordField::parse("SCRV1:cHc=:MTIz")),
            "StaticChallenge { .. }"
        );
    }

    #[test]
    fn pending_methods_have_their_documented_form() {
        let text = |method: PendingMethod| match method.message().unwrap() {
            ControlMessage::InfoPre(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            text(PendingMethod::WebAuth {
                flags: String::new(),
                url: "https://a/b:1".into()
            }),
            "WEB_AUTH::https://a/b:1"
        );
        assert_eq!(
            text(PendingMethod::OpenUrl("https://a".into())),
            "OPEN_URL:https://a"
        );
        let question = PendingMethod::CrText {
            echo: true,
            response: true,
            text: "Code?".into(),
        };
        assert_eq!(text(question), "CR_TEXT:R,E:Code?");
        assert!(PendingMethod::OpenUrl("https://a\"b".into()).message().is_err());
    }

    proptest! {
        #[test]
        fn challenges_encode_and_decode_back(echo: bool, required: bool, state in "[^:\\p{C}]{1,20}", user in "\\PC{0,20}", text in "[^\\p{C}]{0,60}") {
            let challenge = DynamicChallenge { echo, response_required: required, ..DynamicChallenge::new(state, &user, text) };
            let decoded = DynamicChallenge::parse(&challenge.encode().unwrap()).unwrap();
            prop_assert_eq!(decoded.username(), Some(user));
            prop_assert_eq!(decoded, challenge);
        }

        #[test]
        fn passwords_encode_and_decode_back(password in ".{0,30}", response in ".{0,30}", state in "[^:]{1,20}", port in 1u16..) {
            let (password, response) = (Zeroizing::new(password), Zeroizing::new(response));
            for field in [
                PasswordField::StaticChallenge { password, response: response.clone() },
                PasswordField::DynamicResponse { state_id: state, response },
                PasswordField::SamlStart { port },
            ] {
                prop_assert_eq!(PasswordField::parse(&field.encode()), field);
            }
        }

        #[test]
        fn pending_methods_encode_and_decode_back(echo: bool, response: bool, text in "[^\\p{C}\"']{0,40}") {
            for method in [
                PendingMethod::WebAuth { flags: "hidden".into(), url: text.clone() },
                PendingMethod::OpenUrl(text.clone()),
                PendingMethod::CrText { echo, response, text },
            ] {
                let ControlMessage::InfoPre(info) = method.message().unwrap() else { unreachable!() };
                prop_assert_eq!(PendingMethod::parse(&info), Some(method));
            }
        }

        #[test]
        fn no_text_panics(text in "(CRV1:|SCRV1:|ACS::|WEB_AUTH:|CR_TEXT:)?[:A-Z0-9=é]{0,20}") {
            let _ = (DynamicChallenge::parse(&text), PasswordField::parse(&text), PendingMethod::parse(&text));
        }
    }
}
