//! One client as the server keeps it: a control-channel session and how far the client got with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use culvert_control::{CertificateInfo, Session};
use culvert_crypto::auth_token::TokenClaims;
use culvert_data::Peer;
use culvert_pool::Lease;
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::{KeyId, LinkAddr, PeerId};
use smallvec::SmallVec;

use crate::auth::{AuthTicket, Grant};
use crate::event::{ClientId, ClientStatus, Presented};
use crate::link::SessionKey;
use crate::negotiate::Negotiated;
use crate::push::Pushed;
use crate::timers::Deadlines;

/// A session with somebody, from its first believable packet to its last acknowledgement.
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) link: LinkAddr,
    pub(crate) key: SessionKey,
    pub(crate) session: Session,
    pub(crate) deadlines: Deadlines,
    pub(crate) stage: Stage,
    /// Once let in, no longer part of the half-open pool, not even while closing.
    pub(crate) authenticated: bool,
    /// When the last control packet of it was accepted.
    pub(crate) heard: Instant,
}

/// How far a client got. Each stage owns what only it needs.
pub(crate) enum Stage {
    /// TLS and the key exchange are under way.
    Handshake,
    /// Credentials are here and being judged.
    Judging(Box<Judging>),
    /// Turned away; the message waits until the client can read it.
    Refusing(Vec<u8>),
    /// Let in.
    Live(Box<Live>),
    /// Told goodbye: kept a few seconds to deliver it, and to acknowledge what still comes in.
    Closing,
    /// To be forgotten at the end of the current call.
    Gone,
}

/// What a client showed when it came, kept to compare with what it shows when it renegotiates.
pub(crate) struct Profile {
    pub(crate) negotiated: Negotiated,
    pub(crate) peer_info: PeerInfo,
    /// As the client sent it.
    pub(crate) username: Option<String>,
    pub(crate) certificate: Option<CertificateInfo>,
    /// The token it came with.
    pub(crate) token: Option<TokenClaims>,
}

/// A client whose credentials are being judged.
pub(crate) struct Judging {
    pub(crate) profile: Profile,
    /// The open question, until it is answered.
    pub(crate) ticket: Option<AuthTicket>,
    /// The key exchange is complete and acknowledged: messages can be sent.
    pub(crate) active: bool,
    /// What the backend grants, waiting for `active`.
    pub(crate) granted: Option<Grant>,
    /// Messages waiting for `active`.
    pub(crate) queued: Vec<Vec<u8>>,
    /// The client asked for its options already.
    pub(crate) push_requested: bool,
}

/// A client that was let in.
pub(crate) struct Live {
    pub(crate) profile: Profile,
    /// Name granted or given.
    pub(crate) username: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) posture: Vec<String>,
    /// What `duplicate_cn` compares; `None` for anonymous clients.
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) lease: Lease,
    pub(crate) peer_id: PeerId,
    pub(crate) peer: Arc<Peer>,
    pub(crate) connected_at: Instant,
    pub(crate) connected_unix: u64,
    /// The options it was told, repeated if asked for again.
    pub(crate) pushed: Pushed,
    pub(crate) replied_at: Option<Instant>,
    /// When it may be told of changed options at the earliest.
    pub(crate) update_after: Instant,
    pub(crate) keys: DataKeys,
    pub(crate) renegotiation: Option<Renegotiation>,
    pub(crate) renegotiations: u32,
    /// Its auth tokens, if it gets any.
    pub(crate) token: Option<LiveToken>,
    /// Tunnel bytes at the last look, for the inactivity rule.
    pub(crate) tun_bytes: u64,
}

/// What is needed to renew a client's auth token.
pub(crate) struct LiveToken {
    /// Whom it is issued to: the name the client sends along with it.
    pub(crate) name: String,
    pub(crate) claims: TokenClaims,
}

/// A renegotiation between the arrival of the client's key exchange and the installation of its data key.
pub(crate) struct Renegotiation {
    pub(crate) key_id: KeyId,
    pub(crate) begun: Instant,
    /// The open question, if a password has to be checked.
    pub(crate) ticket: Option<AuthTicket>,
    pub(crate) authorized: bool,
    pub(crate) active: bool,
}

/// The data keys of a client and the rule which of them to send with.
///
/// Source: OpenVPN 2.6 behaviour: send with the first of (newest, earlier…) that is at least a minute old; if none
/// is, with the newest. So both sides have had time to install a key before it is used.
pub(crate) struct DataKeys {
    /// Newest last.
    installed: SmallVec<[DataKeyAge; 2]>,
    /// The sending key can't be used much longer; replace it as soon as possible.
    pub(crate) worn_out: bool,
}

