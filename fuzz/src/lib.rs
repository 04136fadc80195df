//! What several fuzz targets need: a test PKI, both sides' TLS configuration, an address, a start time.

pub mod tun;

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use culvert_control::tls::{
    ClientCertificates, ClientTls, ClientTlsParams, MinTlsVersion, ServerTls, TlsClock, TlsParams,
};
use culvert_control::{ClientCredentials, SessionConfig, TlsSide};
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::{LinkAddr, Now, UdpPath};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// Wall clock of all targets, Unix seconds: TLS sees a fixed time, whenever the fuzzer runs.
pub const NOW: u64 = 0x6543_2100;

/// Session configurations of a server that takes any user and of a client with a password.
pub struct Configs {
    /// Server side.
    pub server: Arc<SessionConfig>,
    /// Client side.
    pub client: Arc<SessionConfig>,
}

/// Made once: keys are drawn anew for each run of the fuzzer, which no target depends on.
pub static CONFIGS: LazyLock<Configs> = LazyLock::new(configs);

/// The moment everything starts.
pub fn start() -> Now {
    Now {
        instant: Instant::now(),
        unix: NOW,
    }
}

/// The configuration of a client that says these things about itself.
pub fn client_session(credentials: ClientCredentials, options: String) -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        credentials,
        options,
        ..SessionConfig::clone(&CONFIGS.client)
    })
}

/// A client's address over UDP.
pub fn link(host: u8) -> LinkAddr {
    LinkAddr::Udp(UdpPath {
        remote: ([192, 0, 2, host], 1194).into(),
        local: None,
        socket: 0,
    })
}

fn configs() -> Configs {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
        .expect("a certificate authority");
    let mut leaf = CertificateParams::default();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("a key");
    let chain = leaf.signed_by(&key, &authority).expect("a certificate").pem();
    let clock = TlsClock::new(NOW);
    let server = ServerTls::build(&TlsParams {
        chain_pem: chain.as_bytes(),
        key_pem: key.serialize_pem().as_bytes(),
        client_ca_pem: None,
        client_certificates: ClientCertificates::None,
        require_client_purpose: false,
        crls: &[],
        min_version: MinTlsVersion::Tls12,
        verify_x509_name: None,
        clock: clock.clone(),
    })
    .expect("a server configuration");
    let client = ClientTls::build(&ClientTlsParams {
        ca_pem: authority.pem().as_bytes(),
        identity_pem: None,
        require_server_purpose: true,
        verify_x509_name: None,
        min_version: MinTlsVersion::Tls12,
        tls12_only: false,
        clock,
    })
    .expect("a client configuration");
    let credentials = ClientCredentials {
        username: Some("alice".to_owned()),
        password: Some("secret".to_owned().into()),
        peer_info: PeerInfo::parse(
            "IV_VER=2.6.14\nIV_PLAT=linux\nIV_NCP=2\nIV_CIPHERS=AES-256-GCM\nIV_PROTO=990\n",
        ),
        ..ClientCredentials::default()
    };
    Configs {
        server: Arc::new(SessionConfig::new(TlsSide::Server(server))),
        client: Arc::new(SessionConfig {
            credentials,
            ..SessionConfig::new(TlsSide::client(client))
        }),
    }
}
