//! `ImportCertificate`.

use culvert_service::{CertificateArn, ImportCertificate, MalformedId, PrivateKeyPem};
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::{Blob, Tag, read};
use super::{Call, Refusal, tags};
use crate::random;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(rename = "CertificateArn", default)]
    arn: Option<String>,
    #[serde(rename = "Certificate")]
    certificate: Blob,
    #[serde(rename = "PrivateKey")]
    private_key: Blob,
    #[serde(rename = "CertificateChain", default)]
    chain: Option<Blob>,
    #[serde(rename = "Tags", default)]
    tags: Option<Vec<Tag>>,
}

impl Call<'_> {
    /// Imports a new certificate, or one in place of another.
    pub(super) fn import(&self) -> Result<Value, Refusal> {
        let input: Input = read(self.body)?;
        let arn: Option<CertificateArn> = input
            .arn
            .map(|arn| arn.parse())
            .transpose()
            .map_err(|error: MalformedId| Refusal::new("InvalidArnException", error.to_string()))?;
        if arn.is_some() && input.tags.is_some() {
            return Err(Refusal::new(
                "InvalidParameterException",
                "A certificate that is imported again keeps its tags: leave Tags out",
            ));
        }
        let request = ImportCertificate {
            arn,
            certificate: input.certificate.as_str().to_owned(),
            private_key: PrivateKeyPem::new(input.private_key.into_secret()),
            chain: input
                .chain
                .as_ref()
                .map(Blob::as_str)
                .unwrap_or_default()
                .to_owned(),
            tags: tags::checked(input.tags.unwrap_or_default())?,
        };
        let ec2 = &self.api.ec2;
        let environment = ec2.environment.load_full();
        let arn = ec2
            .certificates
            .import(&request, &environment, random::bytes(), self.now)?;
        Ok(json!({ "CertificateArn": arn.to_string() }))
    }
}
