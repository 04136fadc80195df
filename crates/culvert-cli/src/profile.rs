//! `culvert profile`: a client profile for an endpoint of the configuration; `culvert profile export` writes those of
//! managed endpoints.

use std::fs;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use culvert_config::{
    CertificatePolicy, ControlChannel, EndpointConfig, KeyDirection, StaticKeyWrap, TlsCryptV2,
};
use culvert_crypto::StaticKey;
use culvert_pki::{
    AltName, ControlKey, Identity, IssueRequest, KeyKind, Pki, PkiError, Profile, ProfileTransport, Purpose,
    Remote, ServerCertificate,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::keygen::{client_key, read_key};
use crate::manage::Export;
use crate::output::{Output, write_secret};
use crate::pki::{CERTIFICATE_DAYS, Location, note_shortened};
use crate::setup::Chosen;

/// Arguments of `culvert profile`.
#[derive(Args)]
#[command(
    after_help = "The profile holds the client's private key: hand it over safely. With tls-crypt-v2 \
    each profile gets a client key of its own.",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct ProfileArguments {
    #[command(subcommand)]
    managed: Option<Managed>,
    #[command(flatten)]
    chosen: Chosen,
    /// Host name or address clients reach the endpoint by; may be given several times [default: the names in
    /// its certificate]
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Port clients connect to, if it differs from the endpoint's own
    #[arg(long)]
    port: Option<NonZeroU16>,
    /// Client whose certificate goes into the profile, by common name
    #[arg(long, value_name = "NAME", conflicts_with = "certificate")]
    client: Option<String>,
    /// Issue the client's certificate if there is none yet
    #[arg(long, requires = "client")]
    issue: bool,
    /// The client's certificate, PEM, if it is not in the PKI folder
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// The client's private key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// Authority of the endpoint's certificate, PEM [default: ca.crt of the PKI folder]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File to write, readable by its owner only; an existing file is left alone [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    location: Location,
}

/// Profiles of managed endpoints.
#[derive(Subcommand)]
enum Managed {
    /// Print or write the profile of an endpoint that is managed through the API
    Export(Export),
}

impl ProfileArguments {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        if let Some(Managed::Export(arguments)) = &self.managed {
            return arguments.run(output);
        }
        let endpoint = self.chosen.endpoint()?;
        let certificate = endpoint.server_certificate.path();
        // Endpoints of the file name files.
        let server =
            ServerCertificate::read(certificate.context("the endpoint's certificate is in no file")?)?;
        let profile = Profile {
            remotes: self.remotes(&endpoint, &server)?,
            ca: self.authority(&endpoint, &server)?,
            identity: self.identity(&endpoint, output)?,
            control_key: control_key(&endpoint)?,
            server_name: Some(server.common_name.clone()).filter(|name| !name.is_empty()),
            password: endpoint.authentication.password().is_some(),
            data_ciphers: endpoint
                .data_ciphers
                .iter()
                .map(|cipher| cipher.name().to_owned())
                .collect(),
        };
        let text = profile.render()?;
        let name = &endpoint.name;
        match &self.output {
            Some(path) => {
                write_secret(path, &text)?;
                output.emit(&json!({ "endpoint": name, "file": path }), || {
                    format!("wrote {}", path.display())
                })
            }
            None if output.is_json() => output.emit(
                &json!({ "endpoint": name, "profile": text.as_str() }),
                String::new,
            ),
            None => output.raw(&text),
        }
    }

    /// Each host with UDP first: it is faster, TCP gets through where UDP does not.
    fn remotes(&self, endpoint: &EndpointConfig, server: &ServerCertificate) -> anyhow::Result<Vec<Remote>> {
        let port = self.port.unwrap_or(endpoint.vpn_port).get();
        let hosts = if self.hosts.is_empty() {
            named_hosts(server)
        } else {
            self.hosts.clone()
        };
        if hosts.is_empty() {
            bail!("the endpoint's certificate names no host that clients could connect to: give --host");
        }
        let protocols = endpoint.transport_protocol;
        let transports = [
            (protocols.udp(), ProfileTransport::Udp),
            (protocols.tcp(), ProfileTransport::Tcp),
        ];
        let offered = transports.into_iter().filter(|(offered, _)| *offered);
        Ok(offered
            .flat_map(|(_, transport)| {
                hosts.iter().map(move |host| Remote {
                    host: host.clone(),
                    port,
                    transport,
                })
            })
            .collect())
    }

    /// The authority's certificate, checked to be the one that clients need.
    fn authority(&self, endpoint: &EndpointConfig, server: &ServerCertificate) -> anyhow::Result<String> {
        let path = self
            .ca
            .clone()
            .unwrap_or_else(|| self.location.pki.join("ca.crt"));
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read the authority's certificate {}: name it with --ca or --pki",
                path.display()
            )
        })?;
        if !server.is_issued_by(&text) {
            bail!(
                "the authority in {} did not issue the endpoint's certificate {}: clients would refuse it. Name the right one with --ca",
                path.display(),
                endpoint.server_certificate
            );
        }
        Ok(text)
    }

    fn identity(&self, endpoint: &EndpointConfig, output: &Output) -> anyhow::Result<Option<Identity>> {
        let policy = endpoint.authentication.certificate_policy();
        let given = self.client.is_some() || self.certificate.is_some();
        match (policy, given) {
            (CertificatePolicy::Required, false) => bail!(
                "the endpoint demands a client certificate: name the client with --client, and add --issue if it has none yet"
            ),
            (CertificatePolicy::None, true) => {
                bail!("the endpoint asks for no client certificate: leave --client and --certificate out")
            }
            (_, false) => return Ok(None),
            (CertificatePolicy::Required | CertificatePolicy::Optional, true) => {}
        }
        if let (Some(certificate), Some(private_key)) = (&self.certificate, &self.private_key) {
            return Ok(Some(Identity::read(certificate, private_key)?));
        }
        let name = self.client.as_deref().unwrap_or_default();
        let pki = Pki::open(&self.location.pki)?;
        match pki.identity(name) {
            Err(PkiError::Unknown(_)) if self.issue => {
                let name = name.to_owned();
                let request = IssueRequest {
                    name,
                    purpose: Purpose::Client,
                    days: CERTIFICATE_DAYS,
                    key: KeyKind::default(),
                };
                note_shortened(&pki.issue(&request, OffsetDateTime::now_utc())?, output);
                Ok(Some(pki.identity(&request.name)?))
            }
            Err(error @ PkiError::Unknown(_)) => {
                Err(anyhow::Error::new(error).context("add --issue to issue it"))
            }
            other => Ok(Some(other?)),
        }
    }
}

