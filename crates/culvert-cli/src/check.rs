//! `culvert check-config`: the file, the files it names, and what is in them.

use std::path::{Path, PathBuf};

use clap::Args;
use culvert_auth::UserFile;
use culvert_config::{
    CertificatePolicy, Config, ConfigError, ControlChannel, DEFAULT_PATH, EndpointConfig, Problem,
    StaticKeyWrap, TlsVersion,
};
use culvert_control::crl::RevocationList;
use culvert_control::tls::{ClientCertificates, MinTlsVersion, ServerTls, TlsClock, TlsParams};
use culvert_crypto::StaticKey;
use culvert_crypto::auth_token::TokenKey;
use culvert_crypto::tls_crypt_v2::ServerKey;
use culvert_failure::describe;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::failure::Unsound;
use crate::keygen::read_key;
use crate::output::{Output, clean};

/// A revocation list that ends within this many seconds deserves a warning: 30 days.
const CRL_WARNING: i64 = 30 * 24 * 3600;

/// Arguments of `culvert check-config`.
#[derive(Args)]
pub(crate) struct CheckConfig {
    /// Configuration file
    #[arg(value_name = "FILE", default_value = DEFAULT_PATH)]
    file: PathBuf,
    /// Check the file alone, not the files it names
    #[arg(long)]
    no_files: bool,
}

/// What a check found.
#[derive(Default)]
struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    endpoints: Vec<String>,
}

/// One thing that is wrong, with its place if it has one in the file.
struct Finding {
    problem: Option<Problem>,
    message: String,
}

impl Finding {
    fn text(message: impl Into<String>) -> Self {
        Self {
            problem: None,
            message: message.into(),
        }
    }

    fn json(&self) -> Value {
        match &self.problem {
            Some(problem) => json!({
                "line": problem.line,
                "column": problem.column,
                "message": problem.message,
                "cure": problem.cure,
            }),
            None => json!({ "message": self.message }),
        }
    }

    fn line(&self, file: &Path) -> String {
        match &self.problem {
            Some(problem) => format!("{}:{problem}", file.display()),
            None => self.message.clone(),
        }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            problem: Some(problem.clone()),
            message: String::new(),
        }
    }
}

impl CheckConfig {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let findings = self.check()?;
        let sound = findings.errors.is_empty();
        let list = |findings: &[Finding]| findings.iter().map(Finding::json).collect::<Vec<_>>();
        let document = json!({
            "file": self.file,
            "valid": sound,
            "errors": list(&findings.errors),
            "warnings": list(&findings.warnings),
            "endpoints": findings.endpoints,
        });
        output.emit(&document, || {
            let mut text = String::new();
            for error in &findings.errors {
                text.push_str(&format!("error: {}\n", clean(&error.line(&self.file))));
            }
            for warning in &findings.warnings {
                text.push_str(&format!("warning: {}\n", clean(&warning.line(&self.file))));
            }
            if sound {
                let endpoints = match findings.endpoints.join(", ") {
                    none if none.is_empty() => "no endpoint is declared".to_owned(),
                    names => format!("endpoints: {names}"),
                };
                text.push_str(&format!("{}: sound; {endpoints}\n", self.file.display()));
            }
            text
        })?;
        if sound { Ok(()) } else { Err(Unsound.into()) }
    }

    fn check(&self) -> anyhow::Result<Findings> {
        let mut findings = Findings::default();
        let config = match Config::load(&self.file) {
            Ok(config) => config,
            Err(ConfigError::Invalid(report)) => {
                findings
                    .errors
                    .extend(report.problems().iter().map(Finding::from));
                return Ok(findings);
            }
            Err(error) => return Err(error.into()),
        };
        findings.endpoints = config
            .endpoints
            .iter()
            .map(|endpoint| endpoint.name.clone())
            .collect();
        findings
            .warnings
            .extend(config.warnings.iter().map(Finding::from));
        if self.no_files {
            return Ok(findings);
        }
        match config.check_files() {
            Ok(warnings) => findings.warnings.extend(warnings.iter().map(Finding::from)),
            Err(ConfigError::Invalid(report)) => {
                findings
                    .errors
                    .extend(report.problems().iter().map(Finding::from));
                return Ok(findings);
            }
            Err(error) => return Err(error.into()),
        }
        for endpoint in &config.endpoints {
            check_endpoint(endpoint, &mut findings);
        }
        Ok(findings)
    }
}

