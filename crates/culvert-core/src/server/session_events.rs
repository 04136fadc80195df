//! What a client's control-channel session reports, and the messages the client sends through it.

use culvert_control::{SessionError, SessionEvent};
use culvert_wire::message::ControlMessage;
use culvert_wire::{KeyId, Now};

use super::Server;
use crate::auth::Secret;
use crate::client::{Client, Stage};
use crate::event::{DisconnectReason, Event, RefusalKind};
use crate::timers::TimerKind;

impl Server {
    pub(super) fn handle_session_event(&mut self, now: Now, client: &mut Client, event: SessionEvent) {
        match event {
            SessionEvent::KeyMethod2 {
                key_id,
                message,
                certificate,
            } => match &client.stage {
                Stage::Handshake => self.judge_newcomer(now, client, message, certificate),
                Stage::Live(_) => self.judge_renegotiation(now, client, key_id, message, certificate),
                Stage::Judging(_) | Stage::Refusing(_) | Stage::Closing | Stage::Gone => {}
            },
            SessionEvent::Active { key_id } => self.key_active(now, client, key_id),
            SessionEvent::Message { record, .. } => self.handle_record(now, client, &record),
            SessionEvent::LameDuckExpired { key_id } => self.lame_duck_expired(now, client, key_id),
            SessionEvent::RenegotiationFailed { key_id, .. } => self.renegotiation_failed(client, key_id),
            SessionEvent::Failed { error } => self.session_failed(now, client, &error),
            // Sessions of servers report nothing else.
            _ => {}
        }
    }

    fn session_failed(&mut self, now: Now, client: &mut Client, error: &SessionError) {
        if matches!(client.stage, Stage::Handshake) {
            let kind = match error {
                SessionError::HandshakeTimeout { .. } => RefusalKind::HandshakeTimeout,
                _ => RefusalKind::Handshake,
            };
            self.note_refusal(client, kind, error.to_string());
            if client.link.is_udp() {
                // Kept a moment, still half-open: the alert that tells the client may get lost on the way.
                self.close_later(now, client);
                return;
            }
        } else {
            self.end(now, client, DisconnectReason::ControlChannel(error.to_string()));
        }
        client.stage = Stage::Gone;
    }

    fn key_active(&mut self, now: Now, client: &mut Client, key_id: KeyId) {
        match &mut client.stage {
            Stage::Judging(judging) => {
                judging.active = true;
                for message in std::mem::take(&mut judging.queued) {
                    self.send(client, &message);
                }
                self.conclude(now, client);
            }
            Stage::Refusing(message) => {
                let message = std::mem::take(message);
                self.send(client, &message);
                self.close_later(now, client);
            }
            Stage::Live(_) => self.renegotiated_key_active(now, client, key_id),
            Stage::Handshake | Stage::Closing | Stage::Gone => {}
        }
    }

    fn handle_record(&mut self, now: Now, client: &mut Client, record: &[u8]) {
        for message in ControlMessage::parse_record(record) {
            match message {
                ControlMessage::PushRequest => self.push_requested(now, client),
                ControlMessage::CrResponse(response) => {
                    self.challenge_response(client, Secret::new(response))
                }
                ControlMessage::Exit => {
                    self.end(now, client, DisconnectReason::ClientExit);
                    return;
                }
                _ => {}
            }
        }
    }

    /// The client answered a question that was asked while its authentication is pending.
    fn challenge_response(&mut self, client: &mut Client, response: Secret) {
        let ticket = match &client.stage {
            Stage::Judging(judging) => judging.ticket,
            Stage::Live(live) => live
                .renegotiation
                .as_ref()
                .and_then(|renegotiation| renegotiation.ticket),
            Stage::Handshake | Stage::Refusing(_) | Stage::Closing | Stage::Gone => None,
        };
        if let Some(ticket) = ticket {
            self.events
                .push_back(Event::ChallengeResponse { ticket, response });
        }
    }

    /// Sends a message over a client's control channel.
    pub(super) fn send(&mut self, client: &mut Client, message: &[u8]) -> bool {
        let sent = client.session.send_message(message);
        if let Err(error) = &sent {
            tracing::debug!(client = client.id.0, %error, "a control message could not be sent");
        }
        sent.is_ok()
    }

    /// Ends a client in whatever stage it is. It is told, and kept for a moment to hear it, where that makes sense.
    pub(super) fn end(&mut self, now: Now, client: &mut Client, reason: DisconnectReason) {
        match &client.stage {
            Stage::Live(_) => self.end_live(now, client, reason),
            Stage::Handshake | Stage::Judging(_) => {
                let (kind, text) = refusal_of(&reason);
                self.note_refusal(client, kind, text);
                self.timers
                    .set(&mut client.deadlines, client.id, TimerKind::Verdict, None);
                match reason {
                    // It may repeat its goodbye until that is acknowledged.
                    DisconnectReason::ClientExit => self.close_later(now, client),
                    _ => client.stage = Stage::Gone,
                }
            }
            // Already told off; an exit or a failure changes nothing.
            Stage::Refusing(_) | Stage::Closing => {
                if !matches!(reason, DisconnectReason::ClientExit) {
                    client.stage = Stage::Gone;
                }
            }
            Stage::Gone => {}
        }
    }
}

/// How the end of a client that was never let in is told.
fn refusal_of(reason: &DisconnectReason) -> (RefusalKind, String) {
    match reason {
        DisconnectReason::ControlChannel(error) => (RefusalKind::Handshake, error.clone()),
        DisconnectReason::Shutdown => (RefusalKind::ShuttingDown, reason.to_string()),
        DisconnectReason::ClientExit | DisconnectReason::LinkClosed => {
            (RefusalKind::Gone, format!("before it was let in, {reason}"))
        }
        other => (RefusalKind::Rejected, other.to_string()),
    }
}
