//! Who is and was connected to endpoints that are managed at run time: what management tells about connections, and how
//! it ends them. Written when a client comes or goes, never for a packet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use culvert_core::{ClientId, ClientStatus};
use culvert_service::{
    Connection, ConnectionId, ConnectionState, EndpointId, Termination, Tunnels, TunnelsError,
};
use time::{Duration, OffsetDateTime};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::control::Command;
use super::live::PATIENCE;
use crate::clock;

/// How long an ended connection is told of.
const KEPT: Duration = Duration::minutes(60);
/// The most ended connections of an endpoint that are remembered; then the oldest are forgotten earlier.
const MOST_ENDED: usize = 1 << 16;
/// Clients asked for at a time, so that the control thread sees to other things in between.
const PAGE: usize = 1024;

/// The books of all managed endpoints, by their ids. They outlive a restart of an endpoint.
pub(crate) struct Ledger {
    books: Mutex<HashMap<EndpointId, Arc<Book>>>,
    runtime: Handle,
}

/// The connections of one endpoint.
pub(crate) struct Book {
    endpoint: EndpointId,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    /// Towards the control thread, which ends when nobody but this could ask it.
    commands: Option<mpsc::WeakSender<Command>>,
    live: HashMap<ClientId, Live>,
    /// In the order they ended.
    ended: VecDeque<Connection>,
}

#[derive(Clone)]
struct Live {
    id: ConnectionId,
    state: ConnectionState,
}

impl Ledger {
    /// An empty one. Whoever calls it through [`Tunnels`] may block, and must not be a task of this runtime.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            books: Mutex::default(),
            runtime,
        }
    }

    /// The book of an endpoint that starts; `None` if it isn't managed at run time.
    pub(crate) fn open(&self, endpoint: &str, commands: &mpsc::Sender<Command>) -> Option<Arc<Book>> {
        let id: EndpointId = endpoint.parse().ok()?;
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry(id.clone()).or_insert_with(|| {
            Arc::new(Book {
                endpoint: id,
                pages: Mutex::default(),
            })
        });
        book.pages().commands = Some(commands.downgrade());
        Some(Arc::clone(book))
    }

    /// Forgets an endpoint that is deleted.
    pub(crate) fn forget(&self, endpoint: &EndpointId) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.remove(endpoint);
    }

    fn book(&self, endpoint: &EndpointId) -> Option<Arc<Book>> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.get(endpoint).map(Arc::clone)
    }

    /// Asks a control thread; `None` if the endpoint doesn't run any more.
    fn ask<T>(
        &self,
        commands: &mpsc::Sender<Command>,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<Option<T>, TunnelsError> {
        let (answer, answered) = oneshot::channel();
        let command = command(answer);
        let asked = async {
            commands.send(command).await.ok()?;
            answered.await.ok()
        };
        // The timer needs the runtime's context, which `block_on` gives.
        let patient = async { timeout(PATIENCE, asked).await };
        self.runtime
            .block_on(patient)
            .map_err(|_| TunnelsError("its control thread is busy or stuck".to_owned()))
    }

    /// Everybody who is connected, with counters as of now.
    fn statuses(&self, commands: &mpsc::Sender<Command>) -> Result<Vec<ClientStatus>, TunnelsError> {
        let mut all: Vec<ClientStatus> = Vec::new();
        loop {
            let after = all.last().map(|status| status.client);
            let page = self.ask(commands, |answer| Command::Clients(after, PAGE, answer))?;
            let Some(mut page) = page.filter(|page| !page.is_empty()) else {
                return Ok(all);
            };
            let last = page.len() < PAGE;
            all.append(&mut page);
            if last {
                return Ok(all);
            }
        }
    }
}

impl Tunnels for Ledger {
    fn connections(&self, endpoint: &EndpointId) -> Result<Vec<Connection>, TunnelsError> {
        let Some(book) = self.book(endpoint) else {
            return Ok(Vec::new());
        };
        let statuses = match book.commands() {
            Some(commands) => self.statuses(&commands)?,
            None => Vec::new(),
        };
        Ok(book.connections(&statuses, now()))
    }

    fn terminate(
        &self,
        endpoint: &EndpointId,
        connections: &[ConnectionId],
    ) -> Result<Vec<Termination>, TunnelsError> {
        let Some(book) = self.book(endpoint) else {
            return Ok(Vec::new());
        };
        let (clients, answers) = book.terminating(connections);
        if let Some(commands) = book.commands().filter(|_| !clients.is_empty()) {
            self.ask(&commands, |answer| Command::Disconnect(clients, answer))?;
        }
        Ok(answers)
    }
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Towards the control thread, while the endpoint runs.
    fn commands(&self) -> Option<mpsc::Sender<Command>> {
        self.pages().commands.as_ref()?.upgrade()
    }

