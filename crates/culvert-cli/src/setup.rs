//! Finding the configuration, an endpoint in it, and the daemon's socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use culvert_admin::{AdminClient, AdminError, DEFAULT_SOCKET};
use culvert_config::{Config, DEFAULT_PATH, EndpointConfig};

/// Which daemon is meant.
#[derive(Args)]
pub(crate) struct Daemon {
    /// Administration socket [default: what the configuration names, else /run/culvert/culvert.sock]
    #[arg(long, value_name = "PATH", env = "CULVERT_SOCKET")]
    socket: Option<PathBuf>,
    /// The daemon's configuration file [default: /etc/culvert/culvert.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "CULVERT_CONFIG")]
    config: Option<PathBuf>,
}

impl Daemon {
    /// Connects and lets `talk` talk.
    pub(crate) fn talk<T>(
        &self,
        talk: impl AsyncFnOnce(&mut AdminClient) -> Result<T, AdminError>,
    ) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let path = self.path()?;
        runtime.block_on(async { Ok(talk(&mut AdminClient::connect(&path).await?).await?) })
    }

    fn path(&self) -> anyhow::Result<PathBuf> {
        Ok(match (&self.socket, &self.config) {
            (Some(socket), _) => socket.clone(),
            (None, Some(config)) => Config::load(config)?.admin_socket,
            // Nobody asked for this file: if it does not load, the daemon may still be at the usual place.
            (None, None) => Config::load(DEFAULT_PATH)
                .map_or_else(|_| DEFAULT_SOCKET.into(), |config| config.admin_socket),
        })
    }
}

/// Which endpoint of which configuration is meant.
#[derive(Args)]
pub(crate) struct Chosen {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "CULVERT_CONFIG", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Endpoint, by its name; not needed if there is only one
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
}

impl Chosen {
    /// Reads the configuration and finds the endpoint.
    pub(crate) fn endpoint(&self) -> anyhow::Result<EndpointConfig> {
        let config = Config::load(&self.config)?;
        let names = names(&config.endpoints);
        let found = match (&self.endpoint, config.endpoints.as_slice()) {
            (None, [only]) => Some(only),
            (None, []) => bail!("{} has no [[endpoint]]", self.config.display()),
            (None, _) => bail!("there are several endpoints: choose one with --endpoint ({names})"),
            (Some(name), endpoints) => endpoints.iter().find(|endpoint| endpoint.name == *name),
        };
        let wanted = self.endpoint.as_deref().unwrap_or_default();
        found
            .cloned()
            .with_context(|| format!("there is no endpoint {wanted:?}; there are: {names}"))
    }

    /// Reads the configuration and returns the endpoints that are meant: the named one, else all.
    pub(crate) fn endpoints(&self) -> anyhow::Result<Vec<EndpointConfig>> {
        match self.endpoint {
            Some(_) => Ok(vec![self.endpoint()?]),
            None => Ok(Config::load(&self.config)?.endpoints),
        }
    }

    /// The configuration file.
    pub(crate) fn path(&self) -> &Path {
        &self.config
    }
}

fn names(endpoints: &[EndpointConfig]) -> String {
    endpoints
        .iter()
        .map(|endpoint| endpoint.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
