//! What other programs make of our certificates, and we of theirs: `openssl` and easy-rsa.
//!
//! A test whose program is not installed says so and passes.

// A test's helpers may fail loudly and talk.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use culvert_pki::{
    Entry, InitOptions, IssueRequest, Issued, KeyKind, Pki, PkiError, Purpose, RevocationReason, Selector,
    Status,
};
use time::{Duration, OffsetDateTime};

const EASY_RSA: &str = "/usr/share/easy-rsa/easyrsa";

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn installed(program: &str) -> bool {
    let there = Command::new(program).arg("version").output().is_ok();
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// Runs a program and returns its standard output; panics with everything it said if it fails.
fn run(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("EASYRSA_BATCH", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}{errors}");
    said
}

fn fails(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(!output.status.success(), "{program} {arguments:?} must fail");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn init(folder: &Path, key: KeyKind) -> Pki {
    let options = InitOptions {
        common_name: "Test CA".into(),
        days: 3650,
        key,
    };
    Pki::init(folder, &options, now()).unwrap()
}

fn client(pki: &Pki, name: &str) -> Result<Issued, PkiError> {
    let request = IssueRequest {
        name: name.into(),
        purpose: Purpose::Client,
        days: 825,
        key: KeyKind::default(),
    };
    pki.issue(&request, now())
}

fn server(pki: &Pki, name: &str, alt_names: &[&str]) -> Issued {
    let alt_names = alt_names.iter().map(|name| name.parse().unwrap()).collect();
    let purpose = Purpose::Server { alt_names };
    pki.issue(
        &IssueRequest {
            name: name.into(),
            purpose,
            days: 825,
            key: KeyKind::P384,
        },
        now(),
    )
    .unwrap()
}

fn by_name(name: &str) -> Selector {
    Selector::Name(name.into())
}

fn entry(pki: &Pki, name: &str) -> Entry {
    pki.list(now())
        .unwrap()
        .into_iter()
        .rfind(|entry| entry.common_name == name)
        .unwrap()
}

fn verify(pki: &Pki, purpose: &str, certificate: &Path) {
    let (ca, crl) = (pki.certificate_path(), pki.crl_path());
    let said = run(
        "openssl",
        pki.folder(),
        &[
            "verify",
            "-purpose",
            purpose,
            "-crl_check",
            "-CRLfile",
            crl.to_str().unwrap(),
            "-CAfile",
            ca.to_str().unwrap(),
            certificate.to_str().unwrap(),
        ],
    );
    assert!(said.contains("OK"), "{said}");
}

fn verify_fails(pki: &Pki, certificate: &Path) -> String {
    let (ca, crl) = (pki.certificate_path(), pki.crl_path());
    fails(
        "openssl",
        pki.folder(),
        &[
            "verify",
            "-crl_check",
            "-CRLfile",
            crl.to_str().unwrap(),
            "-CAfile",
            ca.to_str().unwrap(),
            certificate.to_str().unwrap(),
        ],
    )
}

#[test]
fn openssl_accepts_authorities_certificates_and_lists_of_every_key_kind() {
    if !installed("openssl") {
        return;
    }
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
        let dir = tempfile::tempdir().unwrap();
        let pki = init(dir.path(), kind);
        let server = server(
            &pki,
            "vpn.example.com",
            &["vpn.example.com", "*.vpn.example.com", "192.0.2.1", "2001:db8::1"],
        );
        let alice = client(&pki, "Zoë Müller").unwrap();
        verify(&pki, "sslserver", &server.certificate);
        verify(&pki, "sslclient", &alice.certificate);
        let text = run(
            "openssl",
            dir.path(),
            &[
                "x509",
                "-noout",
                "-text",
                "-in",
                server.certificate.to_str().unwrap(),
            ],
        );
        for part in [
            "DNS:vpn.example.com, DNS:*.vpn.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
            "TLS Web Server Authentication",
            "Digital Signature",
            "CA:FALSE",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = run(
            "openssl",
            dir.path(),
            &[
                "x509",
                "-noout",
                "-serial",
                "-in",
                alice.certificate.to_str().unwrap(),
            ],
        );
        assert_eq!(text.trim(), format!("serial={}", alice.serial));
        assert_eq!(alice.serial.len(), 32);
    }
}

#[test]
fn a_revoked_certificate_is_on_the_list_and_its_name_is_free_again() {
    if !installed("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pki = init(dir.path(), KeyKind::P256);
    let first = client(&pki, "alice").unwrap();
    let old = dir.path().join("old.crt");
    fs::copy(&first.certificate, &old).unwrap();
    let error = client(&pki, "alice").unwrap_err();
    assert!(
        matches!(&error, PkiError::Exists { serial, .. } if *serial == first.serial),
        "{error}"
    );

    let revoked = pki
        .revoke(&by_name("alice"), RevocationReason::KeyCompromise, 3650, now())
        .unwrap();
    assert!(!revoked.already);
    assert_eq!((revoked.crl.revoked, revoked.crl.number), (1, 2));
    assert!(verify_fails(&pki, &old).contains("certificate revoked"));
    let text = run(
        "openssl",
        dir.path(),
        &["crl", "-noout", "-text", "-in", "crl.pem"],
    );
    for part in [first.serial.as_str(), "Key Compromise", "X509v3 CRL Number"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let said = run(
        "openssl",
        dir.path(),
        &["crl", "-noout", "-in", "crl.pem", "-CAfile", "ca.crt"],
    );
    assert!(!said.contains("failure"), "{said}");
    assert!(!first.certificate.exists() && !first.private_key.exists());
    assert!(
        dir.path()
            .join(format!("revoked/certs_by_serial/{}.crt", first.serial))
            .exists()
    );

    let second = client(&pki, "alice").unwrap();
    verify(&pki, "sslclient", &second.certificate);
    let again = pki.revoke(
        &Selector::Serial(first.serial.to_lowercase()),
        RevocationReason::Unspecified,
        3650,
        now(),
    );
    let again = again.unwrap();
    assert!(again.already && again.crl.number == 3);
    assert!(second.certificate.exists(), "its namesake keeps its files");
    verify(&pki, "sslclient", &second.certificate);
    assert!(matches!(
        pki.revoke(&by_name("nobody"), RevocationReason::Unspecified, 3650, now()),
        Err(PkiError::Unknown(_))
    ));
}

#[test]
fn lists_can_be_renewed_for_as_long_as_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let pki = init(dir.path(), KeyKind::P256);
    client(&pki, "alice").unwrap();
    pki.revoke(&by_name("alice"), RevocationReason::Unspecified, 30, now())
        .unwrap();
    let renewed = pki.renew_crl(30, now() + Duration::days(60)).unwrap();
    assert_eq!((renewed.number, renewed.revoked), (3, 1));
    assert!(renewed.next_update > now() + Duration::days(89));
    assert!(matches!(pki.renew_crl(0, now()), Err(PkiError::Days(0))));
    assert!(matches!(pki.renew_crl(40_000, now()), Err(PkiError::Days(_))));
}

#[test]
fn keys_are_private_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pki");
    let pki = init(&folder, KeyKind::P256);
    let alice = client(&pki, "alice").unwrap();
    for (path, mode) in [
        (pki.key_path(), 0o600),
        (alice.private_key, 0o600),
        (alice.certificate, 0o644),
        (pki.crl_path(), 0o644),
        (folder.clone(), 0o700),
        (folder.join("private"), 0o700),
    ] {
        let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}: {found:o}", path.display());
    }
    let before = fs::read(pki.key_path()).unwrap();
    let options = InitOptions {
        common_name: "Second".into(),
        days: 1,
        key: KeyKind::P256,
    };
    assert!(matches!(
        Pki::init(&folder, &options, now()),
        Err(PkiError::AuthorityExists(_))
    ));
    assert_eq!(fs::read(pki.key_path()).unwrap(), before);
    fs::write(folder.join("issued/bob.crt"), "mine").unwrap();
    assert!(matches!(client(&pki, "bob"), Err(PkiError::Foreign(_))));
    assert!(matches!(Pki::open(dir.path()), Err(PkiError::NoAuthority(_))));
}

#[test]
fn certificates_end_with_their_authority_and_an_ended_authority_issues_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = InitOptions {
        common_name: "Short".into(),
        days: 10,
        key: KeyKind::P256,
    };
    let pki = Pki::init(dir.path(), &options, now()).unwrap();
    let alice = client(&pki, "alice").unwrap();
    assert!(alice.shortened && alice.not_after < now() + Duration::days(11));
    let request = IssueRequest {
        name: "bob".into(),
        purpose: Purpose::Client,
        days: 1,
        key: KeyKind::P256,
    };
    let late = pki.issue(&request, now() + Duration::days(11));
    assert!(matches!(late, Err(PkiError::AuthorityExpired(_))));
    assert_eq!(
        pki.list(now() + Duration::days(11)).unwrap()[0].status,
        Status::Expired
    );
    // What has expired does not keep its name.
    assert_eq!(entry(&pki, "alice").status, Status::Valid);
}

