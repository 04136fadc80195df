//! Telling connected clients of changed options, those that announce that they can be told.

use std::time::Duration;

use culvert_wire::Now;

use super::Server;
use crate::client::{Client, Stage};
use crate::settings::SettingsError;
use crate::timers::TimerKind;

/// How long after an update the next one is sent; what changes meanwhile goes into that one.
///
/// Source: OpenVPN 2.7 behaviour. It closes its tunnel device with each update and opens it again a second later.
const PAUSE: Duration = Duration::from_secs(2);

/// Bytes a client may have yet to take before further updates wait. Only the newest state counts: where a client can't be
/// reached for a while, updates must not pile up until its queue is full.
const MAX_BACKLOG: usize = 16 * 1024;

impl Server {
    /// Tells a client of changed options, now or when the pause after the last update is over. One that has yet to get
    /// its reply finds them there.
    pub(super) fn update_options(&mut self, now: Now, client: &mut Client) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        if live.replied_at.is_none() {
            live.pushed.replace(&self.common);
            return;
        }
        if !self.settings.push.updates || !live.pushed.is_behind(&self.common) {
            return;
        }
        let due = if client.session.undelivered_bytes() > MAX_BACKLOG {
            now.instant + PAUSE
        } else {
            live.update_after
        };
        if now.instant < due {
            let at = Some(due);
            self.timers
                .set(&mut client.deadlines, client.id, TimerKind::PushUpdate, at);
            return;
        }
        let update = live.pushed.update(&self.common, &mut self.known_updates);
        self.send_update(now, client, update);
    }

    /// Tells a client once more what updates have changed if the key it has left may have taken one with it: OpenVPN 2.x
    /// does not listen to a key any more once it negotiates the next.
    pub(super) fn repeat_updates(&mut self, now: Now, client: &mut Client) {
        if let Stage::Live(live) = &client.stage
            && client.session.left_unacknowledged()
        {
            let update = live.pushed.repetition();
            self.send_update(now, client, update);
        }
    }

    fn send_update<M: AsRef<[Vec<u8>]>>(
        &mut self,
        now: Now,
        client: &mut Client,
        update: Result<M, SettingsError>,
    ) {
        let Stage::Live(live) = &mut client.stage else {
            return;
        };
        if update.as_ref().is_ok_and(|messages| messages.as_ref().is_empty()) {
            return;
        }
        live.update_after = now.instant + PAUSE;
        self.counters.updates += 1;
        tracing::debug!(client = client.id.0, "changed options are pushed");
        self.send_options(now, client, update);
    }
}
