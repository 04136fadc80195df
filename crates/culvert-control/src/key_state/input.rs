//! What a key does with packets and time coming in.

use culvert_crypto::Role;
use culvert_wire::control::ControlBody;
use culvert_wire::control::early::EarlyNegotiation;
use culvert_wire::key_method2::KeyMethod2Client;
use culvert_wire::{KeyId, MessageId, Opcode};

use super::{Context, KeyState, Stage};
use crate::error::{ControlDrop, SessionError};
use crate::event::SessionEvent;
use crate::reliable::{Received, WINDOW_NEW};
use crate::tls_failure::Peer;
use crate::tls_stream::TlsStream;

/// Most records, and bytes of them, kept from a peer that sends before the handshake is complete.
const EARLY_RECORDS: usize = 16;
const EARLY_BYTES: usize = 16 * 1024;

impl KeyState {
    /// Takes in a packet that belongs to this key.
    ///
    /// # Errors
    /// Why it was dropped; acknowledgements in it count all the same.
    pub(crate) fn handle_packet(
        &mut self,
        cx: &mut Context<'_>,
        opcode: Opcode,
        body: &ControlBody<'_>,
    ) -> Result<(), ControlDrop> {
        for ack in &body.acks {
            self.send.acknowledge(cx.now, *ack);
        }
        let stored = match body.message_id {
            Some(id) => self.store(id, opcode, body.payload),
            None => Ok(()),
        };
        while let Some((_, message)) = self.receive.pop() {
            if self.stage == Stage::Failed {
                continue;
            }
            let outcome = if is_reset(message.opcode) {
                self.on_reset(cx, &message.payload)
            } else {
                self.on_tls(cx, &message.payload)
            };
            if let Err(error) = outcome {
                self.fail(error);
            }
        }
        self.settle(cx);
        stored
    }

    fn store(&mut self, id: MessageId, opcode: Opcode, payload: &[u8]) -> Result<(), ControlDrop> {
        // Id 0 is the reset and nothing else is. After 2^32 messages it could be otherwise; no session lives
        // that long.
        if is_reset(opcode) != (id == MessageId(0)) {
            return Err(ControlDrop::MisplacedReset);
        }
        match self.receive.store(id, opcode, payload) {
            Received::New | Received::Duplicate => {
                self.acks.push(id);
                Ok(())
            }
            Received::Refused => Err(ControlDrop::TooFarAhead),
        }
    }

    /// The peer's reset: TLS may begin.
    fn on_reset(&mut self, cx: &mut Context<'_>, payload: &[u8]) -> Result<(), SessionError> {
        if self.role == Role::Client && self.key_id == KeyId::FIRST {
            let asked = EarlyNegotiation::parse(payload).map_err(|_| SessionError::EarlyNegotiation)?;
            self.resend_wrapped_key = asked.resend_wkc;
        }
        if self.stage == Stage::Waiting {
            self.stage = Stage::Handshake;
        }
        // What the peer did not hear because it had no state yet needs no patience now.
        self.send.burst(cx.now);
        if self.role == Role::Client {
            self.start_tls(cx)?;
        }
        Ok(())
    }

    fn start_tls(&mut self, cx: &mut Context<'_>) -> Result<(), SessionError> {
        if self.tls.is_none() {
            let mut tls = TlsStream::new(&cx.config.tls)?;
            tls.take_output(&mut self.output);
            self.tls = Some(tls);
        }
        Ok(())
    }

    fn on_tls(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), SessionError> {
        let mut records = Vec::new();
        self.start_tls(cx)?;
        let tls = self.tls.as_mut().ok_or(SessionError::Ended)?;
        let was_handshaking = tls.is_handshaking();
        let fed = tls.feed(bytes, |record| records.push(record.to_vec()));
        let finished = was_handshaking && !tls.is_handshaking();
        let closed = tls.is_closed();
        tls.take_output(&mut self.output);
        fed?;
        if finished && self.role == Role::Client {
            let message = self.exchange.write_client(cx.config, cx.entropy);
            let message = message.map_err(|reason| SessionError::KeyMethod2 {
                peer: Peer::Client,
                reason,
            })?;
            self.write(&message)?;
        }
        for record in records {
            self.on_record(cx, record)?;
        }
        if closed && !matches!(self.stage, Stage::Exchanged | Stage::Active) {
            return Err(SessionError::Closed { peer: self.peer() });
        }
        Ok(())
    }

