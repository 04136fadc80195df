//! What an endpoint's connection log is told: attempts, counters while a connection lasts, and its end.

use std::sync::Arc;
use std::time::Duration;

use culvert_config::{ConnectionLog, EndpointConfig};
use culvert_connection_log::{Attempt, Client, Counters, Record, Session, Transport};
use culvert_core::{ClientId, ClientStatus, Event, RefusalKind, Refused, Server};
use culvert_wire::{LinkAddr, Transport as LinkTransport};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::connection_ids::ConnectionIds;
use super::ledger::{at, now};
use crate::connection_log::Writers;

/// Connections whose counters are told at a time, so that the control thread sees to other things in between.
const PAGE: usize = 256;
/// The time between two such pages, so that the writer keeps up.
const PAUSE: Duration = Duration::from_millis(20);

/// The log of one endpoint.
pub(super) struct EndpointLog {
    writers: Arc<Writers>,
    endpoint: String,
    ids: ConnectionIds,
    target: Target,
    /// When counters are next told.
    due: Instant,
    /// Whose counters were told last in this round; `None` between two rounds.
    told: Option<ClientId>,
}

/// Where records go, and what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    log: Option<ConnectionLog>,
    /// A connect handler is asked, so there is something to tell about devices.
    asks_handler: bool,
}

impl Target {
    /// What an endpoint's configuration says.
    pub(super) fn of(config: &EndpointConfig) -> Self {
        Self {
            log: config.connection_log.clone(),
            asks_handler: config.connect_handler.is_some(),
        }
    }
}

impl EndpointLog {
    /// The log of an endpoint that starts.
    pub(super) fn new(writers: Arc<Writers>, endpoint: &str, ids: ConnectionIds, target: Target) -> Self {
        let mut log = Self {
            writers,
            endpoint: endpoint.to_owned(),
            ids,
            target: Target::default(),
            due: Instant::now(),
            told: None,
        };
        log.replace(target);
        log
    }

    /// Writes elsewhere, or otherwise, from now on.
    pub(super) fn replace(&mut self, target: Target) {
        if self.target != target {
            self.target = target;
            self.told = None;
            self.due = Instant::now() + self.interval().unwrap_or_default();
        }
    }

    fn interval(&self) -> Option<Duration> {
        self.target.log.as_ref().map(|log| log.update_interval)
    }

    /// When [`Self::update`] is to be called; `None`: not at all.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.target.log.is_some().then_some(self.due)
    }

    /// Tells the counters of connections whose time has come.
    pub(super) fn update(&mut self, server: &Server) {
        let Some(interval) = self.interval() else { return };
        let began = Instant::now();
        if began < self.due {
            return;
        }
        let page: Vec<ClientStatus> = server.clients_after(self.told).take(PAGE).collect();
        for status in &page {
            self.write(self.session(status, Attempt::Successful));
        }
        let more = page.len() == PAGE;
        self.told = page.last().map(|status| status.client).filter(|_| more);
        self.due = began + if more { PAUSE } else { interval };
    }

    /// Tells what happened, if it belongs into a connection log.
    pub(super) fn event(&self, event: &Event) {
        if self.target.log.is_none() {
            return;
        }
        match event {
            Event::Connected(status) => self.write(self.session(status, Attempt::Successful)),
            Event::Disconnected { status, .. } => self.write(self.session(status, Attempt::Reset)),
            Event::Refused(refused) => {
                if let Some(reason) = failure_reason(refused) {
                    self.write(self.failure(refused, reason));
                }
            }
            _ => {}
        }
    }

    fn write(&self, record: Record) {
        if let Some(log) = &self.target.log {
            self.writers.write(log, record);
        }
    }

    fn session(&self, status: &ClientStatus, attempt: impl FnOnce(Session) -> Attempt) -> Record {
        let certificate = status.certificate.as_ref();
        let client = Client {
            common_name: certificate.map(|certificate| certificate.common_name.clone()),
            username: status.username.clone(),
            device_type: status.peer_info.iv_plat().map(str::to_owned),
            posture: self.target.asks_handler.then(|| status.posture.clone()),
            ..self.client(status.client, &status.link)
        };
        let session = Session {
            started: at(status.connected_unix),
            client_ip: status.v4,
            client_ip_v6: status.v6,
            counters: Counters {
                ingress_bytes: status.stats.tun_rx_bytes,
                egress_bytes: status.stats.tun_tx_bytes,
                ingress_packets: status.stats.tun_rx_packets,
                egress_packets: status.stats.tun_tx_packets,
            },
        };
        record(client, attempt(session), now())
    }

    fn failure(&self, refused: &Refused, reason: &str) -> Record {
        let presented = &refused.presented;
        let client = Client {
            common_name: presented.common_name.clone(),
            username: presented.username.clone(),
            device_type: presented.platform.clone(),
            ..self.client(refused.client, &refused.link)
        };
        record(client, Attempt::Failed(reason.to_owned()), now())
    }

    /// What is known of any client that knocked.
    fn client(&self, client: ClientId, link: &LinkAddr) -> Client {
        let remote = link.remote();
        Client {
            connection_id: self.ids.of(client).to_string(),
            endpoint_id: self.endpoint.clone(),
            transport: match link.transport() {
                LinkTransport::Udp => Transport::Udp,
                LinkTransport::Tcp => Transport::Tcp,
            },
            common_name: None,
            username: None,
            device_type: None,
            device_ip: remote.ip(),
            port: remote.port(),
            posture: None,
        }
    }
}

