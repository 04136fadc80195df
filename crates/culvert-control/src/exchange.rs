//! The key method 2 exchange of one key: the client's message first, the server's answer, and what both
//! contribute to data keys.

use std::time::{Duration, Instant};

use culvert_crypto::prf::{KeySource, derive_key2};
use culvert_crypto::{Entropy, Key2};
use culvert_wire::SessionId;
use culvert_wire::key_method2::{Decoded, KeyMethod2Client, KeyMethod2Decoder, KeyMethod2Server};
use culvert_wire::options::OptionsString;
use zeroize::Zeroizing;

use crate::config::SessionConfig;

/// How long to wait for the rest of a message that may be complete already: very old clients leave out strings
/// at the end.
const REST_OF_MESSAGE: Duration = Duration::from_millis(500);

/// Stock clients' messages are never longer.
const STOCK_MESSAGE: usize = 2048;

type Random = Zeroizing<[u8; 32]>;

struct ClientHalf {
    pre_master: Zeroizing<[u8; 48]>,
    random1: Random,
    random2: Random,
}

struct ServerHalf {
    random1: Random,
    random2: Random,
}

/// What is known of the two halves.
#[derive(Default)]
pub(crate) struct Exchange {
    decoder: KeyMethod2Decoder,
    /// Copy of a message so far, while it is no longer than stock clients make them.
    short: Zeroizing<Vec<u8>>,
    /// When an incomplete message is taken as it is.
    lenient_at: Option<Instant>,
    client: Option<ClientHalf>,
    server: Option<ServerHalf>,
}

impl Exchange {
    /// True once both halves are known.
    pub(crate) fn is_complete(&self) -> bool {
        self.client.is_some() && self.server.is_some()
    }

    /// Client: makes our half and returns the message for the wire.
    pub(crate) fn write_client(
        &mut self,
        config: &SessionConfig,
        entropy: &mut dyn Entropy,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut pre_master = Zeroizing::new([0; 48]);
        entropy.fill(&mut pre_master[..]);
        let credentials = &config.credentials;
        let message = KeyMethod2Client {
            dialect: credentials.dialect,
            pre_master,
            random1: random(entropy),
            random2: random(entropy),
            options: config.options.clone(),
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            peer_info: credentials.peer_info.clone(),
        };
        self.client = Some(ClientHalf::of(&message));
        message.encode().map_err(|error| error.to_string())
    }

    /// Server: takes in plaintext of the client's message.
    ///
    /// # Errors
    /// Why the message can never become valid.
    pub(crate) fn read_client(
        &mut self,
        now: Instant,
        plaintext: &[u8],
        limit: usize,
    ) -> Result<Option<Box<KeyMethod2Client>>, String> {
        if self.decoder.buffered() + plaintext.len() > limit {
            return Err(format!("it is longer than the {limit} bytes that are accepted"));
        }
        match self.decoder.push(plaintext) {
            Decoded::Complete(message) => {
                self.accept(&message);
                Ok(Some(message))
            }
            Decoded::NeedMore => {
                self.remember(plaintext);
                self.lenient_at = (!self.short.is_empty()).then_some(now + REST_OF_MESSAGE);
                Ok(None)
            }
            Decoded::Malformed(error) => Err(error.to_string()),
        }
    }

    /// Server: takes a message whose last strings never came.
    ///
    /// If it is incomplete in this sense too, the rest may have been lost and is being resent: then the
    /// hand-window decides.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Box<KeyMethod2Client>> {
        self.lenient_at.take_if(|at| *at <= now)?;
        let mut decoder = KeyMethod2Decoder::new();
        let Decoded::NeedMore = decoder.push(&self.short) else {
            return None;
        };
        let message = decoder.finish_lenient().ok()?;
        self.decoder = KeyMethod2Decoder::new();
        self.accept(&message);
        Some(message)
    }

    fn accept(&mut self, message: &KeyMethod2Client) {
        self.client = Some(ClientHalf::of(message));
        self.lenient_at = None;
        self.short = Zeroizing::default();
    }

    /// Keeps plaintext for [`Exchange::handle_timeout`], unless only a patched client can have sent it.
    fn remember(&mut self, plaintext: &[u8]) {
        if self.decoder.buffered() > STOCK_MESSAGE {
            self.short = Zeroizing::default();
            return;
        }
        if self.short.capacity() < STOCK_MESSAGE {
            // Never grows, so that no unwiped copy is left behind.
            self.short.reserve_exact(STOCK_MESSAGE);
        }
        self.short.extend_from_slice(plaintext);
    }

    /// What came right behind the client's message, for whoever reads control messages.
    pub(crate) fn take_rest(&mut self) -> Zeroizing<Vec<u8>> {
        self.decoder.take_rest()
    }

    /// Server: makes our half in answer to `client_options` and returns the message for the wire.
    pub(crate) fn write_server(
        &mut self,
        config: &SessionConfig,
        client_options: &str,
        entropy: &mut dyn Entropy,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let theirs = OptionsString::parse(client_options);
        let options = if theirs.is_usable() {
            theirs.mirror()
        } else {
            config.options.clone()
        };
        let message = KeyMethod2Server {
            random1: random(entropy),
            random2: random(entropy),
            options,
        };
        self.server = Some(ServerHalf::of(&message));
        message.encode().map_err(|error| error.to_string())
    }

    /// Client: reads the server's message, which is one record.
    pub(crate) fn read_server(&mut self, record: &[u8]) -> Result<KeyMethod2Server, String> {
        let message = KeyMethod2Server::parse(record).map_err(|error| error.to_string())?;
        self.server = Some(ServerHalf::of(&message));
        Ok(message)
    }

    /// Data keys by the PRF, once the exchange is complete.
    pub(crate) fn derive(&self, client: SessionId, server: SessionId) -> Option<Key2> {
        let (theirs, ours) = (self.client.as_ref()?, self.server.as_ref()?);
        Some(derive_key2(&KeySource {
            pre_master: &theirs.pre_master,
            client_random1: &theirs.random1,
            client_random2: &theirs.random2,
            server_random1: &ours.random1,
            server_random2: &ours.random2,
            client_session: client,
            server_session: server,
        }))
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.lenient_at
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.decoder.buffered() + self.short.capacity()
    }
}

impl ClientHalf {
    fn of(message: &KeyMethod2Client) -> Self {
        Self {
            pre_master: message.pre_master.clone(),
            random1: message.random1.clone(),
            random2: message.random2.clone(),
        }
    }
}

impl ServerHalf {
    fn of(message: &KeyMethod2Server) -> Self {
        Self {
            random1: message.random1.clone(),
            random2: message.random2.clone(),
        }
    }
}

fn random(entropy: &mut dyn Entropy) -> Random {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(&mut bytes[..]);
    bytes
}
