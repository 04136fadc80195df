use std::sync::OnceLock;

use culvert_query::ErrorCode;
use proptest::prelude::*;

use super::super::samples::{associated, code, endpoint};
use super::*;
use crate::crl::samples::{Authority, now};

fn import(endpoint: &mut Endpoint, pem: &str, root: &Certificate) -> Result<Crl, ApiError> {
    endpoint.import_crl(pem, Some(root), &Quotas::default(), now())
}

#[test]
fn a_list_of_the_clients_authority_is_taken_and_waits_to_be_put_in_force() {
    let authority = Authority::new("Clients");
    let mut endpoint = associated();
    let pem = authority.crl(1..4);
    let crl = import(&mut endpoint, &pem, &authority.certificate()).unwrap();
    assert_eq!(crl.to_pem().replace("\r\n", "\n"), pem.replace("\r\n", "\n"));
    let kept = endpoint.crl.clone().unwrap();
    assert_eq!((kept.digest, kept.number.as_deref()), (crl.digest(), Some("2a")));
    assert_eq!(kept.state, CrlState::Pending(None));
    endpoint.settle(Ok(()), now());
    let before = endpoint.clone();
    import(&mut endpoint, &pem, &authority.certificate()).unwrap();
    assert_eq!(endpoint, before, "it is in force already");
    import(&mut endpoint, &authority.crl(1..5), &authority.certificate()).unwrap();
    assert_eq!(endpoint.crl.unwrap().state, CrlState::Pending(None));
}

#[test]
fn a_list_of_no_use_is_refused_with_its_cause() {
    let authority = Authority::new("Clients");
    let root = authority.certificate();
    let refused = |pem: &str| {
        let mut endpoint = associated();
        let before = endpoint.clone();
        let error = import(&mut endpoint, pem, &root).unwrap_err();
        assert_eq!(endpoint, before);
        assert_eq!(error.code, ErrorCode::InvalidParameterValue, "{error}");
        error.message
    };
    let good = authority.crl(1..4);
    for (pem, cause) in [
        (String::new(), "no revocation list"),
        ("nothing".to_owned(), "no PEM block at all"),
        (root.certificate.clone(), "1 certificate(s)"),
        (good.replace("-----END", "-----FIN"), "damaged"),
        (
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".to_owned(),
            "not readable",
        ),
        (format!("{good}{good}"), "holds 2"),
        (
            Authority::new("Others").crl(1..4),
            "none of the client certificate authorities",
        ),
        (Authority::new("Clients").crl(1..4), "signature does not verify"),
        (authority.crl_until(now() - time::Duration::minutes(1)), "expired"),
    ] {
        let message = refused(&pem);
        assert!(
            message.contains(cause) && message.starts_with(PARAMETER),
            "{cause}: {message}"
        );
    }
}

#[test]
fn an_authority_below_another_may_sign_the_list() {
    let top = Authority::new("Top");
    let clients = top.below("Clients");
    let mut root = clients.certificate();
    root.chain = format!(
        "{}{}",
        clients.certificate().certificate,
        top.certificate().certificate
    );
    for signer in [&clients, &top] {
        import(&mut endpoint(), &signer.crl(1..4), &root).unwrap();
    }
}

#[test]
fn the_quota_counts_entries() {
    let authority = Authority::new("Clients");
    let few = Quotas {
        crl_entries: 3,
        ..Quotas::default()
    };
    let root = authority.certificate();
    let at_most_3 = |pem: &str| endpoint().import_crl(pem, Some(&root), &few, now());
    at_most_3(&authority.crl(0..3)).unwrap();
    assert_eq!(code(at_most_3(&authority.crl(0..4))), ErrorCode::CrlLimitExceeded);
    let padded = format!("{}{}", "#".repeat(MAX_PEM), authority.crl(0..1));
    assert_eq!(code(at_most_3(&padded)), ErrorCode::CrlLimitExceeded);
}

#[test]
fn the_longest_list_with_long_serials_and_reasons_is_taken() {
    let authority = Authority::new("Clients");
    let pem = authority.long_crl(20_000);
    let crl = import(&mut endpoint(), &pem, &authority.certificate()).unwrap();
    assert!(crl.der().len() > 1_000_000, "{crl:?} is no test of the limit");
    assert_eq!(
        code(import(
            &mut endpoint(),
            &authority.long_crl(20_001),
            &authority.certificate()
        )),
        ErrorCode::CrlLimitExceeded
    );
}

#[test]
fn an_endpoint_without_client_certificates_and_one_on_its_way_out_take_none() {
    let authority = Authority::new("Clients");
    let pem = authority.crl(1..4);
    let mut by_password = endpoint();
    by_password.authentication = vec![AuthenticationMethod::Directory {
        directory_id: "d-0123456789".into(),
    }];
    assert_eq!(by_password.client_root(), None);
    let refused = by_password.import_crl(&pem, None, &Quotas::default(), now());
    assert_eq!(code(refused), ErrorCode::UnsupportedOperation);
    let mut leaving = endpoint();
    leaving.delete().unwrap();
    let refused = import(&mut leaving, &pem, &authority.certificate());
    assert_eq!(code(refused), ErrorCode::IncorrectState);
}

/// An authority and a list of its, made once: signing is slow.
fn sample() -> &'static (Certificate, String) {
    static SAMPLE: OnceLock<(Certificate, String)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let authority = Authority::new("Clients");
        (authority.certificate(), authority.crl(0..20))
    })
}

proptest! {
    #[test]
    fn no_text_does_harm(text in any::<String>()) {
        let (root, _) = sample();
        prop_assert!(import(&mut endpoint(), &text, root).is_err());
    }

    #[test]
    fn a_list_with_one_byte_changed_is_refused(place in any::<prop::sample::Index>(), change in 1u8..) {
        let (root, pem) = sample();
        let mut der = pem::crls("", pem.as_bytes()).unwrap()[0].to_vec();
        let place = place.index(der.len());
        der[place] ^= change;
        let mut endpoint = endpoint();
        prop_assert!(import(&mut endpoint, &Crl::from_der(der).to_pem(), root).is_err());
        prop_assert!(endpoint.crl.is_none());
    }
}
