//! Soft resets: a new key while the old one serves on.

use std::time::{Duration, Instant};

use culvert_crypto::{Entropy, Role};
use culvert_wire::{KeyId, Now, Opcode};

use super::{ALERT_TIME, LameDuck, Session};
use crate::error::SessionError;
use crate::event::SessionEvent;
use crate::key_state::{KeyState, Stage};

impl Session {
    /// Starts a renegotiation.
    ///
    /// # Errors
    /// [`SessionError::RenegotiationNotPossible`] while another is under way or before the session is
    /// established and negotiated.
    pub fn soft_reset(&mut self, now: Now) -> Result<(), SessionError> {
        if !self.may_renegotiate() {
            return Err(SessionError::RenegotiationNotPossible);
        }
        self.start_renegotiation(now.instant);
        Ok(())
    }

    /// Refuses a key, for example because the identity in its key exchange is not the session's. For a
    /// renegotiation the earlier key stays; for the first key, or one that is active already, the session ends.
    ///
    /// The outcome is reported as for any other failure.
    pub fn fail_key(&mut self, now: Now, key_id: KeyId, reason: &str) {
        if self.primary.key_id != key_id || self.ended {
            return;
        }
        self.primary.fail(SessionError::Refused {
            reason: reason.to_owned(),
        });
        if let Some(error) = self.primary.take_failure() {
            self.on_failure(now.instant, error);
        }
    }

    /// Both sides must know what was pushed, or the next key could not be derived alike.
    pub(super) fn may_renegotiate(&self) -> bool {
        !self.ended && self.negotiated.is_some() && self.primary.stage() == Stage::Active
    }

    pub(super) fn start_renegotiation(&mut self, now: Instant) {
        self.start_key(now, self.primary.key_id.next());
    }

    /// Puts a new key in front; the current one becomes the lame duck and an earlier lame duck is forgotten.
    pub(super) fn start_key(&mut self, now: Instant, key_id: KeyId) {
        self.forget_lame_duck();
        if self.dying.as_ref().is_some_and(|(key, _)| key.key_id == key_id) {
            self.dying = None;
        }
        self.renegotiate_at = None;
        self.retire_at = None;
        let fresh = KeyState::initiate(
            key_id,
            self.role,
            Opcode::ControlSoftResetV1,
            now,
            self.config.hand_window,
        );
        let mut old = std::mem::replace(&mut self.primary, Box::new(fresh));
        // OpenVPN 2.x stops listening to the old key's control channel: don't resend into the void for long.
        old.quiet_from(now + self.config.hand_window);
        let expires = self
            .primary_expires
            .take()
            .unwrap_or(now + self.config.tran_window);
        self.lame_duck = Some(LameDuck {
            key_id: old.key_id,
            control: Some(old),
            expires,
        });
    }

    pub(super) fn forget_lame_duck(&mut self) {
        if let Some(lame) = self.lame_duck.take() {
            self.events
                .push_back(SessionEvent::LameDuckExpired { key_id: lame.key_id });
        }
    }

    /// The newest key failed: fall back to the one before, or end.
    pub(super) fn on_failure(&mut self, now: Instant, error: SessionError) {
        let key_id = self.primary.key_id;
        let before = self
            .lame_duck
            .take_if(|lame| lame.control.is_some() && !self.primary.was_active());
        let Some(LameDuck {
            control: Some(control),
            expires,
            ..
        }) = before
        else {
            self.end(now, error);
            return;
        };
        let mut failed = std::mem::replace(&mut self.primary, control);
        failed.quiet_from(now + ALERT_TIME);
        self.dying = Some((failed, now + ALERT_TIME));
        self.primary.restore();
        self.primary_expires = Some(expires);
        self.renegotiate_at = Some(now + self.config.hand_window);
        self.events
            .push_back(SessionEvent::RenegotiationFailed { key_id, error });
    }

    pub(super) fn end(&mut self, now: Instant, error: SessionError) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.renegotiate_at = None;
        self.messages.clear();
        self.message_bytes = 0;
        self.primary.fail(error.clone());
        // Told below; what remains is to get TLS's alert out.
        self.primary.take_failure();
        self.primary.quiet_from(now + ALERT_TIME);
        self.events.push_back(SessionEvent::Failed { error });
    }

    /// The newest key is in use: plan its successor, and the end of the one before.
    pub(super) fn plan_renegotiation(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        if self.lame_duck.is_some() {
            // OpenVPN 3 sends messages under the old key for up to 60 s more; 2.x not at all.
            self.retire_at = Some(now + 2 * self.config.hand_window);
        }
        self.renegotiate_at = self.config.reneg_interval.map(|interval| {
            let early = match self.role {
                Role::Server => up_to_a_tenth(interval, entropy),
                Role::Client => Duration::ZERO,
            };
            now + interval.saturating_sub(early)
        });
    }
}

fn up_to_a_tenth(interval: Duration, entropy: &mut dyn Entropy) -> Duration {
    (interval / 10).mul_f64((entropy.next_u64() % 1000) as f64 / 1000.0)
}
