//! One running endpoint: its TUN device, sockets, worker threads and control thread.

mod connect_handler;
mod connection_ids;
mod connection_log;
mod control;
mod granted;
mod inbox;
mod keeper;
mod ledger;
mod links;
mod live;
mod login;
mod material;
mod memory;
mod moderation;
mod offloads;
mod report;
mod revocation;
mod settings;
mod shared;
mod start;
mod status;
mod strangers;
mod tcp;
mod tun;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use culvert_admin::{ClientInfo, EndpointInfo, ListenerInfo};
use culvert_config::{EndpointConfig, Pem};
use culvert_core::ClientId;
use culvert_failure::describe;
use tokio::sync::{mpsc, oneshot, watch};

use crate::watchdog::Heartbeat;
use connection_ids::ConnectionIds;
use control::Command;
use ledger::Book;
use live::Live;
use offloads::Offloads;
use shared::Shared;

pub(crate) use ledger::Ledger;
pub(crate) use memory::Memories;
pub(crate) use settings::ProcessKeys;
pub(crate) use start::{Place, Prepared, check_ports};

/// How long the threads of a stopping endpoint may take. They do nothing that could last.
const STOP: Duration = Duration::from_secs(5);

/// A running endpoint.
pub(crate) struct Endpoint {
    live: Arc<Live>,
    shared: Arc<Shared>,
    listeners: Vec<ListenerInfo>,
    workers: usize,
    offloads: Offloads,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    keeper: tokio::task::JoinHandle<()>,
    orders: mpsc::Sender<keeper::Order>,
    crl_watch: Option<(Pem, tokio::task::JoinHandle<()>)>,
    heartbeat: Arc<Heartbeat>,
    connection_ids: ConnectionIds,
    book: Option<Arc<Book>>,
}

impl Endpoint {
    /// The endpoint's name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> EndpointConfig {
        self.live.config()
    }

    /// How long ago the control thread gave its last sign of life.
    pub(crate) fn silence(&self) -> Duration {
        self.heartbeat.age()
    }

    /// Whether a change needs the endpoint to be stopped and started: its sockets, device or addresses differ.
    pub(crate) fn needs_restart(&self, config: &EndpointConfig) -> bool {
        let now = self.config();
        now.client_cidr_block != config.client_cidr_block
            || now.client_ipv6_cidr_block != config.client_ipv6_cidr_block
            || now.transport_protocol != config.transport_protocol
            || now.listen_addresses != config.listen_addresses
            || now.vpn_port != config.vpn_port
            || now.device != config.device
            || now.tun_mtu != config.tun_mtu
            || now.client_to_client != config.client_to_client
            || now.client_to_client_ipv6 != config.client_to_client_ipv6
            || now.effective_max_clients() != config.effective_max_clients()
            || now.static_addresses != config.static_addresses
    }

    /// Puts a changed configuration in force without a restart.
    ///
    /// # Errors
    /// Fails when something can't be used; what was in force stays.
    pub(crate) async fn apply(&mut self, prepared: Prepared) -> Result<()> {
        let before = self.config();
        let silence = tcp::silence_ms(prepared.config.handshake_window);
        self.replace_nat(prepared.config.clone()).await?;
        if let Err(error) = self.live.apply(prepared).await {
            return match self.replace_nat(before).await {
                Ok(()) => Err(error),
                Err(nat) => Err(error.context(format!(
                    "the NAT rules are already those of the new one ({})",
                    describe(&nat)
                ))),
            };
        }
        self.shared.silence_ms.store(silence, Ordering::Relaxed);
        self.watch_revocation_list();
        Ok(())
    }

    async fn replace_nat(&self, config: EndpointConfig) -> Result<()> {
        let (done, replaced) = oneshot::channel();
        self.orders
            .send(keeper::Order::Nat(Box::new(config), done))
            .await
            .ok()
            .context("the endpoint has ended")?;
        replaced.await.context("the endpoint has ended")?
    }

    /// Watches the revocation list the configuration names. A list that is watched already stays so: the watcher knows
    /// what it saw last.
    fn watch_revocation_list(&mut self) {
        let config = self.live.config();
        let list = config
            .authentication
            .certificates()
            .and_then(|certificates| certificates.crl.clone());
        if self.crl_watch.as_ref().map(|(watched, _)| watched) == list.as_ref() {
            return;
        }
        if let Some((_, task)) = self.crl_watch.take() {
            task.abort();
        }
        self.crl_watch = list.map(|list| {
            let watch = revocation::watch(Arc::clone(&self.live), list.clone());
            (list, tokio::spawn(watch))
        });
    }

    /// What `culvert status` shows.
    ///
    /// # Errors
    /// Fails when the endpoint has ended.
    pub(crate) async fn info(&self) -> Result<EndpointInfo> {
        let counters = self.live.ask(Command::Counters).await?;
        Ok(status::endpoint(
            &self.live.config(),
            self.live.applied_unix(),
            &self.shared,
            counters,
            &self.listeners,
            self.workers,
            self.offloads.info(),
        ))
    }

    /// The clients after this one, in the order of their ids, at most so many.
    ///
    /// # Errors
    /// Fails when the endpoint has ended.
    pub(crate) async fn clients(&self, after: Option<u64>, limit: usize) -> Result<Vec<ClientInfo>> {
        let clients = self
            .live
            .ask(|answer| Command::Clients(after.map(ClientId), limit, answer))
            .await?;
        Ok(clients
            .iter()
            .map(|client| status::client(self.name(), &self.connection_ids.of(client.client), client))
            .collect())
    }

    /// Ends clients. Returns those that were connected.
    ///
    /// # Errors
    /// Fails when the endpoint has ended.
    pub(crate) async fn kill(&self, clients: &[u64]) -> Result<Vec<u64>> {
        let clients = clients.iter().copied().map(ClientId).collect();
        let ended = self
            .live
            .ask(|answer| Command::Disconnect(clients, answer))
            .await?;
        Ok(ended.into_iter().map(|client| client.0).collect())
    }

    /// Tells all clients to connect anew.
    pub(crate) async fn restart_clients(&self) {
        self.live.tell(Command::Restart).await;
    }

    /// Tells the clients to reconnect, and removes everything the endpoint made.
    pub(crate) async fn stop(mut self) {
        if let Some((_, task)) = self.crl_watch.take() {
            task.abort();
        }
        self.live.tell(Command::Shutdown).await;
        let deadline = Instant::now() + STOP;
        // The control thread ends first: until then the workers deliver the clients' acknowledgements.
        wait_for(&self.threads[..1], deadline).await;
        // Receivers that are gone have stopped already.
        let _ = self.stop.send(true);
        wait_for(&self.threads[1..], deadline).await;
        for thread in self.threads.drain(..) {
            if !thread.is_finished() {
                tracing::error!(
                    endpoint = self.shared.name,
                    "a thread does not end; leaving it behind"
                );
            } else {
                // A panic was reported when it happened.
                drop(thread.join());
            }
        }
        if let Some(book) = &self.book {
            book.close();
        }
        // Ends the keeper, which removes the device and the NAT rules.
        drop(self.orders);
        drop(self.keeper.await);
        tracing::info!(endpoint = self.shared.name, "endpoint stopped");
    }
}

async fn wait_for(threads: &[JoinHandle<()>], deadline: Instant) {
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
