//! Renegotiation: the client proves itself again, and its new data key takes over.

use std::time::{Duration, Instant};

use culvert_control::{CertificateInfo, SessionError};
use culvert_crypto::Role;
use culvert_data::DataKey;
use culvert_wire::key_method2::KeyMethod2Client;
use culvert_wire::{KeyId, Now};

use super::Server;
use super::tokens::TokenCheck;
use crate::auth::{AuthRequest, Secret};
use crate::client::{Client, Live, Renegotiation, Stage};
use crate::event::{DisconnectReason, Event};
use crate::messages;
use crate::timers::TimerKind;

/// How the client proved itself.
enum Proof {
    /// Nothing more to ask.
    Enough,
    /// A password, to be checked by the backend.
    Password(Box<AuthRequest>),
}

impl Server {
    /// A live client's new key exchange has arrived.
    pub(super) fn judge_renegotiation(
        &mut self,
        now: Now,
        client: &mut Client,
        key_id: KeyId,
        message: KeyMethod2Client,
        certificate: Option<CertificateInfo>,
    ) {
        self.abandon_renegotiation(client);
        match self.proof(now, client, key_id, message, certificate) {
            Ok(proof) => {
                let (ticket, authorized) = match &proof {
                    Proof::Enough => (None, true),
                    Proof::Password(request) => (Some(request.ticket), false),
                };
                let Stage::Live(live) = &mut client.stage else {
                    return;
                };
                live.renegotiation = Some(Renegotiation {
                    key_id,
                    begun: now.instant,
                    ticket,
                    authorized,
                    active: false,
                });
                if let Proof::Password(request) = proof {
                    let patience = now.instant + self.settings.session.hand_window;
                    self.timers.set(
                        &mut client.deadlines,
                        client.id,
                        TimerKind::Verdict,
                        Some(patience),
                    );
                    self.events.push_back(Event::AuthRequested(request));
                }
            }
            Err((reason, message)) => {
                self.end_live_with(
                    now,
                    client,
                    DisconnectReason::Reauthentication(reason),
                    Some(message),
                );
            }
        }
    }

    /// Compares what the client shows now with what it showed first.
    fn proof(
        &mut self,
        now: Now,
        client: &Client,
        key_id: KeyId,
        message: KeyMethod2Client,
        certificate: Option<CertificateInfo>,
    ) -> Result<Proof, (String, Vec<u8>)> {
        let Stage::Live(live) = &client.stage else {
            return Ok(Proof::Enough);
        };
        let username = self.login_name(message.username);
        let password = message.password.filter(|password| !password.is_empty());
        if let Err(difference) = same_identity(live, username.as_deref(), certificate.as_ref()) {
            return Err((difference.to_owned(), messages::auth_failed(None)));
        }
        self.check_presence(username.is_some() && password.is_some(), certificate.is_some())
            .map_err(|refusal| (refusal.log, refusal.message))?;
        let own = live.token.as_ref().map(|own| own.claims.session);
        let password = match self.check_token(now, username.as_deref(), password) {
            Ok(TokenCheck::Valid(claims)) if own == Some(claims.session) => return Ok(Proof::Enough),
            Ok(TokenCheck::Valid(_)) => {
                let reason = "the auth token belongs to another session of the user".to_owned();
                return Err((reason, messages::token_expired()));
            }
            Ok(TokenCheck::NotAToken(password)) => password,
            Err(refusal) => return Err((refusal.log, refusal.message)),
        };
        if !self.settings.credentials.password {
            return Ok(Proof::Enough);
        }
        Ok(Proof::Password(Box::new(AuthRequest {
            ticket: self.ticket(client, key_id),
            link: client.link,
            username: live.profile.username.clone(),
            password: password.map(Secret::new),
            token: None,
            certificate,
            peer_info: message.peer_info,
            renegotiation: true,
        })))
    }

