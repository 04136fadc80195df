//! An API that is served for one test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use culvert_api::{Api, Limits, Listener, Tls, serve};
use culvert_auth::{AccessKey, AccessKeyFile, AccessKeys};
use culvert_ec2::Ec2;
use culvert_query::page::PageKey;
use culvert_service::{
    Certificates, Connection, ConnectionId, EndpointId, Environment, Quotas, Registry, SecurityGroups,
    Termination, Tunnels, TunnelsError,
};
use culvert_store::{EmbeddedStore, Options, Store};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::signer::Signer;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCOUNT: &str = "123456789012";

/// No endpoint runs.
struct Still;

impl Tunnels for Still {
    fn connections(&self, _: &EndpointId) -> Result<Vec<Connection>, TunnelsError> {
        Ok(Vec::new())
    }

    fn terminate(&self, _: &EndpointId, _: &[ConnectionId]) -> Result<Vec<Termination>, TunnelsError> {
        Ok(Vec::new())
    }
}

/// A folder with a store and access keys, and the API in front of them.
pub(crate) struct Lab {
    pub(crate) folder: TempDir,
    pub(crate) api: Arc<Api>,
    pub(crate) key: AccessKey,
}

/// An API that is being served; it stops when this is dropped.
pub(crate) struct Served {
    pub(crate) address: String,
    pub(crate) task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access-keys");
        let key = AccessKey::generate(OffsetDateTime::now_utc(), None).unwrap();
        AccessKeyFile::edit(&path, |keys| keys.add(key.clone())).unwrap();
        let store: Arc<dyn Store> = Arc::new(
            EmbeddedStore::open(&folder.path().join("store"), Options::default(), Instant::now).unwrap(),
        );
        let api = Api::new(ec2(store), AccessKeys::open(path).unwrap(), limits);
        Self {
            folder,
            api: Arc::new(api),
            key,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Serves on a port of the loopback interface.
    pub(crate) fn serve(&self) -> Served {
        self.serve_with(None)
    }

    pub(crate) fn serve_with(&self, tls: Option<Tls>) -> Served {
        let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap(), tls).unwrap();
        self.run(listener)
    }

    pub(crate) fn run(&self, listener: Listener) -> Served {
        let address = listener.local_address().map(|address| address.to_string());
        let (stop, stopped) = oneshot::channel();
        Served {
            address: address.unwrap_or_default(),
            task: tokio::spawn(serve(listener, Arc::clone(&self.api), stopped)),
            stop: Some(stop),
        }
    }

    /// Signs with the key that the API knows.
    pub(crate) fn signer(&self, service: &'static str) -> Signer {
        Signer::new(self.key.id(), self.key.expose_secret(), service)
    }
}

impl Served {
    /// Tells the API to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }
}

fn ec2(store: Arc<dyn Store>) -> Ec2 {
    let environment = Environment {
        account_id: ACCOUNT.into(),
        region: REGION.into(),
        host: None,
        listen: Vec::new(),
        both_transports: false,
        ipv6_host: None,
        client_ipv6_range: "fd00::/8".parse().unwrap(),
        vpcs: Vec::new(),
        subnets: Vec::new(),
        security_groups: Vec::new(),
        directories: Vec::new(),
        connect_handlers: Vec::new(),
        log_groups: Vec::new(),
        quotas: Quotas::default(),
    };
    Ec2 {
        registry: Registry::new(Arc::clone(&store)),
        certificates: Certificates::new(Arc::clone(&store)),
        security_groups: SecurityGroups::new(store),
        environment: Arc::new(ArcSwap::from_pointee(environment)),
        tunnels: Arc::new(Still),
        page_key: PageKey::new(&[7; 32]),
    }
}

/// A certificate with its key and chain, PEM.
pub(crate) struct Pki {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) chain: String,
}

/// A server's certificate for a name or address, issued by an authority of its own.
pub(crate) fn pki(name: &str) -> Pki {
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, name);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    Pki {
        certificate: leaf.signed_by(&key, &authority).unwrap().pem(),
        key: key.serialize_pem(),
        chain: authority.pem(),
    }
}
