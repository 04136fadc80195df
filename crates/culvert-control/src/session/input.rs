//! Packets and time coming in.

use std::time::Instant;

use culvert_crypto::{Entropy, Unwrapped};
use culvert_wire::control::ControlBody;
use culvert_wire::{FirstByte, KeyId, MessageId, Now, Opcode, SessionId};

use super::Session;
use crate::error::ControlDrop;
use crate::key_state::{Context, KeyState};
use crate::wrapping::Opened;
use crate::{Role, SessionError};

/// Longest control packet taken in: what OpenVPN 2.6 can receive, the widest wrapping, a wrapped client key.
const MAX_CONTROL_PACKET: usize = 1768 + 80 + 1024;

impl Session {
    /// Takes in a control packet from the link, as it arrived. It is decrypted in place.
    ///
    /// # Errors
    /// Why it was dropped. A dropped packet has changed nothing, except that acknowledgements in an authentic
    /// one count.
    pub fn handle_packet(
        &mut self,
        now: Now,
        packet: &mut [u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(), ControlDrop> {
        if packet.len() > MAX_CONTROL_PACKET {
            return Err(ControlDrop::TooLong);
        }
        let first = FirstByte::peek(packet)?;
        let packet = self.wrapping.strip_wrapped_key(first, packet)?;
        let (unwrapped, opened) = self.wrapping.open(first.key_id, packet)?;
        self.handle_opened(now, unwrapped, opened, entropy)
    }

    /// Takes in a packet that the caller has unwrapped already with the wrapping this session started with:
    /// the one that proved the cookie. Its wrapped client key, if any, must be cut off.
    ///
    /// # Errors
    /// As [`Session::handle_packet`].
    pub fn handle_unwrapped(
        &mut self,
        now: Now,
        unwrapped: Unwrapped<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(), ControlDrop> {
        self.handle_opened(now, unwrapped, Opened::Base, entropy)
    }

    fn handle_opened(
        &mut self,
        now: Now,
        unwrapped: Unwrapped<'_>,
        opened: Opened,
        entropy: &mut dyn Entropy,
    ) -> Result<(), ControlDrop> {
        let Unwrapped {
            first,
            session,
            stamp,
            body,
        } = unwrapped;
        let body = ControlBody::parse(first.opcode, body)?;
        self.check_addressee(first.opcode, session, &body)?;
        let slot = self.find_slot(first, &body)?;
        if !self.wrapping.accept(opened, stamp) {
            return Err(ControlDrop::Replay);
        }
        self.remote = Some(session);
        let outcome = self.deliver(now.instant, slot, first.opcode, &body, entropy);
        self.after_input(now.instant, entropy);
        outcome
    }

    /// The packet must be for this side, from our peer's session, and if it names ours, name it right.
    fn check_addressee(
        &self,
        opcode: Opcode,
        session: SessionId,
        body: &ControlBody<'_>,
    ) -> Result<(), ControlDrop> {
        let for_us = match opcode {
            Opcode::ControlSoftResetV1 | Opcode::ControlV1 | Opcode::AckV1 => true,
            Opcode::ControlHardResetClientV2 | Opcode::ControlHardResetClientV3 | Opcode::ControlWkcV1 => {
                self.role == Role::Server
            }
            Opcode::ControlHardResetServerV2 => self.role == Role::Client,
            Opcode::DataV1 | Opcode::DataV2 => false,
        };
        if !for_us {
            return Err(ControlDrop::WrongOpcode(opcode));
        }
        let from_peer = match self.remote {
            Some(remote) => remote == session,
            // The server's first word is its reset, and it acknowledges ours.
            None => opcode == Opcode::ControlHardResetServerV2 && !body.acks.is_empty(),
        };
        if !from_peer || body.remote_session.is_some_and(|echoed| echoed != self.local) {
            return Err(ControlDrop::WrongSession);
        }
        Ok(())
    }

    /// Finds the key a packet belongs to.
    fn find_slot(&self, first: FirstByte, body: &ControlBody<'_>) -> Result<Slot, ControlDrop> {
        let FirstByte { opcode, key_id } = first;
        let is_reset = opcode.is_hard_reset() || opcode == Opcode::ControlSoftResetV1;
        // Also what 2.6.22 does: a reset inside a session is message 0 or nothing.
        if is_reset && body.message_id != Some(MessageId(0)) {
            return Err(ControlDrop::MisplacedReset);
        }
        if opcode == Opcode::ControlSoftResetV1 && key_id == KeyId::FIRST {
            return Err(ControlDrop::MisplacedReset);
        }
        if self.primary.key_id == key_id {
            return Ok(Slot::Primary);
        }
        if self
            .lame_duck
            .as_ref()
            .is_some_and(|lame| lame.key_id == key_id && lame.control.is_some())
        {
            return Ok(Slot::LameDuck);
        }
        if self.dying.as_ref().is_some_and(|(key, _)| key.key_id == key_id) {
            return Ok(Slot::Dying);
        }
        if opcode != Opcode::ControlSoftResetV1 {
            return Err(ControlDrop::UnknownKey(key_id));
        }
        // Any other key id is a late copy of a reset from long ago.
        let in_turn = key_id == self.primary.key_id.next() && self.may_renegotiate();
        if in_turn {
            Ok(Slot::Next(key_id))
        } else {
            Err(ControlDrop::OutOfTurn)
        }
    }

    fn deliver(
        &mut self,
        now: Instant,
        slot: Slot,
        opcode: Opcode,
        body: &ControlBody<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(), ControlDrop> {
        if let Slot::Next(key_id) = slot {
            self.start_key(now, key_id);
        }
        let key: &mut KeyState = match slot {
            Slot::Primary | Slot::Next(_) => &mut self.primary,
            Slot::LameDuck => match self.lame_duck.as_mut().and_then(|lame| lame.control.as_mut()) {
                Some(key) => key,
                None => return Ok(()),
            },
            Slot::Dying => match &mut self.dying {
                Some((key, _)) => key,
                None => return Ok(()),
            },
        };
        let mut cx = Context {
            now,
            config: &self.config,
            entropy,
            events: &mut self.events,
        };
        key.handle_packet(&mut cx, opcode, body)
    }

    /// What follows from a key having moved on.
    fn after_input(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        if let Some(error) = self.primary.take_failure() {
            self.on_failure(now, error);
        }
        if self.primary.take_activated() {
            self.plan_renegotiation(now, entropy);
        }
        self.flush_messages();
        if let Some(error) = self.primary.take_failure() {
            self.on_failure(now, error);
        }
    }

    /// Does what is due. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Now, entropy: &mut dyn Entropy) {
        let at = now.instant;
        if self.lame_duck.as_ref().is_some_and(|lame| lame.expires <= at) {
            self.forget_lame_duck();
        }
        if self.retire_at.take_if(|due| *due <= at).is_some()
            && let Some(lame) = &mut self.lame_duck
        {
            lame.control = None;
        }
        if self.dying.as_ref().is_some_and(|(_, until)| *until <= at) {
            self.dying = None;
        }
        self.with_primary(at, entropy, |key, cx| key.handle_timeout(cx));
        self.after_input(at, entropy);
        if self.primary_expires.take_if(|expires| *expires <= at).is_some() {
            self.end(at, SessionError::KeyExpired);
        }
        if self.renegotiate_at.take_if(|due| *due <= at).is_some() && self.may_renegotiate() {
            self.start_renegotiation(at);
        }
    }
}

/// Where a packet goes.
#[derive(Clone, Copy)]
enum Slot {
    Primary,
    LameDuck,
    Dying,
    /// The peer's soft reset begins this key.
    Next(KeyId),
}
