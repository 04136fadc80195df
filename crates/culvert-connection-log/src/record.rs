//! One entry of a connection log.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use time::OffsetDateTime;

/// What a field says that has nothing to say.
const NOTHING: &str = "NA";

/// What is known of a client, whether it was let in or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `cvpn-connection-` and 17 hex digits.
    pub connection_id: String,
    /// The endpoint.
    pub endpoint_id: String,
    /// What it came by.
    pub transport: Transport,
    /// Common name of its certificate.
    pub common_name: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// What it says it runs on: `win`, `mac`, `linux` for instance.
    pub device_type: Option<String>,
    /// Where it came from.
    pub device_ip: IpAddr,
    /// Its port there.
    pub port: u16,
    /// What a connect handler found out about its device; `None` where none was asked.
    pub posture: Option<Vec<String>>,
}

/// What is spoken outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// The connection of a client that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it was let in.
    pub started: OffsetDateTime,
    /// Its address inside.
    pub client_ip: Option<Ipv4Addr>,
    /// Its IPv6 address inside.
    pub client_ip_v6: Option<Ipv6Addr>,
    /// What was carried so far.
    pub counters: Counters,
}

/// What was carried for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes from the client.
    pub ingress_bytes: u64,
    /// Bytes to the client.
    pub egress_bytes: u64,
    /// Packets from the client.
    pub ingress_packets: u64,
    /// Packets to the client.
    pub egress_packets: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The client was let in, or still is: then the counters are new ones.
    Successful(Session),
    /// The client was turned away, for this reason.
    Failed(String),
    /// The connection of a client that was let in has ended.
    Reset(Session),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who.
    pub client: Client,
    /// What.
    pub attempt: Attempt,
    /// When: the time of the entry.
    pub at: OffsetDateTime,
}

/// The entry as it is written. Every value is a text.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Fields<'a> {
    connection_log_type: &'static str,
    connection_attempt_status: &'static str,
    connection_reset_status: &'static str,
    connection_attempt_failure_reason: &'a str,
    connection_id: &'a str,
    client_vpn_endpoint_id: &'a str,
    transport_protocol: &'static str,
    connection_start_time: String,
    connection_last_update_time: String,
    client_ip: String,
    client_ip_v6: String,
    common_name: &'a str,
    device_type: &'a str,
    device_ip: String,
    port: String,
    ingress_bytes: String,
    egress_bytes: String,
    ingress_packets: String,
    egress_packets: String,
    connection_end_time: String,
    connection_duration_seconds: String,
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    posture_compliance_statuses: Option<String>,
}

impl Record {
    /// The entry as one line of JSON, without an end of line.
    pub fn line(&self) -> String {
        // Text and nothing else: there is nothing that could fail.
        serde_json::to_string(&self.fields()).unwrap_or_default()
    }

    /// The fields with their values.
    pub(crate) fn texts(&self) -> Vec<(String, String)> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self.fields()) else {
            return Vec::new();
        };
        let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
        fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, text(value)?)))
            .collect()
    }

    fn fields(&self) -> Fields<'_> {
        let (kind, status, reason) = match &self.attempt {
            Attempt::Successful(_) => ("connection-attempt", "successful", NOTHING),
            Attempt::Failed(reason) => ("connection-attempt", "failed", reason.as_str()),
            Attempt::Reset(_) => ("connection-reset", NOTHING, NOTHING),
        };
        let (session, ended) = match &self.attempt {
            Attempt::Successful(session) => (Some(session), false),
            Attempt::Reset(session) => (Some(session), true),
            Attempt::Failed(_) => (None, false),
        };
        let (client, counters) = (
            &self.client,
            session.map_or_else(Counters::default, |session| session.counters),
        );
        Fields {
            connection_log_type: kind,
            connection_attempt_status: status,
            connection_reset_status: NOTHING,
            connection_attempt_failure_reason: reason,
            connection_id: &client.connection_id,
            client_vpn_endpoint_id: &client.endpoint_id,
            transport_protocol: client.transport.name(),
            connection_start_time: session.map_or_else(nothing, |session| moment(session.started)),
            connection_last_update_time: moment(self.at),
            client_ip: session
                .and_then(|session| session.client_ip)
                .map_or_else(nothing, |address| address.to_string()),
            client_ip_v6: session
                .and_then(|session| session.client_ip_v6)
                .map_or_else(nothing, |address| address.to_string()),
            common_name: or_nothing(client.common_name.as_deref()),
            device_type: or_nothing(client.device_type.as_deref()),
            // A client of a socket for both families is one of IPv4 where its address says so.
            device_ip: client.device_ip.to_canonical().to_string(),
            port: client.port.to_string(),
            ingress_bytes: counters.ingress_bytes.to_string(),
            egress_bytes: counters.egress_bytes.to_string(),
            ingress_packets: counters.ingress_packets.to_string(),
            egress_packets: counters.egress_packets.to_string(),
            connection_end_time: if ended { moment(self.at) } else { nothing() },
            connection_duration_seconds: session.map_or_else(nothing, |session| self.duration(session)),
            username: or_nothing(client.username.as_deref()),
            posture_compliance_statuses: client.posture.as_deref().map(list),
        }
    }

    /// How long a session has lasted. A clock that was set back makes no negative number.
    fn duration(&self, session: &Session) -> String {
        (self.at - session.started).whole_seconds().max(0).to_string()
    }
}