#[derive(Clone, Copy)]
struct DataKeyAge {
    key_id: KeyId,
    /// Start of its handshake, as far as known.
    begun: Instant,
}

impl DataKeys {
    pub(crate) fn new() -> Self {
        Self {
            installed: SmallVec::new(),
            worn_out: false,
        }
    }

    /// Notes a new key. Returns keys that are too many now and have to be removed from the data plane.
    pub(crate) fn installed(&mut self, key_id: KeyId, begun: Instant) -> Option<KeyId> {
        /// The newest, and the one it replaces.
        const MOST: usize = 2;
        self.installed.retain(|key| key.key_id != key_id);
        self.installed.push(DataKeyAge { key_id, begun });
        (self.installed.len() > MOST).then(|| self.installed.remove(0).key_id)
    }

    /// Notes that a key is gone. Returns `false` if it was the last.
    pub(crate) fn removed(&mut self, key_id: KeyId) -> bool {
        self.installed.retain(|key| key.key_id != key_id);
        !self.installed.is_empty()
    }

    /// The key to send with now, and when to ask again.
    pub(crate) fn sending(&self, now: Instant, settle: Duration) -> Option<(KeyId, Option<Instant>)> {
        let newest = self.installed.last()?;
        if self.worn_out || now >= newest.begun + settle {
            return Some((newest.key_id, None));
        }
        let settled = self.installed.iter().rev().find(|key| now >= key.begun + settle);
        Some(match settled {
            Some(older) => (older.key_id, Some(newest.begun + settle)),
            None => (newest.key_id, None),
        })
    }
}

impl Live {
    /// What the owner may know about the client.
    pub(crate) fn status(&self, client: ClientId, link: LinkAddr) -> ClientStatus {
        ClientStatus {
            client,
            peer: self.peer_id,
            link,
            username: self.username.clone(),
            groups: self.groups.clone(),
            posture: self.posture.clone(),
            certificate: self.profile.certificate.clone(),
            peer_info: self.profile.peer_info.clone(),
            v4: self.lease.v4,
            v6: self.lease.v6,
            cipher: self.profile.negotiated.cipher,
            connected_at: self.connected_at,
            connected_unix: self.connected_unix,
            renegotiations: self.renegotiations,
            stats: self.peer.stats(),
        }
    }
}

impl Profile {
    /// What the client said about itself.
    pub(crate) fn presented(&self) -> Presented {
        let certificate = self.certificate.as_ref();
        Presented {
            username: self.username.clone(),
            common_name: certificate.map(|certificate| certificate.common_name.clone()),
            platform: self.peer_info.iv_plat().map(str::to_owned),
        }
    }

    /// The name to call the client by: its user name, else its common name.
    pub(crate) fn identity(&self) -> Option<&str> {
        let common_name = || self.certificate.as_ref().map(|c| c.common_name.as_str());
        self.username
            .as_deref()
            .or_else(common_name)
            .filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(60);

    fn key(value: u8) -> KeyId {
        KeyId::new(value).unwrap()
    }

    #[test]
    fn a_new_key_is_sent_with_after_it_settled() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut keys = DataKeys::new();
        assert_eq!(keys.installed(key(0), at(0)), None);
        assert_eq!(keys.sending(at(0), SETTLE), Some((key(0), None)));
        assert_eq!(keys.installed(key(1), at(3600)), None);
        assert_eq!(keys.sending(at(3601), SETTLE), Some((key(0), Some(at(3660)))));
        assert_eq!(keys.sending(at(3660), SETTLE), Some((key(1), None)));
    }

    #[test]
    fn if_no_key_is_old_enough_the_newest_is_taken() {
        let start = Instant::now();
        let mut keys = DataKeys::new();
        keys.installed(key(0), start);
        keys.installed(key(1), start + Duration::from_secs(20));
        assert_eq!(
            keys.sending(start + Duration::from_secs(21), SETTLE),
            Some((key(1), None))
        );
    }

    #[test]
    fn a_worn_out_key_is_replaced_at_once() {
        let start = Instant::now();
        let mut keys = DataKeys::new();
        keys.installed(key(0), start);
        keys.worn_out = true;
        keys.installed(key(1), start + Duration::from_secs(3600));
        assert_eq!(
            keys.sending(start + Duration::from_secs(3600), SETTLE),
            Some((key(1), None))
        );
    }

    #[test]
    fn only_two_keys_are_kept() {
        let start = Instant::now();
        let mut keys = DataKeys::new();
        keys.installed(key(0), start);
        keys.installed(key(1), start);
        assert_eq!(keys.installed(key(2), start), Some(key(0)));
        assert!(keys.removed(key(1)));
        assert!(!keys.removed(key(2)));
    }
}
