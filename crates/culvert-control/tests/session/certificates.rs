//! Whose certificate is accepted, and what is said to whom when it is not.

use culvert_control::crl::RevocationList;
use culvert_control::tls::{ClientCertificates, MinTlsVersion, NameCheck};

use crate::pair::{Pair, Setup};
use crate::pki::{NOW, pki};

/// Runs a handshake that must fail at the server; returns what the server and the client say.
fn refused(setup: Setup) -> (String, String) {
    let mut pair = Pair::new(setup);
    pair.run_until(90, |pair| {
        Pair::failure(&pair.server_events).is_some() && Pair::failure(&pair.client_events).is_some()
    });
    assert!(
        pair.elapsed().as_secs() < 5,
        "the alert tells the client at once: {:?}",
        pair.client_events
    );
    (
        Pair::failure(&pair.server_events).unwrap(),
        Pair::failure(&pair.client_events).unwrap(),
    )
}

#[test]
fn unusable_client_certificates_are_refused_with_the_reason_on_both_sides() {
    let pki = pki();
    let crl = RevocationList::parse(pki.crl_pem.as_bytes(), NOW, &[pki.ca_der()]).unwrap();
    let with = |pem: &'static str, key: &'static str| Setup {
        identity: Some((pem, key)),
        crls: vec![crl.clone()],
        ..Setup::default()
    };
    let cases = [
        (with(&pki.revoked_pem, &pki.revoked_key_pem), "revoked"),
        (with(&pki.expired_pem, &pki.expired_key_pem), "expired"),
        (
            with(&pki.stranger_pem, &pki.stranger_key_pem),
            "not issued by a certificate authority",
        ),
        (with(&pki.server_pem, &pki.server_key_pem), "clientAuth"),
        (
            Setup {
                identity: None,
                ..Setup::default()
            },
            "presented no certificate",
        ),
        (
            Setup {
                purpose: true,
                ..with(&pki.no_purpose_pem, &pki.no_purpose_key_pem)
            },
            "no extended key usage clientAuth",
        ),
        (
            Setup {
                name: Some(NameCheck::CommonName("bob".to_owned())),
                ..Setup::default()
            },
            "the common name \"bob\" is required",
        ),
    ];
    for (setup, reason) in cases {
        for tls12 in [false, true] {
            let (server, client) = refused(Setup {
                tls12,
                ..setup.clone()
            });
            assert!(server.contains(reason), "{server}");
            assert!(client.contains("alert"), "{client}");
        }
    }
}

#[test]
fn good_certificates_pass_with_the_same_checks_in_place() {
    let pki = pki();
    let crl = RevocationList::parse(pki.crl_pem.as_bytes(), NOW, &[pki.ca_der()]).unwrap();
    let identities = [
        (pki.client_pem.as_str(), pki.client_key_pem.as_str()),
        (&pki.no_purpose_pem, &pki.no_purpose_key_pem),
        (&pki.branch_pem, &pki.branch_key_pem),
    ];
    for identity in identities {
        Pair::connected(Setup {
            identity: Some(identity),
            crls: vec![crl.clone()],
            ..Setup::default()
        });
    }
    let name = Some(NameCheck::CommonNamePrefix("ali".to_owned()));
    Pair::connected(Setup {
        name,
        purpose: true,
        ..Setup::default()
    });
    Pair::connected(Setup {
        identity: Some((&pki.branch_pem, &pki.branch_key_pem)),
        client_ca: &pki.intermediate_ca_pem,
        ..Setup::default()
    });
}

#[test]
fn an_expired_revocation_list_refuses_everybody() {
    let pki = pki();
    let crl = RevocationList::parse_stored(pki.crl_pem.as_bytes(), &[pki.ca_der()]).unwrap();
    let (server, _) = refused(Setup {
        crls: vec![crl],
        unix: NOW + 200 * 86_400,
        ..Setup::default()
    });
    assert!(server.contains("revocation list has expired"), "{server}");
}

#[test]
fn a_certificate_that_is_shown_must_be_good_even_if_none_is_required() {
    let pki = pki();
    let (server, _) = refused(Setup {
        certificates: ClientCertificates::Optional,
        identity: Some((&pki.stranger_pem, &pki.stranger_key_pem)),
        ..Setup::default()
    });
    assert!(server.contains("not issued by"), "{server}");
}

#[test]
fn a_client_that_does_not_trust_the_server_tells_it_so() {
    let (server, client) = refused(Setup {
        server_ca: &pki().other_ca_pem,
        ..Setup::default()
    });
    assert!(client.contains("the server is not issued by"), "{client}");
    assert!(server.contains("give it the right `ca`"), "{server}");
}

#[test]
fn a_client_below_the_least_version_is_told_what_to_upgrade() {
    let (server, _) = refused(Setup {
        tls12: true,
        min_version: MinTlsVersion::Tls13,
        ..Setup::default()
    });
    assert!(server.contains("tls-version-max"), "{server}");
}
