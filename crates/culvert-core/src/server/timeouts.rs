//! What happens when time passes: retransmission, keepalive, limits on sessions.

use std::time::Instant;

use culvert_wire::{Now, occ};

use super::Server;
use crate::client::{Client, Stage};
use crate::event::{DisconnectReason, Transmit};
use crate::timers::TimerKind;

impl Server {
    /// Does what is due. Harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        self.tombstones.expire(now.instant);
        while let Some((id, kind)) = self.timers.due(now.instant) {
            if !self.clients.contains_key(&id) {
                self.timers.drop_first();
                continue;
            }
            self.with_client(now, id, |server, client| {
                // First taken out: whoever needs it again sets it again, so a timer can't fire forever.
                server.timers.set(&mut client.deadlines, client.id, kind, None);
                server.fire(now, client, kind);
            });
        }
    }

    fn fire(&mut self, now: Now, client: &mut Client, kind: TimerKind) {
        match kind {
            TimerKind::Control => client.session.handle_timeout(now, &mut *self.entropy),
            TimerKind::Verdict => self.verdict_timeout(now, client),
            TimerKind::Keepalive => self.keepalive(now, client),
            TimerKind::SessionTimeout => self.end_live(now, client, DisconnectReason::SessionTimeout),
            TimerKind::Inactive => self.check_activity(now, client),
            TimerKind::KeySwitch => self.switch_keys(now, client),
            TimerKind::TokenRenewal => self.renew_token(now, client),
            TimerKind::PushUpdate => self.update_options(now, client),
            TimerKind::Close => client.stage = Stage::Gone,
            TimerKind::Tombstones => {}
        }
    }

    /// Pings a client nothing was sent to, ends one nothing was heard from.
    ///
    /// The packet workers only note times; here they are looked at when a ping or the end might be due, so a busy
    /// client costs one look per ping interval.
    fn keepalive(&mut self, now: Now, client: &mut Client) {
        let settings = self.settings.keepalive;
        let Stage::Live(live) = &client.stage else { return };
        let since = |ms: u64, start: Instant| {
            if ms == 0 {
                start
            } else {
                self.instant_of_ms(ms).max(start)
            }
        };
        let heard = since(live.peer.last_rx_ms(), live.connected_at).max(client.heard);
        let dead = heard + settings.server_ping_restart;
        if now.instant >= dead {
            self.end_live(now, client, DisconnectReason::PingTimeout);
            return;
        }
        let mut quiet_until = since(live.peer.last_tx_ms(), live.connected_at) + settings.ping;
        if now.instant >= quiet_until {
            // Before the client has its options it can't read pings; it is looked at again all the same.
            if live.replied_at.is_some() {
                let mut packet = Vec::new();
                if live
                    .peer
                    .seal_payload(self.clock_ms(now), &occ::PING, &mut packet)
                    .is_ok()
                {
                    self.transmits.push_back(Transmit {
                        to: client.link,
                        packet,
                    });
                }
            }
            quiet_until = now.instant + settings.ping;
        }
        let next = quiet_until.min(dead);
        self.timers
            .set(&mut client.deadlines, client.id, TimerKind::Keepalive, Some(next));
    }

    /// Ends a client that moved too little since the last look.
    fn check_activity(&mut self, now: Now, client: &mut Client) {
        let Some(rule) = self.settings.inactive else {
            return;
        };
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        let stats = live.peer.stats();
        let total = stats.tun_rx_bytes + stats.tun_tx_bytes;
        let moved = total - std::mem::replace(&mut live.tun_bytes, total);
        if moved < rule.min_bytes {
            self.end_live(now, client, DisconnectReason::Inactive);
        } else {
            let next = Some(now.instant + rule.after);
            self.timers
                .set(&mut client.deadlines, client.id, TimerKind::Inactive, next);
        }
    }
}
