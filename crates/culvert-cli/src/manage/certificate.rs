//! `culvert certificate`: certificates that endpoints show and check clients by.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::api::{Api, ApiArguments};
use super::create::tag;
use super::error::ManageError;
use super::{files, resolve, show};
use crate::output::{Output, clean, table, unix_moment};

/// Commands on certificates.
#[derive(Subcommand)]
#[command(after_help = "CERTIFICATE is an ARN, the id at its end, or the domain name that only one has.")]
pub(crate) enum Certificates {
    /// Import a certificate with its private key and what issued it
    Import(Import),
    /// List the certificates
    List {
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Show everything about a certificate
    Show {
        /// The certificate
        certificate: String,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Delete a certificate that no endpoint uses
    Delete {
        /// The certificate
        certificate: String,
        #[command(flatten)]
        api: ApiArguments,
    },
}

/// Arguments of `culvert certificate import`.
#[derive(Args)]
pub(crate) struct Import {
    /// The certificate, PEM; further certificates in the file are taken for its chain unless --chain names one
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// What issued it, up to the authority, PEM
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
    /// Certificate to replace; endpoints that use it show the new one
    #[arg(long, value_name = "CERTIFICATE", conflicts_with = "tags")]
    replace: Option<String>,
    /// Tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    api: ApiArguments,
}

/// What goes into the certificate manager.
pub(crate) struct Material {
    /// PEM.
    pub(crate) certificate: String,
    /// PEM.
    pub(crate) private_key: Zeroizing<String>,
    /// PEM; empty if nothing came with it.
    pub(crate) chain: String,
}

/// The parameters of an import. The key is a secret, so the body is written into a buffer that is wiped.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImportBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_arn: Option<&'a str>,
    certificate: String,
    private_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_chain: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Value>,
}

/// Imports a certificate, in place of another if that is given, and returns its ARN.
pub(crate) fn import(
    api: &Api,
    material: &Material,
    replaced: Option<&str>,
    tags: &[(String, String)],
) -> Result<String, ManageError> {
    const ACTION: &str = "ImportCertificate";
    let malformed = |reason: &str| ManageError::Malformed {
        action: ACTION.to_owned(),
        reason: reason.to_owned(),
    };
    let private_key = Zeroizing::new(BASE64.encode(material.private_key.as_bytes()));
    let chain = Some(&material.chain).filter(|chain| !chain.is_empty());
    let body = ImportBody {
        certificate_arn: replaced,
        certificate: BASE64.encode(material.certificate.as_bytes()),
        private_key: &private_key,
        certificate_chain: chain.map(|chain| BASE64.encode(chain.as_bytes())),
        tags: tags
            .iter()
            .map(|(key, value)| json!({ "Key": key, "Value": value }))
            .collect(),
    };
    // Room for all of it: a buffer that grows leaves copies behind.
    let room = 4096 + 2 * (material.certificate.len() + material.chain.len() + private_key.len());
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *bytes, &body).map_err(|error| malformed(&error.to_string()))?;
    let answer = api.certificates(ACTION, bytes)?;
    let arn = answer.get("CertificateArn").and_then(Value::as_str);
    arn.map(str::to_owned)
        .ok_or_else(|| malformed("it has no CertificateArn"))
}

/// Deletes a certificate.
pub(crate) fn delete(api: &Api, arn: &str) -> Result<(), ManageError> {
    api.certificates("DeleteCertificate", body(&json!({ "CertificateArn": arn })))?;
    Ok(())
}

fn body(value: &Value) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(value.to_string().into_bytes())
}

/// A certificate in a list.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"))]
struct Summary {
    certificate_arn: String,
    #[serde(default)]
    domain_name: Option<String>,
    status: String,
    #[serde(default)]
    key_algorithm: Option<String>,
    #[serde(serialize_with = "moment")]
    not_after: u64,
    #[serde(default)]
    in_use: bool,
}

/// Everything about a certificate.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"))]
struct Detail {
    certificate_arn: String,
    #[serde(default)]
    domain_name: Option<String>,
    #[serde(default)]
    subject_alternative_names: Vec<String>,
    status: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    serial: Option<String>,
    #[serde(default)]
    key_algorithm: Option<String>,
    #[serde(default)]
    signature_algorithm: Option<String>,
    #[serde(serialize_with = "moment")]
    not_before: u64,
    #[serde(serialize_with = "moment")]
    not_after: u64,
    #[serde(serialize_with = "moment")]
    imported_at: u64,
    #[serde(default)]
    in_use_by: Vec<String>,
}

fn moment<S: Serializer>(unix: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&unix_moment(*unix))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    certificate_summary_list: Vec<Summary>,
    #[serde(default)]
    next_token: Option<String>,
}

