//! Before a session exists: resets answered from nothing, cookies checked, sessions created for those who came back.

use culvert_control::SessionWrap;
use culvert_crypto::tls_crypt_v2::{Metadata, split_wkc};
use culvert_crypto::{ControlWrap, ReplayStamp, Role};
use culvert_wire::control::{ControlBody, ControlHeader, early};
use culvert_wire::{FirstByte, KeyId, LinkAddr, MessageId, Now, Opcode, SessionId};

use super::Server;
use crate::drops::DropReason;
use crate::event::Transmit;
use crate::settings::{CookiePolicy, SharedWrap, WrapPolicy};

/// Shortest believable reset: an unwrapped one with nothing acknowledged. Shorter ones are answered by stock
/// servers, but only attackers send them, and the answer would be a larger multiple.
const SHORTEST_RESET: usize = 14;

/// The endpoint's keys, ready for use.
pub(super) struct SharedKeys {
    /// For clients without a key of their own; `None` if such clients aren't served.
    wrap: Option<ControlWrap>,
}

impl SharedKeys {
    pub(super) fn new(policy: &WrapPolicy) -> Self {
        let wrap = match &policy.shared {
            SharedWrap::None => policy.tls_crypt_v2.is_none().then(ControlWrap::none),
            SharedWrap::TlsAuth {
                key,
                direction,
                digest,
            } => Some(ControlWrap::tls_auth(key, *direction, *digest)),
            SharedWrap::TlsCrypt { key } => Some(ControlWrap::tls_crypt(key, Role::Server)),
        };
        Self { wrap }
    }
}

/// A first packet whose wrapper verified.
pub(super) struct Opened {
    wrap: ControlWrap,
    /// The same, as a session wants it.
    pub(super) session_wrap: SessionWrap,
    stamp: Option<ReplayStamp>,
    body: OpenedBody,
    /// When the client's own key was made, if it has one that says so.
    pub(super) key_made: Option<u64>,
}

/// What a first packet says, as far as it matters before a session exists.
pub(super) struct OpenedBody {
    /// Our session id as the client repeats it; present if it acknowledges anything.
    cookie: Option<SessionId>,
    /// No acknowledged id and no message id is further than 1.
    at_beginning: bool,
}

impl Server {
    /// Verifies and reads a packet that belongs to no session, leaving the packet as it is.
    pub(super) fn open_first(&mut self, header: ControlHeader, packet: &[u8]) -> Result<Opened, DropReason> {
        self.scratch.clear();
        self.scratch.extend_from_slice(packet);
        let mut key_made = None;
        let (session_wrap, wrap, head) = if header.first.opcode.has_wrapped_key() {
            let v2 = self
                .settings
                .wrap
                .tls_crypt_v2
                .as_ref()
                .ok_or(DropReason::WrapNotOffered)?;
            let (head, wrapped) = split_wkc(&mut self.scratch).map_err(|_| DropReason::BadClientKey)?;
            let client_key = v2.key.unwrap(wrapped).map_err(|_| DropReason::BadClientKey)?;
            if let Metadata::Timestamp(made) = client_key.metadata {
                key_made = Some(made);
            }
            let wrap = ControlWrap::tls_crypt(&client_key.key, Role::Server);
            (SessionWrap::tls_crypt_v2_server(wrap.clone()), wrap, head)
        } else {
            let wrap = self.shared.wrap.clone().ok_or(DropReason::WrapNotOffered)?;
            (SessionWrap::new(wrap.clone()), wrap, &mut *self.scratch)
        };
        let unwrapped = wrap.unwrap(head).map_err(|_| DropReason::Unauthentic)?;
        let stamp = unwrapped.stamp;
        let body = read_body(header.first.opcode, unwrapped.body)?;
        Ok(Opened {
            wrap,
            session_wrap,
            stamp,
            body,
            key_made,
        })
    }

