//! Revocation lists in a store of their own, on disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use culvert_query::ErrorCode;
use culvert_store::{EmbeddedStore, KeyRange, Options, RangeRequest, Store};
use tempfile::TempDir;

use super::*;
use crate::crl::samples::{Authority, now};
use crate::endpoint::{AuthenticationMethod, Endpoint};
use crate::id::CertificateArn;
use crate::operations::samples::{endpoint, environment};

/// A store with an authority and an endpoint whose clients it vouches for.
pub(super) struct Lab {
    pub(super) folder: TempDir,
    pub(super) store: Arc<dyn Store>,
    pub(super) registry: Registry,
    pub(super) certificates: Certificates,
    pub(super) authority: Authority,
    pub(super) arn: CertificateArn,
    pub(super) id: EndpointId,
}

fn open(folder: &TempDir) -> Arc<dyn Store> {
    open_in(folder.path())
}

pub(super) fn open_in(folder: &Path) -> Arc<dyn Store> {
    let path = folder.join("store.redb");
    Arc::new(EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap())
}

impl Lab {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let (registry, certificates) = (
            Registry::new(Arc::clone(&store)),
            Certificates::new(Arc::clone(&store)),
        );
        let authority = Authority::new("Clients");
        let arn = certificates
            .import(&authority.request(), &environment(), [3; 16], now())
            .unwrap();
        let make = |_: &[Endpoint]| {
            let mut made = endpoint();
            made.authentication = vec![AuthenticationMethod::Certificate {
                client_root: arn.clone(),
            }];
            Ok::<_, ServiceError>(made)
        };
        let id = registry.add(NEVER, make).unwrap().id;
        Self {
            folder,
            store,
            registry,
            certificates,
            authority,
            arn,
            id,
        }
    }

    fn import(&self, pem: &str) -> Result<(), ServiceError> {
        self.registry
            .import_crl(self.id.as_str(), pem, &self.certificates, &environment(), now())
    }

    fn export(&self) -> Option<(String, CrlState)> {
        self.registry.export_crl(self.id.as_str()).unwrap()
    }

    fn settle(&self) {
        let seen = self.registry.snapshot().unwrap().endpoints[0].revision;
        self.registry
            .settle(&self.id, seen, Ok(()), false, now())
            .unwrap();
    }

    /// The keys of revocation lists.
    fn kept(&self) -> usize {
        let range = RangeRequest::from(KeyRange::prefix(CRL_PREFIX));
        self.store.range(&range).unwrap().kvs.len()
    }
}

fn unix(pem: &str) -> String {
    pem.replace("\r\n", "\n")
}

#[test]
fn what_is_imported_is_exported_also_after_the_store_is_opened_again() {
    let lab = Lab::new();
    assert_eq!(lab.export(), None);
    let pem = lab.authority.crl(0..3);
    lab.import(&pem).unwrap();
    assert_eq!(lab.export(), Some((unix(&pem), CrlState::Pending(None))));
    lab.settle();
    assert_eq!(lab.export(), Some((unix(&pem), CrlState::Active)));
    let Lab {
        folder,
        store,
        registry,
        certificates,
        id,
        ..
    } = lab;
    drop((store, registry, certificates));
    let again = Registry::new(open(&folder));
    assert_eq!(
        again.export_crl(id.as_str()).unwrap(),
        Some((unix(&pem), CrlState::Active))
    );
}

#[test]
fn the_longest_list_fits_into_the_store_and_a_snapshot_holds_it() {
    let lab = Lab::new();
    let pem = lab.authority.long_crl(20_000);
    lab.import(&pem).unwrap();
    let snapshot = lab.registry.snapshot().unwrap();
    let list = snapshot
        .crls
        .of(&snapshot.endpoints[0].endpoint)
        .unwrap()
        .unwrap();
    assert_eq!(list.to_pem(), unix(&pem));
    lab.import(&lab.authority.crl(0..1)).unwrap();
    assert_eq!(lab.kept(), 1, "one list takes the place of another");
}

