//! What arrives through the control channel: keys, options, messages.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use culvert_control::{SessionConfig, SessionEvent};
use culvert_crypto::DataCipher;
use culvert_data::{DataFormat, Framing};
use culvert_wire::message::ControlMessage;
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::push::PushOptions;
use culvert_wire::{KeyId, Now};

use super::{Client, FIRST_REQUEST};
use crate::data::{DataChannel, DataSettings};
use crate::event::{ClientEvent, End};

impl Client {
    pub(super) fn drain_session(&mut self, now: Now) {
        loop {
            while let Some(packet) = self.session.poll_transmit(now) {
                self.transmits.push_back(packet);
            }
            let Some(event) = self.session.poll_event() else {
                return;
            };
            self.handle_session_event(now, event);
        }
    }

    pub(super) fn handle_session_event(&mut self, now: Now, event: SessionEvent) {
        match event {
            SessionEvent::Active { key_id } if key_id == KeyId::FIRST => {
                self.active_at = Some(now.instant);
                self.request_at = Some(now.instant + FIRST_REQUEST);
            }
            SessionEvent::Active { key_id } => self.key_renewed(now, key_id),
            SessionEvent::Message { record, .. } => {
                for message in ControlMessage::parse_record(&record) {
                    self.handle_message(now, message);
                }
            }
            SessionEvent::LameDuckExpired { key_id } => {
                if let Some(data) = &mut self.data {
                    data.remove(key_id);
                }
                self.choose_key(now);
            }
            SessionEvent::RenegotiationFailed { error, .. } | SessionEvent::Failed { error } => {
                self.end(End::Failed(error));
            }
            _ => {}
        }
    }

    fn handle_message(&mut self, now: Now, message: ControlMessage) {
        match message {
            ControlMessage::PushReply(text) => match self.assembler.push(&text) {
                Ok(Some(options)) => self.take_options(now, options),
                Ok(None) => {}
                Err(error) => self.end(End::BadOptions(error.to_string())),
            },
            // Clients that don't announce them take updates for noise.
            ControlMessage::PushUpdate(text) if self.takes_updates() => match self.updates.push(&text) {
                Ok(Some(update)) => self.update_options(&update),
                Ok(None) => {}
                Err(error) => self.end(End::BadOptions(error.to_string())),
            },
            ControlMessage::AuthFailed(failure) => self.end(End::AuthFailed(failure)),
            ControlMessage::AuthPending { timeout } => {
                let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
                self.patience = self.patience.max(timeout.unwrap_or_default());
                self.events.push_back(ClientEvent::Pending { timeout });
            }
            ControlMessage::InfoPre(text) => self.events.push_back(ClientEvent::Info(text)),
            ControlMessage::Restart { reason, .. } => self.end(End::Restart(reason)),
            ControlMessage::Halt { reason } => self.end(End::Halt(reason)),
            _ => {}
        }
    }

    /// PUSH_REPLY: the first sets everything up, later ones bring a new token.
    fn take_options(&mut self, now: Now, options: PushOptions) {
        if let Some(token) = options.auth_token() {
            self.set_password(token);
            if let Some(user) = token_user(&options) {
                let mut config = SessionConfig::clone(&self.settings.session);
                config.credentials.username = Some(user);
                self.set_session_config(Arc::new(config));
            }
            self.events.push_back(ClientEvent::Token);
        }
        if self.options.is_some() {
            return;
        }
        match self.set_up(now, &options) {
            Ok(data) => {
                self.request_at = None;
                self.data = Some(data);
                self.cc_exit = options.protocol_flag("cc-exit");
                self.options = Some(options.clone());
                self.events.push_back(ClientEvent::Connected(Box::new(options)));
            }
            Err(reason) => self.end(End::BadOptions(reason)),
        }
    }

    fn takes_updates(&self) -> bool {
        PeerInfo::parse(&self.settings.personality.peer_info)
            .iv_proto()
            .push_update()
    }

    /// PUSH_UPDATE: changes options, or ends the connection if they can't be changed.
    fn update_options(&mut self, update: &PushOptions) {
        let Some(options) = &mut self.options else { return };
        match options.update(update) {
            Ok(()) => {
                let options = Box::new(options.clone());
                self.events.push_back(ClientEvent::Updated(options));
            }
            Err(error) => self.end(End::BadOptions(error.to_string())),
        }
    }

    fn set_up(&mut self, now: Now, options: &PushOptions) -> Result<DataChannel, String> {
        let cipher = match options.cipher() {
            Some(name) => DataCipher::from_name(name).map_err(|error| error.to_string())?,
            None => self.settings.personality.configured_cipher,
        };
        let format = match (cipher.is_aead(), options.protocol_flag("aead-epoch")) {
            (true, true) => DataFormat::Epoch,
            (true, false) => DataFormat::Aead,
            (false, _) => DataFormat::Cbc(self.settings.auth),
        };
        let settings = DataSettings {
            cipher,
            format,
            framing: if options.has("comp-lzo") {
                Framing::LzoByte
            } else {
                Framing::None
            },
            peer: options.peer_id(),
            ping: options.ping(),
            ping_restart: options.ping_restart(),
        };
        self.session
            .negotiate(options.tls_ekm(), options.protocol_flag("dyn-tls-crypt"))
            .map_err(|error| error.to_string())?;
        let key2 = self
            .session
            .data_key(KeyId::FIRST)
            .map_err(|error| error.to_string())?;
        let mut data = DataChannel::new(now.instant, settings);
        data.install(now.instant, KeyId::FIRST, &key2)?;
        Ok(data)
    }

    /// A renegotiated key: accepted at once, sent with after it had time to settle on both sides.
    fn key_renewed(&mut self, now: Now, key_id: KeyId) {
        let Some(data) = &mut self.data else { return };
        let installed = self
            .session
            .data_key(key_id)
            .map_err(|error| error.to_string())
            .and_then(|key2| data.install(now.instant, key_id, &key2));
        match installed {
            Ok(()) => {
                self.choose_key(now);
                self.events.push_back(ClientEvent::Renegotiated { key_id });
            }
            Err(reason) => self.end(End::BadOptions(reason)),
        }
    }

    pub(super) fn choose_key(&mut self, now: Now) {
        let config = &self.settings.session;
        let settle = config
            .reneg_interval
            .map_or(config.hand_window, |age| config.hand_window.min(age / 2));
        self.switch_at = self
            .data
            .as_mut()
            .and_then(|data| data.choose_key(now.instant, settle));
    }
}

/// The user name that goes with a pushed token, if it differs from the client's own.
fn token_user(options: &PushOptions) -> Option<String> {
    let encoded = options.get("auth-token-user")?.first()?;
    let decoded = STANDARD.decode(encoded).ok()?;
    String::from_utf8(decoded).ok()
}
