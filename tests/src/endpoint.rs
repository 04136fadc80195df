//! The configuration of one endpoint, as a test wants it.

use std::collections::BTreeMap;

use crate::server::Wrap;

/// An `[[endpoint]]` block in the making.
#[derive(Clone, Debug)]
pub struct EndpointPlan {
    pub(crate) wrap: Wrap,
    keys: BTreeMap<String, String>,
    authentication: BTreeMap<String, String>,
    targets: Vec<String>,
    rules: Vec<String>,
}

impl EndpointPlan {
    /// An endpoint with the defaults of the tests: UDP and TCP on 443, client certificates, split tunnel to the lab's
    /// host, which everybody may reach, as everybody may the other clients.
    #[must_use]
    pub fn new(name: &str, client_cidr_block: &str) -> Self {
        let mut plan = Self {
            wrap: Wrap::None,
            keys: BTreeMap::new(),
            authentication: BTreeMap::new(),
            targets: Vec::new(),
            rules: Vec::new(),
        };
        plan.set("name", &format!("\"{name}\""))
            .set("client_cidr_block", &format!("\"{client_cidr_block}\""))
            .set("transport_protocol", "[\"udp\", \"tcp\"]")
            .set("server_certificate", "\"server.crt\"")
            .set("server_private_key", "\"server.key\"")
            .set("split_tunnel", "true")
            .authentication("client_ca", "\"ca.crt\"")
            .target("10.77.0.0/24")
            .rule(client_cidr_block);
        plan
    }

    /// Sets a key; the value is TOML.
    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.keys.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a key of the authentication; the value is TOML.
    pub fn authentication(&mut self, key: &str, value: &str) -> &mut Self {
        self.authentication.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Asks for a name and password from the users file instead of a certificate.
    pub fn users_file(&mut self) -> &mut Self {
        self.authentication.remove("client_ca");
        self.authentication("users_file", "\"users\"")
    }

    /// Lets a program decide about names and passwords instead of a certificate.
    pub fn command(&mut self, program: &std::path::Path) -> &mut Self {
        self.authentication.remove("client_ca");
        self.authentication("command", &format!("[{:?}]", program.display().to_string()))
    }

    /// Adds a target network and a rule that admits everybody to it.
    pub fn target(&mut self, cidr: &str) -> &mut Self {
        self.targets.push(cidr.to_owned());
        self.rule(cidr)
    }

    /// Adds a rule that admits everybody.
    pub fn rule(&mut self, cidr: &str) -> &mut Self {
        self.rules
            .push(format!("{{ destination_cidr = \"{cidr}\", access_all = true }}"));
        self
    }

    /// Adds a target network without a rule.
    pub fn network(&mut self, cidr: &str) -> &mut Self {
        self.targets.push(cidr.to_owned());
        self
    }

    /// Adds a rule that admits a group to a network.
    pub fn group_rule(&mut self, cidr: &str, group: &str) -> &mut Self {
        self.rules.push(format!(
            "{{ destination_cidr = \"{cidr}\", group_id = \"{group}\" }}"
        ));
        self
    }

    /// Adds a rule that admits everybody, or a group, to a network with these services only.
    pub fn limited_rule(&mut self, cidr: &str, group: Option<&str>, services: &[&str]) -> &mut Self {
        let access = match group {
            Some(group) => format!("group_id = \"{group}\""),
            None => "access_all = true".to_owned(),
        };
        self.rules.push(format!(
            "{{ destination_cidr = \"{cidr}\", {access}, services = {services:?} }}"
        ));
        self
    }

    /// Replaces the rules by one that admits a group to a network.
    pub fn only_group(&mut self, cidr: &str, group: &str) -> &mut Self {
        self.deny_all().group_rule(cidr, group)
    }

    /// Removes all rules: nobody may reach anything.
    pub fn deny_all(&mut self) -> &mut Self {
        self.rules.clear();
        self
    }

    /// The block's text.
    #[must_use]
    pub fn text(&self) -> String {
        let channel = match self.wrap {
            Wrap::None => "",
            Wrap::TlsAuth => {
                "control_channel = { tls_auth = { key = \"static.key\", digest = \"SHA256\" } }\n"
            }
            Wrap::TlsCrypt => "control_channel = { tls_crypt = { key = \"static.key\" } }\n",
            Wrap::TlsCryptV2 => "control_channel = { tls_crypt_v2 = { server_key = \"v2-server.key\" } }\n",
        };
        let table = |entries: &BTreeMap<String, String>, between: &str| {
            entries
                .iter()
                .map(|(key, value)| format!("{key} = {value}"))
                .collect::<Vec<_>>()
                .join(between)
        };
        let targets: Vec<String> = self
            .targets
            .iter()
            .map(|cidr| format!("{{ cidr = \"{cidr}\", nat = false }}"))
            .collect();
        format!(
            "[[endpoint]]\n{}\n{channel}authentication = {{ {} }}\ntarget_networks = [{}]\n\
             authorization_rules = [{}]\n",
            table(&self.keys, "\n"),
            table(&self.authentication, ", "),
            targets.join(", "),
            self.rules.join(", "),
        )
    }
}

/// The text of a whole configuration.
pub(crate) fn config(endpoints: &[EndpointPlan]) -> String {
    let blocks: Vec<String> = endpoints.iter().map(EndpointPlan::text).collect();
    format!(
        "run_dir = \"run\"\nstate_dir = \"state\"\n\n[log]\nlevel = \"info\"\n\n{}",
        blocks.join("\n")
    )
}
