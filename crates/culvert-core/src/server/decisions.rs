//! Answers of the authentication backend, matched to the client and the key they were asked for.

use std::time::Duration;

use culvert_wire::Now;
use culvert_wire::challenge::{DynamicChallenge, PendingMethod};
use culvert_wire::peer_info::PeerInfo;

use super::Server;
use super::admission::Refusal;
use crate::auth::{AuthDecision, AuthTicket, Rejection};
use crate::client::{Client, Stage};
use crate::event::{ClientId, DisconnectReason, RefusalKind};
use crate::messages;
use crate::timers::TimerKind;

/// Longest wait for a pending authentication, whatever the backend asks for. Clients stop waiting at half their
/// renegotiation interval, an hour by default.
const LONGEST_PENDING: Duration = Duration::from_secs(3600);

impl Server {
    /// Takes the backend's answer. A ticket that is no longer open (the client left, was replaced, asked again) is
    /// ignored; no answer can reach anybody but the client and the key exchange it was asked for.
    pub fn handle_auth_decision(&mut self, now: Now, ticket: AuthTicket, decision: AuthDecision) {
        self.with_client(now, ticket.client, |server, client| match &mut client.stage {
            Stage::Judging(judging) if judging.ticket == Some(ticket) => {
                server.judged(now, client, decision);
            }
            Stage::Live(live)
                if live
                    .renegotiation
                    .as_ref()
                    .is_some_and(|open| open.ticket == Some(ticket)) =>
            {
                server.rejudged(now, client, decision);
            }
            _ => tracing::debug!(client = ticket.client.0, "a verdict came too late and is ignored"),
        });
    }

    /// The verdict on a newcomer.
    fn judged(&mut self, now: Now, client: &mut Client, decision: AuthDecision) {
        let Stage::Judging(judging) = &mut client.stage else {
            return;
        };
        let peer = judging.profile.peer_info.clone();
        let with_token = judging.profile.token.is_some();
        match decision {
            AuthDecision::Accept(grant) => {
                judging.ticket = None;
                judging.granted = Some(grant);
                self.conclude(now, client);
            }
            AuthDecision::Reject(rejection) => {
                judging.ticket = None;
                let unexplained = rejection.client_message.is_none() && rejection.retry_after.is_none();
                let message = if with_token && unexplained {
                    // The token is of no use, but a password may be.
                    messages::token_expired()
                } else {
                    rejection_message(&peer, &rejection)
                };
                self.refuse(
                    now,
                    client,
                    Refusal {
                        kind: RefusalKind::Rejected,
                        code: rejection.code,
                        log: rejection.log,
                        message,
                    },
                );
            }
            AuthDecision::Challenge(challenge) => {
                judging.ticket = None;
                self.refuse(now, client, challenge_refusal(challenge));
            }
            AuthDecision::Pending { timeout, methods } => self.pend(now, client, &peer, timeout, &methods),
        }
    }

