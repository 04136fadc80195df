//! Certificates in a store of their own, on disk, and what is refused at their import.

use std::time::Instant;

use culvert_store::{EmbeddedStore, Options};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519,
};
use tempfile::TempDir;
use time::Duration;
use zeroize::Zeroizing;

use super::*;
use crate::certificate::PrivateKeyPem;
use crate::operations::samples::{endpoint, environment};
use crate::repeat::Once;

const NEVER: Once<'static> = Once {
    action: "Test",
    repeat: None,
};

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (now() - Duration::days(1), now() + Duration::days(1));
    params
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn request(certificate: &str, key: &KeyPair, chain: &str) -> ImportCertificate {
    ImportCertificate {
        arn: None,
        certificate: certificate.to_owned(),
        private_key: PrivateKeyPem::new(Zeroizing::new(key.serialize_pem())),
        chain: chain.to_owned(),
        tags: [("Name".to_owned(), "server".to_owned())].into(),
    }
}

/// A server's certificate, issued by an authority, with a key of this kind.
fn issued(kind: &'static rcgen::SignatureAlgorithm) -> ImportCertificate {
    let authority = authority("Authority");
    let key = KeyPair::generate_for(kind).unwrap();
    let certificate = params("server").signed_by(&key, &authority).unwrap();
    request(&certificate.pem(), &key, &authority.pem())
}

struct Lab {
    _folder: TempDir,
    store: Arc<dyn Store>,
    certificates: Certificates,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap());
        Self {
            _folder: folder,
            certificates: Certificates::new(Arc::clone(&store)),
            store,
        }
    }

    fn import(&self, request: &ImportCertificate, number: u8) -> Result<CertificateArn, ServiceError> {
        self.certificates
            .import(request, &environment(), [number; 16], now())
    }

    /// Why a request is refused.
    fn refusal(&self, request: &ImportCertificate) -> String {
        acm(self.import(request, 9)).message
    }
}

fn acm<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> AcmError {
    match outcome.unwrap_err() {
        ServiceError::Acm(error) => error,
        other => panic!("{other}"),
    }
}

fn ders(pem: &str) -> Vec<Vec<u8>> {
    rustls_pemfile::certs(&mut pem.as_bytes())
        .map(|der| der.unwrap().to_vec())
        .collect()
}

#[test]
fn text_beside_the_certificates_goes_no_further() {
    let lab = Lab::new();
    let mut request = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    request.chain.push_str("</ca>\nup /bin/evil\n<ca>\n");
    request.certificate.insert_str(0, "</ca>\nup /bin/evil\n");
    let arn = lab.import(&request, 1).unwrap();
    let kept = lab.certificates.get(&arn.to_string()).unwrap();
    assert_eq!(ders(&kept.chain), ders(&request.chain));
    let profile = endpoint().client_configuration(&environment(), &kept, &[]);
    assert!(
        !profile.contains("evil") && profile.matches("</ca>").count() == 1,
        "{profile}"
    );
    assert!(kept.chain.lines().all(|line| line.len() <= 64), "{}", kept.chain);
}

#[test]
fn issuers_must_be_authorities_and_valid_now() {
    let lab = Lab::new();
    let key = KeyPair::generate().unwrap();
    let no_authority = CertifiedIssuer::self_signed(params("Nobody"), KeyPair::generate().unwrap()).unwrap();
    let certificate = params("server").signed_by(&key, &no_authority).unwrap();
    let refused = lab.refusal(&request(&certificate.pem(), &key, &no_authority.pem()));
    assert!(refused.contains("CN=Nobody, is no authority"), "{refused}");
    let mut old = params("Old");
    old.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    old.not_after = now() - Duration::hours(1);
    let old = CertifiedIssuer::self_signed(old, KeyPair::generate().unwrap()).unwrap();
    let certificate = params("server").signed_by(&key, &old).unwrap();
    let refused = lab.refusal(&request(&certificate.pem(), &key, &old.pem()));
    assert!(refused.contains("CN=Old, expired on"), "{refused}");
}

#[test]
fn a_part_too_long_for_the_store_is_refused_and_the_longest_fit() {
    let lab = Lab::new();
    let good = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    let padding = |text: &str, length: usize| format!("{}{text}", "#".repeat(length - 1 - text.len()) + "\n");
    let mut longest = good.clone();
    longest.chain = padding(&good.chain, 64 * 1024);
    longest.certificate = padding(&good.certificate, 64 * 1024);
    longest.private_key = PrivateKeyPem::new(Zeroizing::new(padding(good.private_key.expose(), 64 * 1024)));
    lab.import(&longest, 1).unwrap();
    let mut longer = good;
    longer.chain = padding(&longer.chain, 64 * 1024 + 1);
    let refused = lab.refusal(&longer);
    assert!(
        refused.contains("CertificateChain has more than 65536 bytes"),
        "{refused}"
    );
}

