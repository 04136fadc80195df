//! `culvert access-key`: what callers of the management API sign their requests with.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use culvert_auth::{AccessKey, AccessKeyFile};
use culvert_config::{Config, DEFAULT_PATH};
use serde_json::json;
use time::OffsetDateTime;

use crate::output::{Output, clean, moment, table};

/// Where access keys are unless the configuration says otherwise.
const DEFAULT_FILE: &str = "/var/lib/culvert/access-keys";

/// Commands on the file of access keys.
#[derive(Subcommand)]
#[command(after_help = "The daemon notices changes at the next request.")]
pub(crate) enum AccessKeys {
    /// Make an access key; its secret is shown this once
    Create {
        /// What the key is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        file: File,
    },
    /// List the access keys, without their secrets
    List {
        #[command(flatten)]
        file: File,
    },
    /// Delete an access key: requests signed with it are refused from now on
    Delete {
        /// Id of the key
        id: String,
        #[command(flatten)]
        file: File,
    },
}

/// Which file of access keys.
#[derive(Args)]
pub(crate) struct File {
    /// File of access keys [default: the one the configuration names, else /var/lib/culvert/access-keys]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration file [default: /etc/culvert/culvert.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "CULVERT_CONFIG")]
    config: Option<PathBuf>,
}

impl AccessKeys {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Create { description, file } => create(description.as_deref(), file, output),
            Self::List { file } => list(&AccessKeyFile::read(&file.place()?.path)?, output),
            Self::Delete { id, file } => {
                let path = file.place()?.path;
                AccessKeyFile::edit(&path, |keys| keys.remove(id))?;
                output.emit(&json!({ "deleted": id, "file": path }), || {
                    format!("deleted {id}")
                })
            }
        }
    }
}

fn create(description: Option<&str>, file: &File, output: &Output) -> anyhow::Result<()> {
    let place = file.place()?;
    make_folder(&place.path)?;
    let description = description.filter(|text| !text.is_empty()).map(str::to_owned);
    let key = AccessKey::generate(OffsetDateTime::now_utc(), description)?;
    AccessKeyFile::edit(&place.path, |keys| keys.add(key.clone()))?;
    let secret = key.expose_secret();
    let document = json!({
        "access_key_id": key.id(),
        "secret_access_key": **secret,
        "description": key.description(),
        "file": place.path,
        "region": place.region,
        "endpoint_url": place.url,
    });
    output.emit(&document, || {
        let settings = [
            ("aws_access_key_id", Some(key.id())),
            ("aws_secret_access_key", Some(secret.as_str())),
            ("region", place.region.as_deref()),
            ("endpoint_url", place.url.as_deref()),
        ];
        let commands: String = settings
            .iter()
            .filter_map(|(name, value)| Some(format!("aws configure set {name} '{}' --profile culvert\n", (*value)?)))
            .collect();
        format!(
            "access key id      {}\nsecret access key  {}\n\nThe secret is not shown again. To use the key with the AWS \
             CLI:\n\n{commands}",
            key.id(),
            **secret
        )
    })
}

/// The first key may come before the daemon's first start.
fn make_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), |folder| {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))
    })
}

fn list(keys: &AccessKeyFile, output: &Output) -> anyhow::Result<()> {
    let document = keys.keys().iter().map(|key| {
        json!({
            "access_key_id": key.id(),
            "created": key.created().map(moment),
            "description": key.description(),
        })
    });
    output.emit(&json!({ "access_keys": document.collect::<Vec<_>>() }), || {
        let rows = keys.keys().iter().map(|key| {
            vec![
                key.id().to_owned(),
                key.created().map(moment).unwrap_or_default(),
                clean(key.description().unwrap_or_default()),
            ]
        });
        table(&["ID", "CREATED", "DESCRIPTION"], rows)
    })
}

/// Where the keys are, and what a client has to be told.
struct Place {
    path: PathBuf,
    region: Option<String>,
    url: Option<String>,
}

impl File {
    fn place(&self) -> anyhow::Result<Place> {
        let config = match &self.config {
            Some(config) if self.file.is_none() => Some(Config::load(config)?),
            // Nobody asked for what this file says beyond the path: a fault in it is the daemon's to report.
            Some(config) => Config::load(config).ok(),
            None => Config::load(DEFAULT_PATH).ok(),
        };
        let api = config.as_ref().and_then(|config| config.api.as_ref());
        let beside_state = config.as_ref().map(|config| config.state_dir.join("access-keys"));
        let path = self.file.clone();
        let path = path.or_else(|| api.map(|api| api.access_keys.clone()));
        let path = path.or(beside_state);
        Ok(Place {
            path: path.unwrap_or_else(|| DEFAULT_FILE.into()),
            region: config
                .as_ref()
                .filter(|_| api.is_some())
                .map(|config| config.environment.account.region.clone()),
            url: api.map(|api| {
                let scheme = if api.tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{}", api.listen)
            }),
        })
    }
}
