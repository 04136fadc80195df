//! Values that forms carry as text.

use std::net::IpAddr;

use culvert_query::params::{Group, ParamError};
use culvert_query::{ApiError, ErrorCode};
use ipnetwork::IpNetwork;

/// An address and the length of its prefix, `10.0.0.0/22` for instance.
fn cidr(text: &str) -> Option<IpNetwork> {
    let (_, prefix) = text.split_once('/')?;
    // A mask in place of the length, or a sign before it, isn't CIDR notation.
    let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A network that may be left out.
pub(crate) fn optional_network(form: &Group<'_>, member: &str) -> Result<Option<IpNetwork>, ParamError> {
    form.parsed(
        member,
        "It must be a network in CIDR notation, 10.0.0.0/16 for instance",
        cidr,
    )
}

/// A network that must be there.
pub(crate) fn network(form: &Group<'_>, member: &str) -> Result<IpNetwork, ParamError> {
    form.required(member)?;
    optional_network(form, member)?.ok_or_else(|| form.missing(member))
}

/// A list of addresses.
pub(crate) fn addresses(form: &Group<'_>, member: &str) -> Result<Vec<IpAddr>, ParamError> {
    let address = |text: &str| {
        text.parse().map_err(|_| ParamError::Value {
            name: form.full_name(member),
            value: text.to_owned(),
            reason: "It must be an IP address".to_owned(),
        })
    };
    form.texts(member).into_iter().map(address).collect()
}

/// A list of texts.
pub(crate) fn owned_texts(form: &Group<'_>, member: &str) -> Vec<String> {
    form.texts(member).into_iter().map(str::to_owned).collect()
}

/// A text, owned.
pub(crate) fn owned(form: &Group<'_>, member: &str) -> Option<String> {
    form.text(member).map(str::to_owned)
}

/// A text for which empty means the same as left out.
pub(crate) fn filled(form: &Group<'_>, member: &str) -> Option<String> {
    owned(form, member).filter(|text| !text.is_empty())
}

/// The refusal of something that exists elsewhere; `cure` tells what to do instead.
pub(crate) fn unsupported(name: &str, cure: &str) -> ApiError {
    ApiError::new(
        ErrorCode::UnsupportedOperation,
        format!("{name} is not supported: {cure}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cidr_notation_is_a_network() {
        for good in ["10.0.0.0/22", "0.0.0.0/0", "10.0.0.1/22", "2001:db8::/32"] {
            assert!(cidr(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/255.255.252.0",
            "10.0.0.0/+8",
            "10.0.0/8",
            "/8",
            "a/8",
            "10.0.0.0/99999999999999999999",
        ] {
            assert!(cidr(bad).is_none(), "{bad}");
        }
    }
}
