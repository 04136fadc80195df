//! `DescribeCertificate`, and the members it shares with `ListCertificates`.

use std::collections::BTreeMap;

use culvert_service::{AuthenticationMethod, Certificate, CertificateArn, Stored};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::facts::Facts;
use super::{Call, Refusal};

/// Which endpoints use each certificate, by ARN.
pub(super) struct Users(BTreeMap<CertificateArn, Vec<String>>);

impl Users {
    /// As of this snapshot.
    pub(super) fn of(endpoints: &[Stored]) -> Self {
        let mut users: BTreeMap<CertificateArn, Vec<String>> = BTreeMap::new();
        for stored in endpoints {
            let endpoint = &stored.endpoint;
            let roots = endpoint.authentication.iter().filter_map(|method| match method {
                AuthenticationMethod::Certificate { client_root } => Some(client_root),
                _ => None,
            });
            for arn in roots.chain([&endpoint.server_certificate]) {
                let (region, account) = (arn.region(), arn.account());
                let user = format!(
                    "arn:aws:ec2:{region}:{account}:client-vpn-endpoint/{}",
                    endpoint.id
                );
                let known = users.entry(arn.clone()).or_default();
                if !known.contains(&user) {
                    known.push(user);
                }
            }
        }
        Self(users)
    }

    /// The ARNs of the endpoints that use a certificate.
    pub(super) fn of_certificate(&self, arn: &CertificateArn) -> &[String] {
        self.0.get(arn).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A point in time, in seconds since 1970.
pub(super) fn seconds(time: OffsetDateTime) -> Value {
    time.unix_timestamp().into()
}

/// The members that a certificate has in both answers.
pub(super) fn shared(certificate: &Certificate, facts: &Facts, now: OffsetDateTime) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("CertificateArn", certificate.arn.to_string().into());
    if let Some(domain) = &facts.domain {
        put("DomainName", domain.as_str().into());
    }
    put("Status", facts.status(now).into());
    put("Type", "IMPORTED".into());
    if let Some(algorithm) = facts.key_algorithm {
        put("KeyAlgorithm", algorithm.into());
    }
    put("RenewalEligibility", "INELIGIBLE".into());
    put("NotBefore", seconds(facts.not_before));
    put("NotAfter", seconds(facts.not_after));
    put("CreatedAt", seconds(certificate.created));
    put("ImportedAt", seconds(certificate.imported));
    members
}

impl Call<'_> {
    /// Describes a certificate. Members that only issued certificates have are left out.
    pub(super) fn describe(&self) -> Result<Value, Refusal> {
        let certificate = self.api.ec2.certificates.get(&self.named()?)?;
        let facts = Facts::of(&certificate)?;
        let users = Users::of(&self.api.ec2.registry.endpoints()?);
        let mut detail = shared(&certificate, &facts, self.now);
        let key_usages: Vec<Value> = facts
            .key_usages
            .iter()
            .map(|name| json!({ "Name": name }))
            .collect();
        let extended: Vec<Value> = facts
            .extended_key_usages
            .iter()
            .map(|(name, oid)| json!({ "Name": name, "OID": oid }))
            .collect();
        let more = [
            ("Serial", facts.serial.into()),
            ("Subject", facts.subject.into()),
            ("Issuer", facts.issuer.into()),
            ("SignatureAlgorithm", facts.signature_algorithm.into()),
            ("SubjectAlternativeNames", facts.alternatives.into()),
            ("InUseBy", users.of_certificate(&certificate.arn).into()),
            ("KeyUsages", key_usages.into()),
            ("ExtendedKeyUsages", extended.into()),
        ];
        detail.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Ok(json!({ "Certificate": detail }))
    }
}
