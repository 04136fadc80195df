//! Names in place of ids, where only one thing has the name.

use ipnetwork::IpNetwork;

use super::api::Api;
use super::error::ManageError;
use super::form::Form;
use super::model::{Endpoint, Endpoints, SecurityGroups};

/// What ids of endpoints begin with.
const ENDPOINT: &str = "cvpn-endpoint-";
/// What ids of security groups begin with.
const SECURITY_GROUP: &str = "sg-";

/// The id of an endpoint that is named by its id, its tag `Name` or its description.
pub(crate) fn endpoint(api: &Api, name: &str) -> Result<String, ManageError> {
    if name.starts_with(ENDPOINT) {
        return Ok(name.to_owned());
    }
    let all = api.list::<Endpoints>("DescribeClientVpnEndpoints", &Form::new())?;
    only(
        name,
        endpoints_named(&all, name),
        "endpoint",
        "`culvert endpoint list` shows those there are",
    )
}

/// A tag is given to name something, a description may say the same of several: tags go first.
fn endpoints_named(all: &[Endpoint], name: &str) -> Vec<String> {
    let ids = |named: &dyn Fn(&Endpoint) -> Option<&str>| -> Vec<String> {
        let found = all.iter().filter(|endpoint| named(endpoint) == Some(name));
        found
            .map(|endpoint| endpoint.client_vpn_endpoint_id.clone())
            .collect()
    };
    let tagged = ids(&|endpoint| endpoint.name());
    if tagged.is_empty() {
        ids(&|endpoint| endpoint.description.as_deref())
    } else {
        tagged
    }
}

/// The ids of security groups, each named by its id or its name in the VPC, if that is known.
pub(crate) fn security_groups(
    api: &Api,
    names: &[String],
    vpc_id: Option<&str>,
) -> Result<Vec<String>, ManageError> {
    if names.iter().all(|name| name.starts_with(SECURITY_GROUP)) {
        return Ok(names.to_vec());
    }
    let all = api.list::<SecurityGroups>("DescribeSecurityGroups", &Form::new())?;
    let id = |name: &String| {
        if name.starts_with(SECURITY_GROUP) {
            return Ok(name.clone());
        }
        let groups = all.iter().filter(|group| group.group_name == *name);
        let groups = groups.filter(|group| vpc_id.is_none_or(|vpc_id| group.vpc_id == vpc_id));
        let ids = groups.map(|group| group.group_id.clone()).collect();
        only(
            name,
            ids,
            "security group",
            "`culvert security-group list` shows those there are",
        )
    };
    names.iter().map(id).collect()
}

/// Whether two texts name the same network: the API may write one in another way than it was given.
pub(crate) fn is_same_network(a: &str, b: &str) -> bool {
    let network = |text: &str| {
        let parsed: Option<IpNetwork> = text.parse().ok();
        parsed.map(|parsed| (parsed.network(), parsed.prefix()))
    };
    a == b || network(a).is_some_and(|a| Some(a) == network(b))
}

/// The only one of what was found by a name.
pub(crate) fn only(
    name: &str,
    mut found: Vec<String>,
    what: &'static str,
    cure: &'static str,
) -> Result<String, ManageError> {
    match found.len() {
        0 => Err(ManageError::Unknown {
            what,
            name: name.to_owned(),
            cure,
        }),
        1 => Ok(found.remove(0)),
        _ => Err(ManageError::Ambiguous {
            name: name.to_owned(),
            ids: found.join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::model::Page;
    use crate::manage::xml;

    fn all() -> Vec<Endpoint> {
        let one = |id: &str, more: &str| {
            format!(
                "<item><clientVpnEndpointId>{id}</clientVpnEndpointId><status><code>available</code></status><dnsName>h\
                 </dnsName><transportProtocol>udp</transportProtocol><vpnPort>443</vpnPort><serverCertificateArn>a\
                 </serverCertificateArn>{more}</item>"
            )
        };
        let tag = "<tagSet><item><key>Name</key><value>office</value></item></tagSet>";
        let body = format!(
            "<R><clientVpnEndpoint>{}{}{}</clientVpnEndpoint></R>",
            one("e-1", tag),
            one("e-2", "<description>office</description>"),
            one("e-3", "<description>both</description>")
                + &one("e-4", "<description>both</description><tagSet/>"),
        );
        xml::answer::<Endpoints>("X", &body).unwrap().split().0
    }

    #[test]
    fn a_name_tag_goes_before_a_description() {
        assert_eq!(endpoints_named(&all(), "office"), ["e-1"]);
        assert_eq!(endpoints_named(&all(), "both"), ["e-3", "e-4"]);
        assert!(endpoints_named(&all(), "").is_empty());
    }

    #[test]
    fn networks_are_the_same_however_they_are_written() {
        assert!(is_same_network("10.30.0.0/24", "10.30.0.7/24"));
        assert!(is_same_network("2001:db8::/32", "2001:0db8:0::/32"));
        for other in ["10.30.0.0/25", "10.31.0.0/24", "x", ""] {
            assert!(!is_same_network("10.30.0.0/24", other), "{other}");
        }
    }

    #[test]
    fn a_name_must_stand_for_one_thing() {
        let found = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            only("n", ids, "endpoint", "look").map_err(|error| error.to_string())
        };
        assert_eq!(found(&["a"]), Ok("a".into()));
        assert_eq!(found(&[]), Err("there is no endpoint \"n\"; look".into()));
        let several = "the name \"n\" stands for several: say which by its id (a, b)";
        assert_eq!(found(&["a", "b"]), Err(several.into()));
    }
}