#[test]
fn an_interrupted_issue_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let pki = init(dir.path(), KeyKind::P256);
    let alice = client(&pki, "alice").unwrap();
    fs::remove_file(&alice.certificate).unwrap();
    client(&pki, "alice").unwrap();
    let error = pki
        .revoke(&by_name("alice"), RevocationReason::Unspecified, 30, now())
        .unwrap_err();
    assert!(matches!(error, PkiError::Ambiguous { .. }), "{error}");
    for entry in pki.list(now()).unwrap() {
        pki.revoke(
            &Selector::Serial(entry.serial),
            RevocationReason::Unspecified,
            30,
            now(),
        )
        .unwrap();
    }
}

#[test]
fn concurrent_issues_lose_no_database_line() {
    let dir = tempfile::tempdir().unwrap();
    let pki = init(dir.path(), KeyKind::P256);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let pki = &pki;
            scope.spawn(move || client(pki, &format!("client{number}")).unwrap());
        }
    });
    assert_eq!(pki.list(now()).unwrap().len(), 12);
}

/// An authority made by openssl: key in the given form, certificate with the given subject.
fn openssl_authority(folder: &Path, key: &[&str], subject: &str) -> (PathBuf, PathBuf) {
    run("openssl", folder, key);
    run(
        "openssl",
        folder,
        &[
            "req", "-x509", "-new", "-key", "k", "-subj", subject, "-days", "900", "-out", "c",
        ],
    );
    (folder.join("c"), folder.join("k"))
}

