//! Starting an endpoint: files first, then sockets, then the device, then the threads, so that a mistake in an earlier
//! step leaves nothing of a later one behind. Threads that run already when a later step fails end by themselves: what
//! keeps them going is dropped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use culvert_admin::{ListenerInfo, Transport};
use culvert_config::{EndpointConfig, Offload};
use culvert_control::crl::RevocationList;
use culvert_core::{EndpointSettings, Server};
use culvert_crypto::SystemEntropy;
use culvert_data::DataPlane;
use culvert_transport::{
    AsyncUdpSocket, TcpOptions, TcpSocket, TransportError, UdpOptions, UdpSocket, probe_free,
};
use culvert_wire::Transport as LinkTransport;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};

use super::connection_ids::ConnectionIds;
use super::connection_log::{EndpointLog, Target};
use super::control::{self, Control};
use super::inbox;
use super::keeper::DeviceKeeper;
use super::ledger::Ledger;
use super::links::Links;
use super::live::Live;
use super::login::Logins;
use super::material;
use super::moderation::Moderation;
use super::offloads::Offloads;
use super::settings::{self, ProcessKeys};
use super::shared::{EdgeDrops, Shared};
use super::tun::NumberedQueue;
use super::worker::{self, WorkerParts};
use super::{Endpoint, tcp};
use crate::clock;
use crate::connection_log::Writers;
use crate::watchdog::Heartbeat;