#[test]
fn an_endpoint_keeps_the_authority_of_its_clients() {
    let lab = Lab::new();
    let with_chain = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    let arn = lab.import(&with_chain, 1).unwrap();
    let registry = Registry::new(Arc::clone(&lab.store));
    let make = |_: &[Endpoint]| -> Result<_, ServiceError> {
        let mut made = endpoint();
        made.authentication = vec![AuthenticationMethod::Certificate {
            client_root: arn.clone(),
        }];
        Ok(made)
    };
    registry.add(NEVER, make).unwrap();
    let again = |chain: &str| ImportCertificate {
        arn: Some(arn.clone()),
        chain: chain.to_owned(),
        ..with_chain.clone()
    };
    assert_eq!(acm(lab.import(&again(""), 1)).code, AcmErrorCode::ResourceInUse);
    lab.import(&again(&with_chain.chain), 1).unwrap();
}

#[test]
fn what_an_endpoint_shows_keeps_its_root() {
    let lab = Lab::new();
    let with_root = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    let arn = lab.import(&with_root, 1).unwrap();
    let registry = Registry::new(Arc::clone(&lab.store));
    let again = ImportCertificate {
        arn: Some(arn.clone()),
        chain: String::new(),
        ..with_root
    };
    lab.import(&again, 1).unwrap();
    let make = |_: &[Endpoint]| -> Result<_, ServiceError> {
        let mut made = endpoint();
        made.server_certificate = arn.clone();
        Ok(made)
    };
    registry.add(NEVER, make).unwrap();
    let refused = acm(lab.import(&again, 1));
    assert_eq!(refused.code, AcmErrorCode::Validation);
    assert!(
        refused.message.contains("cvpn-endpoint-") && refused.message.contains("CN=Authority"),
        "{}",
        refused.message
    );
}

#[test]
fn every_kind_of_key_is_taken_with_its_chain_and_comes_back_as_it_was() {
    let lab = Lab::new();
    let kinds = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let request = issued(kind);
        let arn = lab.import(&request, number as u8).unwrap();
        let kept = lab.certificates.get(&arn.to_string()).unwrap();
        assert_eq!(
            (kept.certificate, kept.chain),
            (request.certificate, request.chain)
        );
        assert_eq!(kept.private_key, request.private_key);
    }
    assert_eq!(lab.certificates.list().unwrap().len(), 3);
    let shown = format!("{:?}", lab.certificates.list().unwrap());
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}

#[test]
fn what_does_not_belong_together_is_refused_with_its_cause() {
    let lab = Lab::new();
    let good = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    let with = |change: &dyn Fn(&mut ImportCertificate)| {
        let mut request = good.clone();
        change(&mut request);
        lab.refusal(&request)
    };
    let other = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    let refused = with(&|request| request.private_key = other.private_key.clone());
    assert!(refused.contains("not the key of Certificate"), "{refused}");
    // An authority of the same name, with another key.
    let refused = with(&|request| request.chain = other.chain.clone());
    assert!(refused.contains("did not issue the one before it"), "{refused}");
    let refused = with(&|request| request.certificate = format!("{}{}", good.certificate, good.chain));
    assert!(
        refused.contains("holds 2; what issued it belongs into CertificateChain"),
        "{refused}"
    );
    let refused = with(&|request| request.certificate = String::new());
    assert!(refused.contains("holds 0"), "{refused}");
    let refused = with(&|request| request.chain = "nothing".into());
    assert!(refused.contains("no certificate in PEM"), "{refused}");
    let refused = with(&|request| {
        request.certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()
    });
    assert!(refused.contains("damaged certificate"), "{refused}");
    let refused = with(&|request| request.private_key = PrivateKeyPem::new(Zeroizing::new(String::new())));
    assert!(refused.contains("holds no private key"), "{refused}");
    assert!(lab.certificates.list().unwrap().is_empty());
}

#[test]
fn a_certificate_must_be_valid_now() {
    let lab = Lab::new();
    let request = issued(&rcgen::PKCS_ECDSA_P256_SHA256);
    let at = |time| lab.certificates.import(&request, &environment(), [1; 16], time);
    let refused = acm(at(now() + Duration::days(2))).message;
    assert!(refused.contains("expired on"), "{refused}");
    let refused = acm(at(now() - Duration::days(2))).message;
    assert!(refused.contains("not valid before"), "{refused}");
}

