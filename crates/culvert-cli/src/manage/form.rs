//! The form of a request: members by their wire names, lists as `Name.1`, `Name.2`.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// Letters that need no encoding in a form.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Members of a request, in the order they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A form about an endpoint.
    pub(crate) fn of(endpoint: &str) -> Self {
        Self::new().with("ClientVpnEndpointId", endpoint)
    }

    /// Adds a member.
    pub(crate) fn add(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// Adds a member if there is a value.
    pub(crate) fn add_some(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// Adds the items of a list.
    pub(crate) fn add_list<T: Display>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        for (at, value) in (1u32..).zip(values) {
            self.add(&format!("{name}.{at}"), value);
        }
    }

    /// The form with one more member.
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.add(name, value);
        self
    }

    /// The form with one more member if there is a value.
    pub(crate) fn with_some(mut self, name: &str, value: Option<impl Display>) -> Self {
        self.add_some(name, value);
        self
    }

    /// The body of the request for `action`.
    pub(crate) fn encode(&self, action: &str, version: &str) -> Zeroizing<Vec<u8>> {
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in &self.0 {
            body.push('&');
            body.extend(utf8_percent_encode(name, KEPT));
            body.push('=');
            body.extend(utf8_percent_encode(value, KEPT));
        }
        Zeroizing::new(body.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_lists_are_numbered() {
        let mut form = Form::of("cvpn-endpoint-0");
        form.add_list("DnsServers", ["10.0.0.2", "10.0.0.3"]);
        form.add("Description", "a & b=ü\n");
        form.add_some("VpnPort", None::<u16>);
        form.add_some("SplitTunnel", Some(true));
        let body = form.encode("X", "2016-11-15");
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "Action=X&Version=2016-11-15&ClientVpnEndpointId=cvpn-endpoint-0&DnsServers.1=10.0.0.2\
             &DnsServers.2=10.0.0.3&Description=a%20%26%20b%3D%C3%BC%0A&SplitTunnel=true"
        );
    }
}
