//! Every way a TLS handshake fails, as a sentence with cause and cure.

use culvert_crypto::Role;
use rustls::{AlertDescription, CertRevocationListError, CertificateError, Error, PeerIncompatible};

use crate::verify::ExtraRefusal;

/// A failed TLS handshake or connection, from the point of view of the side that logs it.
///
/// The texts name the peer as "the client" or "the server", say what was wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The certificate's validity is over.
    #[error("the certificate of {peer} has expired; issue a new one and distribute it")]
    CertificateExpired {
        /// Whose certificate.
        peer: Peer,
    },
    /// The certificate's validity has not begun.
    #[error("the certificate of {peer} is not valid yet; check the clocks of both machines")]
    CertificateNotYetValid {
        /// Whose certificate.
        peer: Peer,
    },
    /// No configured authority issued it.
    #[error(
        "the certificate of {peer} is not issued by a certificate authority that is trusted here; {peer} must use a certificate of that authority and send intermediate certificates along, or the authority must be added"
    )]
    UnknownIssuer {
        /// Whose certificate.
        peer: Peer,
    },
    /// On the revocation list.
    #[error("the certificate of {peer} has been revoked; issue a new one if access is to be given again")]
    Revoked {
        /// Whose certificate.
        peer: Peer,
    },
    /// The revocation list itself is too old to be relied on.
    #[error(
        "the certificate revocation list has expired, so no certificate is accepted; create a fresh list and import it"
    )]
    RevocationListExpired,
    /// The revocation list cannot be used for this chain.
    #[error(
        "the certificate of {peer} cannot be checked against the revocation list ({reason}); create a fresh full list with the authority that issued the certificate"
    )]
    RevocationListUnusable {
        /// Whose certificate.
        peer: Peer,
        /// What the verifier said.
        reason: String,
    },
    /// The extended key usage forbids this role.
    #[error(
        "the certificate of {peer} is not issued for that purpose (extended key usage); {peer} needs one with {purpose}"
    )]
    WrongPurpose {
        /// Whose certificate.
        peer: Peer,
        /// The usage that is needed: `clientAuth` or `serverAuth`.
        purpose: &'static str,
    },
    /// `verify-x509-name` or a stated purpose was not met.
    #[error("the certificate of {peer} is refused: {reason}")]
    NotAccepted {
        /// Whose certificate.
        peer: Peer,
        /// Which demand it did not meet.
        reason: String,
    },
    /// A signature in the chain does not verify; short RSA keys end here too.
    #[error(
        "a signature in the certificate chain of {peer} does not verify; RSA keys below 2048 bits are refused with the same result: issue a certificate with RSA 2048 or more, P-256, P-384 or Ed25519"
    )]
    BadSignature {
        /// Whose certificate.
        peer: Peer,
    },
    /// SHA-1, MD5, P-521, DSA and the like.
    #[error(
        "the certificate chain of {peer} uses a signature algorithm that is not supported (SHA-1, MD5, DSA or P-521); issue it again with SHA-256 or better and RSA 2048+, P-256, P-384 or Ed25519"
    )]
    UnsupportedAlgorithm {
        /// Whose certificate.
        peer: Peer,
    },
    /// Anything else about the certificate.
    #[error(
        "the certificate of {peer} cannot be used ({reason}); X.509 version 1 certificates and unknown critical extensions are refused: issue it again"
    )]
    BadCertificate {
        /// Whose certificate.
        peer: Peer,
        /// What the verifier said.
        reason: String,
    },
    /// The peer has none, or none of an authority it was told.
    #[error(
        "{peer} presented no certificate although one is required; add certificate and key to its profile, of a kind supported here (RSA 2048+, P-256, P-384, Ed25519)"
    )]
    NoCertificate {
        /// Who.
        peer: Peer,
    },
    /// No common protocol version.
    #[error(
        "{peer} offers no TLS version that is enabled here (1.2 and 1.3, or as configured); upgrade it to OpenVPN 2.3.7 or newer and remove `tls-version-max` from its profile"
    )]
    NoCommonVersion {
        /// Who.
        peer: Peer,
    },
    /// No common cipher suite, group or signature scheme.
    #[error(
        "{peer} and this side have no TLS {what} in common; remove `tls-cipher`, `tls-ciphersuites`, `tls-groups` and `tls-cert-profile` from its profile (needed: ECDHE with AES-GCM or ChaCha20, X25519, P-256 or P-384)"
    )]
    NothingInCommon {
        /// Who.
        peer: Peer,
        /// What: "cipher suite", "key exchange group", "signature scheme".
        what: &'static str,
    },
    /// The peer refused us with an alert.
    #[error("{peer} ended the TLS connection with the alert \"{alert}\": {hint}")]
    Alert {
        /// Who.
        peer: Peer,
        /// The alert's name.
        alert: String,
        /// What usually causes it.
        hint: &'static str,
    },
    /// Bytes that are no TLS, or not at this point.
    #[error(
        "{peer} sent something that is not valid TLS here ({reason}); the packets may have been altered on the way, or {peer} is broken"
    )]
    Protocol {
        /// Who.
        peer: Peer,
        /// What rustls said.
        reason: String,
    },
    /// The handshake wants more memory than a stranger may take.
    #[error("{peer} sent more than {limit} bytes of TLS handshake; its certificate chain is far too long")]
    TooLong {
        /// Who.
        peer: Peer,
        /// The limit.
        limit: usize,
    },
    /// A failure on our side.
    #[error("TLS failed on this side ({reason}); this points to the configuration of this machine")]
    Internal {
        /// What rustls said.
        reason: String,
    },
}

