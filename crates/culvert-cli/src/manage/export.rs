//! `culvert profile export`: the profile of a managed endpoint, with a client's certificate in it if one is named.

use std::path::{Path, PathBuf};

use clap::Args;
use culvert_pki::Identity;
use serde_json::json;
use zeroize::Zeroizing;

use super::api::{Api, ApiArguments};
use super::error::ManageError;
use super::form::Form;
use super::model::Configuration;
use super::resolve;
use crate::output::{Output, write_secret};

/// Arguments of `culvert profile export`.
#[derive(Args)]
pub(crate) struct Export {
    /// The endpoint, by id or name
    endpoint: String,
    #[command(flatten)]
    client: ClientFiles,
    /// File to write, readable by its owner only; an existing file is left alone [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    api: ApiArguments,
}

/// Files of a client that go into its profile.
#[derive(Args)]
pub(crate) struct ClientFiles {
    /// The client's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The client's private key, PEM
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,
}

impl ClientFiles {
    /// The client's certificate and key, if they are named. They must belong together.
    pub(crate) fn identity(&self) -> anyhow::Result<Option<Identity>> {
        match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => Ok(Some(Identity::read(certificate, key)?)),
            _ => Ok(None),
        }
    }
}

impl Export {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let api = self.api.open(output)?;
        let id = resolve::endpoint(&api, &self.endpoint)?;
        let profile = profile(&api, &id, self.client.identity()?.as_ref())?;
        match &self.file {
            Some(path) => {
                write(path, &profile)?;
                output.emit(&json!({ "client_vpn_endpoint_id": id, "file": path }), || {
                    format!("wrote {}", path.display())
                })
            }
            None if output.is_json() => output.emit(
                &json!({ "client_vpn_endpoint_id": id, "client_configuration": profile.as_str() }),
                String::new,
            ),
            None => output.raw(&profile),
        }
    }
}

/// Writes a profile to a file that must not exist yet.
pub(crate) fn write(path: &Path, profile: &str) -> anyhow::Result<()> {
    write_secret(path, profile)
}

/// The profile of an endpoint, for anybody or for the client with this identity.
pub(crate) fn profile(
    api: &Api,
    endpoint: &str,
    identity: Option<&Identity>,
) -> Result<Zeroizing<String>, ManageError> {
    let exported: Configuration = api.call("ExportClientVpnClientConfiguration", &Form::of(endpoint))?;
    Ok(with_identity(&exported.client_configuration, identity))
}

fn with_identity(profile: &str, identity: Option<&Identity>) -> Zeroizing<String> {
    let profile = profile.trim_end();
    let Some(identity) = identity else {
        return Zeroizing::new(format!("{profile}\n"));
    };
    let (certificate, key) = (identity.certificate.trim_end(), identity.private_key.trim_end());
    // Room for all of it: a text that grows leaves copies behind.
    let room = profile.len() + certificate.len() + key.len() + 64;
    let mut text = Zeroizing::new(String::with_capacity(room));
    let parts = [
        profile,
        "\n<cert>\n",
        certificate,
        "\n</cert>\n<key>\n",
        key,
        "\n</key>\n",
    ];
    text.extend(parts);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_ends_with_the_identity() {
        assert_eq!(*with_identity("client\nverb 3", None), "client\nverb 3\n");
        let identity = Identity {
            certificate: "CERT\n".into(),
            private_key: Zeroizing::new("KEY\n".into()),
        };
        assert_eq!(
            *with_identity("client\n", Some(&identity)),
            "client\n<cert>\nCERT\n</cert>\n<key>\nKEY\n</key>\n"
        );
    }
}
