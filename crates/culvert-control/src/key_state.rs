//! One key's control channel: reliability, TLS and key exchange from the reset to the last message.
//!
//! ```text
//! Waiting ──(peer's reset)──> Handshake ──(both key method 2)──> Exchanged ──(all acknowledged)──> Active
//!    └───────────────────────────┴──────────────(error)─────────────┴──────────────> Failed
//! ```
//!
//! Nothing here knows about wrapping, session ids or the other keys of the session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use culvert_crypto::{Entropy, Key2, Role};
use culvert_wire::control::early::EarlyNegotiation;
use culvert_wire::control::{ControlBody, MAX_ACKS, MAX_ACKS_WITH_MESSAGE};
use culvert_wire::key_method2::KeyMethod2Client;
use culvert_wire::{KeyId, MessageId, Opcode, SessionId};

use crate::CertificateInfo;
use crate::config::SessionConfig;
use crate::error::{ControlDrop, SessionError};
use crate::event::SessionEvent;
use crate::exchange::Exchange;
use crate::reliable::{AckQueue, ReceiveWindow, Received, SendWindow, WINDOW_NEW};
use crate::tls_failure::{Peer, TlsFailure};
use crate::tls_stream::TlsStream;

/// Most records, and bytes of them, kept from a peer that sends before the handshake is complete.
const EARLY_RECORDS: usize = 16;
const EARLY_BYTES: usize = 16 * 1024;

/// How far a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Our reset is out, the peer's has not come.
    Waiting,
    /// TLS and key method 2 are under way.
    Handshake,
    /// Both key messages are exchanged, ours may not have arrived.
    Exchanged,
    /// The key may be used.
    Active,
    /// Over. What TLS still has to say, an alert, is being sent.
    Failed,
}

/// What a key needs from its session while it handles something.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a SessionConfig,
    pub(crate) entropy: &'a mut dyn Entropy,
    pub(crate) events: &'a mut VecDeque<SessionEvent>,
}

/// A control packet before wrapping.
pub(crate) struct Packet {
    pub(crate) opcode: Opcode,
    pub(crate) acks: ArrayVec<MessageId, MAX_ACKS>,
    pub(crate) message: Option<(MessageId, Vec<u8>)>,
}

/// See the module.
pub(crate) struct KeyState {
    pub(crate) key_id: KeyId,
    role: Role,
    stage: Stage,
    /// End of the hand-window; cleared when the key becomes active or fails.
    deadline: Option<Instant>,
    /// From then on nothing is resent.
    quiet_at: Option<Instant>,
    send: SendWindow,
    receive: ReceiveWindow,
    acks: AckQueue,
    tls: Option<TlsStream>,
    /// TLS bytes that are not cut into packets yet.
    output: Vec<u8>,
    exchange: Exchange,
    early: VecDeque<Vec<u8>>,
    /// Has become active, and that was not asked for yet.
    activated: bool,
    was_active: bool,
    failure: Option<SessionError>,
    /// tls-crypt-v2 client: the server wants the wrapped key with message 1.
    resend_wrapped_key: bool,
}

impl KeyState {
    /// A key whose reset we send, and whose peer's reset is to come.
    pub(crate) fn initiate(
        key_id: KeyId,
        role: Role,
        reset: Opcode,
        now: Instant,
        hand_window: Duration,
    ) -> Self {
        let mut state = Self::new(
            key_id,
            role,
            Stage::Waiting,
            MessageId(0),
            MessageId(0),
            now + hand_window,
        );
        state.send.queue(now, reset, Vec::new());
        state
    }

    /// Server: a first key whose client's reset was handled, and whose own reset was sent and acknowledged,
    /// without this state.
    pub(crate) fn resume(now: Instant, hand_window: Duration) -> Self {
        let one = MessageId(1);
        Self::new(
            KeyId::FIRST,
            Role::Server,
            Stage::Handshake,
            one,
            one,
            now + hand_window,
        )
    }

    /// Server: a first key whose client's reset was handled and is answered here.
    pub(crate) fn answer(now: Instant, hand_window: Duration) -> Self {
        let mut state = Self::new(
            KeyId::FIRST,
            Role::Server,
            Stage::Handshake,
            MessageId(0),
            MessageId(1),
            now + hand_window,
        );
        state.acks.push(MessageId(0));
        state
            .send
            .queue(now, Opcode::ControlHardResetServerV2, Vec::new());
        state
    }

    fn new(
        key_id: KeyId,
        role: Role,
        stage: Stage,
        send_next: MessageId,
        receive_next: MessageId,
        deadline: Instant,
    ) -> Self {
        Self {
            key_id,
            role,
            stage,
            deadline: Some(deadline),
            quiet_at: None,
            send: SendWindow::new(send_next),
            receive: ReceiveWindow::new(receive_next),
            acks: AckQueue::default(),
            tls: None,
            output: Vec::new(),
            exchange: Exchange::default(),
            early: VecDeque::new(),
            activated: false,
            was_active: false,
            failure: None,
            resend_wrapped_key: false,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    fn peer(&self) -> Peer {
        Peer::of(self.role)
    }

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

    /// Becomes active when nothing is outstanding.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if self.stage != Stage::Exchanged || !self.send.is_empty() || !self.output.is_empty() {
            return;
        }
        self.stage = Stage::Active;
        self.activated = true;
        self.was_active = true;
        self.deadline = None;
        let key_id = self.key_id;
        cx.events.push_back(SessionEvent::Active { key_id });
        let early = std::mem::take(&mut self.early);
        cx.events.extend(
            early
                .into_iter()
                .map(|record| SessionEvent::Message { key_id, record }),
        );
    }

