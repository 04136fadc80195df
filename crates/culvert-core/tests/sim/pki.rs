//! A small PKI, made once.

use std::sync::{Arc, OnceLock};

use culvert_control::tls::{
    ClientCertificates, ClientTls, ClientTlsParams, MinTlsVersion, ServerTls, TlsClock, TlsParams,
};
use culvert_control::{SessionConfig, TlsSide};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// When all simulations start, Unix seconds.
pub(crate) const START: u64 = 1_767_225_600;

/// Identities there are certificates for: `user0`, `user1`, …
pub(crate) const USERS: usize = 12;

pub(crate) struct Pki {
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
    server: (String, String),
    users: Vec<(String, String)>,
}

pub(crate) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(Pki::new)
}

impl Pki {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Simulated CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = params.self_signed(&key).unwrap().pem();
        let ca = Issuer::new(params, key);
        let server = leaf(&ca, "server", 1, ExtendedKeyUsagePurpose::ServerAuth);
        let users = (0..USERS)
            .map(|user| {
                leaf(
                    &ca,
                    &format!("user{user}"),
                    100 + user as u8,
                    ExtendedKeyUsagePurpose::ClientAuth,
                )
            })
            .collect();
        Self {
            ca,
            ca_pem,
            server,
            users,
        }
    }

    /// Control-channel configuration of the server.
    pub(crate) fn server_session(&self, certificates: ClientCertificates) -> SessionConfig {
        let (chain, key) = &self.server;
        let tls = ServerTls::build(&TlsParams {
            chain_pem: chain.as_bytes(),
            key_pem: key.as_bytes(),
            client_ca_pem: Some(self.ca_pem.as_bytes()),
            client_certificates: certificates,
            require_client_purpose: true,
            crls: &[],
            min_version: MinTlsVersion::Tls12,
            verify_x509_name: None,
            clock: TlsClock::new(START),
        })
        .unwrap();
        SessionConfig::new(TlsSide::Server(tls))
    }

    /// Control-channel configuration of a client, with the certificate of a user or without.
    pub(crate) fn client_session(&self, user: Option<usize>) -> SessionConfig {
        static CACHE: OnceLock<Vec<Arc<rustls::ClientConfig>>> = OnceLock::new();
        let configs = CACHE.get_or_init(|| {
            let identities = self
                .users
                .iter()
                .map(|(cert, key)| Some((cert.as_bytes(), key.as_bytes())));
            identities
                .chain([None])
                .map(|identity| self.client_tls(identity))
                .collect()
        });
        SessionConfig::new(TlsSide::client(configs[user.unwrap_or(USERS)].clone()))
    }

    fn client_tls(&self, identity_pem: Option<(&[u8], &[u8])>) -> Arc<rustls::ClientConfig> {
        ClientTls::build(&ClientTlsParams {
            ca_pem: self.ca_pem.as_bytes(),
            identity_pem,
            require_server_purpose: true,
            verify_x509_name: None,
            min_version: MinTlsVersion::Tls12,
            tls12_only: false,
            clock: TlsClock::new(START),
        })
        .unwrap()
    }

    /// A revocation list that names one user.
    pub(crate) fn revoke(&self, user: usize) -> culvert_control::crl::RevocationList {
        let time = |year| rcgen::date_time_ymd(year, 1, 1);
        let list = CertificateRevocationListParams {
            this_update: time(2025),
            next_update: time(2040),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(vec![100 + user as u8]),
                revocation_time: time(2025),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.ca).unwrap().pem().unwrap();
        let authority = CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap();
        culvert_control::crl::RevocationList::parse(pem.as_bytes(), START, &[authority]).unwrap()
    }
}

fn leaf(
    ca: &Issuer<'static, KeyPair>,
    name: &str,
    serial: u8,
    purpose: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(vec![serial]));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}