    /// Notes a client that was let in; its connection has this id.
    pub(crate) fn connected(&self, client: ClientId, id: ConnectionId) {
        let live = Live {
            id,
            state: ConnectionState::Active,
        };
        self.pages().live.insert(client, live);
    }

    /// Notes a client that is gone; `status` is its last one.
    pub(crate) fn disconnected(&self, status: &ClientStatus, now: OffsetDateTime) {
        let mut pages = self.pages();
        let Some(live) = pages.live.remove(&status.client) else {
            return;
        };
        let connection = Connection {
            state: ConnectionState::Terminated,
            ended: Some(now),
            ..self.connection(live, status, now)
        };
        pages.forget(now);
        if pages.ended.len() == MOST_ENDED {
            pages.ended.pop_front();
        }
        pages.ended.push_back(connection);
    }

    /// The endpoint has stopped. Its clients are gone already: it told them, and waited.
    pub(crate) fn close(&self) {
        let mut pages = self.pages();
        pages.commands = None;
        pages.live.clear();
    }

    fn connections(&self, statuses: &[ClientStatus], now: OffsetDateTime) -> Vec<Connection> {
        let mut pages = self.pages();
        pages.forget(now);
        let mut connections: Vec<Connection> = pages.ended.iter().cloned().collect();
        // Who came or went since the statuses were taken is told of next time.
        for status in statuses {
            if let Some(live) = pages.live.get(&status.client) {
                connections.push(self.connection(live.clone(), status, now));
            }
        }
        connections.sort_by(|a, b| (a.established, &a.id).cmp(&(b.established, &b.id)));
        connections
    }

    /// The clients of connections that are to be ended, which are marked so, and what to say about each.
    fn terminating(&self, connections: &[ConnectionId]) -> (Vec<ClientId>, Vec<Termination>) {
        let mut pages = self.pages();
        let (mut clients, mut answers) = (Vec::new(), Vec::new());
        for id in connections {
            let mut live = pages.live.iter_mut();
            if let Some((client, live)) = live.find(|(_, live)| live.id == *id) {
                clients.push(*client);
                answers.push(Termination {
                    id: id.clone(),
                    previous: live.state,
                    current: ConnectionState::Terminating,
                });
                live.state = ConnectionState::Terminating;
            } else if pages.ended.iter().any(|ended| ended.id == *id) {
                answers.push(Termination {
                    id: id.clone(),
                    previous: ConnectionState::Terminated,
                    current: ConnectionState::Terminated,
                });
            }
        }
        (clients, answers)
    }

    fn connection(&self, live: Live, status: &ClientStatus, now: OffsetDateTime) -> Connection {
        let certificate = status.certificate.as_ref();
        let name = certificate.map(|certificate| certificate.common_name.clone());
        Connection {
            id: live.id,
            endpoint: self.endpoint.clone(),
            timestamp: now,
            username: status.username.clone(),
            common_name: name.or_else(|| status.username.clone()),
            established: at(status.connected_unix),
            ingress_bytes: status.stats.tun_rx_bytes,
            egress_bytes: status.stats.tun_tx_bytes,
            ingress_packets: status.stats.tun_rx_packets,
            egress_packets: status.stats.tun_tx_packets,
            client_ip: status.v4,
            client_ipv6: status.v6,
            state: live.state,
            ended: None,
            posture: status.posture.clone(),
        }
    }
}

impl Pages {
    /// Forgets what ended too long ago.
    fn forget(&mut self, now: OffsetDateTime) {
        let old = |connection: &Connection| connection.ended.is_none_or(|ended| now - ended > KEPT);
        while self.ended.front().is_some_and(old) {
            self.ended.pop_front();
        }
    }
}

/// The time, to the second.
pub(crate) fn now() -> OffsetDateTime {
    at(clock::now().unix)
}

