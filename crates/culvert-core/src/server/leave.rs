//! The end of clients: what they had is returned, they are told, and remembered just long enough.

use std::time::Duration;

use culvert_wire::{LinkAddr, Now};

use super::Server;
use crate::client::{Client, Stage};
use crate::event::{DisconnectReason, Event, RefusalKind};
use crate::messages;
use crate::timers::TimerKind;

/// How long a client that was told goodbye is kept, to repeat it and to acknowledge its last packets.
///
/// Source: OpenVPN 2.6 behaviour.
const CLOSING: Duration = Duration::from_secs(5);

/// The same when the whole server goes.
const CLOSING_AT_SHUTDOWN: Duration = Duration::from_secs(2);

impl Server {
    /// Ends a live client and tells it what the reason calls for.
    pub(super) fn end_live(&mut self, now: Now, client: &mut Client, reason: DisconnectReason) {
        let disconnect = self
            .settings
            .session_timeout
            .is_some_and(|limit| limit.disconnect);
        let message = messages::farewell(&reason, disconnect);
        self.end_live_with(now, client, reason, message);
    }

    /// Ends a live client that was replaced by a newer connection; one at the same address can't be told.
    pub(super) fn end_replaced(&mut self, now: Now, client: &mut Client, tell: bool) {
        let reason = DisconnectReason::Replaced;
        let message = messages::farewell(&reason, false).filter(|_| tell);
        self.end_live_with(now, client, reason, message);
    }

    /// Ends a live client with a message of the caller's choice. Its address is free at once.
    pub(super) fn end_live_with(
        &mut self,
        now: Now,
        client: &mut Client,
        reason: DisconnectReason,
        message: Option<Vec<u8>>,
    ) {
        self.abandon_renegotiation(client);
        let Stage::Live(live) = std::mem::replace(&mut client.stage, Stage::Closing) else {
            return;
        };
        let status = live.status(client.id, client.link);
        if client.link.is_udp() && self.by_link.get(&client.key.link) == Some(&client.id) {
            self.by_link.remove(&client.key.link);
        }
        if let Some(identity) = &live.identity
            && let Some(clients) = self.by_identity.get_mut(identity)
        {
            clients.retain(|id| *id != client.id);
            if clients.is_empty() {
                self.by_identity.remove(identity);
            }
        }
        self.give_back(live.lease, live.peer_id);
        self.live -= 1;
        self.counters.clients_disconnected += 1;
        if let Some(message) = message {
            self.send(client, &message);
        }
        let closing = if self.shutting_down {
            CLOSING_AT_SHUTDOWN
        } else {
            CLOSING
        };
        self.events.push_back(Event::Disconnected {
            client: client.id,
            reason,
            status: Box::new(status),
        });
        self.close_after(now, client, closing);
    }

    /// Keeps a session for its last words only.
    pub(super) fn close_later(&mut self, now: Now, client: &mut Client) {
        self.close_after(now, client, CLOSING);
    }

    fn close_after(&mut self, now: Now, client: &mut Client, delay: Duration) {
        client.stage = Stage::Closing;
        self.timers.clear(&mut client.deadlines, client.id);
        self.timers.set(
            &mut client.deadlines,
            client.id,
            TimerKind::Close,
            Some(now.instant + delay),
        );
    }

    /// Forgets a session. A late packet of it meets a tombstone.
    pub(super) fn bury(&mut self, now: Now, mut client: Client) {
        self.timers.clear(&mut client.deadlines, client.id);
        self.half_open.remove(client.id);
        self.by_session.remove(&client.key);
        if self.by_link.get(&client.key.link) == Some(&client.id) {
            self.by_link.remove(&client.key.link);
        }
        match client.link {
            LinkAddr::Udp(_) => self.tombstones.bury(now.instant, client.key),
            LinkAddr::Tcp(tcp) => self.events.push_back(Event::CloseLink(tcp)),
        }
    }

    /// Makes room in the half-open pool.
    pub(super) fn evict(&mut self, now: Now) {
        while let Some(oldest) = self.half_open.over(&self.settings.half_open) {
            let Some(mut client) = self.clients.remove(&oldest) else {
                // Being worked on further up, and accounted again when that is done.
                self.half_open.remove(oldest);
                continue;
            };
            self.counters.half_open_evicted += 1;
            if matches!(client.stage, Stage::Handshake | Stage::Judging(_)) {
                let reason = "too many unauthenticated sessions, the oldest gave way; raise half_open or find the flood";
                self.note_refusal(&mut client, RefusalKind::Evicted, reason.to_owned());
            }
            client.stage = Stage::Gone;
            self.bury(now, *client);
        }
    }

    /// Stops taking newcomers and tells all clients to connect anew. Drain and keep calling until
    /// [`Self::is_drained`], at most some seconds.
    pub fn shutdown(&mut self, now: Now) {
        self.shutting_down = true;
        let all: Vec<_> = self.clients.keys().copied().collect();
        for id in all {
            self.with_client(now, id, |server, client| {
                server.end(now, client, DisconnectReason::Shutdown)
            });
        }
    }

    /// No session is left, not even one that is being told goodbye.
    pub fn is_drained(&self) -> bool {
        self.clients.is_empty()
    }
}