fn record(client: Client, attempt: Attempt, at: OffsetDateTime) -> Record {
    Record { client, attempt, at }
}

/// The reason an attempt failed for, as the log has it; `None` for what is no failed attempt: strangers that never showed a
/// certificate or password worth judging, those who left by themselves, and those who were asked a question.
fn failure_reason(refused: &Refused) -> Option<&'static str> {
    match refused.kind {
        RefusalKind::Handshake
        | RefusalKind::HandshakeTimeout
        | RefusalKind::Evicted
        | RefusalKind::ClientKey
        | RefusalKind::Gone
        | RefusalKind::Challenged => None,
        RefusalKind::Rejected => Some(refused.code.unwrap_or("authentication-failed")),
        RefusalKind::MissingCredentials => Some("authentication-failed"),
        RefusalKind::TokenExpired => Some("authentication-token-expired"),
        RefusalKind::VerdictTimeout => Some("authentication-timed-out"),
        RefusalKind::NoSharedCipher => Some("no-shared-cipher"),
        RefusalKind::Unsupported => Some("unsupported-options"),
        RefusalKind::PoolExhausted => Some("no-free-address"),
        RefusalKind::Address => Some("address-not-available"),
        RefusalKind::TooManyClients => Some("too-many-clients"),
        RefusalKind::ShuttingDown => Some("endpoint-stopping"),
        _ => Some("internal-error"),
    }
}

#[cfg(test)]
mod tests {
    use culvert_config::{LogGroup, LogSink, Rotation};
    use culvert_core::Presented;
    use culvert_wire::TcpLink;

    use super::*;

    fn refused(kind: RefusalKind, code: Option<&'static str>) -> Refused {
        Refused {
            client: ClientId(7),
            link: LinkAddr::Tcp(TcpLink {
                id: 1,
                remote: "[::ffff:198.51.100.23]:41822".parse().unwrap(),
            }),
            presented: Presented {
                username: Some("ana".into()),
                common_name: Some("laptop".into()),
                platform: Some("win".into()),
            },
            kind,
            code,
            reason: "password mismatch".into(),
        }
    }

    #[test]
    fn each_refusal_of_somebody_who_tried_has_a_reason_and_strangers_have_none() {
        let reason = |kind, code| failure_reason(&refused(kind, code));
        assert_eq!(reason(RefusalKind::Rejected, None), Some("authentication-failed"));
        let named = Some("client-connect-handler-timed-out");
        assert_eq!(reason(RefusalKind::Rejected, named), named);
        assert_eq!(reason(RefusalKind::PoolExhausted, None), Some("no-free-address"));
        for stranger in [
            RefusalKind::Handshake,
            RefusalKind::Evicted,
            RefusalKind::HandshakeTimeout,
            RefusalKind::Gone,
        ] {
            assert_eq!(reason(stranger, None), None);
        }
    }

    #[test]
    fn a_failed_attempt_is_written_where_the_endpoint_says_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let group = LogGroup {
            name: "g".into(),
            sink: LogSink::Files {
                folder: folder.path().into(),
                rotation: Rotation::default(),
            },
            update_interval: Duration::from_secs(60),
        };
        let writers = Arc::new(Writers::new("/nonexistent".into()));
        writers.open(std::slice::from_ref(&group)).unwrap();
        let ids = ConnectionIds::new();
        let mut log = EndpointLog::new(Arc::clone(&writers), "office", ids, Target::default());
        let event = Event::Refused(Box::new(refused(RefusalKind::Rejected, None)));
        log.event(&event);
        assert_eq!(log.wake_at(), None);
        log.replace(Target {
            log: Some(group.stream("s")),
            asks_handler: false,
        });
        log.event(&event);
        assert!(log.wake_at().is_some());
        log.replace(Target::default());
        log.event(&event);
        writers.close();
        let text = std::fs::read_to_string(folder.path().join("g/s.log")).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let id = ids.of(ClientId(7)).to_string();
        for part in [
            "\"connection-attempt-failure-reason\":\"authentication-failed\"",
            "\"username\":\"ana\"",
            "\"common-name\":\"laptop\"",
            "\"device-type\":\"win\"",
            "\"device-ip\":\"198.51.100.23\"",
            "\"port\":\"41822\"",
            "\"transport-protocol\":\"tcp\"",
            "\"client-vpn-endpoint-id\":\"office\"",
            &id,
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