/// Names in the certificate that a client can connect to.
fn named_hosts(server: &ServerCertificate) -> Vec<String> {
    let host = |name: &AltName| match name {
        AltName::Dns(host) if host.starts_with("*.") => None,
        AltName::Dns(host) => Some(host.clone()),
        AltName::Ip(address) => Some(address.to_string()),
    };
    server.alt_names.iter().filter_map(host).collect()
}

fn control_key(endpoint: &EndpointConfig) -> anyhow::Result<ControlKey> {
    match &endpoint.control_channel {
        ControlChannel::Plain => Ok(ControlKey::None),
        ControlChannel::TlsCryptV2(TlsCryptV2 { server_key, .. }, _) => {
            Ok(ControlKey::TlsCryptV2(client_key(server_key, None)?))
        }
        ControlChannel::Static(StaticKeyWrap::TlsCrypt(path)) => Ok(ControlKey::TlsCrypt(static_key(path)?)),
        ControlChannel::Static(StaticKeyWrap::TlsAuth(tls_auth)) => Ok(ControlKey::TlsAuth {
            key: static_key(&tls_auth.key)?,
            direction: match tls_auth.direction {
                KeyDirection::Zero => Some(1),
                KeyDirection::One => Some(0),
                KeyDirection::Both => None,
            },
            digest: tls_auth.digest.name(),
        }),
    }
}

fn static_key(path: &Path) -> anyhow::Result<zeroize::Zeroizing<String>> {
    Ok(read_key(path, StaticKey::parse)?.to_text())
}
