//! Auth tokens: issued after a login, renewed, and accepted instead of the password.

use culvert_crypto::auth_token::{TokenClaims, TokenLimits, TokenUser, TokenVerdict, looks_like_token};
use culvert_wire::Now;
use zeroize::Zeroizing;

use super::Server;
use super::admission::Refusal;
use crate::auth::Grant;
use crate::client::{Client, LiveToken, Profile, Stage};
use crate::event::RefusalKind;
use crate::messages;
use crate::push;
use crate::settings::AuthTokenSettings;
use crate::timers::TimerKind;

/// What a password turned out to be.
pub(super) enum TokenCheck {
    /// A password, if there was one.
    NotAToken(Option<Zeroizing<String>>),
    /// A token of ours.
    Valid(TokenClaims),
}

impl Server {
    /// Tells tokens from passwords and judges tokens.
    pub(super) fn check_token(
        &self,
        now: Now,
        username: Option<&str>,
        password: Option<Zeroizing<String>>,
    ) -> Result<TokenCheck, Refusal> {
        let (Some(settings), Some(text)) = (&self.settings.auth_token, &password) else {
            return Ok(TokenCheck::NotAToken(password));
        };
        if !looks_like_token(text) {
            return Ok(TokenCheck::NotAToken(password));
        }
        let name = username.unwrap_or_default();
        let log = match settings.key.verify(name, text, now.unix, limits(settings)) {
            TokenVerdict::Valid {
                claims,
                user: TokenUser::Given,
            } => return Ok(TokenCheck::Valid(claims)),
            // Issued to nobody: it would prove any name.
            TokenVerdict::Valid {
                user: TokenUser::Empty,
                ..
            }
            | TokenVerdict::Invalid => {
                "the auth token was not issued to this user by this endpoint; the user has to log in again"
            }
            TokenVerdict::Expired => "the auth token has expired; the user has to log in again",
        };
        let message = messages::token_expired();
        Err(Refusal {
            kind: RefusalKind::TokenExpired,
            code: None,
            log: log.into(),
            message,
        })
    }

    /// The token for a client that is being let in. Only clients that logged in get one.
    pub(super) fn first_token(
        &mut self,
        now: Now,
        profile: &Profile,
        grant: &Grant,
    ) -> Option<(Zeroizing<String>, LiveToken)> {
        let settings = self.settings.auth_token.as_ref()?;
        let given = profile.username.as_deref()?;
        let name = renamed(profile, grant).unwrap_or(given).to_owned();
        let token = match profile.token {
            Some(claims) => settings.key.renew(&name, &claims, now.unix),
            None => settings.key.issue(&name, now.unix, &mut *self.entropy),
        };
        match settings.key.verify(&name, &token, now.unix, limits(settings)) {
            TokenVerdict::Valid { claims, .. } => Some((token, LiveToken { name, claims })),
            TokenVerdict::Expired | TokenVerdict::Invalid => None,
        }
    }

    /// Sends a live client a fresh token, and schedules the next.
    pub(super) fn renew_token(&mut self, now: Now, client: &mut Client) {
        let Some(settings) = &self.settings.auth_token else {
            return;
        };
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        let Some(own) = &mut live.token else {
            return;
        };
        let token = settings.key.renew(&own.name, &own.claims, now.unix);
        if let Ok(messages) = push::token_reply(&token) {
            for message in messages {
                self.send(client, &message);
            }
        }
        self.schedule_renewal(now, client);
    }

    pub(super) fn schedule_renewal(&mut self, now: Now, client: &mut Client) {
        let Some(settings) = &self.settings.auth_token else {
            return;
        };
        let has_token = matches!(&client.stage, Stage::Live(live) if live.token.is_some());
        let at = has_token.then(|| now.instant + settings.renewal);
        self.timers
            .set(&mut client.deadlines, client.id, TimerKind::TokenRenewal, at);
    }
}

fn limits(settings: &AuthTokenSettings) -> TokenLimits {
    TokenLimits {
        renewal: settings.renewal,
        lifetime: settings.lifetime,
    }
}

/// The name a client is to use from now on, if the backend gave it another one than it came with and it can be told.
///
/// `auth-token-user` came with 2.5, as did taking options unasked, by which such clients are known.
pub(super) fn renamed<'g>(profile: &Profile, grant: &'g Grant) -> Option<&'g str> {
    let given = profile.username.as_deref()?;
    let granted = grant.username.as_deref().filter(|name| *name != given)?;
    profile.negotiated.request_push.then_some(granted)
}