/// What an endpoint gets from the daemon.
#[derive(Clone)]
pub(crate) struct Place {
    /// Keys that outlive a reload.
    pub(crate) keys: ProcessKeys,
    /// Number of worker threads.
    pub(crate) workers: usize,
    /// The CPUs they are pinned to, in turn; empty when they aren't.
    pub(crate) worker_cpus: Vec<u16>,
    /// How long a busy worker may rest for packets to gather.
    pub(crate) moderation: Duration,
    /// Whether redundant TCP acknowledgements of clients are left out.
    pub(crate) ack_filter: bool,
    /// What is left to the kernel.
    pub(crate) offload: Offload,
    /// Who is connected to managed endpoints.
    pub(crate) ledger: Arc<Ledger>,
    /// Where connections are logged.
    pub(crate) logs: Arc<Writers>,
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

/// An endpoint whose files were read and found good; nothing on the machine was touched yet.
pub(crate) struct Prepared {
    pub(crate) config: EndpointConfig,
    pub(crate) crl: Option<RevocationList>,
    pub(crate) settings: EndpointSettings,
    pub(crate) logins: Arc<Logins>,
}

impl Prepared {
    /// Reads the files an endpoint names.
    ///
    /// # Errors
    /// Fails when one can't be read or used; the message names it.
    pub(crate) fn read(config: EndpointConfig, place: &Place) -> Result<Self> {
        place.keys.clock.set(clock::now().unix);
        let tls = material::tls(&config, &place.keys.clock, None)?;
        let granted = place.keys.memories.granted(&config.name);
        Ok(Self {
            settings: settings::settings(&config, &place.keys, &tls)?,
            logins: Arc::new(Logins::open(&config, &place.run_dir, granted)?),
            crl: tls.crl,
            config,
        })
    }
}

impl Endpoint {
    /// Starts an endpoint.
    ///
    /// # Errors
    /// Fails when an address, the device or a thread can't be had; nothing is left behind then.
    pub(crate) async fn start(prepared: Prepared, place: &Place) -> Result<Self> {
        let Prepared {
            config,
            crl,
            settings,
            logins,
        } = prepared;
        let data = Arc::new(DataPlane::new(settings::data_plane(&config)));
        // The server and the workers count milliseconds from the same moment.
        let now = clock::now();
        let server = Server::new(now, settings, Arc::clone(&data), Box::new(SystemEntropy::new()))
            .with_context(|| format!("Failed to set up endpoint {}", config.name))?;
        let sockets = bind(&config, place)?;
        let (inbox, inputs) = inbox::inbox();
        let shared = Arc::new(Shared {
            name: config.name.clone(),
            data,
            inbox,
            links: Links::default(),
            epoch: now.instant,
            drops: EdgeDrops::default(),
            silence_ms: tcp::silence_ms(config.handshake_window).into(),
        });
        let (queue_senders, queues): (Vec<_>, Vec<_>) = (0..place.workers).map(|_| mpsc::channel(2)).unzip();
        let keeper = DeviceKeeper::create(&config, place.offload, queue_senders).await?;
        let (gone, gone_receiver) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let listeners = sockets.listeners.clone();
        let (mut workers, registered) = spawn_workers(&shared, sockets, queues, &gone, &stopped, place)?;
        let offloads = Offloads::new(place.offload, &registered.concat(), keeper.offloads());
        let (commands, command_receiver) = mpsc::channel(64);
        let book = place.ledger.open(&config.name, &commands);
        let heartbeat = Arc::new(Heartbeat::new());
        let connection_ids = ConnectionIds::new();
        let logs = Arc::clone(&place.logs);
        let control = Control {
            log: EndpointLog::new(logs, &config.name, connection_ids, Target::of(&config)),
            shared: Arc::clone(&shared),
            server,
            inputs,
            commands: command_receiver,
            logins,
            connection_ids,
            book: book.clone(),
            // A reply may leave from any socket of the port; those of the first worker do.
            sockets: registered.first().cloned().unwrap_or_default(),
            heartbeat: Arc::clone(&heartbeat),
            tls_clock: place.keys.clock.clone(),
        };
        let fatal = place.fatal.clone();
        let mut threads = vec![spawn(format!("control-{}", config.name), move || {
            // Without it the endpoint can't go on. A full channel means that the daemon ends already.
            if let Err(error) = control::run(control) {
                drop(fatal.try_send(error.context("Failed to start a control thread")));
            }
        })?];
        threads.append(&mut workers);
        let (orders, order_receiver) = mpsc::channel(4);
        let fatal = place.fatal.clone();
        let keeper = tokio::spawn(async move {
            if let Err(error) = keeper.run(gone_receiver, order_receiver).await {
                drop(fatal.send(error).await);
            }
        });
        let live = Live::new(config, crl, place.keys.clone(), commands);
        let mut endpoint = Self {
            live: Arc::new(live),
            shared,
            listeners,
            workers: place.workers,
            offloads,
            threads,
            stop,
            keeper,
            orders,
            crl_watch: None,
            heartbeat,
            connection_ids,
            book,
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
        let offload = self.offloads.info();
        tracing::info!(
            endpoint = config.name,
            udp_gro = %offload.udp_gro,
            udp_gso = %offload.udp_gso,
            tun = %offload.tun,
            tun_udp = %offload.tun_udp,
            tun_join = %offload.tun_join,
            "offloads"
        );
        tracing::info!(
            endpoint = config.name,
            device = config.device,
            client_cidr_block = config.client_cidr_block.map(tracing::field::display),
            client_ipv6_cidr_block = config.client_ipv6_cidr_block.map(tracing::field::display),
            max_clients = config.effective_max_clients(),
            workers = self.workers,
            "endpoint started"
        );
    }
}

/// The places an endpoint listens at, each found free and usable. `::` is left out on a machine without IPv6, where it
/// stands for nothing; so is `0.0.0.0` on one without IPv4.
///
/// The sockets of the workers share a port, so another program on the same port would go unnoticed: that is looked for
/// here. Places that are `held` by the daemon already are not looked at.
fn listeners(config: &EndpointConfig, held: impl Fn(&ListenerInfo) -> bool) -> Result<Vec<ListenerInfo>> {
    let mut usable = Vec::new();
    let mut absent = None;
    for (served, transport) in [
        (config.transport_protocol.udp(), Transport::Udp),
        (config.transport_protocol.tcp(), Transport::Tcp),
    ] {
        for address in config.listen_addresses.iter().filter(|_| served) {
            let address = SocketAddr::new(*address, config.vpn_port.get());
            let listener = ListenerInfo { transport, address };
            let found = if held(&listener) {
                Ok(())
            } else {
                probe_free(link_transport(transport), address)
            };
            match found {
                Ok(()) => usable.push(listener),
                Err(error) if is_family_absent(&error) => {
                    tracing::warn!(endpoint = config.name, "going on without one address: {error}");
                    absent = Some(error);
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("Failed to start endpoint {}", config.name));
                }
            }
        }
    }
    match absent {
        Some(error) if usable.is_empty() => {
            Err(error).with_context(|| format!("Failed to start endpoint {}", config.name))
        }
        _ => Ok(usable),
    }
}

/// Whether "every address" of a family was asked for on a machine without the family.
fn is_family_absent(error: &TransportError) -> bool {
    match error {
        TransportError::FamilyNotSupported { address, .. }
        | TransportError::AddressNotAvailable { address, .. } => address.ip().is_unspecified(),
        _ => false,
    }
}

fn link_transport(transport: Transport) -> LinkTransport {
    match transport {
        Transport::Udp => LinkTransport::Udp,
        Transport::Tcp => LinkTransport::Tcp,
    }
}

/// Checks that the ports of a changed endpoint are free, before anything is stopped for it. What the daemon's own
/// endpoints hold counts as free: their configuration was checked for conflicts.
///
/// # Errors
/// Fails when another program has a port, or an address can't be used.
pub(crate) fn check_ports<'e>(
    config: &EndpointConfig,
    running: impl Iterator<Item = &'e Endpoint> + Clone,
) -> Result<()> {
    let held = |wanted: &ListenerInfo| {
        running
            .clone()
            .flat_map(|endpoint| &endpoint.listeners)
            .any(|held| held.transport == wanted.transport && covers(held.address, wanted.address))
    };
    listeners(config, held).map(drop)
}

