//! `culvert keygen`: keys in OpenVPN's formats.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use culvert_crypto::auth_token::TokenKey;
use culvert_crypto::tls_crypt_v2::{ClientKey, Metadata, ServerKey};
use culvert_crypto::{StaticKey, SystemEntropy};
use serde_json::json;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::output::{Output, write_secret};

/// Kinds of keys.
#[derive(Subcommand)]
pub(crate) enum Keygen {
    /// Static key for tls-auth or tls-crypt, shared by the endpoint and all its clients
    Static(Destination),
    /// Server key for tls-crypt-v2, which stays on the endpoint
    TlsCryptV2Server(Destination),
    /// Client key for tls-crypt-v2, one for each client
    TlsCryptV2Client {
        /// The endpoint's tls-crypt-v2 server key
        #[arg(long, value_name = "FILE")]
        server_key: PathBuf,
        /// Text that the endpoint finds in the key [default: the time of generation]
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        #[command(flatten)]
        destination: Destination,
    },
    /// Server key for auth-tokens, so that they outlive the daemon or count on several machines
    AuthToken(Destination),
}

/// Where a key goes.
#[derive(Args)]
pub(crate) struct Destination {
    /// File to write, readable by its owner only; an existing file is left alone [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Keygen {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let entropy = &mut SystemEntropy::new();
        let (kind, text, destination) = match self {
            Self::Static(destination) => ("static", StaticKey::generate(entropy).to_text(), destination),
            Self::TlsCryptV2Server(destination) => (
                "tls-crypt-v2-server",
                ServerKey::generate(entropy).to_pem(),
                destination,
            ),
            Self::TlsCryptV2Client {
                server_key,
                metadata,
                destination,
            } => {
                let metadata = metadata
                    .as_ref()
                    .map(|text| Metadata::UserDefined(text.as_bytes().to_vec()));
                (
                    "tls-crypt-v2-client",
                    client_key(server_key, metadata)?,
                    destination,
                )
            }
            Self::AuthToken(destination) => ("auth-token", TokenKey::generate(entropy).to_pem(), destination),
        };
        destination.put(output, kind, &text)
    }
}

impl Destination {
    fn put(&self, output: &Output, kind: &str, text: &str) -> anyhow::Result<()> {
        let Some(path) = &self.output else {
            return if output.is_json() {
                output.emit(&json!({ "kind": kind, "key": text }), String::new)
            } else {
                output.raw(text)
            };
        };
        write_secret(path, text)?;
        output.emit(&json!({ "kind": kind, "file": path }), || {
            format!("wrote {}", path.display())
        })
    }
}

/// A new client key under the server key in a file; the time is its metadata unless other is given.
pub(crate) fn client_key(server_key: &Path, metadata: Option<Metadata>) -> anyhow::Result<Zeroizing<String>> {
    let server = read_key(server_key, ServerKey::parse)?;
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
    let metadata = metadata.unwrap_or(Metadata::Timestamp(now));
    let key = ClientKey::generate(&server, &metadata, &mut SystemEntropy::new())?;
    Ok(key.to_pem())
}

/// Reads a key file.
pub(crate) fn read_key<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, culvert_crypto::KeyError>,
) -> anyhow::Result<T> {
    let text =
        Zeroizing::new(fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
    parse(&text).map_err(|error| anyhow!("the key file {} cannot be used: {error}", path.display()))
}
