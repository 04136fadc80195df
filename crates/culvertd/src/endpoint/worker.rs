//! One worker thread of an endpoint: its UDP sockets, its TCP listeners and connections, and its queue of the TUN device,
//! on a single-threaded runtime. Everything here moves packets in batches; decisions are the data plane's.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::BytesMut;
use culvert_data::{Inbound, Outbound};
use culvert_transport::{AsyncUdpSocket, RecvBatch, SendBatch, TcpListener, TcpSocket, UdpSocket};
use culvert_tun::{AsyncTunQueue, JoinBatch};
use culvert_wire::{FirstByte, LinkAddr};
use tokio::sync::{mpsc, watch};

use super::links::LinkCache;
use super::moderation::Moderation;
use super::shared::{Shared, count};
use super::tcp;
use super::tun::{self, NumberedQueue};

/// Batches handled before other tasks of the worker get a turn.
const BUDGET: usize = 16;

/// What a worker is given to start with.
pub(crate) struct WorkerParts {
    /// The endpoint.
    pub(crate) shared: Arc<Shared>,
    /// One per listening address, in the order of their indices.
    pub(crate) udp: Vec<UdpSocket>,
    /// Likewise.
    pub(crate) tcp: Vec<TcpSocket>,
    /// Brings the worker's queue of the TUN device, and another one each time the device is made anew.
    pub(crate) tun: mpsc::Receiver<NumberedQueue>,
    /// Told the generation of a queue that ended because the TUN device is gone.
    pub(crate) tun_gone: mpsc::Sender<u64>,
    /// Decides when it rests.
    pub(crate) moderation: Arc<Moderation>,
    /// Whether redundant TCP acknowledgements of clients are left out.
    pub(crate) ack_filter: bool,
    /// Becomes true when the worker must end.
    pub(crate) stop: watch::Receiver<bool>,
    /// Gets the registered sockets, for the control thread to send with, or why the worker can't start.
    pub(crate) ready: std::sync::mpsc::SyncSender<Result<Vec<Arc<AsyncUdpSocket>>>>,
}

/// State of a worker, shared by its tasks, which all run on its one thread.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sockets: Vec<Arc<AsyncUdpSocket>>,
    sending: RefCell<Sending>,
    /// Where copies of control packets are made for the control thread.
    arena: RefCell<BytesMut>,
    tun: RefCell<Option<Rc<AsyncTunQueue>>>,
    /// Told of every packet; decides whether the worker rests before it waits.
    pub(crate) moderation: Arc<Moderation>,
    ack_filter: bool,
}

/// What became of a packet from outside.
pub(crate) enum Disposition<'p> {
    /// A control packet; the control thread has it.
    Control,
    /// For the network behind the endpoint.
    Tun(&'p [u8]),
    /// The connection it came by must end.
    EndStream,
    /// Dealt with: answered, passed to another client, or dropped and counted.
    Done,
}

/// Packets on their way out.
struct Sending {
    /// One per listening address.
    batches: Vec<SendBatch>,
    links: LinkCache,
}

/// Runs a worker until it is told to stop. Whether it could start goes to `ready`.
pub(crate) fn run(parts: WorkerParts) {
    Moderation::prepare_thread();
    let resting = Arc::clone(&parts.moderation);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || resting.rest())
        .build()
        .context("Failed to start a worker's runtime");
    match runtime {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, serve(parts)),
        // The receiver waits for it.
        Err(error) => drop(parts.ready.send(Err(error))),
    }
}

/// Registers the sockets of a worker with its runtime.
fn register(
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpSocket>,
) -> Result<(Vec<Arc<AsyncUdpSocket>>, Vec<TcpListener>)> {
    let sockets = udp
        .into_iter()
        .map(|socket| AsyncUdpSocket::new(socket).map(Arc::new))
        .collect::<std::io::Result<Vec<_>>>()
        .context("Failed to register a UDP socket")?;
    let listeners = tcp
        .into_iter()
        .map(TcpListener::new)
        .collect::<std::io::Result<Vec<_>>>()
        .context("Failed to register a TCP listener")?;
    Ok((sockets, listeners))
}