/// Whether a socket at one address has another to itself.
fn covers(held: SocketAddr, wanted: SocketAddr) -> bool {
    let same_family = held.is_ipv4() == wanted.is_ipv4();
    let overlap = held.ip() == wanted.ip() || held.ip().is_unspecified() || wanted.ip().is_unspecified();
    held.port() == wanted.port() && same_family && overlap
}

/// Binds one socket per worker, transport and address.
fn bind(config: &EndpointConfig, place: &Place) -> Result<Sockets> {
    let listeners = listeners(config, |_| false)?;
    let each = |transport: Transport| {
        let listeners = &listeners;
        (0..place.workers).map(move |_| {
            listeners
                .iter()
                .filter(move |listener| listener.transport == transport)
        })
    };
    let options = UdpOptions {
        gro: place.offload.udp_gro,
        gso: place.offload.udp_gso,
        ..UdpOptions::default()
    };
    let udp = each(Transport::Udp)
        .map(|of_worker| {
            of_worker
                .map(|one| UdpSocket::bind(one.address, &options))
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

type Threads = Vec<JoinHandle<()>>;

/// Starts the workers. Returns their threads and the sockets of each.
fn spawn_workers(
    shared: &Arc<Shared>,
    sockets: Sockets,
    queues: Vec<mpsc::Receiver<NumberedQueue>>,
    gone: &mpsc::Sender<u64>,
    stopped: &watch::Receiver<bool>,
    place: &Place,
) -> Result<(Threads, Vec<Vec<Arc<AsyncUdpSocket>>>)> {
    let mut threads = Vec::new();
    let mut sockets_of = Vec::new();
    let mut cpus = place.worker_cpus.iter().copied().cycle();
    for (number, ((udp, tcp), tun)) in sockets.udp.into_iter().zip(sockets.tcp).zip(queues).enumerate() {
        let cpu = cpus.next();
        let (ready, registered) = std::sync::mpsc::sync_channel(1);
        let parts = WorkerParts {
            shared: Arc::clone(shared),
            udp,
            tcp,
            tun,
            tun_gone: gone.clone(),
            moderation: Arc::new(Moderation::new(place.moderation)),
            ack_filter: place.ack_filter,
            stop: stopped.clone(),
            ready,
        };
        threads.push(spawn(format!("worker-{number}-{}", shared.name), move || {
            match cpu.map_or(Ok(()), pin) {
                Ok(()) => worker::run(parts),
                // The receiver waits for it.
                Err(error) => drop(parts.ready.send(Err(error))),
            }
        })?);
        let registered = registered
            .recv()
            .context("Failed to start a worker: it ended at once")??;
        sockets_of.push(registered);
    }
    Ok((threads, sockets_of))
}

/// Keeps the current thread on one CPU.
fn pin(cpu: u16) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu.into())
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &only))
        .with_context(|| {
            format!("Failed to pin a worker to CPU {cpu}; let worker_cpus name CPUs this process may run on (see `taskset -p`)")
        })
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(work)
        .with_context(|| format!("Failed to start thread {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_stays_on_its_cpu_and_an_absent_cpu_is_named() {
        let pinned = std::thread::spawn(|| {
            let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            let cpu = (0..CpuSet::count())
                .rfind(|cpu| allowed.is_set(*cpu).unwrap())
                .unwrap();
            pin(u16::try_from(cpu).unwrap()).unwrap();
            let now = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            let on: Vec<usize> = (0..CpuSet::count())
                .filter(|cpu| now.is_set(*cpu).unwrap())
                .collect();
            assert_eq!(on, [cpu]);
            assert_eq!(nix::sched::sched_getcpu().unwrap(), cpu);
            pin(1023).unwrap_err().to_string()
        });
        let error = pinned.join().unwrap();
        assert!(error.contains("CPU 1023; let worker_cpus"), "{error}");
    }

    #[test]
    fn a_socket_has_its_own_address_to_itself_or_all() {
        let at = |address: &str| address.parse().unwrap();
        let covers = |held: &str, wanted: &str| covers(at(held), at(wanted));
        assert!(covers("192.0.2.1:443", "192.0.2.1:443") && covers("0.0.0.0:443", "192.0.2.1:443"));
        assert!(covers("192.0.2.1:443", "0.0.0.0:443"));
        assert!(
            !covers("192.0.2.1:443", "192.0.2.2:443"),
            "another program may have that one"
        );
        assert!(!covers("192.0.2.1:443", "192.0.2.1:1194") && !covers("[::]:443", "0.0.0.0:443"));
    }

    #[test]
    fn only_every_address_of_a_family_may_be_missing() {
        let refused = |address: &str| TransportError::FamilyNotSupported {
            transport: LinkTransport::Udp,
            address: address.parse().unwrap(),
        };
        assert!(is_family_absent(&refused("[::]:443")));
        assert!(
            !is_family_absent(&refused("[2001:db8::1]:443")),
            "asked for by name"
        );
        let taken = TransportError::PortInUse {
            transport: LinkTransport::Tcp,
            address: "[::]:443".parse().unwrap(),
        };
        assert!(!is_family_absent(&taken));
    }
}
