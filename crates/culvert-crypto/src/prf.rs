//! Key derivation with the TLS 1.0 pseudo-random function: the only method of clients before 2.6 and of
//! builds whose TLS library cannot export key material.
//!
//! ```text
//! PRF(secret, seed) = P_MD5(first half of secret, seed) XOR P_SHA1(second half, seed)
//! master = PRF(pre-master, "OpenVPN master secret" | client random 1 | server random 1)              48 bytes
//! key2   = PRF(master, "OpenVPN key expansion" | client random 2 | server random 2
//!                       | client session id | server session id)                                     256 bytes
//! ```
//!
//! MD5 and SHA-1 are no choice: the peers compute the same. Inside HMAC, and XORed, neither's collisions help
//! an attacker who does not know the pre-master secret.

use culvert_wire::SessionId;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};

use crate::digest::expand;
use crate::{Key2, StaticKey};

const MASTER_LABEL: &[u8] = b"OpenVPN master secret";
const EXPANSION_LABEL: &[u8] = b"OpenVPN key expansion";

/// What both sides contribute to the keys of one negotiation: the randoms of their key method 2 messages and
/// their session ids, which stay the same over renegotiations.
#[derive(Clone, Copy)]
pub struct KeySource<'a> {
    /// The client's pre-master secret.
    pub pre_master: &'a [u8; 48],
    /// The client's first random.
    pub client_random1: &'a [u8; 32],
    /// The client's second random.
    pub client_random2: &'a [u8; 32],
    /// The server's first random.
    pub server_random1: &'a [u8; 32],
    /// The server's second random.
    pub server_random2: &'a [u8; 32],
    /// The client's session id on control packets.
    pub client_session: SessionId,
    /// The server's session id on control packets.
    pub server_session: SessionId,
}

/// Derives the data-channel keys of one negotiation.
///
/// Source: wire draft, "key method 2 key expansion".
pub fn derive_key2(source: &KeySource<'_>) -> Key2 {
    let master = master_secret(source);
    let mut key = Zeroizing::new([0; Key2::LEN]);
    tls1_prf(
        &*master,
        &[
            EXPANSION_LABEL,
            source.client_random2,
            source.server_random2,
            &source.client_session.bytes(),
            &source.server_session.bytes(),
        ],
        &mut *key,
    );
    StaticKey::from_bytes(&key).into()
}

/// The 48-byte master secret from which [`derive_key2`] expands the keys.
pub fn master_secret(source: &KeySource<'_>) -> Zeroizing<[u8; 48]> {
    let mut master = Zeroizing::new([0; 48]);
    tls1_prf(
        source.pre_master,
        &[MASTER_LABEL, source.client_random1, source.server_random1],
        &mut *master,
    );
    master
}

/// Fills `out` with the TLS 1.0 PRF of `secret` and the concatenation of `seed`.
///
/// Source: RFC 2246, section 5.
pub fn tls1_prf(secret: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    // For an odd length both halves contain the middle byte.
    let half = secret.len().div_ceil(2);
    let (first, _) = secret.split_at(half);
    let (_, second) = secret.split_at(secret.len() - half);
    out.fill(0);
    xor_p_hash::<Hmac<Md5>>(first, seed, out);
    xor_p_hash::<Hmac<Sha1>>(second, seed, out);
}

fn xor_p_hash<M: Mac + KeyInit + Clone>(secret: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let key: M = expand(secret);
    let mut chained = key.clone();
    update_all(&mut chained, seed);
    let mut a = chained.finalize().into_bytes();
    for chunk in out.chunks_mut(a.len()) {
        let mut mac = key.clone();
        mac.update(&a);
        update_all(&mut mac, seed);
        let mut block = mac.finalize().into_bytes();
        for (byte, with) in chunk.iter_mut().zip(&block) {
            *byte ^= with;
        }
        block.as_mut_slice().zeroize();
        let mut next = key.clone();
        next.update(&a);
        a = next.finalize().into_bytes();
    }
    a.as_mut_slice().zeroize();
}

