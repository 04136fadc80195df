//! What operators do to a running server: change it, look at it.

use std::ops::Bound;
use std::sync::Arc;

use culvert_control::crl::RevocationList;
use culvert_policy::Policy;
use culvert_wire::Now;

use super::Server;
use super::stateless::SharedKeys;
use crate::client::{Client, Stage};
use crate::drops::Counters;
use crate::event::{ClientId, ClientStatus, DisconnectReason};
use crate::push::CommonOptions;
use crate::settings::{EndpointSettings, SettingsError};
use crate::timers::TimerKind;

impl Server {
    /// Changes the settings. Newcomers meet the new ones; authorization rules, limits on duration and inactivity, and TLS
    /// at the next renegotiation apply to live clients too. Of changed options those are told that announce that they can
    /// be (`IV_PROTO` bit 12), as far as options can be changed while connected; the others keep what was pushed to them.
    ///
    /// # Errors
    /// [`SettingsError`]; nothing was changed then.
    pub fn replace_settings(&mut self, now: Now, settings: EndpointSettings) -> Result<(), SettingsError> {
        settings.check(&self.data)?;
        if settings.pool != self.settings.pool {
            return Err(SettingsError::PoolChanged);
        }
        let common = CommonOptions::compose(&settings.push, &settings.keepalive, self.pool.server_v4())?;
        if common != *self.common {
            self.common = Arc::new(common);
        }
        self.shared = SharedKeys::new(&settings.wrap);
        self.attempts.set_limits(settings.attempts);
        let policy_changed = !Arc::ptr_eq(&settings.policy, &self.settings.policy);
        self.settings = settings;
        self.for_each_client(now, |server, client| {
            client.session.set_config(server.settings.session.clone());
            server.apply_limits(now, client);
            if policy_changed {
                server.apply_policy(client);
            }
            server.update_options(now, client);
        });
        self.evict(now);
        Ok(())
    }

    /// Changes who may reach what. Live clients are judged by it from their next packet on.
    pub fn set_policy(&mut self, now: Now, policy: Arc<Policy>) {
        self.settings.policy = policy;
        self.for_each_client(now, |server, client| server.apply_policy(client));
    }

    /// Ends clients whose certificate is on the list. That newcomers are refused is up to the TLS configuration.
    pub fn apply_crl(&mut self, now: Now, list: &RevocationList) {
        self.for_each_client(now, |server, client| {
            let certificate = match &client.stage {
                Stage::Judging(judging) => judging.profile.certificate.as_ref(),
                Stage::Live(live) => live.profile.certificate.as_ref(),
                Stage::Handshake | Stage::Refusing(_) | Stage::Closing | Stage::Gone => None,
            };
            if certificate.is_some_and(|shown| list.is_revoked(&shown.issuer_raw, &shown.serial)) {
                server.end(now, client, DisconnectReason::Revoked);
            }
        });
    }

    /// The clients that were let in, oldest connection first.
    pub fn clients(&self) -> impl Iterator<Item = ClientStatus> {
        self.clients.values().filter_map(|client| status(client))
    }

    /// The clients that were let in after this one, oldest connection first: a page of [`Self::clients`] begins
    /// without a look at those before it.
    pub fn clients_after(&self, after: Option<ClientId>) -> impl Iterator<Item = ClientStatus> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.clients
            .range((start, Bound::Unbounded))
            .filter_map(|(_, client)| status(client))
    }

    /// One client that was let in.
    pub fn client(&self, id: ClientId) -> Option<ClientStatus> {
        self.clients.get(&id).and_then(|client| status(client))
    }

    /// What was counted, and what is held now.
    pub fn counters(&self) -> Counters {
        Counters {
            half_open: self.half_open.len(),
            half_open_bytes: self.half_open.bytes(),
            clients: self.live,
            sessions: self.clients.len(),
            timers: self.timers.len(),
            tombstones: self.tombstones.len(),
            addresses_in_use: self.pool.in_use(),
            ..self.counters
        }
    }

    /// Works on every client; only for commands that concern all of them.
    fn for_each_client(&mut self, now: Now, mut work: impl FnMut(&mut Self, &mut Client)) {
        let all: Vec<_> = self.clients.keys().copied().collect();
        for id in all {
            self.with_client(now, id, &mut work);
        }
    }

    fn apply_policy(&mut self, client: &mut Client) {
        if let Stage::Live(live) = &client.stage {
            live.peer
                .set_filter(self.settings.policy.filter_for(&live.groups));
        }
    }

    /// Measures a live client by changed limits. One that is over them ends with the next timeout.
    fn apply_limits(&mut self, now: Now, client: &mut Client) {
        let Stage::Live(live) = &client.stage else { return };
        let session = self
            .settings
            .session_timeout
            .map(|limit| live.connected_at + limit.after);
        let inactive = self.settings.inactive.map(|rule| now.instant + rule.after);
        let keepalive = now.instant + self.settings.keepalive.ping;
        for (kind, at) in [
            (TimerKind::SessionTimeout, session),
            (TimerKind::Inactive, inactive),
            (TimerKind::Keepalive, Some(keepalive)),
        ] {
            self.timers.set(&mut client.deadlines, client.id, kind, at);
        }
        self.schedule_renewal(now, client);
    }
}

fn status(client: &Client) -> Option<ClientStatus> {
    match &client.stage {
        Stage::Live(live) => Some(live.status(client.id, client.link)),
        Stage::Handshake | Stage::Judging(_) | Stage::Refusing(_) | Stage::Closing | Stage::Gone => None,
    }
}
