//! Letting a client in: addresses, data keys, options. Either everything is given or nothing.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use culvert_crypto::Role;
use culvert_data::{DataKey, Peer, PeerConfig};
use culvert_pool::{Lease, PoolError, StaticAddress};
use culvert_wire::{KeyId, Now, PeerId};
use zeroize::Zeroizing;

use super::admission::Refusal;
use super::{Server, tokens};
use crate::auth::Grant;
use crate::client::{Client, DataKeys, Judging, Live, LiveToken, Stage};
use crate::event::{ClientId, DisconnectReason, Event, RefusalKind};
use crate::messages;
use crate::push::{self, ClientOptions, Pushed};
use crate::settings::SettingsError;
use crate::timers::TimerKind;

/// A PUSH_REQUEST this soon after our reply crossed it on the way. Source: OpenVPN 2.6 behaviour.
const CROSSED: Duration = Duration::from_secs(30);

/// When a client that found no free place should try again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// What a client is given from the shared stock.
struct Resources {
    lease: Lease,
    peer_id: PeerId,
    peer: Arc<Peer>,
}

/// Everything a client gets, ready to be put to use.
struct Admission {
    resources: Resources,
    pushed: Pushed,
    token: Option<LiveToken>,
}

impl Server {
    /// Lets in a client whose credentials were accepted, or tells it why that is impossible after all.
    pub(super) fn establish(&mut self, now: Now, client: &mut Client, grant: Grant) {
        let Stage::Judging(judging) = std::mem::replace(&mut client.stage, Stage::Handshake) else {
            return;
        };
        match self.prepare(now, client, &judging, &grant) {
            Ok(admission) => self.let_in(now, client, *judging, grant, admission),
            Err(refusal) => {
                client.stage = Stage::Judging(judging);
                self.refuse(now, client, refusal);
            }
        }
    }

    fn prepare(
        &mut self,
        now: Now,
        client: &mut Client,
        judging: &Judging,
        grant: &Grant,
    ) -> Result<Admission, Refusal> {
        push::check_options(&grant.push)
            .map_err(|error| internal(format!("an option of the user: {error}")))?;
        let key = self.first_data_key(client, judging)?;
        let identity = identity(judging, grant);
        self.replace_older(now, client, identity);
        let resources = self.take_resources(client, judging, grant, identity)?;
        resources.peer.install_key(KeyId::FIRST, key);
        resources.peer.set_send_key(KeyId::FIRST);
        let token = self.first_token(now, &judging.profile, grant);
        let text = token.as_ref().map(|(text, _)| text);
        match self.compose_options(client, judging, grant, &resources, text) {
            Ok(pushed) => Ok(Admission {
                resources,
                pushed,
                token: token.map(|(_, token)| token),
            }),
            Err(refusal) => {
                self.give_back(resources.lease, resources.peer_id);
                Err(refusal)
            }
        }
    }

    /// Fixes how keys are derived and derives the first.
    fn first_data_key(&mut self, client: &mut Client, judging: &Judging) -> Result<DataKey, Refusal> {
        let agreed = &judging.profile.negotiated;
        let key2 = client
            .session
            .negotiate(agreed.tls_ekm, agreed.dyn_tls_crypt)
            .and_then(|()| client.session.data_key(KeyId::FIRST))
            .map_err(|error| internal(error.to_string()))?;
        DataKey::new(agreed.cipher, agreed.format, Role::Server, &key2)
            .map_err(|error| internal(error.to_string()))
    }

    /// Sees off an earlier client at the same address, and earlier ones of the same identity.
    fn replace_older(&mut self, now: Now, client: &Client, identity: Option<&str>) {
        let mut older: Vec<ClientId> = self.by_link.get(&client.key.link).copied().into_iter().collect();
        if let (false, Some(identity)) = (self.settings.duplicate_cn, identity) {
            older.extend(self.by_identity.get(identity).into_iter().flatten());
        }
        for id in older {
            self.with_client(now, id, |server, older| {
                let same_link = older.key.link == client.key.link;
                // At the same address there is nobody left to be told.
                let farewell = !same_link;
                server.end_replaced(now, older, farewell);
            });
        }
    }

