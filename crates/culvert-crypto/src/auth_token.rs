//! Tokens that stand in for a password after the first login: at renegotiations and reconnects, on any machine
//! that has the same key.
//!
//! ```text
//! SESS_ID_AT_ | base64 of: session 12 | first issue u64 | this issue u64 | HMAC-SHA256 32
//!                          HMAC over user name | the 28 bytes before it
//! ```
//!
//! The format is OpenVPN's own, so tokens issued by a stock server with the same key file stay good.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::digest::{HmacSha256, expand, hmac_sha256};
use crate::tls_crypt_v2::parse_payload;
use crate::{Entropy, KeyError, pem};

const NAME: &str = "OpenVPN auth-token server key";
const PREFIX: &str = "SESS_ID_AT_";
const SIGNED: usize = 28;
const LEN: usize = SIGNED + 32;
/// Characters of base64 after the prefix.
const ENCODED: usize = LEN / 3 * 4;

/// The key that signs tokens. Whoever has it can log in as anyone. Wiped when dropped.
///
/// A token names its user, not the endpoint it was issued at: endpoints that do not accept each other's logins
/// need different keys.
#[derive(Clone)]
pub struct TokenKey {
    payload: Box<[u8; 128]>,
    hmac: HmacSha256,
}

/// For how long tokens are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimits {
    /// How often a client gets a new one. A token is good for twice as long after its issue.
    pub renewal: Duration,
    /// How long after the first issue even renewed tokens stop working; `None` for no such limit.
    pub lifetime: Option<Duration>,
}

/// What a genuine token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Identifies the login; stays the same when the token is renewed.
    pub session: [u8; 12],
    /// Unix seconds of the login.
    pub first_issued: u64,
    /// Unix seconds when this token was issued.
    pub issued: u64,
}

/// Whom a token was issued to. Part of the verdict because it decides what the token proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUser {
    /// The user name that was asked about.
    Given,
    /// A login without a user name. The token proves nothing about the name that was sent with it: that name
    /// must not become the client's identity.
    Empty,
}

/// What is to be thought of a password that looks like a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TokenVerdict {
    /// Genuine and still good. Look at `user` before you believe a name.
    Valid {
        /// What it says.
        claims: TokenClaims,
        /// Whom it was issued to.
        user: TokenUser,
    },
    /// Genuine, but its time is over, or it is from the future. The client must log in anew.
    Expired,
    /// No token of ours, or of another user: the same as a wrong password.
    Invalid,
}

