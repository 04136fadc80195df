//! Wrapping of control packets: tls-auth (authenticated) and tls-crypt (authenticated and encrypted).
//!
//! ```text
//! none       | header 9 | body |
//! tls-auth   | header 9 | HMAC h | replay id 4 | time 4 | body |
//! tls-crypt  | header 9 | replay id 4 | time 4 | tag 32 | encrypted body |
//! ```
//!
//! The header is opcode, key id and session id; the body is what `culvert_wire::control::ControlBody` reads.
//! tls-crypt-v2 is tls-crypt with a key of the client's own ([`crate::tls_crypt_v2`]), and dynamic tls-crypt
//! is tls-crypt with a key from the TLS session ([`ControlWrap::dynamic`]).
//!
//! What unwraps is authentic but may be a replay: the caller asks [`crate::ControlReplay`] where there is a
//! session, and the cookie where there is none.

use std::fmt;
use std::sync::Arc;

use culvert_wire::control::ControlHeader;
use culvert_wire::{FirstByte, SessionId};
use zeroize::Zeroize;

use crate::ctr_hmac::{CtrHmacKey, TAG_LEN};
use crate::digest::HmacKey;
use crate::static_key::Slot;
use crate::{AuthDigest, Key2, KeyDirection, ReplayStamp, Role, StaticKey, WrapError};

const HEADER: usize = ControlHeader::LEN;
const STAMP: usize = 8;

/// What OpenVPN counts for tls-crypt when it sizes packets: 16 bytes more than the wrapper takes.
const TLS_CRYPT_COUNTED: usize = 56;

/// The wrapping of one side's control packets: immutable keys, cheap to clone, shared by all sessions that use
/// them. Counters and replay windows are per session and elsewhere.
#[derive(Clone, Debug, Default)]
pub enum ControlWrap {
    /// Neither authenticated nor encrypted: TLS alone protects the control channel.
    #[default]
    None,
    /// OpenVPN's `tls-auth`.
    TlsAuth(Arc<TlsAuthKeys>),
    /// OpenVPN's `tls-crypt`, `tls-crypt-v2` and dynamic tls-crypt.
    TlsCrypt(Arc<TlsCryptKeys>),
}

/// A control packet that verified. Still to be checked for replay.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwrapped<'p> {
    /// Opcode and key id.
    pub first: FirstByte,
    /// The sender's session id.
    pub session: SessionId,
    /// The wrapper's number and time; `None` without wrapping.
    pub stamp: Option<ReplayStamp>,
    /// Everything from the acknowledgement count on, decrypted.
    pub body: &'p [u8],
}

impl ControlWrap {
    /// No wrapping.
    pub fn none() -> Self {
        Self::None
    }

    /// `tls-auth` with this side's `key-direction`; a client's is the [opposite](KeyDirection::opposite) of its
    /// server's.
    pub fn tls_auth(key: &StaticKey, direction: KeyDirection, digest: AuthDigest) -> Self {
        Self::TlsAuth(Arc::new(TlsAuthKeys {
            base: key.clone(),
            digest,
            send: HmacKey::from_slot(digest, key.hmac_slot(direction.send_slot())),
            receive: HmacKey::from_slot(digest, key.hmac_slot(direction.receive_slot())),
        }))
    }

    /// `tls-crypt` for one side. Also the wrapping of a tls-crypt-v2 session, whose key is the client's own.
    pub fn tls_crypt(key: &StaticKey, role: Role) -> Self {
        let (send, receive) = match role {
            Role::Server => (Slot::Keys0, Slot::Keys1),
            Role::Client => (Slot::Keys1, Slot::Keys0),
        };
        let expand = |slot| CtrHmacKey::from_slots(key.cipher_slot(slot), key.hmac_slot(slot));
        Self::TlsCrypt(Arc::new(TlsCryptKeys {
            base: key.clone(),
            send: expand(send),
            receive: expand(receive),
        }))
    }

    /// Dynamic tls-crypt, for packets with a key id other than 0: `exported` are the bytes that the session's
    /// first TLS connection exported under [`Key2::DYNAMIC_TLS_CRYPT_LABEL`], `base` is the wrapping the
    /// session began with.
    ///
    /// Source: OpenVPN 2.6 behaviour.
    pub fn dynamic(mut exported: [u8; Key2::LEN], base: &Self, role: Role) -> Self {
        let mut key = StaticKey::from_bytes(&exported);
        exported.zeroize();
        if let Some(base) = base.base_key() {
            key.xor(base);
        }
        Self::tls_crypt(&key, role)
    }

