//! One key's control channel: reliability, TLS and key exchange from the reset to the last message.
//!
//! ```text
//! Waiting ──(peer's reset)──> Handshake ──(both key method 2)──> Exchanged ──(all acknowledged)──> Active
//!    └───────────────────────────┴──────────────(error)─────────────┴──────────────> Failed
//! ```
//!
//! Nothing here knows about wrapping, session ids or the other keys of the session.

mod input;
mod output;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use culvert_crypto::{Entropy, Key2, Role};
use culvert_wire::control::MAX_ACKS;
use culvert_wire::{KeyId, MessageId, Opcode, SessionId};

use crate::CertificateInfo;
use crate::config::SessionConfig;
use crate::error::SessionError;
use crate::event::SessionEvent;
use crate::exchange::Exchange;
use crate::reliable::{AckQueue, ReceiveWindow, SendWindow};
use crate::tls_failure::{Peer, TlsFailure};
use crate::tls_stream::TlsStream;

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