#[test]
fn a_renewed_certificate_keeps_its_arn_its_tags_and_its_age() {
    let lab = Lab::new();
    let arn = lab.import(&issued(&rcgen::PKCS_ECDSA_P256_SHA256), 1).unwrap();
    let renewed = ImportCertificate {
        arn: Some(arn.clone()),
        tags: Default::default(),
        ..issued(&PKCS_ED25519)
    };
    let later = now() + Duration::hours(1);
    let again = lab
        .certificates
        .import(&renewed, &environment(), [2; 16], later)
        .unwrap();
    assert_eq!(again, arn);
    let kept = lab.certificates.get(&arn.to_string()).unwrap();
    assert_eq!((kept.created, kept.imported), (now(), later));
    assert_eq!(
        (kept.certificate, kept.tags.len()),
        (renewed.certificate.clone(), 1)
    );
    let unknown = CertificateArn::from_random("us-east-1", "123456789012", [8; 16]);
    let refused = lab.import(
        &ImportCertificate {
            arn: Some(unknown),
            ..renewed
        },
        3,
    );
    assert_eq!(acm(refused).code, AcmErrorCode::ResourceNotFound);
}

#[test]
fn a_certificate_in_use_stays() {
    let lab = Lab::new();
    let arn = lab.import(&issued(&rcgen::PKCS_ECDSA_P256_SHA256), 1).unwrap();
    let registry = Registry::new(Arc::clone(&lab.store));
    let made = registry
        .add(NEVER, |_| -> Result<_, ServiceError> {
            let mut made = endpoint();
            made.server_certificate = arn.clone();
            Ok(made)
        })
        .unwrap();
    let refused = acm(lab.certificates.delete(&arn.to_string()));
    assert_eq!(refused.code, AcmErrorCode::ResourceInUse);
    assert!(refused.message.contains(made.id.as_str()), "{}", refused.message);
    registry
        .change(NEVER, made.id.as_str(), |endpoint, _| endpoint.delete())
        .unwrap();
    let seen = registry.snapshot().unwrap().endpoints[0].revision;
    registry.settle(&made.id, seen, Ok(()), false, now()).unwrap();
    lab.certificates.delete(&arn.to_string()).unwrap();
    assert_eq!(
        acm(lab.certificates.delete(&arn.to_string())).code,
        AcmErrorCode::ResourceNotFound
    );
    assert_eq!(
        acm(lab.certificates.get("arn:aws:acm:x")).code,
        AcmErrorCode::InvalidArn
    );
}

#[test]
fn the_same_uuid_in_another_region_is_another_certificate() {
    let lab = Lab::new();
    let arn = lab.import(&issued(&rcgen::PKCS_ECDSA_P256_SHA256), 1).unwrap();
    let elsewhere = arn.to_string().replace("us-east-1", "eu-west-1");
    assert_eq!(
        acm(lab.certificates.get(&elsewhere)).code,
        AcmErrorCode::ResourceNotFound
    );
}

#[test]
fn an_authority_may_be_imported_as_a_certificate_of_its_own() {
    let lab = Lab::new();
    let authority = authority("Clients");
    let alone = request(&authority.pem(), authority.key(), "");
    let arn = lab.import(&alone, 1).unwrap();
    assert!(lab.certificates.get(&arn.to_string()).unwrap().has_authority());
    let key = KeyPair::generate().unwrap();
    let leaf = params("leaf").self_signed(&key).unwrap();
    let arn = lab.import(&request(&leaf.pem(), &key, ""), 2).unwrap();
    assert!(!lab.certificates.get(&arn.to_string()).unwrap().has_authority());
}

#[test]
fn tags_change_and_nothing_else_does() {
    let lab = Lab::new();
    let arn = lab
        .import(&issued(&rcgen::PKCS_ECDSA_P256_SHA256), 1)
        .unwrap()
        .to_string();
    let before = lab.certificates.get(&arn).unwrap();
    let add = |tags: &mut std::collections::BTreeMap<String, String>| {
        tags.insert("Team".to_owned(), "a".to_owned());
        Ok::<_, ServiceError>(())
    };
    lab.certificates.retag(&arn, add).unwrap();
    let mut after = lab.certificates.get(&arn).unwrap();
    assert_eq!(after.tags.remove("Team").as_deref(), Some("a"));
    assert_eq!(after, before);
    let refused: Result<(), ServiceError> = lab.certificates.retag(&arn, |tags| {
        tags.clear();
        Err(ServiceError::Contended)
    });
    assert!(refused.is_err());
    assert_eq!(
        lab.certificates.get(&arn).unwrap().tags.len(),
        2,
        "what is refused changes nothing"
    );
    let unknown = CertificateArn::from_random("us-east-1", "123456789012", [8; 16]).to_string();
    assert_eq!(
        acm(lab.certificates.retag(&unknown, add)).code,
        AcmErrorCode::ResourceNotFound
    );
}
