//! TLS configuration for both roles: which certificates are shown, which are accepted, and with what time.
//!
//! Sessions are never resumed and no tickets are issued, because OpenVPN never resumes. The clock is a shared
//! number that the caller advances, so certificate validity follows the same time as everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::CertificateInfo;
use crate::crl::RevocationList;
use crate::pem::{self, PemError};
pub use crate::verify::NameCheck;
use crate::verify::{ClientVerifier, ExtraChecks, ServerVerifier};

/// The one crypto provider of the process, ring; never taken from a process-wide default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A clock for TLS: Unix seconds in a number that the owner of the loop keeps current.
#[derive(Clone, Debug, Default)]
pub struct TlsClock(Arc<AtomicU64>);

impl TlsClock {
    /// A clock that stands at `unix` seconds.
    pub fn new(unix: u64) -> Self {
        Self(Arc::new(AtomicU64::new(unix)))
    }

    /// A clock over a number that is advanced elsewhere.
    pub fn shared(unix: Arc<AtomicU64>) -> Self {
        Self(unix)
    }

    /// Sets the time, Unix seconds.
    pub fn set(&self, unix: u64) {
        self.0.store(unix, Ordering::Relaxed);
    }

    /// The time, Unix seconds.
    pub fn unix(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.unix())))
    }
}

/// Oldest TLS version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinTlsVersion {
    /// TLS 1.2 and 1.3: every OpenVPN client since 2.3.7.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

static TLS12_AND_13: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
static TLS12_ONLY: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static TLS13_ONLY: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

impl MinTlsVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => &TLS12_AND_13,
            Self::Tls13 => &TLS13_ONLY,
        }
    }
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Without a valid certificate the handshake fails.
    Required,
    /// A certificate is asked for and verified if shown, but may be missing.
    Optional,
    /// No certificate is asked for.
    None,
}

/// Why a TLS configuration could not be built. Each names the input and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Some PEM text was not usable.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The private key belongs to another certificate.
    #[error(
        "{what}: the private key does not belong to the first certificate of the chain; the file must begin with the endpoint's own certificate, followed by intermediates"
    )]
    KeyMismatch {
        /// Which certificate.
        what: &'static str,
    },
    /// A key or certificate of a kind TLS here cannot use.
    #[error(
        "{what}: the certificate or key cannot be used ({reason}); supported are RSA keys of 2048 to 8192 bits, ECDSA P-256 and P-384, and Ed25519"
    )]
    Unusable {
        /// Which certificate.
        what: &'static str,
        /// What rustls said.
        reason: String,
    },
    /// A certificate authority could not be used as one.
    #[error(
        "{what}: certificate number {number} cannot be used as an authority ({reason}); X.509 version 1 certificates and broken encodings must be issued again"
    )]
    Authority {
        /// Which list of authorities.
        what: &'static str,
        /// Position in the file, from 1.
        number: usize,
        /// What rustls said.
        reason: String,
    },
    /// Client certificates are wanted but no authority was given.
    #[error("client certificates are to be verified, but no client certificate authority is given")]
    NoAuthority,
    /// The verifier refused a revocation list.
    #[error("the certificate revocation list cannot be used ({reason}); create it again")]
    Crl {
        /// What rustls said.
        reason: String,
    },
}

/// What a server's TLS configuration is made of.
pub struct TlsParams<'a> {
    /// The server's certificate and its intermediates, PEM, leaf first.
    pub chain_pem: &'a [u8],
    /// The private key of the leaf, PEM (PKCS#8, PKCS#1 or SEC1).
    pub key_pem: &'a [u8],
    /// Authorities for client certificates, PEM. Each is a trust anchor, intermediates too.
    pub client_ca_pem: Option<&'a [u8]>,
    /// Whether clients must show a certificate.
    pub client_certificates: ClientCertificates,
    /// Refuse client certificates that don't state `clientAuth`. Without it a certificate without any
    /// extended key usage passes; one that states only other uses never does.
    pub require_client_purpose: bool,
    /// Revocation lists for client certificates. Once there is one, it is enforced, past its expiry too.
    pub crls: &'a [RevocationList],
    /// Oldest version to speak.
    pub min_version: MinTlsVersion,
    /// A demand on the client certificate's subject.
    pub verify_x509_name: Option<NameCheck>,
    /// The clock for validity checks.
    pub clock: TlsClock,
}

/// Builds TLS configurations for servers.
#[derive(Debug)]
pub struct ServerTls;

