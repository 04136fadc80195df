//! Requests, answers and their envelopes: the vocabulary of the protocol.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::RequestError;
use crate::explain::{ExplainRequest, Explanation};
use crate::types::{ClientInfo, StatusReport};

/// Version of the protocol. Additions that an older peer may ignore keep it; anything else raises it.
pub const PROTOCOL_VERSION: u32 = 1;

/// Longest request line, in bytes, newline included.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Longest answer line, in bytes, newline included.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Most clients in one [`ClientPage`].
pub const MAX_PAGE_CLIENTS: u32 = 1_000;

/// Most clients one [`Response::Killed`] names.
pub const MAX_KILLED_LISTED: usize = 1_000;

/// A request as it stands on the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEnvelope {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u32,
    /// Chosen by the sender, repeated in the answer.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// An answer as it stands on the line: either `response` or `error` is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseEnvelope {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u32,
    /// Id of the request; 0 if the request could not be read.
    pub id: u64,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RequestError>,
}

/// What a client of the socket may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// The daemon and its endpoints; answered by [`Response::Status`].
    Status,
    /// One page of connected clients; answered by [`Response::Clients`].
    Clients(ClientSelection),
    /// Disconnect clients; answered by [`Response::Killed`].
    Kill(KillRequest),
    /// Read the configuration again; answered by [`Response::Reloaded`].
    Reload,
    /// Say what reading the configuration again would change; answered by [`Response::Planned`].
    Plan,
    /// Write a backup of the store of managed endpoints; answered by [`Response::BackedUp`].
    Backup,
    /// Say why a client may reach a destination or not; answered by [`Response::Explained`].
    Explain(ExplainRequest),
}

/// Which clients to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSelection {
    /// Only of this endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// [`ClientPage::next`] of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Most clients wanted; the daemon caps it at [`MAX_PAGE_CLIENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl ClientSelection {
    /// The number of clients the answer may hold: `limit` within 1..=[`MAX_PAGE_CLIENTS`].
    pub fn page_size(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE_CLIENTS).clamp(1, MAX_PAGE_CLIENTS) as usize
    }
}

/// Which clients to disconnect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillRequest {
    /// Only on this endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Which of its clients; every one that matches is disconnected.
    pub target: KillTarget,
}

/// How a client is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillTarget {
    /// [`ClientInfo::client_id`].
    ClientId(u64),
    /// [`ClientInfo::connection_id`].
    ConnectionId(String),
    /// User name or certificate common name, exactly.
    Name(String),
    /// Address inside the tunnel, or the address it connects from.
    Address(IpAddr),
}

impl KillTarget {
    /// Whether `client` is meant.
    pub fn matches(&self, client: &ClientInfo) -> bool {
        match self {
            Self::ClientId(id) => client.client_id == *id,
            Self::ConnectionId(id) => client.connection_id.as_ref() == Some(id),
            Self::Name(name) => {
                client.username.as_ref() == Some(name) || client.common_name.as_ref() == Some(name)
            }
            Self::Address(address) => {
                client.real_address.ip().to_canonical() == address.to_canonical()
                    || client.virtual_v4.is_some_and(|v4| IpAddr::V4(v4) == *address)
                    || client.virtual_v6.is_some_and(|v6| IpAddr::V6(v6) == *address)
            }
        }
    }
}

impl fmt::Display for KillTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientId(id) => write!(f, "client id {id}"),
            Self::ConnectionId(id) => write!(f, "connection id {id}"),
            Self::Name(name) => write!(f, "name {name:?}"),
            Self::Address(address) => write!(f, "address {address}"),
        }
    }
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Response {
    /// To [`Request::Status`].
    Status(StatusReport),
    /// To [`Request::Clients`].
    Clients(ClientPage),
    /// To [`Request::Kill`]: who was disconnected. Nobody is an error ([`crate::ErrorCode::NotFound`]).
    Killed {
        /// Each disconnected client, up to [`MAX_KILLED_LISTED`] of them.
        clients: Vec<KilledClient>,
        /// How many were disconnected on top of those listed.
        #[serde(default)]
        more: u64,
    },
    /// To [`Request::Reload`].
    Reloaded(ReloadReport),
    /// To [`Request::Plan`].
    Planned(ReloadReport),
    /// To [`Request::Backup`].
    BackedUp(BackupReport),
    /// To [`Request::Explain`].
    Explained(Box<Explanation>),
}