#[test]
fn authorities_of_openssl_are_imported_with_keys_of_every_form() {
    if !installed("openssl") {
        return;
    }
    let kinds: [&[&str]; 5] = [
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            "k",
        ],
        &["genrsa", "-traditional", "-out", "k", "2048"],
        &["ecparam", "-name", "prime256v1", "-genkey", "-out", "k"],
        &["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "k"],
        &["genpkey", "-algorithm", "ED25519", "-out", "k"],
    ];
    for kind in kinds {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = openssl_authority(dir.path(), kind, "/C=DE/O=Example, Ltd/CN=Our CA");
        let pki = Pki::import(&dir.path().join("pki"), &certificate, &key, None, now()).unwrap();
        let alice = client(&pki, "alice").unwrap();
        verify(&pki, "sslclient", &alice.certificate);
        verify(&pki, "sslserver", &server(&pki, "vpn", &[]).certificate);
        pki.revoke(&by_name("alice"), RevocationReason::Unspecified, 30, now())
            .unwrap();
        let old = pki
            .folder()
            .join(format!("revoked/certs_by_serial/{}.crt", alice.serial));
        assert!(verify_fails(&pki, &old).contains("certificate revoked"));
    }
}

#[test]
fn authorities_that_cannot_work_are_refused_with_the_reason() {
    if !installed("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ec = ["ecparam", "-name", "prime256v1", "-genkey", "-out", "k"];
    let (certificate, key) = openssl_authority(dir.path(), &ec, "/CN=A");
    let import = |certificate: &Path, key: &Path| {
        Pki::import(&dir.path().join("pki"), certificate, key, None, now())
            .unwrap_err()
            .to_string()
    };
    let path = |name: &str| dir.path().join(name);
    run(
        "openssl",
        dir.path(),
        &["ecparam", "-name", "prime256v1", "-genkey", "-out", "other"],
    );
    assert!(import(&certificate, &path("other")).contains("belongs to another certificate"));
    run(
        "openssl",
        dir.path(),
        &[
            "pkcs8", "-topk8", "-in", "k", "-out", "locked", "-passout", "pass:x",
        ],
    );
    assert!(import(&certificate, &path("locked")).contains("encrypted"));
    run(
        "openssl",
        dir.path(),
        &["ecparam", "-name", "secp521r1", "-genkey", "-out", "k521"],
    );
    assert!(import(&certificate, &path("k521")).contains("P-256 and P-384"));
    run("openssl", dir.path(), &["genrsa", "-out", "weak", "1024"]);
    assert!(import(&certificate, &path("weak")).contains("2048"));
    assert!(import(&key, &key).contains("no PEM certificate"));
    assert!(import(&certificate, &certificate).contains("no PEM private key"));
    let leaf = [
        "req",
        "-x509",
        "-new",
        "-key",
        "k",
        "-subj",
        "/CN=L",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-out",
        "leaf",
    ];
    run("openssl", dir.path(), &leaf);
    assert!(import(&path("leaf"), &key).contains("CA:TRUE"));
    let usage = [
        "req",
        "-x509",
        "-new",
        "-key",
        "k",
        "-subj",
        "/CN=U",
        "-addext",
        "keyUsage=keyCertSign",
        "-out",
        "usage",
    ];
    run("openssl", dir.path(), &usage);
    assert!(import(&path("usage"), &key).contains("cRLSign"));
    // Two domain components: the name cannot be reproduced, so nothing is signed that would not verify.
    let units = [
        "req",
        "-x509",
        "-new",
        "-key",
        "k",
        "-subj",
        "/DC=com/DC=example/CN=D",
        "-out",
        "units",
    ];
    run("openssl", dir.path(), &units);
    assert!(import(&path("units"), &key).contains("repeats an attribute"));
    assert!(!path("pki").exists(), "nothing was begun");
}

#[test]
fn an_easy_rsa_folder_is_used_in_place_and_easy_rsa_goes_on_with_it() {
    if !installed("openssl") {
        return;
    }
    if !Path::new(EASY_RSA).exists() {
        println!("skipped: easy-rsa is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["init-pki"][..],
        &["build-ca", "nopass"],
        &["build-client-full", "bob", "nopass"],
        &["build-client-full", "carol", "nopass"],
        &["revoke", "bob", "keyCompromise"],
        &["gen-crl"],
    ] {
        run(EASY_RSA, dir.path(), arguments);
    }
    let pki = Pki::open(&dir.path().join("pki")).unwrap();
    assert_eq!(entry(&pki, "carol").status, Status::Valid);
    assert!(matches!(
        entry(&pki, "bob").status,
        Status::Revoked {
            reason: RevocationReason::KeyCompromise,
            ..
        }
    ));
    assert!(
        pki.identity("carol")
            .unwrap()
            .certificate
            .starts_with("-----BEGIN CERTIFICATE-----\n")
    );
    let dave = client(&pki, "dave").unwrap();
    let crl = pki.renew_crl(100, now()).unwrap();
    assert_eq!(crl.revoked, 1);
    verify(&pki, "sslclient", &dave.certificate);
    verify(&pki, "sslclient", &pki.issued_certificate_path("carol"));
    pki.revoke(&by_name("carol"), RevocationReason::Superseded, 100, now())
        .unwrap();

    run(EASY_RSA, dir.path(), &["gen-crl"]);
    let text = run(
        "openssl",
        dir.path(),
        &["crl", "-noout", "-text", "-in", "pki/crl.pem"],
    );
    for part in [
        entry(&pki, "carol").serial.as_str(),
        entry(&pki, "bob").serial.as_str(),
        "Superseded",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    run(EASY_RSA, dir.path(), &["build-client-full", "erin", "nopass"]);
    assert_eq!(entry(&pki, "erin").status, Status::Valid);
}
