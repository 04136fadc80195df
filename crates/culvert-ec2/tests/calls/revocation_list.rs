//! Revocation lists.

use culvert_query::ErrorCode;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use time::Duration;

use crate::lab::{Lab, NOW, encoded, text};

/// A list of the lab's authority with this many entries.
pub(crate) fn list(lab: &Lab, entries: u64) -> String {
    let revoked = |serial: u64| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: NOW - Duration::days(1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: NOW - Duration::days(1),
        next_update: NOW + Duration::days(1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: (1..=entries).map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&lab.authority).unwrap().pem().unwrap()
}

#[test]
fn a_list_comes_back_as_it_was_imported() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let on = |action: &str| {
        format!("Action={action}ClientVpnClientCertificateRevocationList&ClientVpnEndpointId={endpoint}")
    };
    let none = "<certificateRevocationList></certificateRevocationList>";
    assert_eq!(lab.members(&on("Export")), none);
    let pem = list(&lab, 2);
    let import = on("Import") + "&CertificateRevocationList=" + &encoded(&pem);
    assert_eq!(lab.members(&import), "<return>true</return>");
    let exported = lab.members(&on("Export"));
    let same = text(&exported, "certificateRevocationList").replace("&#13;", "\r");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&same), lines(&pem));
    assert!(
        exported.ends_with("</certificateRevocationList><status><code>pending</code></status>"),
        "{exported}"
    );
    lab.settle();
    assert_eq!(text(&lab.members(&on("Export")), "code"), "active");
}

#[test]
fn lists_that_are_of_no_use_are_refused() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let import = |pem: &str| {
        let pem = encoded(pem);
        format!(
            "Action=ImportClientVpnClientCertificateRevocationList&ClientVpnEndpointId={endpoint}\
             &CertificateRevocationList={pem}"
        )
    };
    assert_eq!(lab.code(&import("")), ErrorCode::MissingParameter);
    assert_eq!(lab.code(&import("no list")), ErrorCode::InvalidParameterValue);
    let foreign = list(&Lab::new(), 1);
    assert_eq!(lab.code(&import(&foreign)), ErrorCode::InvalidParameterValue);
    let mut environment = (**lab.ec2.environment.load()).clone();
    environment.quotas.crl_entries = 1;
    lab.ec2.environment.store(environment.into());
    assert_eq!(lab.code(&import(&list(&lab, 2))), ErrorCode::CrlLimitExceeded);
}
