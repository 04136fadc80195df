//! The control thread of an endpoint: the one owner of its `Server`. It feeds the server what workers, login backends,
//! operators and the clock bring, and sends what it answers.

use std::sync::Arc;
use std::time::Duration;

use culvert_control::crl::RevocationList;
use culvert_control::tls::TlsClock;
use culvert_core::{
    AuthDecision, AuthTicket, ClientId, ClientStatus, DisconnectReason, DropReason, EndpointSettings, Event,
    Server, SettingsError,
};
use culvert_data::PeerEvent;
use culvert_transport::{AsyncUdpSocket, SendBatch};
use culvert_wire::{LinkAddr, Now};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::connection_ids::ConnectionIds;
use super::connection_log::{EndpointLog, Target};
use super::inbox::Input;
use super::ledger::{self, Book};
use super::login::Logins;
use super::report;
use super::shared::{Shared, count};
use super::strangers::Strangers;
use crate::clock;

/// Inputs handled before what they caused is sent.
const BATCH: usize = 128;

/// How long clients get to acknowledge the goodbye of a server that stops.
const GOODBYE: Duration = Duration::from_millis(1_500);

/// What an operator or the daemon asks of a running endpoint.
pub(crate) enum Command {
    /// The clients that came after this one, in the order of their ids, at most so many.
    Clients(Option<ClientId>, usize, oneshot::Sender<Vec<ClientStatus>>),
    /// Counters of the server, by name.
    Counters(oneshot::Sender<Counters>),
    /// End clients on an operator's behalf; answers which were there.
    Disconnect(Vec<ClientId>, oneshot::Sender<Vec<ClientId>>),
    /// Use other settings from now on.
    Settings(Box<EndpointSettings>, oneshot::Sender<Result<(), SettingsError>>),
    /// Ask other login backends from now on.
    Logins(Arc<Logins>),
    /// Log connections otherwise from now on.
    Log(Target),
    /// Tell all clients to connect anew.
    Restart,
    /// End the sessions of revoked certificates.
    Revoke(RevocationList),
    /// Tell all clients to reconnect elsewhere or later, and end.
    Shutdown,
}

/// What an endpoint's server counts, for status reports.
pub(crate) struct Counters {
    /// Clients that were let in.
    pub(crate) clients: u32,
    /// Addresses given out.
    pub(crate) pool_in_use: u32,
    /// Packets dropped by the control channel, by reason.
    pub(crate) drops: Vec<(String, u64)>,
}

/// What a control thread is given to start with.
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) server: Server,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) connection_ids: ConnectionIds,
    /// Where comings and goings are noted, if anybody manages the endpoint at run time.
    pub(crate) book: Option<Arc<Book>>,
    /// Where connections are logged, if they are.
    pub(crate) log: EndpointLog,
    /// The sockets of one worker, one per listening address: any of them can send to any client.
    pub(crate) sockets: Vec<Arc<AsyncUdpSocket>>,
    /// Beats with every turn of the loop, for the watchdog.
    pub(crate) heartbeat: Arc<crate::watchdog::Heartbeat>,
    /// The clock certificates are checked by; kept current by the loop.
    pub(crate) tls_clock: TlsClock,
}

/// Runs until told to shut down.
///
/// # Errors
/// Fails when the runtime can't be built.
pub(crate) fn run(control: Control) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Loop::new(control).run());
    Ok(())
}

struct Loop {
    control: Control,
    batches: Vec<SendBatch>,
    decisions: mpsc::Receiver<(AuthTicket, AuthDecision)>,
    decide: mpsc::Sender<(AuthTicket, AuthDecision)>,
    peer_events: Arc<Notify>,
    strangers: Strangers,
    /// Set once the endpoint is going down.
    ends_at: Option<Instant>,
}

impl Loop {
    fn new(control: Control) -> Self {
        let batches = control
            .sockets
            .iter()
            .map(|socket| SendBatch::new(socket))
            .collect();
        let (decide, decisions) = mpsc::channel(1024);
        let peer_events = Arc::new(Notify::new());
        let waker = Arc::clone(&peer_events);
        control.shared.data.on_event(move || waker.notify_one());
        Self {
            control,
            batches,
            decisions,
            decide,
            peer_events,
            strangers: Strangers::default(),
            ends_at: None,
        }
    }

    async fn run(mut self) {
        let mut inputs = Vec::with_capacity(BATCH);
        loop {
            self.control.heartbeat.beat();
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                Some(command) = self.control.commands.recv() => self.command(command),
                Some((ticket, decision)) = self.decisions.recv() => {
                    self.control.server.handle_auth_decision(clock::now(), ticket, decision);
                }
                // Before the timers: `turn` sees to them and to the peers' events in any case, so that neither a busy
                // network nor a busy clock keeps the other waiting.
                _ = self.control.inputs.recv_many(&mut inputs, BATCH) => self.inputs(&mut inputs),
                () = self.peer_events.notified() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
            self.turn();
            if self
                .ends_at
                .is_some_and(|end| Instant::now() >= end || self.control.server.is_drained())
            {
                return;
            }
        }
    }

    /// When the loop must run even if nothing comes: the server's next timer, the end of a shutdown, counters that are due, the next
    /// heartbeat.
    fn wake_at(&self) -> Instant {
        let beat = Instant::now() + crate::watchdog::BEAT;
        let timer = self
            .control
            .server
            .poll_timeout()
            .map(|(at, _)| Instant::from_std(at));
        [timer, self.ends_at, self.control.log.wake_at()]
            .into_iter()
            .flatten()
            .fold(beat, Instant::min)
    }

