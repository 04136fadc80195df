//! What a handler is asked.

use std::net::IpAddr;

use serde::Serialize;

/// A client that wants to connect, and has proved who it is. Texts the client chose are untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Id of the connection it is about to have.
    pub connection_id: String,
    /// Id, or name, of the endpoint.
    pub endpoint_id: String,
    /// Common name of the client's certificate; empty without one.
    pub common_name: String,
    /// User name; empty where only certificates are asked for.
    pub username: String,
    /// What the client runs on, as it says: `win`, `mac`, `linux`.
    pub platform: String,
    /// Its version, as the client says.
    pub platform_version: String,
    /// Where the client comes from.
    pub public_ip: IpAddr,
    /// Version of the client, as it says.
    pub client_openvpn_version: String,
    /// Groups of the user.
    pub groups: Vec<String>,
    /// Version of the client provided by AWS, as it says; empty for others.
    pub aws_client_version: String,
}

/// The form of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaVersion {
    /// Without groups.
    V1,
    /// With groups.
    V2,
    /// With the version of the client provided by AWS as well.
    #[default]
    V3,
}

impl SchemaVersion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];

    /// The name in questions and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// The version with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }
}

/// How groups are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupsForm {
    /// A list of texts.
    #[default]
    List,
    /// One text, commas between the groups.
    Text,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Wire<'a> {
    connection_id: &'a str,
    endpoint_id: &'a str,
    common_name: &'a str,
    username: &'a str,
    platform: &'a str,
    platform_version: &'a str,
    public_ip: IpAddr,
    client_openvpn_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Groups<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_client_version: Option<&'a str>,
    schema_version: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Groups<'a> {
    List(&'a [String]),
    Text(String),
}

impl Question {
    /// The question as JSON.
    pub(crate) fn to_json(&self, version: SchemaVersion, form: GroupsForm) -> serde_json::Result<Vec<u8>> {
        let groups = || match form {
            GroupsForm::List => Groups::List(&self.groups),
            GroupsForm::Text => Groups::Text(self.groups.join(",")),
        };
        serde_json::to_vec(&Wire {
            connection_id: &self.connection_id,
            endpoint_id: &self.endpoint_id,
            common_name: &self.common_name,
            username: &self.username,
            platform: &self.platform,
            platform_version: &self.platform_version,
            public_ip: self.public_ip.to_canonical(),
            client_openvpn_version: &self.client_openvpn_version,
            groups: (version != SchemaVersion::V1).then(groups),
            aws_client_version: (version == SchemaVersion::V3).then_some(&self.aws_client_version),
            schema_version: version.name(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn question() -> Question {
        Question {
            connection_id: "cvpn-connection-0a1b2c3d4e5f60718".into(),
            endpoint_id: "cvpn-endpoint-0f0e0d0c0b0a09080".into(),
            common_name: "laptop-17".into(),
            username: "ana".into(),
            platform: "linux".into(),
            platform_version: String::new(),
            public_ip: "::ffff:198.51.100.23".parse().unwrap(),
            client_openvpn_version: "2.6.14".into(),
            groups: vec!["ops".into(), "staff".into()],
            aws_client_version: "5.3.1".into(),
        }
    }

    fn written(version: SchemaVersion, form: GroupsForm) -> serde_json::Value {
        serde_json::from_slice(&question().to_json(version, form).unwrap()).unwrap()
    }

    #[test]
    fn each_version_has_its_fields() {
        let mut wanted = serde_json::json!({
            "connection-id": "cvpn-connection-0a1b2c3d4e5f60718",
            "endpoint-id": "cvpn-endpoint-0f0e0d0c0b0a09080",
            "common-name": "laptop-17",
            "username": "ana",
            "platform": "linux",
            "platform-version": "",
            "public-ip": "198.51.100.23",
            "client-openvpn-version": "2.6.14",
            "schema-version": "v1",
        });
        assert_eq!(written(SchemaVersion::V1, GroupsForm::List), wanted);
        wanted["schema-version"] = "v2".into();
        wanted["groups"] = "ops,staff".into();
        assert_eq!(written(SchemaVersion::V2, GroupsForm::Text), wanted);
        wanted["schema-version"] = "v3".into();
        wanted["groups"] = serde_json::json!(["ops", "staff"]);
        wanted["aws-client-version"] = "5.3.1".into();
        assert_eq!(written(SchemaVersion::V3, GroupsForm::List), wanted);
    }
}
