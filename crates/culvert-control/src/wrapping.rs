//! Which keys wrap a session's control packets, with the replay counters that go with them.

use std::fmt;

use culvert_crypto::{ControlReplay, ControlSendStamp, ControlWrap, WrapError};
use culvert_wire::control::early::FIRST_REPLAY_ID;
use culvert_wire::{FirstByte, KeyId, Opcode, SessionId};

use crate::error::ControlDrop;

/// The control-channel wrapping a session starts with.
#[derive(Clone)]
pub struct SessionWrap {
    wrap: ControlWrap,
    v2: V2,
}

/// tls-crypt-v2, by role.
#[derive(Clone)]
enum V2 {
    No,
    Server,
    /// The wrapped client key that goes into the reset, and into message 1 if asked.
    Client(Vec<u8>),
}

impl SessionWrap {
    /// No wrapping, tls-auth or tls-crypt with one key for all clients.
    pub fn new(wrap: ControlWrap) -> Self {
        Self { wrap, v2: V2::No }
    }

    /// Server: tls-crypt-v2 with the client's key, unwrapped by the caller. `wrap` is tls-crypt made of it.
    pub fn tls_crypt_v2_server(wrap: ControlWrap) -> Self {
        Self { wrap, v2: V2::Server }
    }

    /// Client: tls-crypt-v2 with its own key and the wrapped form that only the server can open.
    pub fn tls_crypt_v2_client(wrap: ControlWrap, wrapped_key: Vec<u8>) -> Self {
        Self {
            wrap,
            v2: V2::Client(wrapped_key),
        }
    }
}

impl fmt::Debug for SessionWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.v2 {
            V2::No => "SessionWrap",
            V2::Server => "SessionWrap(tls-crypt-v2 server)",
            V2::Client(_) => "SessionWrap(tls-crypt-v2 client)",
        })
    }
}

/// Keys with their counters of both directions.
struct Channel {
    wrap: ControlWrap,
    send: ControlSendStamp,
    replay: ControlReplay,
}

/// A session's wrapping: the one it started with, and dynamic tls-crypt once negotiated.
///
/// Packets of key id 0 stay on the first, all others use the second when there is one.
pub(crate) struct Wrapping {
    base: Channel,
    dynamic: Option<Channel>,
    v2: V2,
}

/// Which channel opened a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    Base,
    Dynamic,
}

impl Wrapping {
    /// Counters start at 1; a tls-crypt-v2 client's higher, which announces early negotiation; a server whose
    /// first packet was sent before the session existed goes on with 2.
    pub(crate) fn new(wrap: SessionWrap, first_packet_sent: bool) -> Self {
        let first = match (&wrap.v2, first_packet_sent) {
            (V2::Client(_), _) => FIRST_REPLAY_ID,
            (_, true) => 2,
            (_, false) => 1,
        };
        Self {
            base: Channel::new(wrap.wrap, first),
            dynamic: None,
            v2: wrap.v2,
        }
    }

    /// The wrapping keys the session started with.
    pub(crate) fn base(&self) -> &ControlWrap {
        &self.base.wrap
    }

    /// Starts dynamic tls-crypt.
    pub(crate) fn set_dynamic(&mut self, wrap: ControlWrap) {
        self.dynamic = Some(Channel::new(wrap, 1));
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        self.dynamic.is_some()
    }

    /// Bytes that wrapping adds to a packet, as OpenVPN counts them when it sizes packets.
    pub(crate) fn overhead(&self, key_id: KeyId) -> usize {
        self.sending(key_id).wrap.overhead()
    }

    /// Bytes of wrapped client key that a packet may have to carry.
    pub(crate) fn wrapped_key_len(&self) -> usize {
        if let V2::Client(key) = &self.v2 {
            key.len()
        } else {
            0
        }
    }

    /// The opcode a client starts with.
    pub(crate) fn client_reset(&self) -> Opcode {
        if matches!(self.v2, V2::Client(_)) {
            Opcode::ControlHardResetClientV3
        } else {
            Opcode::ControlHardResetClientV2
        }
    }

    fn sending(&self, key_id: KeyId) -> &Channel {
        match &self.dynamic {
            Some(dynamic) if key_id != KeyId::FIRST => dynamic,
            _ => &self.base,
        }
    }

    /// Wraps a packet.
    pub(crate) fn seal(&mut self, unix: u64, first: FirstByte, session: SessionId, body: &[u8]) -> Vec<u8> {
        let channel = match &mut self.dynamic {
            Some(dynamic) if first.key_id != KeyId::FIRST => dynamic,
            _ => &mut self.base,
        };
        let mut packet = Vec::with_capacity(body.len() + 128 + self.v2.len_for(first.opcode));
        let stamp = channel.send.next(unix);
        channel.wrap.wrap(stamp, first, session, body, &mut packet);
        if let V2::Client(key) = &self.v2
            && first.opcode.has_wrapped_key()
        {
            packet.extend_from_slice(key);
        }
        packet
    }

    /// Takes the wrapped client key off the end of a packet that carries one. It was opened when the session
    /// began; here it is only in the way.
    pub(crate) fn strip_wrapped_key<'p>(
        &self,
        first: FirstByte,
        packet: &'p mut [u8],
    ) -> Result<&'p mut [u8], ControlDrop> {
        if !first.opcode.has_wrapped_key() {
            return Ok(packet);
        }
        if !matches!(self.v2, V2::Server) {
            return Err(ControlDrop::WrongOpcode(first.opcode));
        }
        let (head, _) = culvert_crypto::tls_crypt_v2::split_wkc(packet)?;
        Ok(head)
    }

    /// Opens a packet: with the keys that belong to its key id, and if that fails with the dynamic ones, as
    /// OpenVPN 3 changes to those for everything once a renegotiation has begun.
    pub(crate) fn open<'p>(
        &self,
        key_id: KeyId,
        packet: &'p mut [u8],
    ) -> Result<(culvert_crypto::Unwrapped<'p>, Opened), WrapError> {
        let (wrap, opened) = match &self.dynamic {
            Some(dynamic) if key_id != KeyId::FIRST => (&dynamic.wrap, Opened::Dynamic),
            Some(dynamic) if !opens(&self.base.wrap, packet) => (&dynamic.wrap, Opened::Dynamic),
            _ => (&self.base.wrap, Opened::Base),
        };
        Ok((wrap.unwrap(packet)?, opened))
    }

    /// Judges an opened packet's replay stamp, and remembers it.
    pub(crate) fn accept(&mut self, opened: Opened, stamp: Option<culvert_crypto::ReplayStamp>) -> bool {
        let Some(stamp) = stamp else { return true };
        match (opened, &mut self.dynamic) {
            (Opened::Dynamic, Some(dynamic)) => dynamic.replay.accept(stamp),
            _ => self.base.replay.accept(stamp),
        }
    }
}

/// True if `wrap` opens this packet. Tried on a copy, as opening works in place; needed only for packets of the
/// first key once a dynamic key exists, which is seldom.
fn opens(wrap: &ControlWrap, packet: &[u8]) -> bool {
    wrap.unwrap(&mut packet.to_vec()).is_ok()
}

impl V2 {
    fn len_for(&self, opcode: Opcode) -> usize {
        match self {
            Self::Client(key) if opcode.has_wrapped_key() => key.len(),
            _ => 0,
        }
    }
}

impl Channel {
    fn new(wrap: ControlWrap, first: u32) -> Self {
        Self {
            wrap,
            send: ControlSendStamp::starting_at(first),
            replay: ControlReplay::new(),
        }
    }
}