fn list(api: &Api) -> Result<Vec<Summary>, ManageError> {
    const ACTION: &str = "ListCertificates";
    let mut all = Vec::new();
    let mut request = json!({});
    loop {
        let answer = api.certificates(ACTION, body(&request))?;
        let page: Page = read(ACTION, answer)?;
        all.extend(page.certificate_summary_list);
        match page.next_token {
            Some(token) if !token.is_empty() && request.get("NextToken") != Some(&json!(token)) => {
                request = json!({ "NextToken": token });
            }
            _ => return Ok(all),
        }
    }
}

fn describe(api: &Api, arn: &str) -> Result<Detail, ManageError> {
    const ACTION: &str = "DescribeCertificate";
    let mut answer = api.certificates(ACTION, body(&json!({ "CertificateArn": arn })))?;
    let detail = answer.get_mut("Certificate").map(Value::take).unwrap_or_default();
    read(ACTION, detail)
}

fn read<T: serde::de::DeserializeOwned>(action: &str, value: Value) -> Result<T, ManageError> {
    serde_json::from_value(value).map_err(|error| ManageError::Malformed {
        action: action.to_owned(),
        reason: error.to_string(),
    })
}

/// The ARN of a certificate that is named by its ARN, the id at its end, or its domain name.
pub(crate) fn arn(api: &Api, name: &str) -> Result<String, ManageError> {
    if name.starts_with("arn:") {
        return Ok(name.to_owned());
    }
    let all = list(api)?;
    let is_meant = |one: &&Summary| {
        let id = one.certificate_arn.rsplit('/').next();
        id == Some(name) || one.domain_name.as_deref() == Some(name)
    };
    let arns = all
        .iter()
        .filter(is_meant)
        .map(|one| one.certificate_arn.clone())
        .collect();
    resolve::only(
        name,
        arns,
        "certificate",
        "`culvert certificate list` shows those there are",
    )
}

impl Certificates {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Import(arguments) => arguments.run(output),
            Self::List { api } => show::list(
                output,
                "certificates",
                "certificates",
                &list(&api.open(output)?)?,
                rows,
            ),
            Self::Show { certificate, api } => {
                let api = api.open(output)?;
                let detail = describe(&api, &arn(&api, certificate)?)?;
                output.emit(&json!(detail), || details(&detail))
            }
            Self::Delete { certificate, api } => {
                let api = api.open(output)?;
                let arn = arn(&api, certificate)?;
                delete(&api, &arn)?;
                output.emit(&json!({ "certificate_arn": arn }), || {
                    format!("deleted {}", clean(&arn))
                })
            }
        }
    }
}

impl Import {
    fn run(&self, output: &Output) -> anyhow::Result<()> {
        let api = self.api.open(output)?;
        let mut chain = files::certificates(&self.certificate)?;
        let own = chain.remove(0);
        if let Some(path) = &self.chain {
            chain = files::certificates(path)?;
        }
        let material = Material {
            certificate: files::pem(&[own]),
            private_key: files::text(&self.private_key)?,
            chain: files::pem(&chain),
        };
        let replaced = self.replace.as_deref().map(|name| arn(&api, name)).transpose()?;
        let arn = import(&api, &material, replaced.as_deref(), &self.tags)?;
        output.emit(&json!({ "certificate_arn": arn }), || {
            format!("imported {}", clean(&arn))
        })
    }
}

fn rows(all: &[Summary]) -> String {
    let row = |one: &Summary| {
        vec![
            one.certificate_arn.clone(),
            show::cell(one.domain_name.as_deref()),
            one.status.clone(),
            show::cell(one.key_algorithm.as_deref()),
            unix_moment(one.not_after),
            if one.in_use { "yes" } else { "no" }.to_owned(),
        ]
    };
    table(
        &["CERTIFICATE", "DOMAIN NAME", "STATUS", "KEY", "UNTIL", "IN USE"],
        all.iter().map(row),
    )
}

fn details(one: &Detail) -> String {
    let some = |texts: &[String]| Some(texts.join(", ")).filter(|text| !text.is_empty());
    show::facts(&[
        ("certificate", Some(one.certificate_arn.clone())),
        ("domain name", one.domain_name.clone()),
        ("further names", some(&one.subject_alternative_names)),
        ("status", Some(one.status.clone())),
        ("subject", one.subject.clone()),
        ("issuer", one.issuer.clone()),
        ("serial", one.serial.clone()),
        ("key", one.key_algorithm.clone()),
        ("signature", one.signature_algorithm.clone()),
        ("from", Some(unix_moment(one.not_before))),
        ("until", Some(unix_moment(one.not_after))),
        ("imported", Some(unix_moment(one.imported_at))),
        ("used by", some(&one.in_use_by)),
    ])
}
