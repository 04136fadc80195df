//! The client itself.

mod incoming;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use culvert_control::{Session, SessionConfig, SessionWrap};
use culvert_crypto::{AuthDigest, Entropy};
use culvert_data::DropReason;
use culvert_wire::message::ControlMessage;
use culvert_wire::push::{PushAssembler, PushOptions};
use culvert_wire::{FirstByte, KeyId, LinkAddr, Now, PeerId, SessionId, occ};

use crate::data::DataChannel;
use crate::event::{ClientDrop, ClientEvent, End};
use crate::personality::Personality;

/// How long after the handshake options are asked for, if they did not come by themselves.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// And how often from then on.
const NEXT_REQUEST: Duration = Duration::from_secs(5);
/// How long they are asked for in all.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);
/// How long a client that leaves repeats itself.
const EXITING: Duration = Duration::from_secs(3);

/// What a client is configured with.
#[derive(Clone)]
pub struct ClientSettings {
    /// TLS, credentials and timers of the control channel. Its options string and peer info should be those of
    /// [`Self::personality`].
    pub session: Arc<SessionConfig>,
    /// Keys of the control channel.
    pub wrap: SessionWrap,
    /// The generation of clients it belongs to.
    pub personality: Personality,
    /// Digest of CBC data packets.
    pub auth: AuthDigest,
}

