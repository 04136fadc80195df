//! Serves the API that endpoints are managed through.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use culvert_api::{Api, Limits, Listener, Tls, serve};
use culvert_auth::AccessKeys;
use culvert_crypto::{Entropy, SystemEntropy};
use culvert_ec2::Ec2;
use culvert_query::page::PageKey;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::Managed;
use crate::endpoint::Ledger;

/// The API, bound but not yet served.
pub(crate) struct ApiServer {
    api: Arc<Api>,
    listeners: Vec<Listener>,
    tls: Option<Tls>,
}

impl ApiServer {
    /// Binds the address of the configuration, and a socket in `run_dir`, in front of `managed`. Connections are those in
    /// `ledger`.
    ///
    /// # Errors
    /// Fails when a file or an address can't be used, or the store can't.
    pub(crate) fn bind(
        config: &culvert_config::Api,
        run_dir: &Path,
        managed: &Managed,
        ledger: Arc<Ledger>,
    ) -> Result<Self> {
        let keys = AccessKeys::open(&config.access_keys)?;
        let tls = match &config.tls {
            Some(tls) => Some(Tls::load(&tls.certificate, &tls.private_key)?),
            None => None,
        };
        let mut fresh = Zeroizing::new([0; 32]);
        SystemEntropy::new().fill(&mut *fresh);
        let page_key = managed
            .registry
            .page_key(*fresh)
            .context("Failed to use the store")?;
        let ec2 = Ec2 {
            registry: managed.registry.clone(),
            certificates: managed.certificates.clone(),
            security_groups: managed.security_groups.clone(),
            environment: Arc::clone(&managed.environment),
            tunnels: ledger,
            page_key: PageKey::new(&page_key),
        };
        let network = Listener::bind_tcp(config.listen, tls.clone())?;
        let local = Listener::bind_unix(&run_dir.join("api.sock"))?;
        Ok(Self {
            api: Arc::new(Api::new(ec2, keys, Limits::default())),
            listeners: vec![network, local],
            tls,
        })
    }

    /// Its certificate, which can be read again.
    pub(crate) fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Serves until `stop` is true, and then answers what was asked.
    pub(crate) fn start(self, tasks: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
        for listener in self.listeners {
            if let Some(address) = listener.local_address() {
                tracing::info!(%address, tls = self.tls.is_some(), "serving the API");
            }
            let (api, mut stop) = (Arc::clone(&self.api), stop.clone());
            tasks.spawn(async move {
                serve(listener, api, stop.wait_for(|stop| *stop)).await;
            });
        }
    }
}
