//! One client's control channel over its whole life: hard reset, keys, renegotiations, messages.

mod input;
mod output;
mod renegotiation;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use culvert_crypto::{ControlWrap, Entropy, Key2, Role};
use culvert_wire::{KeyId, LinkAddr, Now, SessionId};

use crate::CertificateInfo;
use crate::config::SessionConfig;
use crate::error::SessionError;
use crate::event::SessionEvent;
use crate::key_state::{Context, KeyState, Stage};
use crate::tls_stream::MAX_RECORD;
use crate::wrapping::{SessionWrap, Wrapping};

/// Most bytes of messages that wait for the peer.
const QUEUE_LIMIT: usize = 64 * 1024;

/// How long the alert of a failed handshake is resent.
const ALERT_TIME: Duration = Duration::from_secs(10);

/// How a server's session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The client has proved with a cookie that it got our reset, which was sent without a session: both
    /// resets are done, both sides go on with message 1.
    Cookie,
    /// The client's reset has arrived and is to be answered.
    Reset,
}

/// One client's TLS control channel, for either role; no I/O, no clock.
///
/// # Contract
///
/// After each `handle_*` and each command: drain [`Session::poll_transmit`], then [`Session::poll_event`], then
/// read [`Session::poll_timeout`]. Time never goes back. An early [`Session::handle_timeout`] is harmless.
///
/// Messages, whenever they are given, go out under the newest finished key, in order; during a renegotiation
/// they wait for its outcome, because OpenVPN 2.x no longer listens to the old key then.
pub struct Session {
    config: Arc<SessionConfig>,
    role: Role,
    wrapping: Wrapping,
    local: SessionId,
    /// A client learns it from the server's reset.
    remote: Option<SessionId>,
    /// Bytes of IP and UDP header around a packet, 28 or 48.
    ip_udp: usize,
    /// The newest key, active or being negotiated.
    primary: Box<KeyState>,
    /// The key before it, still good for data, and for messages of clients that linger on it.
    lame_duck: Option<LameDuck>,
    /// A renegotiation that failed, while its alert is being sent.
    dying: Option<(Box<KeyState>, Instant)>,
    /// When the current key, brought back after a failed renegotiation, runs out for good.
    primary_expires: Option<Instant>,
    negotiated: Option<Negotiated>,
    renegotiate_at: Option<Instant>,
    /// When the lame duck's control channel is given up.
    retire_at: Option<Instant>,
    messages: VecDeque<Vec<u8>>,
    message_bytes: usize,
    events: VecDeque<SessionEvent>,
    ended: bool,
}

/// The key before the newest.
struct LameDuck {
    key_id: KeyId,
    /// Its control channel. Given up, to save the memory of a TLS connection, once no peer can be using it any
    /// more; never before the newest key is active, as it may be needed again until then.
    control: Option<Box<KeyState>>,
    /// When its data key is to be forgotten too.
    expires: Instant,
}

#[derive(Clone, Copy)]
struct Negotiated {
    ekm: bool,
}

impl Session {
    /// Server: a session for a client whose hard reset has arrived on `link`, wrapped as in `wrap`.
    ///
    /// `local` is our session id (the cookie, if there was one), `remote` the client's.
    pub fn accept(
        config: Arc<SessionConfig>,
        now: Now,
        wrap: SessionWrap,
        link: &LinkAddr,
        local: SessionId,
        remote: SessionId,
        start: Start,
    ) -> Self {
        let hand_window = config.hand_window;
        let primary = match start {
            Start::Cookie => KeyState::resume(now.instant, hand_window),
            Start::Reset => KeyState::answer(now.instant, hand_window),
        };
        let wrapping = Wrapping::new(wrap, start == Start::Cookie);
        Self::new(config, wrapping, link, local, Some(remote), primary)
    }

    /// Client: a session that sends its hard reset to the server behind `link`.
    pub fn connect(
        config: Arc<SessionConfig>,
        now: Now,
        entropy: &mut dyn Entropy,
        wrap: SessionWrap,
        link: &LinkAddr,
    ) -> Self {
        let wrapping = Wrapping::new(wrap, false);
        let reset = wrapping.client_reset();
        let primary = KeyState::initiate(KeyId::FIRST, Role::Client, reset, now.instant, config.hand_window);
        Self::new(config, wrapping, link, entropy.session_id(), None, primary)
    }