async fn serve(parts: WorkerParts) {
    let WorkerParts {
        shared,
        udp,
        tcp,
        tun,
        tun_gone,
        moderation,
        ack_filter,
        mut stop,
        ready,
    } = parts;
    let (sockets, listeners) = match register(udp, tcp) {
        Ok(registered) => registered,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let batches = sockets.iter().map(|socket| SendBatch::new(socket)).collect();
    let worker = Rc::new(Worker {
        shared,
        sockets: sockets.clone(),
        sending: RefCell::new(Sending {
            batches,
            links: LinkCache::default(),
        }),
        arena: RefCell::new(BytesMut::new()),
        tun: RefCell::new(None),
        moderation,
        ack_filter,
    });
    // The receiver is gone only when the start failed elsewhere, and then `stop` ends this worker.
    drop(ready.send(Ok(sockets)));
    for index in 0..worker.sockets.len() {
        tokio::task::spawn_local(receive_datagrams(Rc::clone(&worker), index));
    }
    let buffers = Rc::new(RefCell::new(tcp::Buffers::new(worker.join_batch())));
    for listener in listeners {
        tokio::task::spawn_local(tcp::accept(Rc::clone(&worker), listener, Rc::clone(&buffers)));
    }
    tokio::task::spawn_local(tun::read(Rc::clone(&worker), tun, tun_gone));
    // An error means that the endpoint was dropped, which is a reason to stop, too.
    let _stopped_either_way = stop.wait_for(|stop| *stop).await;
}

/// Moves datagrams from one socket to the TUN device, other clients or the control thread.
async fn receive_datagrams(worker: Rc<Worker>, index: usize) {
    let socket = Arc::clone(&worker.sockets[index]);
    let number = u16::try_from(index).unwrap_or(u16::MAX);
    let mut batch = RecvBatch::new();
    let mut join = worker.join_batch();
    loop {
        if let Err(error) = socket.recv(&mut batch).await {
            // An error of the socket, not of a packet. None is known to last; don't spin if one does.
            tracing::warn!(%error, address = %socket.local_addr(), "receiving failed");
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        // Whatever was received is handled before the turn ends, or it would be lost.
        for turn in 1..=BUDGET {
            worker.handle_datagrams(&mut batch, &mut join, number);
            // A socket that was emptied isn't asked again at once: what its peers sent meanwhile would come in small change.
            // The next wait, and the rest before it, let more gather.
            if batch.drained() {
                break;
            }
            if turn == BUDGET {
                tokio::task::yield_now().await;
            } else if socket.try_recv(&mut batch).is_err() {
                break;
            }
        }
    }
}

impl Worker {
    fn handle_datagrams(&self, batch: &mut RecvBatch, join: &mut JoinBatch, socket: u16) {
        let now_ms = self.shared.now_ms();
        let mut joiner = join.start();
        let datagrams = batch.len() as u64;
        let mut packets = 0;
        for (meta, datagram) in batch.datagrams_mut() {
            if let Disposition::Tun(ip) =
                self.receive_from_link(now_ms, LinkAddr::Udp(meta.path(socket)), datagram)
            {
                joiner.push(ip);
                packets += 1;
            }
        }
        self.moderation.handled(datagrams);
        tun::write(self, joiner, packets);
        self.flush();
    }

    /// Room for what a batch brings for the TUN device.
    fn join_batch(&self) -> JoinBatch {
        JoinBatch::new().filter_acks(self.ack_filter)
    }

    /// The TUN queue, unless the device is gone just now.
    pub(crate) fn tun(&self) -> Option<Rc<AsyncTunQueue>> {
        self.tun.borrow().clone()
    }

    /// Replaces the TUN queue.
    pub(crate) fn set_tun(&self, queue: Option<Rc<AsyncTunQueue>>) {
        *self.tun.borrow_mut() = queue;
    }

    /// Handles one packet from outside, without its TCP length prefix; what it causes goes into the batches.
    pub(crate) fn receive_from_link<'p>(
        &self,
        now_ms: u64,
        from: LinkAddr,
        packet: &'p mut [u8],
    ) -> Disposition<'p> {
        let shared = &self.shared;
        let Some(first) = packet.first().and_then(|byte| FirstByte::parse(*byte).ok()) else {
            count(&shared.drops.malformed, 1);
            return Disposition::Done;
        };
        if !first.opcode.is_data() {
            shared.inbox.packet(from, packet, &mut self.arena.borrow_mut());
            return Disposition::Control;
        }
        match shared.data.open(now_ms, &from, packet) {
            Ok(Inbound::Tun { ip }) => return Disposition::Tun(ip),
            Ok(Inbound::ToClient { ip, out }) => self.to_link(&out, &[ip]),
            Ok(Inbound::Reply { payload, out }) => self.to_link(&out, &[&payload]),
            // The peer of a reliable stream that sends what can't be opened has lost the thread, or is an attacker.
            Err(reason) if reason.ends_stream() && !from.is_udp() => return Disposition::EndStream,
            // Consumed, or dropped and counted by the data plane.
            Ok(_) | Err(_) => {}
        }
        Disposition::Done
    }

    /// Seals a packet, given in parts, straight into the send batch or connection of its client.
    pub(crate) fn to_link(&self, out: &Outbound, parts: &[&[u8]]) {
        let plain: usize = parts.iter().map(|part| part.len()).sum();
        let length = out.sealed_len(plain);
        let mut sending = self.sending.borrow_mut();
        let sending = &mut *sending;
        match out.link() {
            LinkAddr::Udp(path) => {
                let index = usize::from(path.socket);
                let (Some(batch), Some(socket)) = (sending.batches.get_mut(index), self.sockets.get(index))
                else {
                    return;
                };
                if batch.reserve(&path, length).is_none() {
                    self.flush_batch(batch, socket);
                }
                if let Some(slot) = batch.reserve(&path, length) {
                    match out.seal_into(parts, slot) {
                        Ok(sealed) => batch.commit(sealed),
                        Err(_counted_by_the_data_plane) => batch.abandon(),
                    }
                }
            }
            LinkAddr::Tcp(link) => {
                let pushed = sending
                    .links
                    .queue(&self.shared.links, link.id)
                    .is_some_and(|queue| {
                        queue
                            .push_data_with(length, |slot| out.seal_into(parts, slot).ok())
                            .is_ok()
                    });
                count(&self.shared.drops.connection_full, u64::from(!pushed));
            }
        }
    }

    /// Sends what the batches hold. Called once per received batch.
    pub(crate) fn flush(&self) {
        let mut sending = self.sending.borrow_mut();
        for (batch, socket) in sending.batches.iter_mut().zip(&self.sockets) {
            if !batch.is_empty() {
                self.flush_batch(batch, socket);
            }
        }
    }

    fn flush_batch(&self, batch: &mut SendBatch, socket: &AsyncUdpSocket) {
        let drops = &self.shared.drops;
        match batch.flush(socket) {
            Ok(report) => {
                count(&drops.socket_full, report.full);
                count(&drops.unreachable, report.unreachable);
            }
            Err(error) => {
                // Rate-limited by its rarity: the socket itself is broken.
                drops.socket_full.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "sending failed");
            }
        }
    }
}
