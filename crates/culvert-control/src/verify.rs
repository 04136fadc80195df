//! Certificate verifiers: the usual chain checks of rustls plus OpenVPN's `verify-x509-name` and
//! `remote-cert-tls`.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::CertificateInfo;

/// What the subject of the peer's certificate must look like, on top of a valid chain.
///
/// Source: OpenVPN 2.6 behaviour of `verify-x509-name NAME [name|name-prefix|subject]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// The common name equals this.
    CommonName(String),
    /// The common name begins with this.
    CommonNamePrefix(String),
    /// The whole subject equals this: `C=DE, O=Example, CN=alice`.
    Subject(String),
}

impl NameCheck {
    /// True if `certificate` satisfies the check.
    pub fn accepts(&self, certificate: &CertificateInfo) -> bool {
        match self {
            Self::CommonName(name) => certificate.common_name == *name,
            // Without a common name no prefix fits, the empty one included.
            Self::CommonNamePrefix(prefix) => {
                !certificate.common_name.is_empty() && certificate.common_name.starts_with(prefix.as_str())
            }
            Self::Subject(subject) => certificate.subject == *subject,
        }
    }
}

impl fmt::Display for NameCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommonName(name) => write!(f, "the common name \"{name}\""),
            Self::CommonNamePrefix(prefix) => write!(f, "a common name beginning with \"{prefix}\""),
            Self::Subject(subject) => write!(f, "the subject \"{subject}\""),
        }
    }
}

/// Refusals of our own, carried through rustls as its "other" error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExtraRefusal {
    #[error("the subject is \"{subject}\", but {wanted} is required")]
    WrongName { subject: String, wanted: String },
    #[error("the certificate of \"{subject}\" has no extended key usage {wanted}")]
    NoPurpose { subject: String, wanted: &'static str },
    #[error("{0}")]
    Unreadable(String),
}

impl From<ExtraRefusal> for Error {
    fn from(refusal: ExtraRefusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// Checks that rustls does not make: the subject's name, and that the purpose is stated at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExtraChecks {
    pub(crate) name: Option<NameCheck>,
    pub(crate) purpose_required: bool,
}

impl ExtraChecks {
    fn check(&self, der: &CertificateDer<'_>, purpose: Purpose) -> Result<(), Error> {
        let info =
            CertificateInfo::parse(der).map_err(|error| ExtraRefusal::Unreadable(error.to_string()))?;
        if self.purpose_required && !states_purpose(der, purpose) {
            return Err(ExtraRefusal::NoPurpose {
                subject: info.subject,
                wanted: purpose.name(),
            }
            .into());
        }
        match &self.name {
            Some(name) if !name.accepts(&info) => Err(ExtraRefusal::WrongName {
                subject: info.subject,
                wanted: name.to_string(),
            }
            .into()),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
enum Purpose {
    Client,
    Server,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }
}

fn states_purpose(der: &CertificateDer<'_>, purpose: Purpose) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return false;
    };
    match purpose {
        Purpose::Client => usage.value.client_auth,
        Purpose::Server => usage.value.server_auth,
    }
}

/// The server's view of a client certificate: rustls' verifier, then [`ExtraChecks`].
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) extra: ExtraChecks,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        self.extra.check(end_entity, Purpose::Client)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The client's view of a server certificate: the chain must lead to `roots`; host names play no part, as
/// OpenVPN identifies a server by its authority and, if asked, its subject.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) extra: ExtraChecks,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        self.extra.check(end_entity, Purpose::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
