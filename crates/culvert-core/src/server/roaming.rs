//! What the data plane reports: clients at new addresses, worn-out keys, goodbyes.

use culvert_data::PeerEvent;
use culvert_wire::{LinkAddr, Now};

use super::Server;
use crate::client::{Client, Live, Stage};
use crate::event::{ClientId, DisconnectReason, Event};
use crate::link::{LinkKey, SessionKey};

impl Server {
    /// Acts on what packet workers noticed about a client.
    pub fn handle_peer_event(&mut self, now: Now, event: PeerEvent) {
        match event {
            PeerEvent::FloatRequest { client, from, .. } => self.float(now, ClientId(client), from),
            PeerEvent::KeyLimit { client, key_id, .. } => {
                self.with_client(now, ClientId(client), |server, client| {
                    server.key_limit(now, client, key_id)
                });
            }
            PeerEvent::OccExit { client, .. } => self.with_client(now, ClientId(client), |server, client| {
                server.end(now, client, DisconnectReason::ClientExit);
            }),
            _ => {}
        }
    }

    /// A packet of the client authenticated and was its newest, but came from elsewhere: the client moved there,
    /// unless somebody else lives there.
    fn float(&mut self, now: Now, id: ClientId, to: LinkAddr) {
        self.with_client(now, id, |server, client| {
            if matches!(client.stage, Stage::Live(_)) && server.may_float(now, client, &to) {
                server.relocate(client, to);
            }
        });
    }

    fn may_float(&mut self, now: Now, client: &Client, to: &LinkAddr) -> bool {
        if !client.link.is_udp() || !to.is_udp() || *to == client.link {
            return false;
        }
        let destination = SessionKey::new(to, client.key.remote);
        if destination == client.key {
            // Only our own address differs.
            return true;
        }
        if self.by_session.contains_key(&destination) {
            return false;
        }
        let Some(occupant) = self.by_link.get(&LinkKey::of(to)).copied() else {
            return true;
        };
        let Stage::Live(live) = &client.stage else {
            return false;
        };
        let same = self
            .clients
            .get(&occupant)
            .is_some_and(|other| match &other.stage {
                Stage::Live(other) => same_certificate(live, other),
                _ => false,
            });
        if same {
            // An earlier session of the same device.
            self.with_client(now, occupant, |server, other| {
                server.end_replaced(now, other, false)
            });
        } else {
            tracing::debug!(
                client = client.id.0,
                "a float was refused: the address belongs to another client"
            );
        }
        same
    }

    fn relocate(&mut self, client: &mut Client, to: LinkAddr) {
        let from = std::mem::replace(&mut client.link, to);
        let key = SessionKey::new(&to, client.key.remote);
        if key != client.key {
            self.by_session.remove(&client.key);
            if self.by_link.get(&client.key.link) == Some(&client.id) {
                self.by_link.remove(&client.key.link);
            }
            self.by_session.insert(key, client.id);
            self.by_link.insert(key.link, client.id);
            client.key = key;
        }
        client.session.set_link(&to);
        if let Stage::Live(live) = &client.stage {
            live.peer.set_link(to);
        }
        self.events.push_back(Event::Floated {
            client: client.id,
            from,
            to,
        });
    }
}

/// Both showed the same certificate. Without certificates nothing is known about the other, so no.
fn same_certificate(one: &Live, other: &Live) -> bool {
    match (&one.profile.certificate, &other.profile.certificate) {
        (Some(one), Some(other)) => one.fingerprint_sha256 == other.fingerprint_sha256,
        _ => false,
    }
}