/// A moment of the Unix clock.
pub(crate) fn at(unix: u64) -> OffsetDateTime {
    let unix = i64::try_from(unix).ok();
    unix.and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use culvert_crypto::DataCipher;
    use culvert_data::PeerStats;
    use culvert_wire::peer_info::PeerInfo;
    use culvert_wire::{LinkAddr, PeerId, TcpLink};

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(20_000));

    fn book() -> Book {
        Book {
            endpoint: EndpointId::from_random([1; 9]),
            pages: Mutex::default(),
        }
    }

    fn id(number: u8) -> ConnectionId {
        ConnectionId::from_random([number; 9])
    }

    /// A client that logged in as `user-<client>` so many minutes before now and sent some packets.
    fn status(client: u64, minutes_ago: i64) -> ClientStatus {
        let connected = NOW - Duration::minutes(minutes_ago);
        ClientStatus {
            client: ClientId(client),
            peer: PeerId::new(u32::try_from(client).unwrap()).unwrap(),
            link: LinkAddr::Tcp(TcpLink {
                id: client,
                remote: "192.0.2.1:50000".parse().unwrap(),
            }),
            username: Some(format!("user-{client}")),
            groups: Vec::new(),
            posture: vec!["compliant".to_owned()],
            certificate: None,
            peer_info: PeerInfo::default(),
            v4: "10.8.0.2".parse().ok(),
            v6: None,
            cipher: DataCipher::Aes256Gcm,
            connected_at: Instant::now(),
            connected_unix: u64::try_from(connected.unix_timestamp()).unwrap(),
            renegotiations: 0,
            stats: PeerStats {
                tun_rx_bytes: 100,
                tun_rx_packets: 2,
                tun_tx_bytes: 300,
                tun_tx_packets: 4,
                ..PeerStats::default()
            },
        }
    }

    #[test]
    fn a_connection_is_told_of_while_it_lives_and_for_an_hour_after() {
        let (book, alice, bob) = (book(), status(1, 30), status(2, 90));
        book.connected(alice.client, id(1));
        book.connected(bob.client, id(2));
        let told = book.connections(&[alice.clone(), bob.clone()], NOW);
        assert_eq!(
            told[0].username.as_deref(),
            Some("user-2"),
            "the eldest comes first"
        );
        let of_alice = &told[1];
        assert_eq!(of_alice.common_name.as_deref(), Some("user-1"));
        assert_eq!(of_alice.posture, ["compliant"]);
        assert_eq!((of_alice.ingress_bytes, of_alice.ingress_packets), (100, 2));
        assert_eq!((of_alice.egress_bytes, of_alice.egress_packets), (300, 4));
        assert_eq!((of_alice.state, of_alice.ended), (ConnectionState::Active, None));
        book.disconnected(&alice, NOW);
        let later = NOW + KEPT;
        let told = book.connections(std::slice::from_ref(&bob), later);
        let ended = Connection {
            state: ConnectionState::Terminated,
            ended: Some(NOW),
            ..of_alice.clone()
        };
        assert_eq!(told[1], ended);
        let told = book.connections(&[bob], later + Duration::seconds(1));
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn what_becomes_of_a_connection_is_told() {
        let (book, alice, bob) = (book(), status(1, 30), status(2, 20));
        book.connected(alice.client, id(1));
        book.connected(bob.client, id(2));
        let ids: Vec<ConnectionId> = book
            .connections(&[alice.clone(), bob.clone()], NOW)
            .into_iter()
            .map(|connection| connection.id)
            .collect();
        book.disconnected(&bob, NOW);
        let unknown = ConnectionId::from_random([9; 9]);
        let (clients, told) = book.terminating(&[ids[0].clone(), ids[1].clone(), unknown]);
        assert_eq!(clients, [alice.client]);
        let states: Vec<_> = told.iter().map(|one| (one.previous, one.current)).collect();
        let (active, terminating, terminated) = (
            ConnectionState::Active,
            ConnectionState::Terminating,
            ConnectionState::Terminated,
        );
        assert_eq!(states, [(active, terminating), (terminated, terminated)]);
        let (_, again) = book.terminating(&ids[..1]);
        assert_eq!((again[0].previous, again[0].current), (terminating, terminating));
    }

    #[test]
    fn only_so_many_ended_connections_are_remembered() {
        let book = book();
        for client in 0..=MOST_ENDED {
            let status = status(u64::try_from(client).unwrap() % 1000, 1);
            book.connected(status.client, id(3));
            book.disconnected(&status, NOW);
        }
        assert_eq!(book.connections(&[], NOW).len(), MOST_ENDED);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn only_managed_endpoints_have_a_book_and_one_that_ended_answers() {
        let ledger = Arc::new(Ledger::new(Handle::current()));
        let (commands, control) = mpsc::channel(1);
        assert!(ledger.open("office", &commands).is_none());
        let endpoint = EndpointId::from_random([1; 9]);
        let book = ledger.open(endpoint.as_str(), &commands).unwrap();
        book.connected(ClientId(1), id(1));
        drop((commands, control));
        let asked = Arc::clone(&ledger);
        let told = tokio::task::spawn_blocking(move || asked.connections(&endpoint))
            .await
            .unwrap();
        assert_eq!(told, Ok(Vec::new()));
    }
}