fn update_all(mac: &mut impl Mac, parts: &[&[u8]]) {
    for part in parts {
        mac.update(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, counting, hex, server, v11_key2};
    use crate::{AuthDigest, Direction};

    #[test]
    fn the_prf_matches_the_self_test_of_openvpn() {
        let mut out = [0xaa; 8];
        tls1_prf(b"tls1-prf-test-secret", &[b"tls1-prf", b"-test"], &mut out);
        assert_eq!(out, *hex("7144fe2540737595"));
    }

    #[test]
    fn an_odd_secret_shares_its_middle_byte_and_an_empty_one_works() {
        let (mut odd, mut empty) = ([0; 40], [0; 40]);
        tls1_prf(b"abc", &[b"seed"], &mut odd);
        tls1_prf(b"", &[b"seed"], &mut empty);
        assert_ne!(odd, empty);
        let mut by_halves = [0; 40];
        xor_p_hash::<Hmac<Md5>>(b"ab", &[b"seed"], &mut by_halves);
        xor_p_hash::<Hmac<Sha1>>(b"bc", &[b"seed"], &mut by_halves);
        assert_eq!(odd, by_halves);
    }

    #[test]
    fn made_up_randoms_give_the_keys_of_the_wire_vectors() {
        let source = KeySource {
            pre_master: &counting(0),
            client_random1: &counting(0x40),
            client_random2: &counting(0x60),
            server_random1: &counting(0x80),
            server_random2: &counting(0xa0),
            client_session: client(),
            server_session: server(),
        };
        assert_eq!(
            master_secret(&source)[..],
            hex(
                "9999e37f41b205a8183ce835da7daacfd52553e542564d04e4292100b00f5f1fe967f9d4f3888f285a5f119aff451e0d"
            )
        );
        assert_eq!(derive_key2(&source), v11_key2());
    }

    #[test]
    fn a_stock_server_derived_the_same_keys() {
        let array = |text| <[u8; 32]>::try_from(hex(text)).unwrap();
        let pre_master = hex(
            "cfd7441a86af0bb0665717d415db6fec5b3c566a721d05bad5bed718e60bf007f3ec3a68868c2955845b91fee4ca53eb",
        );
        let source = KeySource {
            pre_master: pre_master.as_slice().try_into().unwrap(),
            client_random1: &array("765dfaf2076442cc688cde1d7cf9f85cca87b29163c32277b8125c1860fb5ab5"),
            client_random2: &array("c75f588b6c568047f9bc920809519ceda0d69475e84152b3a3df47da42e44c05"),
            server_random1: &array("0ee3be3f3db0defd0e4026b12d8373020efdd29a1b05bd729caeb6606c5c036d"),
            server_random2: &array("4e8264720903818c34600680190244344aa14926b43903bf9afc5f6048e8170a"),
            client_session: SessionId::new(hex("d579f5eee35da45e").try_into().unwrap()).unwrap(),
            server_session: SessionId::new(hex("dc8d88d765311b69").try_into().unwrap()).unwrap(),
        };
        let master = hex(
            "47d601b872a0f203655ccfc8457b997989d335d34da961fb1941766e4bde96f76e97f20fa7d9f34a6342979b512900da",
        );
        assert_eq!(master_secret(&source)[..], master);
        let key2 = derive_key2(&source);
        let (c2s, s2c) = (Direction::ClientToServer, Direction::ServerToClient);
        assert_eq!(
            key2.cipher_key(c2s, 32),
            hex("66cf034802db99ae426c177dbce6bfae67d6d50b3271b123a3c94ea9616903e3")
        );
        assert_eq!(
            key2.hmac_key(c2s, AuthDigest::Sha1),
            hex("659913de76746b5caf885eb5d5de315a4267d5ed")
        );
        assert_eq!(
            key2.cipher_key(s2c, 32),
            hex("d1019a12183f8156b2c3db5ead289b619d43d646960fc66382cf6d656222228a")
        );
        assert_eq!(
            key2.hmac_key(s2c, AuthDigest::Sha1),
            hex("bcb384829d9ce43e35b777a87ed535bf2c628c3e")
        );
    }
}