    /// Appends a whole packet to `out`. Without wrapping `stamp` is not used.
    pub fn wrap(
        &self,
        stamp: ReplayStamp,
        first: FirstByte,
        session: SessionId,
        body: &[u8],
        out: &mut Vec<u8>,
    ) {
        let header = ControlHeader { first, session }.encode();
        out.reserve(HEADER + self.len_added() + body.len());
        match self {
            Self::None => {
                out.extend_from_slice(&header);
                out.extend_from_slice(body);
            }
            Self::TlsAuth(keys) => {
                let stamp = stamp.encode();
                let tag = keys.send.tag(&[&stamp, &header, body]);
                out.extend_from_slice(&header);
                out.extend_from_slice(tag.as_slice());
                out.extend_from_slice(&stamp);
                out.extend_from_slice(body);
            }
            Self::TlsCrypt(keys) => {
                let ad = clear_part(header, stamp.encode());
                out.extend_from_slice(&ad);
                let tag_at = out.len();
                out.extend_from_slice(&[0; TAG_LEN]);
                out.extend_from_slice(body);
                let (_, packet) = out.split_at_mut(tag_at);
                let (tag, data) = packet.split_at_mut(TAG_LEN);
                tag.copy_from_slice(&keys.send.seal(&ad, data));
            }
        }
    }

    /// Verifies a packet, and decrypts its body in place. Does not check for replay.
    ///
    /// # Errors
    /// [`WrapError`]: malformed header, too short, or not made with the peer's key. The packet is then as it
    /// was, so that another key can be tried.
    pub fn unwrap<'p>(&self, packet: &'p mut [u8]) -> Result<Unwrapped<'p>, WrapError> {
        let (ControlHeader { first, session }, _) = ControlHeader::parse(packet)?;
        let header = *packet.first_chunk::<HEADER>().ok_or(WrapError::TooShort)?;
        let (_, rest) = packet.split_at_mut(HEADER);
        let (stamp, body): (_, &[u8]) = match self {
            Self::None => (None, rest),
            Self::TlsAuth(keys) => {
                let (tag, rest) = rest
                    .split_at_checked(keys.digest.size())
                    .ok_or(WrapError::TooShort)?;
                let (stamp, body) = rest.split_first_chunk::<STAMP>().ok_or(WrapError::TooShort)?;
                if !keys.receive.verify(&[stamp, &header, body], tag) {
                    return Err(WrapError::Unauthentic);
                }
                (Some(ReplayStamp::decode(*stamp)), body)
            }
            Self::TlsCrypt(keys) => {
                let (stamp, rest) = rest.split_first_chunk_mut::<STAMP>().ok_or(WrapError::TooShort)?;
                let (tag, body) = rest
                    .split_first_chunk_mut::<TAG_LEN>()
                    .ok_or(WrapError::TooShort)?;
                if !keys.receive.open(&clear_part(header, *stamp), tag, body) {
                    return Err(WrapError::Unauthentic);
                }
                (Some(ReplayStamp::decode(*stamp)), body)
            }
        };
        Ok(Unwrapped {
            first,
            session,
            stamp,
            body,
        })
    }

    /// Bytes to leave for the wrapper when control packets are sized, counted as OpenVPN does: 56 for
    /// tls-crypt, though it takes 40.
    pub fn overhead(&self) -> usize {
        match self {
            Self::None | Self::TlsAuth(_) => self.len_added(),
            Self::TlsCrypt(_) => TLS_CRYPT_COUNTED,
        }
    }

    /// The 256 bytes this wrapping was made from: what dynamic tls-crypt is mixed with. `None` without
    /// wrapping.
    pub fn base_key(&self) -> Option<&[u8; StaticKey::LEN]> {
        match self {
            Self::None => None,
            Self::TlsAuth(keys) => Some(keys.base.bytes()),
            Self::TlsCrypt(keys) => Some(keys.base.bytes()),
        }
    }

    /// Name of the wrapping for logs: `none`, `tls-auth` or `tls-crypt`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TlsAuth(_) => "tls-auth",
            Self::TlsCrypt(_) => "tls-crypt",
        }
    }

    /// Bytes the wrapper really adds.
    fn len_added(&self) -> usize {
        match self {
            Self::None => 0,
            Self::TlsAuth(keys) => keys.digest.size() + STAMP,
            Self::TlsCrypt(_) => STAMP + TAG_LEN,
        }
    }
}

/// What tls-crypt authenticates without encrypting it.
fn clear_part(header: [u8; HEADER], stamp: [u8; STAMP]) -> [u8; HEADER + STAMP] {
    let mut ad = [0; HEADER + STAMP];
    let (left, right) = ad.split_at_mut(HEADER);
    left.copy_from_slice(&header);
    right.copy_from_slice(&stamp);
    ad
}

/// Expanded tls-auth keys of one side. Wiped when dropped.
pub struct TlsAuthKeys {
    base: StaticKey,
    digest: AuthDigest,
    send: HmacKey,
    receive: HmacKey,
}

impl fmt::Debug for TlsAuthKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsAuthKeys({}, ..)", self.digest)
    }
}

/// Expanded tls-crypt keys of one side. Wiped when dropped.
pub struct TlsCryptKeys {
    base: StaticKey,
    send: CtrHmacKey,
    receive: CtrHmacKey,
}

impl fmt::Debug for TlsCryptKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsCryptKeys(..)")
    }
}

#[cfg(test)]
mod tests;
