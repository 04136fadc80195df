//! TLS of the API: one certificate, which can be renewed while it serves.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::error::ApiStartError;

/// The API's certificate and how it is shown to callers.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
    certificate: PathBuf,
    private_key: PathBuf,
}

impl Tls {
    /// Reads a certificate with its chain and its private key, both PEM.
    ///
    /// # Errors
    /// [`ApiStartError::Certificate`].
    pub fn load(certificate: &Path, private_key: &Path) -> Result<Self, ApiStartError> {
        let key = read(certificate, private_key)?;
        let shown = Arc::new(Shown(ArcSwap::from_pointee(key)));
        let provider = Arc::new(default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(certificate, error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            shown,
            certificate: certificate.into(),
            private_key: private_key.into(),
        })
    }

    /// Reads the files again; new connections see the new certificate.
    ///
    /// # Errors
    /// [`ApiStartError::Certificate`]; the old certificate stays then.
    pub fn reload(&self) -> Result<(), ApiStartError> {
        let key = read(&self.certificate, &self.private_key)?;
        self.shown.0.store(Arc::new(key));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// The certificate that is shown now.
struct Shown(ArcSwap<CertifiedKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn refused(path: &Path, reason: impl fmt::Display) -> ApiStartError {
    ApiStartError::Certificate {
        path: path.into(),
        reason: reason.to_string(),
    }
}

fn read(certificate: &Path, private_key: &Path) -> Result<CertifiedKey, ApiStartError> {
    let open = |path: &Path| match File::open(path) {
        Ok(file) => Ok(BufReader::new(file)),
        Err(error) => Err(refused(path, error)),
    };
    let chain = rustls_pemfile::certs(&mut open(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refused(certificate, error))?;
    if chain.is_empty() {
        return Err(refused(certificate, "it holds no certificate in PEM"));
    }
    let key = rustls_pemfile::private_key(&mut open(private_key)?)
        .map_err(|error| refused(private_key, error))?
        .ok_or_else(|| refused(private_key, "it holds no private key in PEM that isn't encrypted"))?;
    let key = any_supported_type(&key).map_err(|error| refused(private_key, error))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| {
        refused(
            private_key,
            format!("it is not the key of {}: {error}", certificate.display()),
        )
    })?;
    Ok(certified)
}