/// The other side, as a noun for a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// We are the server.
    Client,
    /// We are the client.
    Server,
}

impl Peer {
    /// The peer of `role`.
    pub fn of(role: Role) -> Self {
        match role {
            Role::Server => Self::Client,
            Role::Client => Self::Server,
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Client => "the client",
            Self::Server => "the server",
        })
    }
}

impl TlsFailure {
    /// Translates what rustls reported while talking to `peer`.
    pub fn translate(error: &Error, peer: Peer) -> Self {
        match error {
            Error::InvalidCertificate(error) => certificate(error, peer),
            Error::InvalidCertRevocationList(error) => revocation(error, peer),
            Error::NoCertificatesPresented => Self::NoCertificate { peer },
            Error::PeerIncompatible(error) => incompatible(error, peer),
            Error::AlertReceived(alert) => Self::Alert {
                peer,
                alert: alert.as_str().map_or_else(|| format!("{alert:?}"), str::to_owned),
                hint: hint(*alert),
            },
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::DecryptError
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord => Self::Protocol {
                peer,
                reason: error.to_string(),
            },
            other => Self::Internal {
                reason: other.to_string(),
            },
        }
    }
}

fn certificate(error: &CertificateError, peer: Peer) -> TlsFailure {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            TlsFailure::CertificateExpired { peer }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::CertificateNotYetValid { peer }
        }
        CertificateError::Revoked => TlsFailure::Revoked { peer },
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer { peer },
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            TlsFailure::RevocationListExpired
        }
        CertificateError::UnknownRevocationStatus => TlsFailure::RevocationListUnusable {
            peer,
            reason: "no list covers the issuing authority".to_owned(),
        },
        CertificateError::BadSignature => TlsFailure::BadSignature { peer },
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFailure::UnsupportedAlgorithm { peer }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            TlsFailure::WrongPurpose {
                peer,
                purpose: peer.purpose(),
            }
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<ExtraRefusal>() {
            Some(refusal) => TlsFailure::NotAccepted {
                peer,
                reason: refusal.to_string(),
            },
            None => TlsFailure::BadCertificate {
                peer,
                reason: other.to_string(),
            },
        },
        other => TlsFailure::BadCertificate {
            peer,
            reason: other.to_string(),
        },
    }
}

fn revocation(error: &CertRevocationListError, peer: Peer) -> TlsFailure {
    TlsFailure::RevocationListUnusable {
        peer,
        reason: format!("{error:?}"),
    }
}

fn incompatible(error: &PeerIncompatible, peer: Peer) -> TlsFailure {
    match error {
        PeerIncompatible::NoCipherSuitesInCommon => TlsFailure::NothingInCommon {
            peer,
            what: "cipher suite",
        },
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => TlsFailure::NothingInCommon {
            peer,
            what: "key exchange group",
        },
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => TlsFailure::NothingInCommon {
            peer,
            what: "signature scheme",
        },
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => TlsFailure::NoCommonVersion { peer },
        other => TlsFailure::Protocol {
            peer,
            reason: format!("{other:?}"),
        },
    }
}

/// The usual cause of an alert that a peer sends.
fn hint(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => {
            "it does not trust the authority of our certificate; give it the right `ca` in its profile"
        }
        AlertDescription::CertificateExpired => {
            "it considers our certificate expired; renew it, or set the other machine's clock"
        }
        AlertDescription::CertificateRevoked => "it has our certificate on a revocation list",
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
            "it does not accept our certificate; check `verify-x509-name` and `remote-cert-tls` in its profile"
        }
        AlertDescription::CertificateUnknown => {
            "it refuses our certificate; its own log has the reason, often `verify-x509-name`"
        }
        AlertDescription::CertificateRequired => "it requires a certificate and we sent none",
        AlertDescription::HandshakeFailure => {
            "it found no cipher suite or parameters in common; check `tls-cipher` in its profile"
        }
        AlertDescription::ProtocolVersion => {
            "it does not speak our TLS versions; check `tls-version-min` and `tls-version-max`"
        }
        AlertDescription::InsufficientSecurity => "it considers our keys or suites too weak",
        AlertDescription::CloseNotify => "it closed the connection in good order",
        AlertDescription::DecryptError | AlertDescription::BadRecordMac => {
            "it could not verify what we sent; the keys or the path between us are damaged"
        }
        _ => "its own log has the reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_names_the_side_and_a_cure() {
        let cases: [(Error, &str); 6] = [
            (
                Error::InvalidCertificate(CertificateError::Expired),
                "issue a new one",
            ),
            (Error::InvalidCertificate(CertificateError::Revoked), "revoked"),
            (
                Error::InvalidCertificate(CertificateError::InvalidPurpose),
                "clientAuth",
            ),
            (Error::NoCertificatesPresented, "add certificate and key"),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "tls-cipher",
            ),
            (Error::AlertReceived(AlertDescription::UnknownCA), "`ca`"),
        ];
        for (error, part) in cases {
            let text = TlsFailure::translate(&error, Peer::Client).to_string();
            assert!(text.contains("the client") && text.contains(part), "{text}");
        }
    }
}