/// Reads what the endpoint's files hold, as the daemon does at its start.
fn check_endpoint(endpoint: &EndpointConfig, findings: &mut Findings) {
    let checks = [
        check_tls(endpoint, &mut findings.warnings),
        check_control_channel(endpoint),
        check_auth_token(endpoint),
        check_users(endpoint),
    ];
    for error in checks.into_iter().filter_map(Result::err) {
        findings.errors.push(Finding::text(format!(
            "endpoint {}: {}",
            endpoint.name,
            describe(&error)
        )));
    }
}

fn check_tls(endpoint: &EndpointConfig, warnings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let unix = u64::try_from(now).unwrap_or(0);
    let chain = endpoint.server_certificate.read()?;
    let key = endpoint.server_private_key.read()?;
    let certificates = endpoint.authentication.certificates();
    let authority = certificates.map(|wanted| wanted.ca.read()).transpose()?;
    let mut crls = Vec::new();
    if let (Some(crl), Some(authority)) = (certificates.and_then(|wanted| wanted.crl.as_ref()), &authority) {
        let list = RevocationList::parse(&crl.read()?, unix, &ServerTls::authorities(authority)?)?;
        if list.next_update() - now < CRL_WARNING {
            warnings.push(Finding::text(format!(
                "endpoint {}: the revocation list {crl} ends within 30 days; once it has ended nobody can connect: `culvert pki renew-crl`",
                endpoint.name
            )));
        }
        crls.push(list);
    }
    ServerTls::build(&TlsParams {
        chain_pem: &chain,
        key_pem: &key,
        client_ca_pem: authority.as_deref().map(Vec::as_slice),
        client_certificates: match endpoint.authentication.certificate_policy() {
            CertificatePolicy::Required => ClientCertificates::Required,
            CertificatePolicy::Optional => ClientCertificates::Optional,
            CertificatePolicy::None => ClientCertificates::None,
        },
        require_client_purpose: false,
        crls: &crls,
        min_version: match endpoint.tls_version_min {
            TlsVersion::Tls12 => MinTlsVersion::Tls12,
            TlsVersion::Tls13 => MinTlsVersion::Tls13,
        },
        verify_x509_name: None,
        clock: TlsClock::new(unix),
    })?;
    let own = ServerTls::warnings(&chain, unix)?;
    warnings.extend(
        own.iter()
            .map(|warning| Finding::text(format!("endpoint {}: {warning}", endpoint.name))),
    );
    Ok(())
}

fn check_control_channel(endpoint: &EndpointConfig) -> anyhow::Result<()> {
    match endpoint.control_channel.static_key() {
        Some(StaticKeyWrap::TlsAuth(tls_auth)) => drop(read_key(&tls_auth.key, StaticKey::parse)?),
        Some(StaticKeyWrap::TlsCrypt(path)) => drop(read_key(path, StaticKey::parse)?),
        None => {}
    }
    if let ControlChannel::TlsCryptV2(v2, _) = &endpoint.control_channel {
        read_key(&v2.server_key, ServerKey::parse)?;
    }
    Ok(())
}

fn check_auth_token(endpoint: &EndpointConfig) -> anyhow::Result<()> {
    if let Some(path) = endpoint.auth_token.as_ref().and_then(|token| token.key.as_ref()) {
        read_key(path, TokenKey::parse)?;
    }
    Ok(())
}

fn check_users(endpoint: &EndpointConfig) -> anyhow::Result<()> {
    if let Some(path) = endpoint
        .authentication
        .password()
        .and_then(|password| password.users_file())
    {
        UserFile::read(path)?;
    }
    Ok(())
}