    /// A reset over UDP: answered once, and forgotten.
    pub(super) fn udp_reset(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        let opened = self.open_reset(now, from, header, packet)?;
        let own_key = header.first.opcode == Opcode::ControlHardResetClientV3;
        if own_key
            && !opened
                .stamp
                .is_some_and(|stamp| stamp.announces_early_negotiation())
        {
            // An old client would never repeat its key, so there is no way to forget it now.
            let policy = self.settings.wrap.tls_crypt_v2.as_ref().map(|v2| v2.cookies);
            if policy != Some(CookiePolicy::AllowNonCookie) {
                return Err(DropReason::CookieRequired);
            }
            return self.create_from_reset(now, from, header, opened, packet);
        }
        let payload = early::EarlyNegotiation { resend_wkc: true }.encode();
        let payload: &[u8] = if own_key { &payload } else { &[] };
        self.answer_reset(now, from, header.session, &opened.wrap, payload);
        Ok(())
    }

    /// A reset over TCP: the connection proves the address, so the session is created at once.
    pub(super) fn tcp_reset(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        if self.by_link.contains_key(&crate::link::LinkKey::of(&from)) {
            return Err(DropReason::SecondSession);
        }
        let opened = self.open_reset(now, from, header, packet)?;
        self.create_from_reset(now, from, header, opened, packet)
    }

    fn open_reset(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        packet: &[u8],
    ) -> Result<Opened, DropReason> {
        if packet.len() < SHORTEST_RESET {
            return Err(DropReason::ShortReset);
        }
        if self.shutting_down {
            return Err(DropReason::ShuttingDown);
        }
        let opened = self.open_first(header, packet)?;
        // Only now: a stranger without the key can't use up the tokens of an address.
        if !self.attempts.admit(now.instant, from.remote().ip()) {
            return Err(DropReason::RateLimited);
        }
        Ok(opened)
    }

    fn answer_reset(
        &mut self,
        now: Now,
        to: LinkAddr,
        client: SessionId,
        wrap: &ControlWrap,
        payload: &[u8],
    ) {
        let cookie = self
            .cookies
            .cookie(now.unix, self.settings.session.hand_window, &to, client);
        let body = ControlBody {
            acks: [MessageId(0)].into_iter().collect(),
            remote_session: Some(client),
            message_id: Some(MessageId(0)),
            payload,
        };
        let mut encoded = Vec::with_capacity(body.encoded_len());
        body.encode_into(&mut encoded);
        let first = FirstByte {
            opcode: Opcode::ControlHardResetServerV2,
            key_id: KeyId::FIRST,
        };
        // The session, if it comes to be, continues with id 2.
        let stamp = ReplayStamp {
            id: 1,
            time: now.unix32(),
        };
        let mut packet = Vec::with_capacity(encoded.len() + wrap.overhead() + ControlHeader::LEN);
        wrap.wrap(stamp, first, cookie, &encoded, &mut packet);
        self.counters.resets_answered += 1;
        self.transmits.push_back(Transmit { to, packet });
    }

    /// A packet over UDP that should carry the cookie we gave out.
    pub(super) fn returning(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        if header.first.key_id != KeyId::FIRST {
            return Err(DropReason::NoCookie);
        }
        let opened = self.open_first(header, packet)?;
        let cookie = opened.body.cookie.ok_or(DropReason::NoCookie)?;
        let window = self.settings.session.hand_window;
        if !self
            .cookies
            .verify(now.unix, window, &from, header.session, cookie)
        {
            return Err(DropReason::WrongCookie);
        }
        if !opened.body.at_beginning {
            return Err(DropReason::OutOfOrder);
        }
        if self.shutting_down {
            return Err(DropReason::ShuttingDown);
        }
        self.attempts.refund(from.remote().ip());
        self.create_from_cookie(now, from, header, opened, cookie, packet)
    }
}

fn read_body(opcode: Opcode, body: &[u8]) -> Result<OpenedBody, DropReason> {
    if opcode.is_hard_reset() {
        // As in stock servers nothing but the wrapper of a reset is looked at.
        return Ok(OpenedBody {
            cookie: None,
            at_beginning: true,
        });
    }
    let body = ControlBody::parse(opcode, body).map_err(|_| DropReason::Malformed)?;
    let beginning = |id: &MessageId| id.0 <= 1;
    Ok(OpenedBody {
        cookie: body.remote_session.filter(|_| !body.acks.is_empty()),
        at_beginning: body.acks.iter().all(beginning) && body.message_id.as_ref().is_none_or(beginning),
    })
}