    fn inputs(&mut self, inputs: &mut Vec<Input>) {
        let now = clock::now();
        // Certificates are checked while packets are handled, and only then.
        self.control.tls_clock.set(now.unix);
        for input in inputs.drain(..) {
            match input {
                Input::Packet { from, mut packet } => self.packet(now, from, &mut packet),
                Input::Closed(link) => self.control.server.handle_link_closed(now, link),
            }
        }
    }

    fn packet(&mut self, now: Now, from: LinkAddr, packet: &mut [u8]) {
        let Err(reason) = self.control.server.handle_link_input(now, from, packet) else {
            return;
        };
        self.strangers
            .dropped(now.instant, &self.control.shared.name, reason, &from);
        // On TCP nothing is lost or damaged on the way: a bad packet is a bad peer.
        if let LinkAddr::Tcp(link) = from {
            self.close_link(link.id);
        }
    }

    /// Handles what is due and sends what the server has to say.
    fn turn(&mut self) {
        let now = clock::now();
        while let Some(event) = self.control.shared.data.poll_event() {
            self.peer_event(now, event);
        }
        if self
            .control
            .server
            .poll_timeout()
            .is_some_and(|(at, _)| at <= now.instant)
        {
            self.control.server.handle_timeout(now);
        }
        self.control.log.update(&self.control.server);
        self.transmit();
        while let Some(event) = self.control.server.poll_event() {
            self.event(event);
        }
        self.transmit();
    }

    fn peer_event(&mut self, now: Now, event: PeerEvent) {
        self.control.server.handle_peer_event(now, event);
    }

    fn transmit(&mut self) {
        let shared = &self.control.shared;
        while let Some(transmit) = self.control.server.poll_transmit() {
            match transmit.to {
                LinkAddr::Udp(path) => {
                    let index = usize::from(path.socket);
                    let (Some(batch), Some(socket)) =
                        (self.batches.get_mut(index), self.control.sockets.get(index))
                    else {
                        continue;
                    };
                    if !batch.push(&path, &transmit.packet) {
                        flush(batch, socket, shared);
                        batch.push(&path, &transmit.packet);
                    }
                }
                LinkAddr::Tcp(link) => {
                    let queued = shared
                        .links
                        .get(link.id)
                        .is_some_and(|queue| queue.push_control(&transmit.packet).is_ok());
                    count(&shared.drops.connection_full, u64::from(!queued));
                }
            }
        }
        for (batch, socket) in self.batches.iter_mut().zip(&self.control.sockets) {
            if !batch.is_empty() {
                flush(batch, socket, shared);
            }
        }
    }

    fn event(&mut self, event: Event) {
        let name = &self.control.shared.name;
        if let Some(book) = &self.control.book {
            match &event {
                Event::Connected(status) => {
                    book.connected(status.client, self.control.connection_ids.of(status.client));
                }
                Event::Disconnected { status, .. } => book.disconnected(status, ledger::now()),
                _ => {}
            }
        }
        self.control.log.event(&event);
        match event {
            Event::AuthRequested(request) => {
                // No queue of its own: the server bounds the logins being judged, the backends bound those at work and
                // those waiting, and answer the rest at once.
                let (logins, decide) = (Arc::clone(&self.control.logins), self.decide.clone());
                let connection = self.control.connection_ids.of(request.ticket.client());
                tokio::spawn(async move {
                    let ticket = request.ticket;
                    let decision = logins.decide(*request, &connection).await;
                    // Fails only when the endpoint ended meanwhile.
                    drop(decide.send((ticket, decision)).await);
                });
            }
            Event::CloseLink(link) => self.close_link(link.id),
            event => report::event(name, &event),
        }
    }

    fn close_link(&self, id: u64) {
        if let Some(queue) = self.control.shared.links.get(id) {
            queue.close();
        }
    }

    fn command(&mut self, command: Command) {
        let now = clock::now();
        let server = &mut self.control.server;
        // An asker that no longer waits is no error anywhere below.
        match command {
            Command::Clients(after, limit, answer) => {
                drop(answer.send(server.clients_after(after).take(limit).collect()));
            }
            Command::Counters(answer) => drop(answer.send(counters(server))),
            Command::Disconnect(mut clients, answer) => {
                clients.retain(|client| server.disconnect(now, *client, DisconnectReason::Terminated(None)));
                drop(answer.send(clients));
            }
            Command::Settings(settings, answer) => drop(answer.send(server.replace_settings(now, *settings))),
            Command::Logins(logins) => self.control.logins = logins,
            Command::Log(target) => self.control.log.replace(target),
            Command::Restart => {
                let clients: Vec<ClientId> = server.clients_after(None).map(|status| status.client).collect();
                for client in clients {
                    server.disconnect(now, client, DisconnectReason::Restarted(None));
                }
            }
            Command::Revoke(list) => server.apply_crl(now, &list),
            Command::Shutdown => {
                server.shutdown(now);
                self.ends_at = Some(Instant::now() + GOODBYE);
            }
        }
    }
}

fn counters(server: &Server) -> Counters {
    let counters = server.counters();
    let drops = DropReason::ALL
        .iter()
        .zip(counters.drops)
        .map(|(reason, n)| (reason.name().to_owned(), n))
        .collect();
    Counters {
        clients: u32::try_from(counters.clients).unwrap_or(u32::MAX),
        pool_in_use: counters.addresses_in_use,
        drops,
    }
}

fn flush(batch: &mut SendBatch, socket: &AsyncUdpSocket, shared: &Shared) {
    match batch.flush(socket) {
        Ok(report) => {
            count(&shared.drops.socket_full, report.full);
            count(&shared.drops.unreachable, report.unreachable);
        }
        Err(error) => tracing::debug!(%error, endpoint = shared.name, "sending failed"),
    }
}