    /// Ends this key. An alert that TLS has queued still goes out.
    pub(crate) fn fail(&mut self, error: SessionError) {
        self.stage = Stage::Failed;
        self.deadline = None;
        self.early.clear();
        self.exchange = Exchange::default();
        if matches!(error, SessionError::HandshakeTimeout { .. }) {
            // Only TLS has something to say when it fails; a peer that did not answer for so long will not now.
            self.send.clear();
            self.output.clear();
        }
        self.failure = Some(error);
    }

    /// True once, after the key has become active.
    pub(crate) fn take_activated(&mut self) -> bool {
        std::mem::take(&mut self.activated)
    }

    /// True if the key was ever active.
    pub(crate) fn was_active(&self) -> bool {
        self.was_active
    }

    /// Why the key failed, told once.
    pub(crate) fn take_failure(&mut self) -> Option<SessionError> {
        self.failure.take()
    }

    /// Sends a message; up to 16 KiB are one TLS record.
    pub(crate) fn write(&mut self, message: &[u8]) -> Result<(), SessionError> {
        let tls = self.tls.as_mut().ok_or(SessionError::Ended)?;
        Ok(tls.write(message, &mut self.output)?)
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

    /// The next packet to send now, with at most `room` bytes of TLS in it. `wrapped_key` is what a packet
    /// with the client's wrapped key carries on top.
    pub(crate) fn next_packet(&mut self, now: Instant, room: usize, wrapped_key: usize) -> Option<Packet> {
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.send.clear();
            self.output.clear();
        }
        while !self.output.is_empty() && self.stage != Stage::Waiting && self.send.has_room() {
            self.cut(now, room, wrapped_key);
        }
        if let Some(due) = self.send.take_due(now) {
            let (opcode, message) = (due.opcode, (due.id, due.payload.clone()));
            let acks = self.acks.take(MAX_ACKS_WITH_MESSAGE);
            return Some(Packet {
                opcode,
                acks,
                message: Some(message),
            });
        }
        if self.acks.is_pending() {
            return Some(Packet {
                opcode: Opcode::AckV1,
                acks: self.acks.take(MAX_ACKS),
                message: None,
            });
        }
        None
    }

    /// Moves the next piece of TLS output into the send window.
    fn cut(&mut self, now: Instant, room: usize, wrapped_key: usize) {
        let with_key = self.resend_wrapped_key && self.send.next_id() == MessageId(1);
        let (opcode, room) = if with_key {
            // A ClientHello of the usual size stays in one packet even if that is a little larger then.
            (
                Opcode::ControlWkcV1,
                room.saturating_sub(wrapped_key).max(room / 2),
            )
        } else {
            (Opcode::ControlV1, room)
        };
        let rest = self.output.split_off(room.clamp(1, self.output.len()));
        let piece = std::mem::replace(&mut self.output, rest);
        self.send.queue(now, opcode, piece);
    }

    /// Earliest time at which [`KeyState::handle_timeout`] or [`KeyState::next_packet`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        [
            self.deadline,
            self.send.next_timeout(),
            self.exchange.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Stops retransmissions at `at`.
    pub(crate) fn quiet_from(&mut self, at: Instant) {
        self.quiet_at = Some(at);
    }

    /// Lets a key that was put aside go on.
    pub(crate) fn restore(&mut self) {
        self.quiet_at = None;
    }

    /// True if data keys can be had from this key.
    pub(crate) fn has_keys(&self) -> bool {
        self.exchange.is_complete()
    }

    /// Data keys by the PRF.
    pub(crate) fn derive(&self, client: SessionId, server: SessionId) -> Option<Key2> {
        self.exchange.derive(client, server)
    }

    /// Exported key material of this key's TLS connection.
    pub(crate) fn export(&self, label: &[u8], out: &mut [u8; 256]) -> Result<(), TlsFailure> {
        match &self.tls {
            Some(tls) => tls.export(label, out),
            None => Err(TlsFailure::Internal {
                reason: "no TLS connection yet".to_owned(),
            }),
        }
    }

    /// The peer's certificate, once TLS has verified it.
    pub(crate) fn certificate(&self) -> Option<CertificateInfo> {
        // It parsed once already: rustls verified it.
        CertificateInfo::parse(self.tls.as_ref()?.peer_certificate()?).ok()
    }

    /// Bytes kept for this key, TLS state itself not counted.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.send.bytes()
            + self.receive.bytes()
            + self.output.capacity()
            + self.tls.as_ref().map_or(0, TlsStream::buffered_bytes)
            + self.exchange.buffered_bytes()
            + self.early.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Bytes of TLS output that wait for the peer.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.output.len() + self.send.bytes()
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