    fn take_resources(
        &mut self,
        client: &Client,
        judging: &Judging,
        grant: &Grant,
        identity: Option<&str>,
    ) -> Result<Resources, Refusal> {
        let peer_info = &judging.profile.peer_info;
        let full = |kind, log: String, text: &str| {
            let message = messages::auth_failed_for_now(peer_info, TRY_AGAIN, Some(text));
            Refusal {
                kind,
                code: None,
                log,
                message,
            }
        };
        if self.live >= self.settings.max_clients as usize {
            let log = format!(
                "{} clients are connected, as many as max_clients allows",
                self.live
            );
            return Err(full(
                RefusalKind::TooManyClients,
                log,
                "The server is full, please try again later",
            ));
        }
        let lease = self.lease(grant, identity).map_err(|error| match error {
            PoolError::Exhausted { .. } => full(
                RefusalKind::PoolExhausted,
                format!("{error}"),
                "No free address is left on the server, please try again later",
            ),
            other => {
                let message = messages::auth_failed(Some("The address reserved for you can't be used"));
                Refusal {
                    kind: RefusalKind::Address,
                    code: None,
                    log: other.to_string(),
                    message,
                }
            }
        })?;
        let Some(peer_id) = self.peer_ids.allocate() else {
            self.pool.release(lease);
            return Err(internal("all peer ids are taken".to_owned()));
        };
        let agreed = &judging.profile.negotiated;
        let config = PeerConfig {
            client: client.id.0,
            peer: peer_id,
            link: client.link,
            v4: lease.v4,
            v6: lease.v6,
            data_v2: agreed.data_v2,
            framing: agreed.compression.framing(),
            filter: self.settings.policy.filter_for(&grant.groups),
            mss_fix: self.settings.mss_fix,
            tun_mtu: push::client_mtu(self.settings.push.tun_mtu, peer_info),
        };
        match self.data.add_peer(config) {
            Ok(peer) => Ok(Resources { lease, peer_id, peer }),
            Err(error) => {
                self.pool.release(lease);
                self.peer_ids.release(peer_id);
                Err(internal(error.to_string()))
            }
        }
    }

    fn lease(&mut self, grant: &Grant, identity: Option<&str>) -> Result<Lease, PoolError> {
        let wanted = (grant.static_v4.is_some() || grant.static_v6.is_some()).then_some(StaticAddress {
            v4: grant.static_v4,
            v6: grant.static_v6,
        });
        let lease = self.pool.allocate(identity.unwrap_or_default(), wanted);
        let exhausted = matches!(lease, Err(PoolError::Exhausted { .. }));
        if exhausted && !std::mem::replace(&mut self.pool_exhausted, exhausted) {
            self.events.push_back(Event::PoolExhausted {
                capacity: self.pool.capacity(),
            });
        }
        lease
    }

    fn compose_options(
        &self,
        client: &Client,
        judging: &Judging,
        grant: &Grant,
        resources: &Resources,
        token: Option<&Zeroizing<String>>,
    ) -> Result<Pushed, Refusal> {
        let lease = &resources.lease;
        let v6 = lease.v6.zip(self.settings.pool.v6).zip(self.pool.server_v6());
        let token_user = tokens::renamed(&judging.profile, grant).map(|name| STANDARD.encode(name));
        let options = ClientOptions {
            negotiated: &judging.profile.negotiated,
            peer_info: &judging.profile.peer_info,
            udp: client.link.is_udp(),
            v4: lease.v4.zip(self.settings.pool.v4.map(|block| block.mask())),
            v6: v6.map(|((address, network), gateway)| (address, network.prefix(), gateway)),
            peer: resources.peer_id,
            granted: &grant.push,
            auth_token: token.map(|token| token.as_str()),
            auth_token_user: token_user.as_deref(),
        };
        Pushed::new(Arc::clone(&self.common), &options).map_err(|error| internal(error.to_string()))
    }