#[test]
fn a_refused_list_leaves_the_one_before() {
    let lab = Lab::new();
    let pem = lab.authority.crl(0..3);
    lab.import(&pem).unwrap();
    let before = lab.registry.snapshot().unwrap().revision;
    let refused = lab
        .import(&Authority::new("Clients").crl(0..3))
        .unwrap_err()
        .to_api();
    assert_eq!(refused.code, ErrorCode::InvalidParameterValue);
    assert_eq!(lab.registry.snapshot().unwrap().revision, before);
    assert_eq!(lab.export().unwrap().0, unix(&pem));
    for unknown in ["cvpn-endpoint-0123456789abcdef0", "x", "", "../certificate"] {
        let refused = lab.registry.export_crl(unknown).unwrap_err().to_api();
        assert_eq!(refused.code, ErrorCode::EndpointIdNotFound);
        let refused = lab
            .registry
            .import_crl(unknown, &pem, &lab.certificates, &environment(), now());
        assert_eq!(refused.unwrap_err().to_api().code, ErrorCode::EndpointIdNotFound);
    }
}

#[test]
fn the_list_goes_with_its_endpoint() {
    let lab = Lab::new();
    lab.import(&lab.authority.crl(0..3)).unwrap();
    lab.registry
        .change(NEVER, lab.id.as_str(), |endpoint, _| endpoint.delete())
        .unwrap();
    assert_eq!(lab.kept(), 1, "clients may still be connected");
    lab.settle();
    assert_eq!(lab.kept(), 0);
    let refused = lab.registry.export_crl(lab.id.as_str()).unwrap_err();
    assert_eq!(refused.to_api().code, ErrorCode::EndpointIdNotFound);
}

#[test]
fn endpoint_and_list_change_in_one() {
    let lab = Lab::new();
    let mut watch = lab
        .registry
        .watch(lab.registry.snapshot().unwrap().revision)
        .unwrap();
    lab.import(&lab.authority.crl(0..3)).unwrap();
    let changes = watch.try_next().unwrap().unwrap().changes;
    let keys: Vec<String> = changes.iter().map(|change| change.key.to_string()).collect();
    assert_eq!(keys, [key(&lab.id).to_string(), crl_key(&lab.id).to_string()]);
    assert!(watch.try_next().unwrap().is_none());
}

#[test]
fn a_renewed_certificate_is_news_that_settling_does_not_mind() {
    let lab = Lab::new();
    lab.import(&lab.authority.crl(0..3)).unwrap();
    let seen = lab.registry.snapshot().unwrap();
    let mut watch = lab.registry.watch(seen.revision).unwrap();
    let renewed = crate::ImportCertificate {
        arn: Some(lab.arn.clone()),
        ..lab.authority.request()
    };
    let later = now() + time::Duration::minutes(1);
    lab.certificates
        .import(&renewed, &environment(), [4; 16], later)
        .unwrap();
    let news = watch.try_next().unwrap().unwrap();
    assert_eq!(news.changes.len(), 1);
    assert!(news.changes[0].key.to_string().starts_with("/certificate/"));
    let snapshot = lab.registry.snapshot().unwrap();
    assert_eq!(snapshot.certificates[0].imported, later);
    assert_eq!(snapshot.revision, news.revision);
    assert_eq!(snapshot.endpoints, seen.endpoints);
    lab.registry
        .settle(&lab.id, seen.endpoints[0].revision, Ok(()), false, now())
        .unwrap();
    assert_eq!(
        lab.export().unwrap().1,
        CrlState::Active,
        "what was in force was the endpoint as it is"
    );
}

#[test]
fn a_list_that_is_lost_or_altered_is_no_list_of_nobody() {
    let lab = Lab::new();
    lab.import(&lab.authority.crl(0..3)).unwrap();
    for txn in [
        Txn::new().then(Op::put(crl_key(&lab.id), "altered")),
        Txn::new().then(Op::delete(crl_key(&lab.id))),
    ] {
        lab.store.txn(&txn).unwrap();
        let error = lab.registry.export_crl(lab.id.as_str()).unwrap_err();
        assert!(matches!(error, ServiceError::Record { .. }), "{error}");
        let snapshot = lab.registry.snapshot().unwrap();
        assert!(snapshot.crls.of(&snapshot.endpoints[0].endpoint).is_err());
    }
}