/// One page of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientPage {
    /// The clients.
    pub clients: Vec<ClientInfo>,
    /// Where the next page starts; opaque to the asker. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A client that was disconnected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KilledClient {
    /// [`ClientInfo::client_id`].
    pub client_id: u64,
    /// Its endpoint.
    pub endpoint: String,
    /// User name, else common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a reload changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// What is in force now, or would be, one sentence each.
    pub applied: Vec<String>,
    /// What needs the operator's attention (e.g. settings that need a restart), one sentence each.
    pub warnings: Vec<String>,
}

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Where it is, for its owner only. Whoever asked takes it away.
    pub path: PathBuf,
    /// How many keys of the store it holds.
    pub keys: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Transport;

    fn client() -> ClientInfo {
        ClientInfo {
            client_id: 7,
            endpoint: "office".into(),
            connection_id: Some("cvpn-connection-00000000000000007".into()),
            groups: vec!["staff".into()],
            common_name: Some("laptop".into()),
            username: Some("alice".into()),
            real_address: "[::ffff:198.51.100.7]:1194".parse().unwrap(),
            transport: Transport::Udp,
            virtual_v4: Some("10.8.0.6".parse().unwrap()),
            virtual_v6: Some("fd00::6".parse().unwrap()),
            connected_since_unix: 1_700_000_000,
            cipher: "AES-256-GCM".into(),
            link_rx_bytes: 1,
            link_tx_bytes: 2,
            tunnel_rx_bytes: 3,
            tunnel_tx_bytes: 4,
            iv_ver: Some("2.6.14".into()),
            iv_plat: None,
        }
    }

    #[test]
    fn a_client_is_found_by_id_either_name_and_each_address() {
        for target in [
            KillTarget::ClientId(7),
            KillTarget::ConnectionId("cvpn-connection-00000000000000007".into()),
            KillTarget::Name("alice".into()),
            KillTarget::Name("laptop".into()),
            KillTarget::Address("198.51.100.7".parse().unwrap()),
            KillTarget::Address("10.8.0.6".parse().unwrap()),
            KillTarget::Address("fd00::6".parse().unwrap()),
        ] {
            assert!(target.matches(&client()), "{target}");
        }
        for target in [
            KillTarget::ClientId(8),
            KillTarget::Name("Alice".into()),
            KillTarget::Name(String::new()),
            KillTarget::Address("10.8.0.7".parse().unwrap()),
        ] {
            assert!(!target.matches(&client()), "{target}");
        }
    }

    #[test]
    fn the_lines_look_as_documented() {
        let request = RequestEnvelope {
            version: 1,
            id: 1,
            request: Request::Kill(KillRequest {
                endpoint: None,
                target: KillTarget::Name("alice".into()),
            }),
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"version":1,"id":1,"request":{"op":"kill","target":{"name":"alice"}}}"#
        );
        let status: RequestEnvelope =
            serde_json::from_str(r#"{"version":1,"id":2,"request":{"op":"status"}}"#).unwrap();
        assert_eq!(status.request, Request::Status);
        let page: RequestEnvelope =
            serde_json::from_str(r#"{"version":1,"id":2,"request":{"op":"clients"}}"#).unwrap();
        assert_eq!(page.request, Request::Clients(ClientSelection::default()));
    }

    #[test]
    fn page_size_is_never_zero_nor_above_the_cap() {
        let of = |limit| {
            ClientSelection {
                limit,
                ..Default::default()
            }
            .page_size()
        };
        assert_eq!(of(None), MAX_PAGE_CLIENTS as usize);
        assert_eq!(of(Some(0)), 1);
        assert_eq!(of(Some(u32::MAX)), MAX_PAGE_CLIENTS as usize);
    }

    #[test]
    fn a_full_page_of_long_named_clients_fits_the_answer_limit() {
        let mut long = client();
        long.common_name = Some("c".repeat(256));
        long.username = Some("u".repeat(512));
        long.iv_ver = Some("v".repeat(256));
        long.iv_plat = Some("p".repeat(256));
        let page = Response::Clients(ClientPage {
            clients: vec![long; MAX_PAGE_CLIENTS as usize],
            next: Some("x".repeat(64)),
        });
        assert!(serde_json::to_vec(&page).unwrap().len() < MAX_RESPONSE_BYTES / 2);
    }
}