impl ServerTls {
    /// Builds the configuration that all sessions of an endpoint share.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn build(params: &TlsParams<'_>) -> Result<Arc<ServerConfig>, TlsError> {
        const WHAT: &str = "server certificate";
        let chain = pem::certificates(WHAT, params.chain_pem)?;
        let key = pem::private_key("server private key", params.key_pem)?;
        let provider = provider();
        let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(params.clock.clone()))
            .with_protocol_versions(params.min_version.versions())
            .map_err(|error| unusable(WHAT, error))?;
        let builder = match params.client_certificates {
            ClientCertificates::None => builder.with_no_client_auth(),
            ClientCertificates::Required | ClientCertificates::Optional => {
                builder.with_client_cert_verifier(client_verifier(params, provider)?)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| unusable(WHAT, error))?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    /// The authorities in `pem`, as DER, for [`RevocationList::parse`].
    ///
    /// # Errors
    /// [`TlsError::Pem`].
    pub fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        Ok(pem::certificates("client certificate authority", pem)?)
    }

    /// Things about the server's own certificate that will make clients refuse it, as sentences for the
    /// operator. Empty if all is well at `unix` (seconds).
    ///
    /// # Errors
    /// [`TlsError::Pem`], or [`TlsError::Unusable`] if the leaf is no X.509.
    pub fn warnings(chain_pem: &[u8], unix: u64) -> Result<Vec<String>, TlsError> {
        const WHAT: &str = "server certificate";
        let chain = pem::certificates(WHAT, chain_pem)?;
        let Some(leaf) = chain.first() else {
            return Ok(Vec::new());
        };
        let unreadable = |reason: String| TlsError::Unusable { what: WHAT, reason };
        let info = CertificateInfo::parse(leaf).map_err(|error| unreadable(error.reason))?;
        let (_, certificate) =
            X509Certificate::from_der(leaf).map_err(|error| unreadable(error.to_string()))?;
        let mut warnings = Vec::new();
        let unix = i64::try_from(unix).unwrap_or(i64::MAX);
        if info.not_after <= unix {
            warnings.push(format!(
                "the server certificate \"{}\" has expired; every client will refuse it: issue a new one",
                info.subject
            ));
        }
        if info.not_before > unix {
            warnings.push(format!(
                "the server certificate \"{}\" is not valid yet; check this machine's clock",
                info.subject
            ));
        }
        let server_auth = certificate
            .extended_key_usage()
            .ok()
            .flatten()
            .is_some_and(|usage| usage.value.server_auth || usage.value.any);
        if !server_auth {
            warnings.push(format!(
                "the server certificate \"{}\" lacks the extended key usage serverAuth; clients with `remote-cert-tls server` will refuse it: issue it as a server certificate",
                info.subject
            ));
        }
        Ok(warnings)
    }
}

fn client_verifier(
    params: &TlsParams<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ClientVerifier>, TlsError> {
    let pem = params.client_ca_pem.ok_or(TlsError::NoAuthority)?;
    let roots = roots("client certificate authority", pem)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider)
        .with_crls(params.crls.iter().flat_map(|list| list.der().iter().cloned()))
        // An authority without a list of its own is not checked, as in OpenVPN; a list that exists is
        // enforced along the chain, and an expired one refuses everybody rather than nobody.
        .allow_unknown_revocation_status()
        .enforce_revocation_expiration();
    if params.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    let chain = builder.build().map_err(|error| match error {
        VerifierBuilderError::NoRootAnchors => TlsError::NoAuthority,
        other => TlsError::Crl {
            reason: other.to_string(),
        },
    })?;
    let extra = ExtraChecks {
        name: params.verify_x509_name.clone(),
        purpose_required: params.require_client_purpose,
    };
    Ok(Arc::new(ClientVerifier { chain, extra }))
}

/// What a client's TLS configuration is made of.
pub struct ClientTlsParams<'a> {
    /// Authorities for the server's certificate, PEM.
    pub ca_pem: &'a [u8],
    /// The client's certificate chain and private key, PEM, if it has one.
    pub identity_pem: Option<(&'a [u8], &'a [u8])>,
    /// Refuse server certificates that don't state `serverAuth` (`remote-cert-tls server`).
    pub require_server_purpose: bool,
    /// A demand on the server certificate's subject.
    pub verify_x509_name: Option<NameCheck>,
    /// Oldest version to speak.
    pub min_version: MinTlsVersion,
    /// Speak nothing newer than TLS 1.2.
    pub tls12_only: bool,
    /// The clock for validity checks.
    pub clock: TlsClock,
}

