//! Private keys: made on an elliptic curve, loaded in every unencrypted form.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::error::PkiError;
use crate::pem;

/// Kinds of keys that can be generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: every client since OpenVPN 2.4 takes it.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519: not with OpenVPN 2.4 and some mobile clients.
    Ed25519,
}

impl KeyKind {
    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::P384 => &PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &PKCS_ED25519,
        }
    }
}

/// Makes a key pair.
pub(crate) fn generate(kind: KeyKind) -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(kind.algorithm()).map_err(PkiError::crypto("generating a key"))
}

/// The key pair as PKCS#8 PEM, in the form without a public key: OpenSSL 3.0 can't read the other one, which ring makes
/// of Ed25519 keys.
pub(crate) fn to_pem(key: &KeyPair) -> Zeroizing<String> {
    let whole = Zeroizing::new(key.serialized_der().to_vec());
    match ed25519_seed(&whole).filter(|_| key.is_compatible(&PKCS_ED25519)) {
        Some(seed) => encode(&wrap(ED25519, seed)),
        None => Zeroizing::new(key.serialize_pem()),
    }
}

/// The private part of a PKCS#8 Ed25519 key, with the header of its inner OCTET STRING.
fn ed25519_seed(pkcs8: &[u8]) -> Option<&[u8]> {
    const OUTER: [u8; 2] = [0x04, 0x22];
    const INNER_LEN: usize = 34;
    let at = pkcs8
        .windows(4)
        .position(|window| window == [OUTER[0], OUTER[1], 0x04, 0x20])?;
    pkcs8.get(at + OUTER.len()..at + OUTER.len() + INNER_LEN)
}

fn encode(der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    Zeroizing::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        *text
    ))
}

/// Loads a private key of any common unencrypted form: PKCS#8, PKCS#1 (RSA), SEC1 (EC).
pub(crate) fn load(path: &Path) -> Result<KeyPair, PkiError> {
    let refuse = |reason: &str| PkiError::Key {
        path: path.into(),
        reason: reason.into(),
    };
    let pkcs8 = match pem::private_key(path)? {
        PrivateKeyDer::Pkcs8(key) => Zeroizing::new(key.secret_pkcs8_der().to_vec()),
        PrivateKeyDer::Pkcs1(key) => wrap(RSA, key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let der = key.secret_sec1_der();
            let curve =
                curve_of(der).ok_or_else(|| refuse("its curve is not supported: P-256 and P-384 are"))?;
            wrap(curve, der)
        }
        _ => {
            return Err(refuse(
                "its format is not supported: convert it with `openssl pkcs8 -topk8 -nocrypt`",
            ));
        }
    };
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8.as_slice())).map_err(|_| {
        refuse("it is damaged or of an unsupported kind: RSA of 2048 to 4096 bits, P-256, P-384 and Ed25519 are supported")
    })
}

/// AlgorithmIdentifier of Ed25519 keys.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// AlgorithmIdentifier of RSA keys.
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// AlgorithmIdentifiers of keys on P-256 and P-384. Each ends with the curve's object identifier, which a
/// SEC1 key names in its parameters.
const CURVES: [&[u8]; 2] = [
    &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
        0x3d, 0x03, 0x01, 0x07,
    ],
    &[
        0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
        0x22,
    ],
];

/// Offset of the curve's identifier within [`CURVES`]: after the sequence header and `id-ecPublicKey`.
const CURVE_AT: usize = 11;

fn curve_of(sec1: &[u8]) -> Option<&'static [u8]> {
    CURVES.into_iter().find(|algorithm| {
        algorithm
            .get(CURVE_AT..)
            .is_some_and(|oid| sec1.windows(oid.len()).any(|window| window == oid))
    })
}

/// `PrivateKeyInfo ::= SEQUENCE { version 0, algorithm, OCTET STRING key }`
fn wrap(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::with_capacity(key.len() + 64));
    content.extend_from_slice(&[0x02, 0x01, 0x00]);
    content.extend_from_slice(algorithm);
    push_header(&mut content, 0x04, key.len());
    content.extend_from_slice(key);
    let mut whole = Zeroizing::new(Vec::with_capacity(content.len() + 8));
    push_header(&mut whole, 0x30, content.len());
    whole.extend_from_slice(&content);
    whole
}

fn push_header(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ ..0x80), _) => out.push(short),
        (Ok(byte), _) => out.extend_from_slice(&[0x81, byte]),
        (_, Ok(word)) => {
            out.push(0x82);
            out.extend_from_slice(&word.to_be_bytes());
        }
        // No key is that long; the parser that reads this refuses the zero length.
        _ => out.push(0),
    }
}

/// A random serial number: 16 bytes, positive, no leading zero byte.
pub(crate) fn random_serial() -> Result<[u8; 16], PkiError> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| PkiError::Crypto {
            action: "choosing a serial number",
            reason: "the system has no randomness".into(),
        })?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ed25519_keys_are_written_in_the_form_openssl_reads_and_load_again() {
        let key = generate(KeyKind::Ed25519).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, to_pem(&key).as_bytes()).unwrap();
        let again = load(&path).unwrap();
        assert_eq!(again.public_key_raw(), key.public_key_raw());
        match std::process::Command::new("openssl")
            .args(["pkey", "-noout", "-in"])
            .arg(&path)
            .status()
        {
            Ok(status) => assert!(status.success()),
            Err(_) => println!("skipped in part: openssl is not installed"),
        }
    }

    #[test]
    fn serials_are_positive_and_sixteen_bytes_long() {
        for _ in 0..1000 {
            let serial = random_serial().unwrap();
            assert!((0x40..0x80).contains(&serial[0]));
        }
        assert_ne!(random_serial().unwrap(), random_serial().unwrap());
    }

    #[test]
    fn generated_keys_load_back() {
        let dir = tempfile::tempdir().unwrap();
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
            let key = generate(kind).unwrap();
            let path = dir.path().join("key");
            std::fs::write(&path, to_pem(&key).as_bytes()).unwrap();
            assert_eq!(load(&path).unwrap().public_key_raw(), key.public_key_raw());
        }
    }
}