    /// The new key's exchange is complete and acknowledged.
    pub(super) fn renegotiated_key_active(&mut self, now: Now, client: &mut Client, key_id: KeyId) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        match &mut live.renegotiation {
            Some(renegotiation) if renegotiation.key_id == key_id => renegotiation.active = true,
            _ => return,
        }
        self.finish_renegotiation(now, client);
    }

    /// Puts the new key to use, once the client is authorized and the exchange complete.
    pub(super) fn finish_renegotiation(&mut self, now: Now, client: &mut Client) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        let Some(renegotiation) = live.renegotiation.take_if(|open| open.authorized && open.active) else {
            return;
        };
        if let Err(error) = install(&client.session, live, renegotiation.key_id, renegotiation.begun) {
            self.end_live(now, client, DisconnectReason::ControlChannel(error));
            return;
        }
        live.renegotiations += 1;
        self.counters.renegotiations += 1;
        self.events.push_back(Event::Renegotiated { client: client.id });
        self.switch_keys(now, client);
        self.renew_token(now, client);
        self.repeat_updates(now, client);
    }

    /// Sends with the key whose turn it is, and comes back when it is another's.
    pub(super) fn switch_keys(&mut self, now: Now, client: &mut Client) {
        let settle = self.settle_time();
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        let Some((key_id, again)) = live.keys.sending(now.instant, settle) else {
            return;
        };
        if live.peer.send_key() != Some(key_id) {
            live.peer.set_send_key(key_id);
            live.keys.worn_out = false;
        }
        self.timers
            .set(&mut client.deadlines, client.id, TimerKind::KeySwitch, again);
    }

    /// Age at which a key is sent with: the hand window, or half the renegotiation interval if that is shorter.
    fn settle_time(&self) -> Duration {
        let session = &self.settings.session;
        session.reneg_interval.map_or(session.hand_window, |interval| {
            session.hand_window.min(interval / 2)
        })
    }

    /// The session forgot a replaced key.
    pub(super) fn lame_duck_expired(&mut self, now: Now, client: &mut Client, key_id: KeyId) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        live.peer.remove_key(key_id);
        if live.keys.removed(key_id) {
            self.switch_keys(now, client);
        } else {
            self.end_live(now, client, DisconnectReason::KeysExhausted);
        }
    }

    pub(super) fn renegotiation_failed(&mut self, client: &mut Client, key_id: KeyId) {
        if let Stage::Live(live) = &client.stage
            && live
                .renegotiation
                .as_ref()
                .is_some_and(|open| open.key_id == key_id)
        {
            self.abandon_renegotiation(client);
        }
    }

    /// Forgets a renegotiation that leads nowhere, and the question that belongs to it.
    pub(super) fn abandon_renegotiation(&mut self, client: &mut Client) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        if let Some(ticket) = live.renegotiation.take().and_then(|open| open.ticket) {
            self.events.push_back(Event::AuthAbandoned(ticket));
        }
        self.timers
            .set(&mut client.deadlines, client.id, TimerKind::Verdict, None);
    }

    /// A data key nears the end of what it may be used for.
    pub(super) fn key_limit(&mut self, now: Now, client: &mut Client, key_id: KeyId) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        if live.peer.send_key() == Some(key_id) {
            live.keys.worn_out = true;
        }
        // If a newer key is there already, it takes over; otherwise one is negotiated.
        self.switch_keys(now, client);
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        if live.peer.send_key() == Some(key_id)
            && let Err(error) = client.session.soft_reset(now)
        {
            tracing::debug!(client = client.id.0, %error, "a renegotiation could not be started");
        }
    }
}

/// Derives a data key and accepts packets under it.
fn install(
    session: &culvert_control::Session,
    live: &mut Live,
    key_id: KeyId,
    begun: Instant,
) -> Result<(), String> {
    let agreed = &live.profile.negotiated;
    let key2 = session
        .data_key(key_id)
        .map_err(|error: SessionError| error.to_string())?;
    let key =
        DataKey::new(agreed.cipher, agreed.format, Role::Server, &key2).map_err(|error| error.to_string())?;
    live.peer.install_key(key_id, key);
    if let Some(surplus) = live.keys.installed(key_id, begun) {
        live.peer.remove_key(surplus);
    }
    Ok(())
}

/// Whether a renegotiating client is still the same. Says what differs.
fn same_identity(
    live: &Live,
    username: Option<&str>,
    certificate: Option<&CertificateInfo>,
) -> Result<(), &'static str> {
    let known = [live.profile.username.as_deref(), live.username.as_deref()];
    if username.is_some() && !known.contains(&username)
        || username.is_none() && live.profile.username.is_some()
    {
        return Err("the user name differs from the one the client logged in with");
    }
    match (&live.profile.certificate, certificate) {
        (None, None) => Ok(()),
        (Some(first), Some(now)) if first.common_name != now.common_name => {
            Err("the certificate's common name differs from the one the client logged in with")
        }
        (Some(first), Some(now)) if first.fingerprint_sha256 == now.fingerprint_sha256 => Ok(()),
        _ => Err("the certificate differs from the one the client logged in with"),
    }
}