/// Builds TLS configurations for clients.
#[derive(Debug)]
pub struct ClientTls;

impl ClientTls {
    /// Builds a client's configuration. As OpenVPN 2.x, it sends no server name.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn build(params: &ClientTlsParams<'_>) -> Result<Arc<ClientConfig>, TlsError> {
        const WHAT: &str = "client certificate";
        let provider = provider();
        let versions: &[&'static SupportedProtocolVersion] = if params.tls12_only {
            &TLS12_ONLY
        } else {
            params.min_version.versions()
        };
        let verifier = ServerVerifier {
            roots: roots("server certificate authority", params.ca_pem)?,
            provider: provider.clone(),
            extra: ExtraChecks {
                name: params.verify_x509_name.clone(),
                purpose_required: params.require_server_purpose,
            },
        };
        let builder = ClientConfig::builder_with_details(provider, Arc::new(params.clock.clone()))
            .with_protocol_versions(versions)
            .map_err(|error| unusable(WHAT, error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match params.identity_pem {
            Some((chain, key)) => builder
                .with_client_auth_cert(
                    pem::certificates(WHAT, chain)?,
                    pem::private_key("client private key", key)?,
                )
                .map_err(|error| unusable(WHAT, error))?,
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn roots(what: &'static str, pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in pem::certificates(what, pem)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| TlsError::Authority {
            what,
            number: index + 1,
            reason: error.to_string(),
        })?;
    }
    Ok(Arc::new(roots))
}

fn unusable(what: &'static str, error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch { what },
        other => TlsError::Unusable {
            what,
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, pki};

    fn params(pki: &crate::testing::Pki) -> TlsParams<'_> {
        TlsParams {
            chain_pem: pki.server_pem.as_bytes(),
            key_pem: pki.server_key_pem.as_bytes(),
            client_ca_pem: Some(pki.ca_pem.as_bytes()),
            client_certificates: ClientCertificates::Required,
            require_client_purpose: false,
            crls: &[],
            min_version: MinTlsVersion::Tls12,
            verify_x509_name: None,
            clock: TlsClock::new(NOW),
        }
    }

    #[test]
    fn a_server_configuration_issues_no_tickets() {
        let config = ServerTls::build(&params(pki())).unwrap();
        assert_eq!(config.send_tls13_tickets, 0);
        assert_eq!(config.max_early_data_size, 0);
        assert!(!config.session_storage.can_cache());
    }

    #[test]
    fn a_key_of_another_certificate_is_named() {
        let pki = pki();
        let error = ServerTls::build(&TlsParams {
            key_pem: pki.client_key_pem.as_bytes(),
            ..params(pki)
        });
        assert_eq!(
            error.unwrap_err(),
            TlsError::KeyMismatch {
                what: "server certificate"
            }
        );
    }

    #[test]
    fn wanting_certificates_without_an_authority_is_refused() {
        let pki = pki();
        let error = ServerTls::build(&TlsParams {
            client_ca_pem: None,
            ..params(pki)
        })
        .unwrap_err();
        assert_eq!(error, TlsError::NoAuthority);
    }

    #[test]
    fn a_client_certificate_as_server_certificate_earns_a_warning() {
        let pki = pki();
        assert_eq!(
            ServerTls::warnings(pki.server_pem.as_bytes(), NOW).unwrap(),
            Vec::<String>::new()
        );
        let warnings = ServerTls::warnings(pki.client_pem.as_bytes(), NOW).unwrap();
        assert!(warnings[0].contains("serverAuth"), "{warnings:?}");
        let warnings = ServerTls::warnings(pki.server_pem.as_bytes(), NOW + 20 * 365 * 86_400).unwrap();
        assert!(warnings[0].contains("expired"), "{warnings:?}");
    }

    #[test]
    fn name_checks_follow_verify_x509_name() {
        let info = CertificateInfo::parse(&pki().client_der()).unwrap();
        assert!(NameCheck::CommonName("alice".to_owned()).accepts(&info));
        assert!(!NameCheck::CommonName("alic".to_owned()).accepts(&info));
        assert!(NameCheck::CommonNamePrefix("al".to_owned()).accepts(&info));
        assert!(!NameCheck::CommonNamePrefix("bo".to_owned()).accepts(&info));
        assert!(NameCheck::Subject("O=Culvert Test, CN=alice".to_owned()).accepts(&info));
        assert!(!NameCheck::Subject("CN=alice".to_owned()).accepts(&info));
    }
}