    fn let_in(
        &mut self,
        now: Now,
        client: &mut Client,
        judging: Judging,
        grant: Grant,
        admission: Admission,
    ) {
        let Admission {
            resources,
            pushed,
            token,
        } = admission;
        let identity: Option<Arc<str>> = identity(&judging, &grant).map(Into::into);
        let mut keys = DataKeys::new();
        keys.installed(KeyId::FIRST, now.instant);
        let send_now = judging.profile.negotiated.request_push || judging.push_requested;
        let live = Live {
            username: grant.username.or_else(|| judging.profile.username.clone()),
            groups: grant.groups,
            posture: grant.posture,
            profile: judging.profile,
            identity: identity.clone(),
            lease: resources.lease,
            peer_id: resources.peer_id,
            peer: resources.peer,
            connected_at: now.instant,
            connected_unix: now.unix,
            pushed,
            replied_at: None,
            update_after: now.instant,
            keys,
            renegotiation: None,
            renegotiations: 0,
            token,
            tun_bytes: 0,
        };
        let status = live.status(client.id, client.link);
        client.stage = Stage::Live(Box::new(live));
        client.authenticated = true;
        self.half_open.remove(client.id);
        self.by_link.insert(client.key.link, client.id);
        if let Some(identity) = identity {
            self.by_identity.entry(identity).or_default().push(client.id);
        }
        self.live += 1;
        self.counters.clients_connected += 1;
        self.events.push_back(Event::Connected(Box::new(status)));
        self.start_timers(now, client);
        if send_now {
            self.send_reply(now, client);
        }
    }

    fn start_timers(&mut self, now: Now, client: &mut Client) {
        let after = |duration: Duration| Some(now.instant + duration);
        let keepalive = after(self.settings.keepalive.ping);
        let session = self.settings.session_timeout.and_then(|limit| after(limit.after));
        let inactive = self.settings.inactive.and_then(|rule| after(rule.after));
        for (kind, at) in [
            (TimerKind::Keepalive, keepalive),
            (TimerKind::SessionTimeout, session),
            (TimerKind::Inactive, inactive),
        ] {
            self.timers.set(&mut client.deadlines, client.id, kind, at);
        }
        self.schedule_renewal(now, client);
    }

    /// The client asks for its options.
    pub(super) fn push_requested(&mut self, now: Now, client: &mut Client) {
        match &mut client.stage {
            Stage::Judging(judging) => judging.push_requested = true,
            Stage::Live(live) => {
                let crossed = live.replied_at.is_some_and(|at| now.instant < at + CROSSED);
                if !crossed {
                    self.send_reply(now, client);
                }
            }
            Stage::Handshake | Stage::Refusing(_) | Stage::Closing | Stage::Gone => {}
        }
    }

    fn send_reply(&mut self, now: Now, client: &mut Client) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        live.replied_at = Some(now.instant);
        let reply = live.pushed.reply();
        self.send_options(now, client, reply);
    }

    /// Sends options, or ends a client that can't be sent all of them: it would go on with others than it should have.
    pub(super) fn send_options<M: AsRef<[Vec<u8>]>>(
        &mut self,
        now: Now,
        client: &mut Client,
        messages: Result<M, SettingsError>,
    ) {
        let sent = messages.map_err(|error| error.to_string()).and_then(|messages| {
            messages
                .as_ref()
                .iter()
                .try_for_each(|message| client.session.send_message(message))
                .map_err(|error| error.to_string())
        });
        if let Err(error) = sent {
            self.end_live(now, client, DisconnectReason::ControlChannel(error));
        }
    }

    /// Returns what a client was given.
    pub(super) fn give_back(&mut self, lease: Lease, peer_id: PeerId) {
        self.data.remove_peer(peer_id);
        self.pool.release(lease);
        self.peer_ids.release(peer_id);
        self.pool_exhausted = false;
    }
}

fn identity<'a>(judging: &'a Judging, grant: &'a Grant) -> Option<&'a str> {
    grant.username.as_deref().or_else(|| judging.profile.identity())
}

fn internal(log: String) -> Refusal {
    let message = messages::auth_failed(Some("The server can't set up the connection"));
    Refusal {
        kind: RefusalKind::Internal,
        code: None,
        log,
        message,
    }
}
