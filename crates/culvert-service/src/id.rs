//! Names of resources: the ids and ARNs that callers see.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Hex digits behind the prefix of an id.
const DIGITS: usize = 17;

/// Text that isn't the id or ARN it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct MalformedId {
    /// What was given.
    pub text: String,
    /// What it should look like.
    pub wanted: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every such id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from 9 random bytes.
            pub fn from_random(random: [u8; 9]) -> Self {
                let digits = HEXLOWER.encode(&random);
                Self(format!("{}{}", Self::PREFIX, &digits[..DIGITS]))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                match text.strip_prefix(Self::PREFIX) {
                    Some(digits) if is_digits(digits) => Ok(Self(text.to_owned())),
                    _ => Err(MalformedId {
                        text: text.to_owned(),
                        wanted: concat!($prefix, " and 17 lower-case hex digits"),
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;

            fn try_from(text: String) -> Result<Self, MalformedId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// A Client VPN endpoint.
    EndpointId "cvpn-endpoint-",
    /// The association of an endpoint with a target network.
    AssociationId "cvpn-assoc-",
    /// One client's connection, from its login to its end.
    ConnectionId "cvpn-connection-",
    /// A security group that is kept in the store.
    SecurityGroupId "sg-",
    /// A rule of a security group.
    SecurityGroupRuleId "sgr-",
}

/// The form of ids of EC2 resources: a prefix, and 8 or 17 hex digits.
pub(crate) fn is_resource_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The ARN of a certificate: `arn:aws:acm:REGION:ACCOUNT:certificate/UUID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateArn {
    region: String,
    account: String,
    id: String,
}

impl CertificateArn {
    /// A new ARN from 16 random bytes.
    pub fn from_random(region: &str, account: &str, mut random: [u8; 16]) -> Self {
        // RFC 9562, section 5.4: version 4, variant 10.
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        let hex = HEXLOWER.encode(&random);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Self {
            region: region.to_owned(),
            account: account.to_owned(),
            id: parts.join("-"),
        }
    }

    /// The region it belongs to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account it belongs to.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The UUID at its end.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for CertificateArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:aws:acm:{}:{}:certificate/{}",
            self.region, self.account, self.id
        )
    }
}

impl FromStr for CertificateArn {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let parts: Option<(&str, &str, &str)> = text.strip_prefix("arn:aws:acm:").and_then(|rest| {
            let (region, rest) = rest.split_once(':')?;
            let (account, rest) = rest.split_once(':')?;
            Some((region, account, rest.strip_prefix("certificate/")?))
        });
        match parts {
            Some((region, account, id)) if is_region(region) && is_account(account) && is_uuid(id) => {
                Ok(Self {
                    region: region.to_owned(),
                    account: account.to_owned(),
                    id: id.to_owned(),
                })
            }
            _ => Err(MalformedId {
                text: text.to_owned(),
                wanted: "arn:aws:acm:REGION:ACCOUNT:certificate/UUID",
            }),
        }
    }
}

impl TryFrom<String> for CertificateArn {
    type Error = MalformedId;

    fn try_from(text: String) -> Result<Self, MalformedId> {
        text.parse()
    }
}

impl From<CertificateArn> for String {
    fn from(arn: CertificateArn) -> Self {
        arn.to_string()
    }
}

fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_have_a_prefix_and_seventeen_digits() {
        let id = EndpointId::from_random([0xab; 9]);
        assert_eq!(id.as_str(), "cvpn-endpoint-abababababababab a".replace(' ', ""));
        assert_eq!(id.as_str().parse::<EndpointId>().unwrap(), id);
        for wrong in [
            "",
            "cvpn-endpoint-",
            "cvpn-endpoint-0123456789ABCDEF0",
            "cvpn-assoc-0123456789abcdef0",
        ] {
            assert!(wrong.parse::<EndpointId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_arn_names_region_account_and_a_random_uuid() {
        let arn = CertificateArn::from_random("eu-west-1", "123456789012", [0xff; 16]);
        let text = "arn:aws:acm:eu-west-1:123456789012:certificate/ffffffff-ffff-4fff-bfff-ffffffffffff";
        assert_eq!(arn.to_string(), text);
        assert_eq!(text.parse::<CertificateArn>().unwrap(), arn);
        let wrong = text.replace("acm", "iam").parse::<CertificateArn>().unwrap_err();
        assert!(
            wrong
                .to_string()
                .ends_with("is not arn:aws:acm:REGION:ACCOUNT:certificate/UUID"),
            "{wrong}"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_shows_as_it_was(text in "(arn:aws:acm:)?[a-z0-9:/-]{0,90}") {
            if let Ok(arn) = text.parse::<CertificateArn>() {
                prop_assert_eq!(arn.to_string(), text);
            }
        }
    }
}
