//! Translates an endpoint's configuration into what the core wants.

use std::sync::Arc;

use anyhow::Result;
use culvert_config::{CertificatePolicy, DataCipher, EndpointConfig, Mssfix};
use culvert_control::tls::TlsClock;
use culvert_control::{SessionConfig, TlsSide};
use culvert_core::{
    AttemptLimits, AuthTokenSettings, CertificateDemand, CredentialPolicy, EndpointSettings, HalfOpenLimits,
    Keepalive, PushSettings, RedirectGateway, SessionTimeout,
};
use culvert_data::{DataPlaneConfig, MssFix};

use super::material::{self, TlsMaterial};
use super::memory::Memories;

/// Keys that live as long as the daemon, so that clients survive a reload.
#[derive(Clone)]
pub(crate) struct ProcessKeys {
    /// What endpoints keep when their configuration changes.
    pub(crate) memories: Arc<Memories>,
    /// The clock certificates are checked by.
    pub(crate) clock: TlsClock,
}

/// Reads the files an endpoint names and makes the settings of its server.
///
/// # Errors
/// Fails when a file can't be read or used; the message names it.
pub(crate) fn settings(
    config: &EndpointConfig,
    keys: &ProcessKeys,
    tls: &TlsMaterial,
) -> Result<EndpointSettings> {
    let session = SessionConfig {
        hand_window: config.handshake_window,
        reneg_interval: config.renegotiation,
        ..SessionConfig::new(TlsSide::Server(Arc::clone(&tls.server)))
    };
    let auth_token = match &config.auth_token {
        None => None,
        Some(token) => Some(AuthTokenSettings {
            key: match &token.key {
                Some(path) => Arc::new(material::token_key(path)?),
                None => keys.memories.token_key(&config.name),
            },
            lifetime: token.lifetime,
            renewal: token.renewal,
        }),
    };
    Ok(EndpointSettings {
        wrap: material::wrap(config)?,
        session: Arc::new(session),
        credentials: CredentialPolicy {
            certificate: match config.authentication.certificate_policy() {
                CertificatePolicy::Required => CertificateDemand::Required,
                CertificatePolicy::Optional => CertificateDemand::Optional,
                CertificatePolicy::None => CertificateDemand::None,
            },
            password: config.authentication.password().is_some(),
        },
        data_ciphers: config
            .data_ciphers
            .iter()
            .map(|cipher| data_cipher(*cipher))
            .collect(),
        legacy_cbc: config.legacy_cbc.map(material::digest),
        data_epoch: config.data_epoch,
        tls_key_export: config.tls_key_export,
        pool: config.pool_config(),
        policy: config.policy(),
        mss_fix: mss_fix(config.mssfix),
        keepalive: Keepalive {
            ping: config.keepalive.ping,
            ping_restart: config.keepalive.ping_restart,
            server_ping_restart: config.keepalive.ping_restart * 2,
        },
        push: push(config),
        session_timeout: config.session_timeout.map(|after| SessionTimeout {
            after,
            disconnect: config.disconnect_on_session_timeout,
        }),
        inactive: None,
        max_clients: max_clients(config),
        half_open: HalfOpenLimits::default(),
        attempts: AttemptLimits::default(),
        duplicate_cn: config.duplicate_cn,
        auth_token,
    })
}

/// The most clients. Without a limit of its own the address pool is the limit, and it is the one to say so.
fn max_clients(config: &EndpointConfig) -> u32 {
    config
        .max_clients
        .unwrap_or_else(|| config.effective_max_clients().saturating_add(1))
}

/// The shape of the data plane.
pub(crate) fn data_plane(config: &EndpointConfig) -> DataPlaneConfig {
    DataPlaneConfig {
        max_peers: max_clients(config),
        v4: config.client_cidr_block,
        v6: config.client_ipv6_cidr_block,
        server_v4: config.server_v4(),
        server_v6: config.server_v6(),
        client_to_client: config.client_to_client,
        client_to_client_v6: config.client_to_client_ipv6,
    }
}

/// The limit on TCP segments, by the data plane's name.
fn mss_fix(mssfix: Mssfix) -> MssFix {
    match mssfix {
        Mssfix::Off => MssFix::Off,
        Mssfix::Mtu(size) => MssFix::Outer(size),
        Mssfix::Payload(size) => MssFix::Payload(size),
        Mssfix::Fixed(size) => MssFix::Inner(size),
    }
}

fn push(config: &EndpointConfig) -> PushSettings {
    let has_v4 = config.client_cidr_block.is_some();
    let has_v6 = config.client_ipv6_cidr_block.is_some();
    PushSettings {
        routes: if config.split_tunnel {
            config.route_table()
        } else {
            Vec::new()
        },
        redirect_gateway: (!config.split_tunnel).then_some(RedirectGateway {
            ipv4: has_v4,
            ipv6: has_v6,
            bypass_dhcp: true,
            bypass_dns: false,
            block_local: false,
        }),
        dns_servers: config.dns_servers.clone(),
        search_domains: config.domains.clone(),
        resolve_domains: Vec::new(),
        block_outside_dns: false,
        // A full tunnel that carries no IPv6 would otherwise leave it outside.
        block_ipv6: !config.split_tunnel && !has_v6,
        tun_mtu: config.tun_mtu,
        banner: config.banner.clone(),
        explicit_exit_notify: true,
        extra: config.push.clone(),
        updates: true,
    }
}

fn data_cipher(cipher: DataCipher) -> culvert_crypto::DataCipher {
    match cipher {
        DataCipher::Aes256Gcm => culvert_crypto::DataCipher::Aes256Gcm,
        DataCipher::Aes192Gcm => culvert_crypto::DataCipher::Aes192Gcm,
        DataCipher::Aes128Gcm => culvert_crypto::DataCipher::Aes128Gcm,
        DataCipher::ChaCha20Poly1305 => culvert_crypto::DataCipher::ChaCha20Poly1305,
        DataCipher::Aes256Cbc => culvert_crypto::DataCipher::Aes256Cbc,
        DataCipher::Aes192Cbc => culvert_crypto::DataCipher::Aes192Cbc,
        DataCipher::Aes128Cbc => culvert_crypto::DataCipher::Aes128Cbc,
    }
}
