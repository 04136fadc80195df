//! How clients prove who they are.

use std::path::PathBuf;
use std::time::Duration;

use super::pem::Pem;

/// The ways of authentication an endpoint can demand. Every variant demands something of everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// A client certificate, nothing else.
    Certificate(ClientCertificates),
    /// User name and password, nothing else.
    Password(PasswordCheck),
    /// Both; each must be right.
    CertificateAndPassword(ClientCertificates, PasswordCheck),
    /// User name and password; a certificate is checked when the client has one.
    PasswordAndOptionalCertificate(ClientCertificates, PasswordCheck),
}

/// What TLS asks of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificatePolicy {
    /// No valid certificate, no connection.
    Required,
    /// Asked for; a client without one goes on.
    Optional,
    /// Not asked for.
    None,
}

impl Authentication {
    /// What TLS asks of the client.
    pub fn certificate_policy(&self) -> CertificatePolicy {
        match self {
            Self::Certificate(_) | Self::CertificateAndPassword(..) => CertificatePolicy::Required,
            Self::PasswordAndOptionalCertificate(..) => CertificatePolicy::Optional,
            Self::Password(_) => CertificatePolicy::None,
        }
    }

    /// How client certificates are checked, unless they are not asked for.
    pub fn certificates(&self) -> Option<&ClientCertificates> {
        match self {
            Self::Certificate(certificates)
            | Self::CertificateAndPassword(certificates, _)
            | Self::PasswordAndOptionalCertificate(certificates, _) => Some(certificates),
            Self::Password(_) => None,
        }
    }

    /// How passwords are checked, unless they are not asked for.
    pub fn password(&self) -> Option<&PasswordCheck> {
        match self {
            Self::Password(password)
            | Self::CertificateAndPassword(_, password)
            | Self::PasswordAndOptionalCertificate(_, password) => Some(password),
            Self::Certificate(_) => None,
        }
    }
}

/// Which client certificates are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Authorities that issue client certificates, PEM.
    pub ca: Pem,
    /// Certificate revocation lists of those authorities, PEM. An expired list refuses everybody.
    pub crl: Option<Pem>,
    /// Further condition on the name in the certificate.
    pub verify_x509_name: Option<VerifyX509Name>,
    /// What of the certificate names groups of the client; `None`: nothing does.
    pub groups: Option<CertificateGroups>,
}

/// What of a certificate's subject names groups; a certificate may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateGroups {
    /// `OU`.
    OrganizationalUnit,
    /// `O`.
    Organization,
}

/// Condition on the name in a client's certificate; the words are those of OpenVPN's `verify-x509-name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyX509Name {
    /// The whole subject, as in `C=DE, O=Example, CN=laptop`.
    Subject(String),
    /// The common name.
    Name(String),
    /// The beginning of the common name.
    NamePrefix(String),
}

/// Who judges user names and passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// A file of users with password hashes and groups.
    UsersFile(PathBuf),
    /// A program.
    Command(ExternalCommand),
    /// Both, asked in this order.
    Combined {
        /// A file of users with password hashes and groups.
        users_file: PathBuf,
        /// A program.
        command: ExternalCommand,
        /// Whether one or both must accept.
        combine: Combine,
    },
}

impl PasswordCheck {
    /// The users file, when one is asked.
    pub fn users_file(&self) -> Option<&PathBuf> {
        match self {
            Self::UsersFile(users_file) | Self::Combined { users_file, .. } => Some(users_file),
            Self::Command(_) => None,
        }
    }

    /// The program, when one is asked.
    pub fn command(&self) -> Option<&ExternalCommand> {
        match self {
            Self::Command(command) | Self::Combined { command, .. } => Some(command),
            Self::UsersFile(_) => None,
        }
    }
}

/// How two judges of passwords go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The first that accepts decides.
    Any,
    /// Every one must accept.
    All,
}

/// A program that judges logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalCommand {
    /// The program; a path, never looked up in `PATH`.
    pub program: PathBuf,
    /// Its arguments, handed over as they are, without a shell.
    pub arguments: Vec<String>,
    /// How long it may take before the login is refused.
    pub timeout: Duration,
}
