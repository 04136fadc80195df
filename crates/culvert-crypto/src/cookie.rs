//! The server's session id as a cookie: proof that a client owns its address, without storing anything.
//!
//! ```text
//! slot   = now / ((hand window + 1) / 2), in whole seconds
//! cookie = first 8 bytes of HMAC-SHA256(key, slot | client address and port | client session id)
//! ```

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use culvert_wire::{LinkAddr, SessionId};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::Entropy;
use crate::digest::{HmacSha256, expand, hmac_sha256};

/// How many slots back a cookie stays valid: a client keeps the first one it saw, even if a repeated reset fell
/// into a later slot.
const OLDER_SLOTS: u32 = 2;

/// The process's secret for cookies. Nobody else computes them. Wiped when dropped.
#[derive(Clone)]
pub struct CookieKey(HmacSha256);

impl CookieKey {
    /// Draws a key.
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key);
        Self(expand(&*key))
    }

    /// The server session id to answer a client's reset with.
    ///
    /// `now_unix` is in seconds. The same client address, client session id and slot give the same cookie.
    /// Which of our addresses the packet came to does not matter.
    pub fn cookie(
        &self,
        now_unix: u64,
        hand_window: Duration,
        link: &LinkAddr,
        client: SessionId,
    ) -> SessionId {
        self.of_slot(slot(now_unix, hand_window), link, client)
    }

    /// True if `candidate`, the session id a client echoed, is the cookie of the current slot or one of the two
    /// before. Compares in constant time and always computes all three.
    pub fn verify(
        &self,
        now_unix: u64,
        hand_window: Duration,
        link: &LinkAddr,
        client: SessionId,
        candidate: SessionId,
    ) -> bool {
        let current = slot(now_unix, hand_window);
        (0..=OLDER_SLOTS)
            .fold(Choice::from(0), |valid, back| {
                let cookie = self.of_slot(current.wrapping_sub(back), link, client);
                valid | cookie.bytes().ct_eq(&candidate.bytes())
            })
            .into()
    }

    fn of_slot(&self, slot: u32, link: &LinkAddr, client: SessionId) -> SessionId {
        let remote = link.remote();
        let mut address = [0; 16];
        let family = match remote.ip() {
            IpAddr::V4(ip) => {
                address.split_at_mut(4).0.copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                address = ip.octets();
                6
            }
        };
        let mac = hmac_sha256(
            &self.0,
            &[
                &slot.to_be_bytes(),
                &[family],
                &address,
                &remote.port().to_be_bytes(),
                &client.bytes(),
            ],
        );
        let mut id = [0; 8];
        id.copy_from_slice(mac.split_at(8).0);
        SessionId::new(id).unwrap_or_else(|| {
            // Zero is not a session id; it comes up once in 2^64 cookies.
            SessionId::new([1; 8]).expect("not zero")
        })
    }
}

fn slot(now_unix: u64, hand_window: Duration) -> u32 {
    let seconds = (hand_window.as_secs().saturating_add(1) / 2).max(1);
    (now_unix / seconds) as u32
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use culvert_wire::UdpPath;

    use super::*;
    use crate::SeededEntropy;
    use crate::testing::{client, server};

    const WINDOW: Duration = Duration::from_secs(60);

    fn key() -> CookieKey {
        CookieKey::new(&mut SeededEntropy::new(1))
    }

    fn link(remote: &str) -> LinkAddr {
        LinkAddr::Udp(UdpPath {
            remote: remote.parse().unwrap(),
            local: None,
            socket: 0,
        })
    }

    #[test]
    fn a_cookie_is_valid_in_its_slot_and_the_next_two() {
        let (key, link) = (key(), link("192.0.2.1:5000"));
        let cookie = key.cookie(3000, WINDOW, &link, client());
        assert_eq!(key.cookie(3029, WINDOW, &link, client()), cookie);
        assert_ne!(key.cookie(3030, WINDOW, &link, client()), cookie);
        for (now, valid) in [(2999, false), (3000, true), (3089, true), (3090, false)] {
            assert_eq!(key.verify(now, WINDOW, &link, client(), cookie), valid, "{now}");
        }
    }

    /// OpenVPN 2.6.0 to 2.6.15 had this comparison inverted (CVE-2025-13086).
    #[test]
    fn a_wrong_cookie_is_refused() {
        let (key, link) = (key(), link("192.0.2.1:5000"));
        assert!(!key.verify(3000, WINDOW, &link, client(), server()));
        let mut bytes = key.cookie(3000, WINDOW, &link, client()).bytes();
        for index in 0..8 {
            bytes[index] ^= 0x80;
            let altered = SessionId::new(bytes).unwrap();
            assert!(!key.verify(3000, WINDOW, &link, client(), altered));
            bytes[index] ^= 0x80;
        }
    }

    #[test]
    fn a_cookie_belongs_to_one_address_port_session_and_process() {
        let key = key();
        let here = link("192.0.2.1:5000");
        let cookie = key.cookie(3000, WINDOW, &here, client());
        for elsewhere in [
            "192.0.2.2:5000",
            "192.0.2.1:5001",
            "[2001:db8::1]:5000",
            "[c000:201::]:5000",
        ] {
            assert!(
                !key.verify(3000, WINDOW, &link(elsewhere), client(), cookie),
                "{elsewhere}"
            );
        }
        assert!(!key.verify(3000, WINDOW, &here, server(), cookie));
        let other_process = CookieKey::new(&mut SeededEntropy::new(2));
        assert!(!other_process.verify(3000, WINDOW, &here, client(), cookie));
    }

    #[test]
    fn an_address_of_ours_does_not_matter() {
        let mut path = UdpPath {
            remote: "192.0.2.1:5000".parse().unwrap(),
            local: None,
            socket: 0,
        };
        let cookie = key().cookie(3000, WINDOW, &LinkAddr::Udp(path), client());
        path.local = Some("198.51.100.1".parse().unwrap());
        path.socket = 3;
        assert!(key().verify(3000, WINDOW, &LinkAddr::Udp(path), client(), cookie));
    }

    #[test]
    fn extreme_times_and_windows_do_not_panic() {
        for window in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
            for now in [0, 1, u64::MAX] {
                let link = link("192.0.2.1:5000");
                let cookie = key().cookie(now, window, &link, client());
                assert!(key().verify(now, window, &link, client(), cookie));
            }
        }
    }
}
