//! Starting an endpoint: files first, then sockets, then the device, then the threads, so that a mistake in an earlier
//! step leaves nothing of a later one behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use culvert_admin::{ListenerInfo, Transport};
use culvert_config::EndpointConfig;
use culvert_core::Server;
use culvert_crypto::SystemEntropy;
use culvert_data::DataPlane;
use culvert_transport::{AsyncUdpSocket, TcpOptions, TcpSocket, UdpOptions, UdpSocket, probe_free};
use culvert_wire::Transport as LinkTransport;
use tokio::sync::{mpsc, watch};

use super::control::{self, Control};
use super::inbox;
use super::keeper::DeviceKeeper;
use super::links::Links;
use super::live::Live;
use super::login::Logins;
use super::material;
use super::settings::{self, ProcessKeys};
use super::shared::{EdgeDrops, Shared};
use super::tun::NumberedQueue;
use super::worker::{self, WorkerParts};
use super::{Endpoint, tcp};
use crate::clock;
use crate::watchdog::Heartbeat;

/// What an endpoint gets from the daemon.
#[derive(Clone)]
pub(crate) struct Place {
    /// Keys that outlive a reload.
    pub(crate) keys: ProcessKeys,
    /// Number of worker threads.
    pub(crate) workers: usize,
    /// For files that end with the daemon.
    pub(crate) run_dir: PathBuf,
    /// Told when an endpoint can't go on and the daemon should end for the service manager to start it anew.
    pub(crate) fatal: mpsc::Sender<anyhow::Error>,
}

/// The sockets of all workers: for each worker one per listening address.
struct Sockets {
    udp: Vec<Vec<UdpSocket>>,
    tcp: Vec<Vec<TcpSocket>>,
    listeners: Vec<ListenerInfo>,
}

impl Endpoint {
    /// Starts an endpoint.
    ///
    /// # Errors
    /// Fails when a file, an address, the device or a thread can't be had; nothing is left behind then.
    pub(crate) async fn start(config: EndpointConfig, place: &Place) -> Result<Self> {
        let tls = material::tls(&config, &place.keys.clock, None)?;
        let settings = settings::settings(&config, &place.keys, &tls)?;
        let logins = Arc::new(Logins::open(&config, &place.run_dir)?);
        let data = Arc::new(DataPlane::new(settings::data_plane(&config)));
        // The server and the workers count milliseconds from the same moment.
        let now = clock::now();
        let server = Server::new(now, settings, Arc::clone(&data), Box::new(SystemEntropy::new()))
            .with_context(|| format!("Failed to set up endpoint {}", config.name))?;
        let sockets = bind(&config, place.workers)?;
        let (inbox, inputs) = inbox::inbox();
        let shared = Arc::new(Shared {
            name: config.name.clone(),
            data,
            inbox,
            links: Links::default(),
            epoch: now.instant,
            drops: EdgeDrops::default(),
            silence: tcp::silence(config.handshake_window),
        });
        let (queue_senders, queues): (Vec<_>, Vec<_>) = (0..place.workers).map(|_| mpsc::channel(2)).unzip();
        let keeper = DeviceKeeper::create(&config, queue_senders).await?;
        let (gone, gone_receiver) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let listeners = sockets.listeners.clone();
        let (mut workers, sending) = spawn_workers(&shared, sockets, queues, &gone, &stopped)?;
        let (commands, command_receiver) = mpsc::channel(64);
        let heartbeat = Arc::new(Heartbeat::new());
        let control = Control {
            shared: Arc::clone(&shared),
            server,
            inputs,
            commands: command_receiver,
            logins,
            sockets: sending,
            heartbeat: Arc::clone(&heartbeat),
            tls_clock: place.keys.clock.clone(),
        };
        let mut threads = vec![spawn(format!("control-{}", config.name), move || {
            control::run(control)
        })?];
        threads.append(&mut workers);
        let (orders, order_receiver) = mpsc::channel(4);
        let fatal = place.fatal.clone();
        let keeper = tokio::spawn(async move {
            if let Err(error) = keeper.run(gone_receiver, order_receiver).await {
                drop(fatal.send(error).await);
            }
        });
        let live = Live::new(
            config,
            tls.crl,
            place.keys.clone(),
            commands,
            place.run_dir.clone(),
        );
        let mut endpoint = Self {
            live: Arc::new(live),
            shared,
            listeners,
            workers: place.workers,
            threads,
            stop,
            keeper,
            orders,
            crl_watch: None,
            heartbeat,
        };
        endpoint.watch_revocation_list();
        endpoint.log_start();
        Ok(endpoint)
    }