    fn on_record(&mut self, cx: &mut Context<'_>, record: Vec<u8>) -> Result<(), SessionError> {
        match (self.stage, self.role) {
            (Stage::Active, _) => {
                cx.events.push_back(SessionEvent::Message {
                    key_id: self.key_id,
                    record,
                });
                Ok(())
            }
            (Stage::Exchanged, _) => self.keep_early(record),
            (_, Role::Server) => {
                let read = self
                    .exchange
                    .read_client(cx.now, &record, cx.config.max_key_method2);
                match read.map_err(|reason| self.bad_message(reason))? {
                    Some(message) => self.on_client_message(cx, message),
                    None => Ok(()),
                }
            }
            (_, Role::Client) => {
                let message = self
                    .exchange
                    .read_server(&record)
                    .map_err(|reason| self.bad_message(reason))?;
                self.stage = Stage::Exchanged;
                let certificate = self.certificate();
                let key_id = self.key_id;
                cx.events.push_back(SessionEvent::KeyMethod2Reply {
                    key_id,
                    message,
                    certificate,
                });
                Ok(())
            }
        }
    }

    /// Server: the client's half is here, answer it.
    fn on_client_message(
        &mut self,
        cx: &mut Context<'_>,
        message: Box<KeyMethod2Client>,
    ) -> Result<(), SessionError> {
        let answer = self
            .exchange
            .write_server(cx.config, &message.options, cx.entropy)
            .map_err(|reason| self.bad_message(reason))?;
        self.write(&answer)?;
        self.stage = Stage::Exchanged;
        if is_new(&message) {
            self.send.set_window(WINDOW_NEW);
        }
        let certificate = self.certificate();
        cx.events.push_back(SessionEvent::KeyMethod2 {
            key_id: self.key_id,
            message: *message,
            certificate,
        });
        let rest = self.exchange.take_rest();
        if rest.is_empty() {
            Ok(())
        } else {
            self.keep_early(rest.to_vec())
        }
    }

    fn bad_message(&self, reason: String) -> SessionError {
        SessionError::KeyMethod2 {
            peer: self.peer(),
            reason,
        }
    }

    /// The peer may send messages before it acknowledged our last; they are reported once the key is active.
    fn keep_early(&mut self, record: Vec<u8>) -> Result<(), SessionError> {
        let bytes: usize = self.early.iter().map(Vec::len).sum();
        if self.early.len() >= EARLY_RECORDS || bytes + record.len() > EARLY_BYTES {
            return Err(SessionError::TooEager { peer: self.peer() });
        }
        self.early.push_back(record);
        Ok(())
    }

    /// Handles what is due. Retransmissions are not: [`KeyState::next_packet`] does those.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if let Some(message) = self.exchange.handle_timeout(cx.now)
            && let Err(error) = self.on_client_message(cx, message)
        {
            self.fail(error);
        }
        if self.deadline.take_if(|at| *at <= cx.now).is_some() {
            let error = SessionError::HandshakeTimeout {
                seconds: cx.config.hand_window.as_secs(),
                stage: self.how_far(),
            };
            self.fail(error);
        }
        self.settle(cx);
    }

    fn how_far(&self) -> &'static str {
        let handshaking = self.tls.as_ref().is_none_or(TlsStream::is_handshaking);
        match (self.stage, self.role) {
            (Stage::Waiting, Role::Client) => {
                "the server never answered; check address, port, firewalls, and that both sides use the same tls-auth or tls-crypt key"
            }
            (Stage::Waiting, Role::Server) => "the client never answered the renegotiation; it may be gone",
            _ if handshaking => {
                "TLS negotiation did not complete; packets are lost on the way, often the large ones (path MTU), or the peer refused our certificate without saying so"
            }
            (Stage::Handshake, _) => "TLS is up but the peer's key exchange message did not arrive",
            _ => "the peer did not acknowledge our last message; packets are lost on the way",
        }
    }
}

fn is_reset(opcode: Opcode) -> bool {
    opcode.is_hard_reset() || opcode == Opcode::ControlSoftResetV1
}

/// True for clients with the larger receive window: OpenVPN 2.6 and later, and OpenVPN 3.
fn is_new(message: &KeyMethod2Client) -> bool {
    let Some(version) = message.peer_info.iv_ver() else {
        return false;
    };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (major, minor) >= (2, 6)
}
