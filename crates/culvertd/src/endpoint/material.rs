//! Reads the keys and certificates an endpoint's configuration names or holds, each error with the name of the file.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use culvert_config::{CertificatePolicy, EndpointConfig, Pem, StaticKeyWrap, VerifyX509Name};
use culvert_control::crl::RevocationList;
use culvert_control::tls::{ClientCertificates, MinTlsVersion, NameCheck, ServerTls, TlsClock, TlsParams};
use culvert_core::{CookiePolicy, SharedWrap, TlsCryptV2, WrapPolicy};
use culvert_crypto::auth_token::TokenKey;
use culvert_crypto::tls_crypt_v2::ServerKey;
use culvert_crypto::{AuthDigest, KeyDirection, StaticKey};

use zeroize::Zeroizing;

/// TLS configuration and what belongs to it.
pub(crate) struct TlsMaterial {
    /// For the sessions of the endpoint.
    pub(crate) server: Arc<rustls::ServerConfig>,
    /// The revocation list in force.
    pub(crate) crl: Option<RevocationList>,
}

/// Reads certificates, key and revocation list. A revocation list given by the caller stands in for the file, for when
/// the file has become unusable and the previous list stays in force.
///
/// # Errors
/// Fails when a file can't be read or used; the message names it.
pub(crate) fn tls(
    config: &EndpointConfig,
    clock: &TlsClock,
    crl: Option<RevocationList>,
) -> Result<TlsMaterial> {
    let chain = pem(&config.server_certificate)?;
    let key = pem(&config.server_private_key)?;
    let certificates = config.authentication.certificates();
    let ca = certificates
        .map(|certificates| pem(&certificates.ca))
        .transpose()?;
    let crl = match (
        crl,
        certificates.and_then(|certificates| certificates.crl.as_ref()),
    ) {
        (_, None) => None,
        (Some(crl), Some(_)) => Some(crl),
        (None, Some(_)) => Some(revocation_list(config, clock.unix())?),
    };
    let crls: Vec<RevocationList> = crl.iter().cloned().collect();
    let params = TlsParams {
        chain_pem: &chain,
        key_pem: &key,
        client_ca_pem: ca.as_deref().map(Vec::as_slice),
        client_certificates: match config.authentication.certificate_policy() {
            CertificatePolicy::Required => ClientCertificates::Required,
            CertificatePolicy::Optional => ClientCertificates::Optional,
            CertificatePolicy::None => ClientCertificates::None,
        },
        require_client_purpose: false,
        crls: &crls,
        min_version: match config.tls_version_min {
            culvert_config::TlsVersion::Tls12 => MinTlsVersion::Tls12,
            culvert_config::TlsVersion::Tls13 => MinTlsVersion::Tls13,
        },
        verify_x509_name: certificates
            .and_then(|certificates| certificates.verify_x509_name.as_ref())
            .map(name_check),
        clock: clock.clone(),
    };
    let server = ServerTls::build(&params).with_context(|| {
        format!(
            "Failed to set up TLS for endpoint {} with {}",
            config.name, config.server_certificate
        )
    })?;
    for warning in ServerTls::warnings(&chain, clock.unix())? {
        tracing::warn!(endpoint = config.name, certificate = %config.server_certificate, "{warning}");
    }
    Ok(TlsMaterial { server, crl })
}

/// Reads the revocation list of an endpoint that has one.
///
/// # Errors
/// Fails when the list can't be read, is broken, expired, or not signed by the client CA.
pub(crate) fn revocation_list(config: &EndpointConfig, unix: u64) -> Result<RevocationList> {
    let certificates = config
        .authentication
        .certificates()
        .context("the endpoint checks no client certificates")?;
    let crl = certificates
        .crl
        .as_ref()
        .context("the endpoint has no revocation list")?;
    let authorities = ServerTls::authorities(&pem(&certificates.ca)?)?;
    RevocationList::parse(&pem(crl)?, unix, &authorities)
        .with_context(|| format!("Failed to use the revocation list {crl}"))
}

fn name_check(name: &VerifyX509Name) -> NameCheck {
    match name {
        VerifyX509Name::Subject(text) => NameCheck::Subject(text.clone()),
        VerifyX509Name::Name(text) => NameCheck::CommonName(text.clone()),
        VerifyX509Name::NamePrefix(text) => NameCheck::CommonNamePrefix(text.clone()),
    }
}

/// Reads the keys of the control channel.
///
/// # Errors
/// Fails when a key file can't be read or parsed; the message names it.
pub(crate) fn wrap(config: &EndpointConfig) -> Result<WrapPolicy> {
    let shared = match config.control_channel.static_key() {
        None => SharedWrap::None,
        Some(StaticKeyWrap::TlsAuth(auth)) => SharedWrap::TlsAuth {
            key: static_key(&auth.key)?,
            direction: match auth.direction {
                culvert_config::KeyDirection::Zero => KeyDirection::Zero,
                culvert_config::KeyDirection::One => KeyDirection::One,
                culvert_config::KeyDirection::Both => KeyDirection::Both,
            },
            digest: digest(auth.digest),
        },
        Some(StaticKeyWrap::TlsCrypt(path)) => SharedWrap::TlsCrypt {
            key: static_key(path)?,
        },
    };
    let tls_crypt_v2 = config
        .control_channel
        .tls_crypt_v2()
        .map(|v2| -> Result<TlsCryptV2> {
            let text = text(&v2.server_key)?;
            let key = ServerKey::parse(&text).with_context(|| {
                format!(
                    "Failed to read the tls-crypt-v2 server key {}",
                    v2.server_key.display()
                )
            })?;
            let cookies = if v2.force_cookie {
                CookiePolicy::ForceCookie
            } else {
                CookiePolicy::AllowNonCookie
            };
            Ok(TlsCryptV2 {
                key: Arc::new(key),
                cookies,
                max_key_age: None,
            })
        })
        .transpose()?;
    Ok(WrapPolicy { shared, tls_crypt_v2 })
}

/// Reads the key that signs auth tokens.
///
/// # Errors
/// Fails when the key file can't be read or parsed; the message names it.
pub(crate) fn token_key(path: &Path) -> Result<TokenKey> {
    TokenKey::parse(&text(path)?)
        .with_context(|| format!("Failed to read the auth-token key {}", path.display()))
}

/// The digest by the core's name.
pub(crate) fn digest(digest: culvert_config::Digest) -> AuthDigest {
    match digest {
        culvert_config::Digest::Sha1 => AuthDigest::Sha1,
        culvert_config::Digest::Sha256 => AuthDigest::Sha256,
        culvert_config::Digest::Sha512 => AuthDigest::Sha512,
    }
}

fn static_key(path: &Path) -> Result<StaticKey> {
    StaticKey::parse(&text(path)?)
        .with_context(|| format!("Failed to read the static key {}", path.display()))
}

fn text(path: &Path) -> Result<Zeroizing<String>> {
    let bytes = read(path)?;
    let text =
        std::str::from_utf8(&bytes).with_context(|| format!("{} is not a text file", path.display()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn pem(pem: &Pem) -> Result<Zeroizing<Vec<u8>>> {
    pem.read().with_context(|| format!("Failed to read {pem}"))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    std::fs::read(path)
        .map(Zeroizing::new)
        .with_context(|| format!("Failed to read {}", path.display()))
}