    /// The verdict on a client that renegotiates.
    fn rejudged(&mut self, now: Now, client: &mut Client, decision: AuthDecision) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        let Some(renegotiation) = &mut live.renegotiation else {
            return;
        };
        match decision {
            AuthDecision::Accept(_) => {
                renegotiation.ticket = None;
                renegotiation.authorized = true;
                self.timers
                    .set(&mut client.deadlines, client.id, TimerKind::Verdict, None);
                self.finish_renegotiation(now, client);
            }
            AuthDecision::Reject(rejection) => {
                renegotiation.ticket = None;
                let message = rejection_message(&live.profile.peer_info, &rejection);
                self.end_live_with(
                    now,
                    client,
                    DisconnectReason::Reauthentication(rejection.log),
                    Some(message),
                );
            }
            AuthDecision::Challenge(challenge) => {
                renegotiation.ticket = None;
                let refusal = challenge_refusal(challenge);
                let reason = DisconnectReason::Reauthentication(refusal.log);
                self.end_live_with(now, client, reason, Some(refusal.message));
            }
            AuthDecision::Pending { timeout, methods } => {
                let peer = live.profile.peer_info.clone();
                self.pend(now, client, &peer, timeout, &methods);
            }
        }
    }

    fn pend(
        &mut self,
        now: Now,
        client: &mut Client,
        peer: &PeerInfo,
        timeout: Duration,
        methods: &[PendingMethod],
    ) {
        let timeout = timeout.clamp(self.settings.session.hand_window, LONGEST_PENDING);
        let patience = now.instant + timeout;
        self.timers.set(
            &mut client.deadlines,
            client.id,
            TimerKind::Verdict,
            Some(patience),
        );
        let messages = messages::pending(peer, timeout, methods);
        match &mut client.stage {
            Stage::Judging(judging) if !judging.active => judging.queued.extend(messages),
            _ => {
                for message in messages {
                    self.send(client, &message);
                }
            }
        }
    }

    /// Carries out the answer, as soon as the client is able to hear it.
    pub(super) fn conclude(&mut self, now: Now, client: &mut Client) {
        let Stage::Judging(judging) = &mut client.stage else {
            return;
        };
        if !judging.active {
            return;
        }
        if let Some(grant) = judging.granted.take() {
            self.timers
                .set(&mut client.deadlines, client.id, TimerKind::Verdict, None);
            self.establish(now, client, grant);
        }
    }

    /// No answer came, or nobody solved the challenge.
    pub(super) fn verdict_timeout(&mut self, now: Now, client: &mut Client) {
        match &client.stage {
            Stage::Judging(_) => {
                let log =
                    "no answer from the authentication backend, or from the user, in time; check the backend";
                let message = messages::auth_failed(Some("Authentication took too long, please try again"));
                self.refuse(
                    now,
                    client,
                    Refusal {
                        kind: RefusalKind::VerdictTimeout,
                        code: None,
                        log: log.into(),
                        message,
                    },
                );
            }
            Stage::Live(_) => {
                // The client changes to the new key a minute after the exchange, whether we let it or not.
                let reason =
                    "no answer from the authentication backend in time; check the backend".to_owned();
                self.end_live(now, client, DisconnectReason::Reauthentication(reason));
            }
            Stage::Handshake | Stage::Refusing(_) | Stage::Closing | Stage::Gone => {}
        }
    }

    /// Ends a client, or turns it away if it is not in yet. `true` if there was such a client.
    pub fn disconnect(&mut self, now: Now, client: ClientId, reason: DisconnectReason) -> bool {
        let mut found = false;
        self.with_client(now, client, |server, client| {
            found = true;
            match &client.stage {
                Stage::Judging(_) => {
                    let message = messages::auth_failed(None);
                    let log = reason.to_string();
                    server.refuse(
                        now,
                        client,
                        Refusal {
                            kind: RefusalKind::Rejected,
                            code: None,
                            log,
                            message,
                        },
                    );
                }
                _ => server.end(now, client, reason),
            }
        });
        found
    }
}

fn rejection_message(peer: &PeerInfo, rejection: &Rejection) -> Vec<u8> {
    let text = rejection.client_message.as_deref();
    match rejection.retry_after {
        Some(retry) => messages::auth_failed_for_now(peer, retry, text),
        None => messages::auth_failed(text),
    }
}

fn challenge_refusal(challenge: DynamicChallenge) -> Refusal {
    match messages::challenge(challenge) {
        Some(message) => {
            let log = "the client was asked a question and returns with the answer".to_owned();
            Refusal {
                kind: RefusalKind::Challenged,
                code: None,
                log,
                message,
            }
        }
        None => {
            let log =
                "the challenge does not fit into a control message; shorten its text or address".to_owned();
            Refusal {
                kind: RefusalKind::Internal,
                code: None,
                log,
                message: messages::auth_failed(None),
            }
        }
    }
}