/// A client's connection to a server, from its first packet to its end.
pub struct Client {
    settings: ClientSettings,
    session: Session,
    entropy: Box<dyn Entropy>,
    link: LinkAddr,
    data: Option<DataChannel>,
    options: Option<PushOptions>,
    assembler: PushAssembler,
    updates: PushAssembler,
    cc_exit: bool,
    /// When the first handshake finished.
    active_at: Option<Instant>,
    request_at: Option<Instant>,
    /// How long options are waited for, longer while authentication is pending.
    patience: Duration,
    /// When the sending key has to be chosen anew.
    switch_at: Option<Instant>,
    exit_at: Option<Instant>,
    ended: bool,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// Starts connecting to the server behind `link`.
    pub fn connect(
        now: Now,
        settings: ClientSettings,
        link: LinkAddr,
        mut entropy: Box<dyn Entropy>,
    ) -> Self {
        let session = Session::connect(
            settings.session.clone(),
            now,
            &mut *entropy,
            settings.wrap.clone(),
            &link,
        );
        let mut client = Self {
            settings,
            session,
            entropy,
            link,
            data: None,
            options: None,
            assembler: PushAssembler::new(),
            updates: PushAssembler::new(),
            cc_exit: false,
            active_at: None,
            request_at: None,
            patience: REQUEST_PATIENCE,
            switch_at: None,
            exit_at: None,
            ended: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        client.drain_session(now);
        client
    }

    /// Takes a packet from the link, control or data. Returns the IP packet inside, if it was one.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_link_input<'p>(
        &mut self,
        now: Now,
        packet: &'p mut [u8],
    ) -> Result<Option<&'p mut [u8]>, ClientDrop> {
        let first = FirstByte::peek(packet).map_err(|_| ClientDrop::Malformed)?;
        if first.opcode.is_data() {
            return self.open(now, packet);
        }
        let result = self.session.handle_packet(now, packet, &mut *self.entropy);
        self.drain_session(now);
        if let (Ok(()), Some(data)) = (&result, &mut self.data) {
            data.last_rx = now.instant;
        }
        result.map(|()| None).map_err(ClientDrop::Control)
    }

    fn open<'p>(&mut self, now: Now, packet: &'p mut [u8]) -> Result<Option<&'p mut [u8]>, ClientDrop> {
        if self.ended {
            return Err(ClientDrop::Ended);
        }
        let data = self.data.as_mut().ok_or(ClientDrop::Data(DropReason::NoKey))?;
        let payload = data.open(now.instant, packet).map_err(ClientDrop::Data)?;
        if occ::is_ping(payload) || occ::is_occ(payload) {
            return Ok(None);
        }
        Ok(Some(payload))
    }

    /// Seals an IP packet and appends the data packet to `out`.
    ///
    /// # Errors
    /// [`DropReason::NoKey`] before the client is connected, [`DropReason::KeyExhausted`] at the end of a key.
    pub fn seal(&mut self, now: Now, ip: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        self.data
            .as_mut()
            .ok_or(DropReason::NoKey)?
            .seal(now.instant, ip, out)
    }

    /// Exact size of the data packet that carries `payload` bytes.
    ///
    /// # Errors
    /// [`DropReason::NoKey`] before the client is connected.
    pub fn sealed_len(&self, payload: usize) -> Result<usize, DropReason> {
        self.data.as_ref().ok_or(DropReason::NoKey)?.sealed_len(payload)
    }

    /// Seals an IP packet, given in parts, into the front of `out` and returns the data packet's length. Allocates
    /// nothing.
    ///
    /// # Errors
    /// Those of [`Self::seal`], and [`DropReason::NoRoom`] if `out` is shorter than [`Self::sealed_len`].
    pub fn seal_into(&mut self, now: Now, parts: &[&[u8]], out: &mut [u8]) -> Result<usize, DropReason> {
        self.data
            .as_mut()
            .ok_or(DropReason::NoKey)?
            .seal_into(now.instant, parts, out)
    }

    /// Does what is due. Harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        self.session.handle_timeout(now, &mut *self.entropy);
        self.drain_session(now);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        if due(self.exit_at) {
            self.exit_at = None;
            self.end(End::Exited);
        }
        if self.ended {
            return;
        }
        if due(self.request_at) {
            self.ask_for_options(now);
        }
        if due(self.switch_at) {
            self.choose_key(now);
        }
        let (ping, dead) = self.data.as_ref().map(DataChannel::deadlines).unwrap_or_default();
        if due(dead) {
            self.end(End::PingTimeout);
        } else if due(ping) {
            self.send_payload(now, &occ::PING);
        }
        self.drain_session(now);
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called. `None` once the client is finished.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let (ping, dead) = self.data.as_ref().map(DataChannel::deadlines).unwrap_or_default();
        [
            self.session.poll_timeout(),
            self.request_at,
            self.switch_at,
            self.exit_at,
            ping,
            dead,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Starts a renegotiation; `false` if none is possible now.
    pub fn renegotiate(&mut self, now: Now) -> bool {
        let started = self.session.soft_reset(now).is_ok();
        self.drain_session(now);
        started
    }

    /// Uses another password, or token, from the next renegotiation on.
    pub fn set_password(&mut self, password: &str) {
        let mut config = SessionConfig::clone(&self.settings.session);
        config.credentials.password = Some(password.to_owned().into());
        self.set_session_config(Arc::new(config));
    }

    /// Uses other settings of the control channel from the next renegotiation on.
    pub fn set_session_config(&mut self, config: Arc<SessionConfig>) {
        self.settings.session = config;
        self.session.set_config(self.settings.session.clone());
    }

    /// Asks for the options, whether they are here or not.
    pub fn request_options(&mut self, now: Now) {
        self.send_message(now, &ControlMessage::PushRequest);
    }

    /// The user name and password, or token, of the next renegotiation.
    pub fn login(&self) -> Option<(&str, &str)> {
        let credentials = &self.settings.session.credentials;
        Some((credentials.username.as_deref()?, credentials.password.as_ref()?))
    }

    /// Answers a `CR_TEXT` question.
    pub fn respond(&mut self, now: Now, response: &str) {
        self.send_message(now, &ControlMessage::CrResponse(response.to_owned().into()));
    }

    /// Leaves, with a goodbye if that was agreed on.
    pub fn exit(&mut self, now: Now) {
        if self.ended {
            return;
        }
        if !self.settings.personality.explicit_exit_notify || self.data.is_none() {
            self.end(End::Exited);
            return;
        }
        self.exit_at = Some(now.instant + EXITING);
        if self.cc_exit {
            self.send_message(now, &ControlMessage::Exit);
        } else {
            self.send_payload(now, &occ::EXIT);
        }
    }

    /// The options the server sent, once it has, with its updates.
    pub fn options(&self) -> Option<&PushOptions> {
        self.options.as_ref()
    }

    /// Address inside the tunnel.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.options.as_ref()?.ifconfig().map(|(address, _)| address)
    }

    /// IPv6 address inside the tunnel.
    pub fn v6(&self) -> Option<Ipv6Addr> {
        self.options
            .as_ref()?
            .ifconfig_ipv6()
            .map(|(address, ..)| address)
    }

    /// Number in data packets, if the server gave one.
    pub fn peer_id(&self) -> Option<PeerId> {
        self.options.as_ref()?.peer_id()
    }

    /// The id of this client's session.
    pub fn session_id(&self) -> SessionId {
        self.session.local_session()
    }

    /// The id of the server's session, once it has answered.
    pub fn server_session_id(&self) -> Option<SessionId> {
        self.session.remote_session()
    }

    /// The server, as the client knows it.
    pub fn link(&self) -> LinkAddr {
        self.link
    }

    /// The data key packets are sent with.
    pub fn send_key(&self) -> Option<KeyId> {
        self.data.as_ref().map(DataChannel::send_key)
    }

    /// Its data channel works.
    pub fn is_connected(&self) -> bool {
        self.data.is_some() && !self.ended
    }

    /// It is of no more use.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    fn ask_for_options(&mut self, now: Now) {
        let waited = self
            .active_at
            .map(|at| now.instant.saturating_duration_since(at))
            .unwrap_or_default();
        if waited >= self.patience {
            self.end(End::NoOptions);
            return;
        }
        self.request_at = Some(now.instant + NEXT_REQUEST);
        self.send_message(now, &ControlMessage::PushRequest);
    }

    fn send_message(&mut self, now: Now, message: &ControlMessage) {
        let sent = message
            .encode()
            .map(|message| self.session.send_message(&message));
        if let Ok(Err(error)) = sent {
            self.end(End::Failed(error));
        }
        self.drain_session(now);
    }

    fn send_payload(&mut self, now: Now, payload: &[u8]) {
        let mut packet = Vec::new();
        let sealed = self
            .data
            .as_mut()
            .map(|data| data.seal(now.instant, payload, &mut packet));
        if let Some(Ok(())) = sealed {
            self.transmits.push_back(packet);
        } else if let Some(data) = &mut self.data {
            // Not to be asked again before the next interval.
            data.last_tx = now.instant;
        }
    }

    fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.ended, true) {
            self.events.push_back(ClientEvent::Ended(end));
        }
    }
}