impl TokenKey {
    /// Draws a new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut payload = Box::new([0; 128]);
        entropy.fill(&mut *payload);
        Self::expand(payload)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyError`]: no such key in it, another kind of key, cut short, not base64, wrong length, all zero.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        parse_payload(text, NAME).map(Self::expand)
    }

    /// Writes a key file.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode(NAME, &*self.payload)
    }

    /// Issues a token for a login that just succeeded. `now_unix` is in seconds.
    pub fn issue(&self, user: &str, now_unix: u64, entropy: &mut dyn Entropy) -> Zeroizing<String> {
        let mut session = [0; 12];
        entropy.fill(&mut session);
        let claims = TokenClaims {
            session,
            first_issued: now_unix,
            issued: now_unix,
        };
        self.sign(user, &claims)
    }

    /// Issues the token that follows one that is valid: same session and login time. `user` is the name the
    /// old one was issued to.
    pub fn renew(&self, user: &str, claims: &TokenClaims, now_unix: u64) -> Zeroizing<String> {
        let claims = TokenClaims {
            issued: now_unix.max(claims.first_issued),
            ..*claims
        };
        self.sign(user, &claims)
    }

    /// Judges a password. `now_unix` is in seconds.
    ///
    /// Whether the session in the claims is the one of the connection is the caller's question.
    pub fn verify(&self, user: &str, password: &str, now_unix: u64, limits: TokenLimits) -> TokenVerdict {
        let Some(token) = decode(password) else {
            return TokenVerdict::Invalid;
        };
        let (signed, mac) = token.split_at(SIGNED);
        let good = |user: &str| bool::from(self.mac(user, signed).ct_eq(mac));
        let user = if good(user) {
            TokenUser::Given
        } else if good("") {
            TokenUser::Empty
        } else {
            return TokenVerdict::Invalid;
        };
        let claims = TokenClaims::decode(signed);
        if claims.is_current(now_unix, limits) {
            TokenVerdict::Valid { claims, user }
        } else {
            TokenVerdict::Expired
        }
    }

    fn sign(&self, user: &str, claims: &TokenClaims) -> Zeroizing<String> {
        let signed = claims.encode();
        let mac = self.mac(user, &signed);
        let mut token = Zeroizing::new([0; LEN]);
        let (left, right) = token.split_at_mut(SIGNED);
        left.copy_from_slice(&signed);
        right.copy_from_slice(&mac);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + ENCODED));
        text.push_str(PREFIX);
        STANDARD.encode_string(token.as_slice(), &mut text);
        text
    }

    fn mac(&self, user: &str, signed: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.hmac, &[user.as_bytes(), signed])
    }

    fn expand(payload: Box<[u8; 128]>) -> Self {
        let hmac = expand(payload.split_at(64).1.split_at(32).0);
        Self { payload, hmac }
    }
}

impl Drop for TokenKey {
    fn drop(&mut self) {
        self.payload.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl TokenClaims {
    fn is_current(&self, now_unix: u64, limits: TokenLimits) -> bool {
        let renewed_until = self
            .issued
            .saturating_add(limits.renewal.as_secs().saturating_mul(2));
        let alive = limits
            .lifetime
            .is_none_or(|lifetime| now_unix <= self.first_issued.saturating_add(lifetime.as_secs()));
        self.first_issued <= self.issued && self.issued <= now_unix && now_unix < renewed_until && alive
    }

    fn encode(&self) -> [u8; SIGNED] {
        let mut out = [0; SIGNED];
        let (session, times) = out.split_at_mut(12);
        let (first, this) = times.split_at_mut(8);
        session.copy_from_slice(&self.session);
        first.copy_from_slice(&self.first_issued.to_be_bytes());
        this.copy_from_slice(&self.issued.to_be_bytes());
        out
    }

    /// Reads [`SIGNED`] bytes; anything missing counts as zero.
    fn decode(signed: &[u8]) -> Self {
        let (session, rest) = signed.split_first_chunk().unwrap_or((&[0; 12], &[]));
        let (first, rest) = rest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let this = rest.first_chunk().unwrap_or(&[0; 8]);
        Self {
            session: *session,
            first_issued: u64::from_be_bytes(*first),
            issued: u64::from_be_bytes(*this),
        }
    }
}

/// True if a password is meant as a token, genuine or not: it is never worth asking a password backend about.
pub fn looks_like_token(password: &str) -> bool {
    password.starts_with(PREFIX)
}

fn decode(password: &str) -> Option<Zeroizing<[u8; LEN]>> {
    let encoded = password.strip_prefix(PREFIX)?;
    if encoded.len() != ENCODED {
        return None;
    }
    let mut token = Zeroizing::new([0; LEN]);
    let len = STANDARD.decode_slice(encoded, &mut *token).ok()?;
    (len == LEN).then_some(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SeededEntropy;
    use crate::testing::{TIME, counting};

    const VECTOR: &str =
        "SESS_ID_AT_AAECAwQFBgcICQoLAAAAAGVDIQAAAAAAZUMiANXRdgk+ORGgOqeMFBD+QZjOPa6Vyz/WVkBF3lpfmhLt";

    const NO_LIFETIME: TokenLimits = TokenLimits {
        renewal: Duration::from_secs(3600),
        lifetime: None,
    };

    fn key() -> TokenKey {
        TokenKey::expand(Box::new(counting(0)))
    }

    fn claims() -> TokenClaims {
        TokenClaims {
            session: counting(0),
            first_issued: TIME.into(),
            issued: u64::from(TIME) + 0x100,
        }
    }

    #[test]
    fn the_token_matches_the_vector() {
        assert_eq!(key().sign("alice", &claims()).as_str(), VECTOR);
        assert_eq!(key().renew("alice", &claims(), claims().issued).as_str(), VECTOR);
        let verdict = key().verify("alice", VECTOR, claims().issued, NO_LIFETIME);
        let expected = TokenVerdict::Valid {
            claims: claims(),
            user: TokenUser::Given,
        };
        assert_eq!(verdict, expected);
        assert_eq!(VECTOR.len(), 91);
        assert!(looks_like_token(VECTOR));
    }

    #[test]
    fn a_token_is_good_for_two_renewals_and_not_before_its_issue() {
        let issued = claims().issued;
        for (now, good) in [
            (issued - 1, false),
            (issued, true),
            (issued + 7199, true),
            (issued + 7200, false),
            (u64::MAX, false),
        ] {
            let verdict = key().verify("alice", VECTOR, now, NO_LIFETIME);
            assert_eq!(matches!(verdict, TokenVerdict::Valid { .. }), good, "{now}");
            assert_eq!(verdict == TokenVerdict::Expired, !good);
        }
    }

    #[test]
    fn renewing_does_not_extend_the_lifetime() {
        let limits = TokenLimits {
            lifetime: Some(Duration::from_secs(5000)),
            ..NO_LIFETIME
        };
        let end = claims().first_issued + 5000;
        let token = key().renew("alice", &claims(), end - 10);
        for (now, good) in [(end, true), (end + 1, false)] {
            let verdict = key().verify("alice", &token, now, limits);
            assert_eq!(matches!(verdict, TokenVerdict::Valid { .. }), good, "{now}");
        }
    }

    #[test]
    fn a_token_of_another_user_or_key_is_invalid() {
        let now = claims().issued;
        assert_eq!(
            key().verify("mallory", VECTOR, now, NO_LIFETIME),
            TokenVerdict::Invalid
        );
        assert_eq!(key().verify("", VECTOR, now, NO_LIFETIME), TokenVerdict::Invalid);
        let other = TokenKey::generate(&mut SeededEntropy::new(1));
        assert_eq!(
            other.verify("alice", VECTOR, now, NO_LIFETIME),
            TokenVerdict::Invalid
        );
    }

    #[test]
    fn a_token_issued_without_a_user_says_so() {
        let token = key().issue("", 1000, &mut SeededEntropy::new(1));
        for (user, expected) in [("alice", TokenUser::Empty), ("", TokenUser::Given)] {
            let verdict = key().verify(user, &token, 1000, NO_LIFETIME);
            assert!(matches!(verdict, TokenVerdict::Valid { user, .. } if user == expected));
        }
    }

    #[test]
    fn a_token_that_claims_to_be_older_than_its_login_has_expired() {
        let token = key().sign(
            "alice",
            &TokenClaims {
                first_issued: 2000,
                issued: 1000,
                ..claims()
            },
        );
        assert_eq!(
            key().verify("alice", &token, 3000, NO_LIFETIME),
            TokenVerdict::Expired
        );
    }

    #[test]
    fn the_session_part_is_the_first_16_characters() {
        let mut entropy = SeededEntropy::new(1);
        let first = key().issue("alice", 1000, &mut entropy);
        let TokenVerdict::Valid { claims, .. } = key().verify("alice", &first, 1000, NO_LIFETIME) else {
            panic!("valid");
        };
        let renewed = key().renew("alice", &claims, 2000);
        assert_eq!(first[..27], renewed[..27]);
        assert_ne!(first, renewed);
        assert_ne!(first[..27], key().issue("alice", 1000, &mut entropy)[..27]);
    }

    #[test]
    fn malformed_tokens_are_invalid() {
        let bad = [
            "",
            "secret",
            "SESS_ID_AT_",
            &VECTOR[..90],
            &format!("{VECTOR}A"),
            &format!("{}=", &VECTOR[..90]),
            &format!("{}\u{e9}", &VECTOR[..89]),
            &VECTOR.replace('+', "-"),
            &format!("SESS_ID_AT_{}", "=".repeat(80)),
        ];
        for password in bad {
            let verdict = key().verify("alice", password, claims().issued, NO_LIFETIME);
            assert_eq!(verdict, TokenVerdict::Invalid, "{password}");
        }
    }

    #[test]
    fn key_files_read_back() {
        let key = key();
        let text = key.to_pem();
        assert!(text.starts_with("-----BEGIN OpenVPN auth-token server key-----\n"));
        assert_eq!(TokenKey::parse(&text).unwrap().payload, key.payload);
        assert_eq!(format!("{key:?}"), "TokenKey(..)");
    }

    proptest! {
        #[test]
        fn altered_tokens_are_invalid(at in PREFIX.len()..VECTOR.len(), with in prop::char::range('A', 'Z')) {
            let mut token = VECTOR.to_owned();
            token.replace_range(at..=at, with.encode_utf8(&mut [0; 4]));
            let verdict = key().verify("alice", &token, claims().issued, NO_LIFETIME);
            prop_assert_eq!(verdict == TokenVerdict::Invalid, token != VECTOR);
        }

        #[test]
        fn any_password_is_judged_without_panic(tail in "\\PC{0,100}") {
            let _ = key().verify("alice", &format!("{PREFIX}{tail}"), 0, NO_LIFETIME);
            prop_assert_eq!(key().verify(&tail, &tail, 0, NO_LIFETIME), TokenVerdict::Invalid);
        }
    }
}
