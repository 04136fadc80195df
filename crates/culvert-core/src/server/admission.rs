//! A newcomer's key exchange: can we work together, is everything there, whom to ask.

use culvert_control::CertificateInfo;
use culvert_wire::key_method2::KeyMethod2Client;
use culvert_wire::options::OptionsString;
use culvert_wire::{KeyId, Now};

use super::Server;
use super::tokens::TokenCheck;
use crate::auth::{AuthRequest, AuthTicket, Secret, TokenProof};
use crate::client::{Client, Judging, Profile, Stage};
use crate::event::{Event, Presented, RefusalKind, Refused};
use crate::messages;
use crate::negotiate::{Offer, negotiate};
use crate::settings::CertificateDemand;
use crate::timers::TimerKind;

/// A refusal on its way to log and client.
pub(super) struct Refusal {
    pub(super) kind: RefusalKind,
    /// The backend's name for the reason.
    pub(super) code: Option<&'static str>,
    pub(super) log: String,
    /// The control message that tells the client.
    pub(super) message: Vec<u8>,
}

impl Server {
    pub(super) fn judge_newcomer(
        &mut self,
        now: Now,
        client: &mut Client,
        message: KeyMethod2Client,
        certificate: Option<CertificateInfo>,
    ) {
        let presented = Presented {
            username: self.login_name(message.username.clone()),
            common_name: certificate.as_ref().map(|shown| shown.common_name.clone()),
            platform: message.peer_info.iv_plat().map(str::to_owned),
        };
        match self.newcomer(now, client, message, certificate) {
            Ok((judging, request)) => {
                client.stage = Stage::Judging(Box::new(judging));
                let patience = now.instant + self.settings.session.hand_window;
                self.timers.set(
                    &mut client.deadlines,
                    client.id,
                    TimerKind::Verdict,
                    Some(patience),
                );
                self.events.push_back(Event::AuthRequested(Box::new(request)));
            }
            Err(refusal) => self.refuse_presented(now, client, presented, refusal),
        }
    }

    fn newcomer(
        &mut self,
        now: Now,
        client: &Client,
        message: KeyMethod2Client,
        certificate: Option<CertificateInfo>,
    ) -> Result<(Judging, AuthRequest), Refusal> {
        let offer = Offer {
            ciphers: &self.settings.data_ciphers,
            data_epoch: self.settings.data_epoch,
            tls_key_export: self.settings.tls_key_export,
            cbc_digest: self.settings.legacy_cbc,
        };
        let occ = OptionsString::parse(&message.options);
        let negotiated = negotiate(offer, &occ, &message.peer_info).map_err(|cause| {
            let log = cause.for_log(offer);
            Refusal {
                kind: cause.kind(),
                code: None,
                log,
                message: messages::auth_failed(Some(cause.for_client())),
            }
        })?;
        let username = self.login_name(message.username);
        let password = message.password.filter(|password| !password.is_empty());
        self.check_presence(username.is_some() && password.is_some(), certificate.is_some())?;
        let (password, token) = match self.check_token(now, username.as_deref(), password)? {
            TokenCheck::NotAToken(password) => (password, None),
            TokenCheck::Valid(token) => (None, Some(token)),
        };
        let ticket = self.ticket(client, KeyId::FIRST);
        let request = AuthRequest {
            ticket,
            link: client.link,
            username: username.clone(),
            password: password.map(Secret::new),
            token: token.map(|token| TokenProof {
                first_issued: token.first_issued,
                issued: token.issued,
            }),
            certificate: certificate.clone(),
            peer_info: message.peer_info.clone(),
            renegotiation: false,
        };
        let profile = Profile {
            negotiated,
            peer_info: message.peer_info,
            username,
            certificate,
            token,
        };
        let judging = Judging {
            profile,
            ticket: Some(ticket),
            active: false,
            granted: None,
            queued: Vec::new(),
            push_requested: false,
        };
        Ok((judging, request))
    }

    /// The name a client logs in with. Where no password is asked for a name proves nothing, and is not one.
    pub(super) fn login_name(&self, sent: Option<String>) -> Option<String> {
        sent.filter(|name| !name.is_empty() && self.settings.credentials.password)
    }

    /// What must be there is there.
    pub(super) fn check_presence(&self, login: bool, certificate: bool) -> Result<(), Refusal> {
        let missing = |log: &str, text: &str| {
            let message = messages::auth_failed(Some(text));
            Err(Refusal {
                kind: RefusalKind::MissingCredentials,
                code: None,
                log: log.into(),
                message,
            })
        };
        if self.settings.credentials.password && !login {
            return missing(
                "the client sent no user name and password, which this endpoint requires; add auth-user-pass to \
                 its profile",
                "A user name and password are required",
            );
        }
        if self.settings.credentials.certificate == CertificateDemand::Required && !certificate {
            return missing(
                "the client sent no certificate, which this endpoint requires; add cert and key to its profile",
                "A client certificate is required",
            );
        }
        Ok(())
    }

    /// A ticket for a new question.
    pub(super) fn ticket(&mut self, client: &Client, key_id: KeyId) -> AuthTicket {
        let generation = self.next_generation;
        self.next_generation += 1;
        AuthTicket {
            client: client.id,
            key_id,
            generation,
        }
    }

    /// Turns a client away: log first, and the client as soon as it can read messages.
    pub(super) fn refuse(&mut self, now: Now, client: &mut Client, refusal: Refusal) {
        let presented = presented(client);
        self.refuse_presented(now, client, presented, refusal);
    }

    fn refuse_presented(&mut self, now: Now, client: &mut Client, presented: Presented, refusal: Refusal) {
        self.tell_refusal(client, presented, refusal.kind, refusal.code, refusal.log);
        self.timers
            .set(&mut client.deadlines, client.id, TimerKind::Verdict, None);
        if matches!(&client.stage, Stage::Judging(judging) if judging.active) {
            self.send(client, &refusal.message);
            self.close_later(now, client);
        } else {
            client.stage = Stage::Refusing(refusal.message);
        }
    }

    /// Tells the owner that somebody is turned away, and that an open question is moot.
    pub(super) fn note_refusal(&mut self, client: &mut Client, kind: RefusalKind, reason: String) {
        let presented = presented(client);
        self.tell_refusal(client, presented, kind, None, reason);
    }

    fn tell_refusal(
        &mut self,
        client: &mut Client,
        presented: Presented,
        kind: RefusalKind,
        code: Option<&'static str>,
        reason: String,
    ) {
        if let Stage::Judging(judging) = &mut client.stage
            && let Some(ticket) = judging.ticket.take()
        {
            self.events.push_back(Event::AuthAbandoned(ticket));
        }
        self.counters.refusals += 1;
        let refused = Refused {
            client: client.id,
            link: client.link,
            presented,
            kind,
            code,
            reason,
        };
        self.events.push_back(Event::Refused(Box::new(refused)));
    }
}

/// What a client said about itself, once it is being judged.
fn presented(client: &Client) -> Presented {
    match &client.stage {
        Stage::Judging(judging) => judging.profile.presented(),
        _ => Presented::default(),
    }
}