fn nothing() -> String {
    NOTHING.to_owned()
}

fn or_nothing(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or(NOTHING)
}

/// A list as the text of a JSON array: every value is a text.
fn list(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

/// `YYYY-MM-DD hh:mm:ss`, UTC.
fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::utc;

    fn client() -> Client {
        Client {
            connection_id: "cvpn-connection-0a1b2c3d4e5f60718".into(),
            endpoint_id: "cvpn-endpoint-0f0e0d0c0b0a09080".into(),
            transport: Transport::Udp,
            common_name: Some("laptop-17.corp.test".into()),
            username: None,
            device_type: Some("linux".into()),
            device_ip: "::ffff:198.51.100.23".parse().unwrap(),
            port: 41822,
            posture: None,
        }
    }

    fn session() -> Session {
        Session {
            started: utc((2026, 11, 22), (9, 14, 3)),
            client_ip: "10.8.0.130".parse().ok(),
            client_ip_v6: None,
            counters: Counters {
                ingress_bytes: 88213,
                egress_bytes: 1_203_377,
                ingress_packets: 412,
                egress_packets: 998,
            },
        }
    }

    fn written(client: Client, attempt: Attempt) -> Value {
        let record = Record {
            client,
            attempt,
            at: utc((2026, 11, 22), (9, 19, 3)).to_offset(time::UtcOffset::from_hms(1, 0, 0).unwrap()),
        };
        let line = record.line();
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_connection_is_told_with_every_field_a_text() {
        let wanted = json!({
            "connection-log-type": "connection-attempt",
            "connection-attempt-status": "successful",
            "connection-reset-status": "NA",
            "connection-attempt-failure-reason": "NA",
            "connection-id": "cvpn-connection-0a1b2c3d4e5f60718",
            "client-vpn-endpoint-id": "cvpn-endpoint-0f0e0d0c0b0a09080",
            "transport-protocol": "udp",
            "connection-start-time": "2026-11-22 09:14:03",
            "connection-last-update-time": "2026-11-22 09:19:03",
            "client-ip": "10.8.0.130",
            "client-ip-v6": "NA",
            "common-name": "laptop-17.corp.test",
            "device-type": "linux",
            "device-ip": "198.51.100.23",
            "port": "41822",
            "ingress-bytes": "88213",
            "egress-bytes": "1203377",
            "ingress-packets": "412",
            "egress-packets": "998",
            "connection-end-time": "NA",
            "connection-duration-seconds": "300",
            "username": "NA",
        });
        assert_eq!(written(client(), Attempt::Successful(session())), wanted);
    }

    #[test]
    fn the_end_has_a_time_and_no_status_of_an_attempt() {
        let ended = written(client(), Attempt::Reset(session()));
        for (key, value) in [
            ("connection-log-type", "connection-reset"),
            ("connection-attempt-status", "NA"),
            ("connection-reset-status", "NA"),
            ("connection-end-time", "2026-11-22 09:19:03"),
            ("connection-duration-seconds", "300"),
            ("egress-bytes", "1203377"),
        ] {
            assert_eq!(ended[key], value, "{key}");
        }
    }

    #[test]
    fn who_was_not_let_in_has_a_reason_and_no_session() {
        let who = Client {
            username: Some("ana@corp.test".into()),
            common_name: None,
            transport: Transport::Tcp,
            ..client()
        };
        let failed = written(who, Attempt::Failed("authentication-failed".into()));
        for (key, value) in [
            ("connection-log-type", "connection-attempt"),
            ("connection-attempt-status", "failed"),
            ("connection-attempt-failure-reason", "authentication-failed"),
            ("connection-start-time", "NA"),
            ("connection-last-update-time", "2026-11-22 09:19:03"),
            ("connection-end-time", "NA"),
            ("connection-duration-seconds", "NA"),
            ("client-ip", "NA"),
            ("ingress-bytes", "0"),
            ("username", "ana@corp.test"),
            ("common-name", "NA"),
            ("transport-protocol", "tcp"),
        ] {
            assert_eq!(failed[key], value, "{key}");
        }
    }

    #[test]
    fn what_a_handler_found_out_is_told_only_where_one_was_asked() {
        let without = written(client(), Attempt::Successful(session()));
        assert_eq!(without.get("posture-compliance-statuses"), None);
        let asked = Client {
            posture: Some(vec!["compliant".into(), "a \"b\"".into()]),
            ..client()
        };
        let with = written(asked, Attempt::Successful(session()));
        let list = with["posture-compliance-statuses"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(list).unwrap(),
            json!(["compliant", "a \"b\""])
        );
    }

    #[test]
    fn what_clients_say_about_themselves_stays_one_field() {
        let hostile = Client {
            username: Some("a\",\"port\":\"1\"}\n{".into()),
            device_type: Some(String::new()),
            ..client()
        };
        let told = written(hostile, Attempt::Failed("authentication-failed".into()));
        assert_eq!(told["username"], "a\",\"port\":\"1\"}\n{");
        assert_eq!(
            (told["port"].as_str(), told["device-type"].as_str()),
            (Some("41822"), Some("NA"))
        );
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_negative_duration() {
        let late = Session {
            started: utc((2026, 11, 22), (12, 0, 0)),
            ..session()
        };
        let told = written(client(), Attempt::Reset(late));
        assert_eq!(told["connection-duration-seconds"], "0");
    }
}