    fn log_start(&self) {
        let config = self.config();
        for listener in &self.listeners {
            tracing::info!(
                endpoint = config.name,
                transport = %listener.transport,
                address = %listener.address,
                "listening"
            );
        }
        tracing::info!(
            endpoint = config.name,
            device = config.device,
            client_cidr_block = %config.client_cidr_block,
            max_clients = config.effective_max_clients(),
            workers = self.workers,
            "endpoint started"
        );
    }
}

/// Binds one socket per worker, transport and address. The sockets of a port share it, so another program on the same
/// port would go unnoticed: that is looked for first.
fn bind(config: &EndpointConfig, workers: usize) -> Result<Sockets> {
    let addresses: Vec<SocketAddr> = config
        .listen_addresses
        .iter()
        .map(|address| SocketAddr::new(*address, config.vpn_port.get()))
        .collect();
    let mut listeners = Vec::new();
    for (served, link, transport) in [
        (
            config.transport_protocol.udp(),
            LinkTransport::Udp,
            Transport::Udp,
        ),
        (
            config.transport_protocol.tcp(),
            LinkTransport::Tcp,
            Transport::Tcp,
        ),
    ] {
        for address in addresses.iter().filter(|_| served) {
            probe_free(link, *address)
                .with_context(|| format!("Failed to start endpoint {}", config.name))?;
            listeners.push(ListenerInfo {
                transport,
                address: *address,
            });
        }
    }
    let each = |transport: Transport| {
        let listeners = &listeners;
        (0..workers).map(move |_| {
            listeners
                .iter()
                .filter(move |listener| listener.transport == transport)
        })
    };
    let udp = each(Transport::Udp)
        .map(|of_worker| {
            of_worker
                .map(|one| UdpSocket::bind(one.address, &UdpOptions::default()))
                .collect()
        })
        .collect::<Result<Vec<Vec<_>>, _>>()?;
    let tcp = each(Transport::Tcp)
        .map(|of_worker| {
            of_worker
                .map(|one| TcpSocket::bind(one.address, &TcpOptions::default()))
                .collect()
        })
        .collect::<Result<Vec<Vec<_>>, _>>()?;
    Ok(Sockets { udp, tcp, listeners })
}

type Threads = Vec<JoinHandle<Result<()>>>;

/// Starts the workers. Returns their threads and the sockets of the first one, for the control thread to send with.
fn spawn_workers(
    shared: &Arc<Shared>,
    sockets: Sockets,
    queues: Vec<mpsc::Receiver<NumberedQueue>>,
    gone: &mpsc::Sender<u64>,
    stopped: &watch::Receiver<bool>,
) -> Result<(Threads, Vec<Arc<AsyncUdpSocket>>)> {
    let mut threads = Vec::new();
    let mut sending = None;
    for (number, ((udp, tcp), tun)) in sockets.udp.into_iter().zip(sockets.tcp).zip(queues).enumerate() {
        let (ready, registered) = std::sync::mpsc::sync_channel(1);
        let parts = WorkerParts {
            shared: Arc::clone(shared),
            udp,
            tcp,
            tun,
            tun_gone: gone.clone(),
            stop: stopped.clone(),
            ready,
        };
        threads.push(spawn(format!("worker-{number}-{}", shared.name), move || {
            worker::run(parts)
        })?);
        let registered = registered
            .recv()
            .context("Failed to start a worker: its sockets could not be registered")?;
        sending.get_or_insert(registered);
    }
    Ok((threads, sending.unwrap_or_default()))
}

fn spawn(name: String, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<JoinHandle<Result<()>>> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(work)
        .with_context(|| format!("Failed to start thread {name}"))
}