    fn new(
        config: Arc<SessionConfig>,
        wrapping: Wrapping,
        link: &LinkAddr,
        local: SessionId,
        remote: Option<SessionId>,
        primary: KeyState,
    ) -> Self {
        Self {
            role: config.tls.role(),
            config,
            wrapping,
            local,
            remote,
            ip_udp: ip_udp(link),
            primary: Box::new(primary),
            lame_duck: None,
            dying: None,
            primary_expires: None,
            negotiated: None,
            renegotiate_at: None,
            retire_at: None,
            messages: VecDeque::new(),
            message_bytes: 0,
            events: VecDeque::new(),
            ended: false,
        }
    }

    /// Our session id.
    pub fn local_session(&self) -> SessionId {
        self.local
    }

    /// The peer's session id; a client knows it once the server has answered.
    pub fn remote_session(&self) -> Option<SessionId> {
        self.remote
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The wrapping the session started with.
    pub fn wrap(&self) -> &ControlWrap {
        self.wrapping.base()
    }

    /// True if packets of renegotiated keys are wrapped with a key of their own.
    pub fn has_dynamic_tls_crypt(&self) -> bool {
        self.wrapping.is_dynamic()
    }

    /// The newest key, and whether it is active.
    pub fn current_key(&self) -> (KeyId, bool) {
        (self.primary.key_id, self.primary.stage() == Stage::Active)
    }

    /// The peer's verified certificate under the newest key, if TLS has come that far and it showed one.
    pub fn peer_certificate(&self) -> Option<CertificateInfo> {
        self.primary.certificate()
    }

    /// True after [`SessionEvent::Failed`].
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The peer is reached through another address now; only the address family matters here.
    pub fn set_link(&mut self, link: &LinkAddr) {
        self.ip_udp = ip_udp(link);
    }

    /// Uses `config` from the next renegotiation on. Its TLS role must be the same.
    pub fn set_config(&mut self, config: Arc<SessionConfig>) {
        if config.tls.role() == self.role {
            self.config = config;
        }
    }

    /// Fixes what the first PUSH_REPLY negotiated: data keys from the TLS exporter instead of the PRF, and
    /// dynamic tls-crypt. Both roles; only the first call counts. Renegotiations are possible from now on.
    ///
    /// # Errors
    /// [`SessionError::KeyNotReady`] before the first key is active, [`SessionError::KeyDerivation`] if TLS
    /// cannot export key material.
    pub fn negotiate(&mut self, ekm: bool, dyn_tls_crypt: bool) -> Result<(), SessionError> {
        if self.negotiated.is_some() {
            return Ok(());
        }
        if self.primary.key_id != KeyId::FIRST || self.primary.stage() != Stage::Active {
            return Err(SessionError::KeyNotReady { key_id: KeyId::FIRST });
        }
        if dyn_tls_crypt {
            let exported = self.export(&self.primary, Key2::DYNAMIC_TLS_CRYPT_LABEL)?;
            let wrap = ControlWrap::dynamic(exported, self.wrapping.base(), self.role);
            self.wrapping.set_dynamic(wrap);
        }
        self.negotiated = Some(Negotiated { ekm });
        Ok(())
    }

    /// The data keys of a finished key exchange, by the method that was negotiated.
    ///
    /// # Errors
    /// [`SessionError::KeyNotReady`] for an unknown or unfinished key, or before [`Session::negotiate`];
    /// [`SessionError::KeyDerivation`] if the result is unusable.
    pub fn data_key(&self, key_id: KeyId) -> Result<Key2, SessionError> {
        let not_ready = SessionError::KeyNotReady { key_id };
        let negotiated = self.negotiated.ok_or_else(|| not_ready.clone())?;
        let key = [Some(&*self.primary), self.lame_control()]
            .into_iter()
            .flatten()
            .find(|key| key.key_id == key_id && key.has_keys())
            .ok_or_else(|| not_ready.clone())?;
        let key2 = if negotiated.ekm {
            Key2::from_exporter(self.export(key, Key2::EXPORTER_LABEL)?)
        } else {
            let (client, server) = self.session_ids().ok_or_else(|| not_ready.clone())?;
            key.derive(client, server).ok_or(not_ready)?
        };
        key2.check().map_err(|error| SessionError::KeyDerivation {
            reason: error.to_string(),
        })?;
        Ok(key2)
    }

    fn lame_control(&self) -> Option<&KeyState> {
        self.lame_duck.as_ref()?.control.as_deref()
    }

    fn export(&self, key: &KeyState, label: &[u8]) -> Result<[u8; 256], SessionError> {
        let mut exported = [0; 256];
        key.export(label, &mut exported)
            .map_err(|error| SessionError::KeyDerivation {
                reason: error.to_string(),
            })?;
        Ok(exported)
    }

    /// Session ids of the client and of the server.
    fn session_ids(&self) -> Option<(SessionId, SessionId)> {
        let remote = self.remote?;
        Some(match self.role {
            Role::Client => (self.local, remote),
            Role::Server => (remote, self.local),
        })
    }

    /// Sends one control message, NUL included, as one TLS record.
    ///
    /// # Errors
    /// [`SessionError::MessageTooLong`], [`SessionError::QueueFull`] when the peer does not keep up,
    /// [`SessionError::Ended`].
    pub fn send_message(&mut self, message: &[u8]) -> Result<(), SessionError> {
        if self.ended {
            return Err(SessionError::Ended);
        }
        if message.is_empty() || message.len() > MAX_RECORD {
            return Err(SessionError::MessageTooLong {
                len: message.len(),
                max: MAX_RECORD,
            });
        }
        let queued = self.undelivered_bytes();
        if queued + message.len() > QUEUE_LIMIT {
            return Err(SessionError::QueueFull { queued });
        }
        self.message_bytes += message.len();
        self.messages.push_back(message.to_vec());
        self.flush_messages();
        Ok(())
    }

    /// Hands waiting messages to the newest key, if that is finished.
    fn flush_messages(&mut self) {
        if self.primary.stage() != Stage::Active {
            return;
        }
        while let Some(message) = self.messages.pop_front() {
            self.message_bytes -= message.len();
            if let Err(error) = self.primary.write(&message) {
                self.primary.fail(error);
                return;
            }
        }
    }

    /// Bytes of messages that wait to be sent, or that the peer has yet to acknowledge.
    pub fn undelivered_bytes(&self) -> usize {
        self.message_bytes + self.primary.queued_bytes()
    }

    /// True if the key before the newest was left with messages the peer has not acknowledged: it may never read them.
    pub fn left_unacknowledged(&self) -> bool {
        self.lame_control().is_some_and(|key| key.queued_bytes() > 0)
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        let event = self.events.pop_front();
        if event.is_none() && self.events.capacity() > 0 {
            // Events are large and rare: a session that is idle for hours needs no room for them.
            self.events = VecDeque::new();
        }
        event
    }

    /// Bytes kept for this session on behalf of its peer: packets out of order or unacknowledged, incomplete
    /// TLS records and messages. The fixed state of TLS itself, about 9 KiB per key, is not counted.
    pub fn buffered_bytes(&self) -> usize {
        let keys = [
            Some(&*self.primary),
            self.lame_control(),
            self.dying.as_ref().map(|(key, _)| &**key),
        ];
        keys.into_iter()
            .flatten()
            .map(|key| key.buffered_bytes())
            .sum::<usize>()
            + self.message_bytes
    }

    /// Runs `work` on a key with what it needs of the session.
    fn with_primary<T>(
        &mut self,
        now: Instant,
        entropy: &mut dyn Entropy,
        work: impl FnOnce(&mut KeyState, &mut Context<'_>) -> T,
    ) -> T {
        let mut cx = Context {
            now,
            config: &self.config,
            entropy,
            events: &mut self.events,
        };
        work(&mut self.primary, &mut cx)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("key_id", &self.primary.key_id)
            .field("stage", &self.primary.stage())
            .finish_non_exhaustive()
    }
}

fn ip_udp(link: &LinkAddr) -> usize {
    let v6 = match link.remote().ip() {
        std::net::IpAddr::V4(_) => false,
        std::net::IpAddr::V6(v6) => v6.to_ipv4_mapped().is_none(),
    };
    if v6 { 48 } else { 28 }
}
