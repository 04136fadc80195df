//! `tunnel`: the packets of a TUN device through the tunnels of many clients, each packet through the one whose address
//! it comes from.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use culvert_tun::netlink::Netlink;
use culvert_tun::{AsyncTunQueue, JoinBatch, SuperBuf, TunDevice, TunOptions};
use ipnetwork::IpNetwork;

use crate::arguments::TunnelArguments;
use crate::clock::{self, Stopwatch};
use crate::dialer::Dialer;
use crate::fleet::Fleet;
use crate::link::Incoming;
use crate::packet::source;
use crate::report::{Report, TrafficReport};
use crate::session::Session;
use crate::stop::Stop;

/// Super-packets read before what they became is sent.
const BUDGET: usize = 64;
/// MTU of a tunnel whose server pushes none.
const DEFAULT_MTU: u16 = 1500;
/// How long to wait for a TCP connection that takes no more.
const PAUSE: Duration = Duration::from_millis(1);

/// The TUN queue, once the clients' addresses are known, and what has passed it.
#[derive(Default)]
struct Tunnel {
    queue: OnceCell<AsyncTunQueue>,
    rx_bytes: Cell<u64>,
    tx_bytes: Cell<u64>,
    rx_packets: Cell<u64>,
    tx_packets: Cell<u64>,
    dropped: Cell<u64>,
}

/// Connects, carries packets until told to stop, and leaves.
///
/// # Errors
/// When a client can't connect or ends, or the TUN device can't be made.
pub(crate) async fn run(arguments: TunnelArguments) -> Result<()> {
    let mut stop = Stop::listen()?;
    let connect = &arguments.connect;
    let dialer = Rc::new(Dialer::new(connect, !arguments.no_gso)?);
    let tunnel = Rc::new(Tunnel::default());
    let handler = {
        let tunnel = Rc::clone(&tunnel);
        move || Tunnel::handler(Rc::clone(&tunnel))
    };
    let connecting = Fleet::connect(&dialer, connect.clients, arguments.concurrency, handler);
    let mut fleet = tokio::select! {
        fleet = connecting => fleet?,
        () = stop.told() => bail!("Stopped before all clients were connected"),
    };
    let addresses = addresses(&fleet)?;
    let mut device = make_device(&arguments.device, &fleet, &addresses, &arguments.route).await?;
    let queue = device
        .take_queues()
        .pop()
        .context("The TUN device has no queue")?;
    let queue = AsyncTunQueue::new(queue)?;
    let queue = tunnel.queue.get_or_init(|| queue);
    let watch = Stopwatch::start();
    Report::Ready {
        clients: fleet.sessions.len(),
        addresses: addresses.clone(),
        seconds: fleet.seconds,
    }
    .print()?;
    let routes = addresses.into_iter().zip(fleet.sessions.clone()).collect();
    tokio::select! {
        () = stop.told() => {}
        error = fleet.lost() => return Err(error),
        result = tunnel.read(queue, &routes) => return result,
    }
    Report::End(tunnel.report(&fleet, watch)).print()?;
    fleet.leave().await;
    Ok(())
}

/// The address of each client, in order.
fn addresses(fleet: &Fleet) -> Result<Vec<Ipv4Addr>> {
    let addresses = fleet.sessions.iter().map(|session| session.client().v4());
    addresses
        .collect::<Option<_>>()
        .context("The server gave a client no IPv4 address; `tunnel` needs one for each")
}

/// Makes the TUN device with all addresses and routes.
async fn make_device(
    name: &str,
    fleet: &Fleet,
    addresses: &[Ipv4Addr],
    routes: &[IpNetwork],
) -> Result<TunDevice> {
    let (first, others) = addresses.split_first().context("There is no client")?;
    let pushed = fleet.sessions.first().and_then(|session| {
        let client = session.client();
        client.options().and_then(|options| options.tun_mtu())
    });
    let options = TunOptions {
        mtu: pushed.unwrap_or(DEFAULT_MTU),
        v4: Some((*first, 32)),
        ..TunOptions::new(name)
    };
    let device = TunDevice::create(&options).await?;
    let netlink = Netlink::open()?;
    for address in others {
        netlink
            .add_address(device.index(), IpAddr::V4(*address), 32)
            .await?;
    }
    for route in routes {
        device.add_route(*route).await?;
    }
    Ok(device)
}

impl Tunnel {
    /// What writes the packets of one client to the TUN device; they are lost while there is none yet.
    fn handler(tunnel: Rc<Self>) -> impl FnMut(&Session, &mut Incoming) {
        let mut join = JoinBatch::new();
        move |session, incoming| {
            let mut joiner = join.start();
            session.open_batch(incoming, |ip| joiner.push(ip));
            let Some(queue) = tunnel.queue.get() else { return };
            if joiner.is_empty() {
                return;
            }
            // An error means that the device is gone; its reader sees the same and ends the run.
            if let Ok(report) = joiner.flush(queue) {
                add(&tunnel.rx_packets, report.written);
                add(&tunnel.rx_bytes, report.bytes);
                add(&tunnel.dropped, report.dropped);
            }
        }
    }

    /// Carries packets from the TUN device to the server until the device is gone.
    async fn read(&self, queue: &AsyncTunQueue, routes: &HashMap<Ipv4Addr, Rc<Session>>) -> Result<()> {
        let mut buffer = SuperBuf::new();
        let mut touched: Vec<&Session> = Vec::with_capacity(BUDGET);
        loop {
            queue.recv_super(&mut buffer).await?;
            let now = clock::now();
            for turn in 1.. {
                let session = source(buffer.packet_mut()).and_then(|source| routes.get(&source));
                if let Some(session) = session {
                    self.send(now, session, &mut buffer);
                    if !touched.last().is_some_and(|last| std::ptr::eq(*last, &**session)) {
                        touched.push(session);
                    }
                } else {
                    add(&self.dropped, 1);
                }
                if turn == BUDGET
                    || session.is_some_and(|session| session.link().is_congested())
                    || !queue.try_recv_super(&mut buffer)?
                {
                    break;
                }
            }
            for session in &touched {
                session.flush();
            }
            tokio::task::yield_now().await;
            for session in touched.drain(..) {
                // A client over TCP reads no more packets than its connection takes, as a stock client.
                while session.link().is_congested() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Seals the segments of a super-packet.
    fn send(&self, now: culvert_wire::Now, session: &Session, buffer: &mut SuperBuf) {
        let (mut packets, mut bytes, mut dropped) = (0, 0, 0);
        let mut segments = buffer.segments();
        while let Some(segment) = segments.next() {
            if session.send(now, &[segment.header, segment.payload]) {
                packets += 1;
                bytes += segment.len() as u64;
            } else {
                dropped += 1;
            }
        }
        add(&self.tx_packets, packets);
        add(&self.tx_bytes, bytes);
        add(&self.dropped, dropped);
    }

    fn report(&self, fleet: &Fleet, watch: Stopwatch) -> TrafficReport {
        TrafficReport {
            rx_bytes: self.rx_bytes.get(),
            tx_bytes: self.tx_bytes.get(),
            rx_packets: self.rx_packets.get(),
            tx_packets: self.tx_packets.get(),
            dropped: self.dropped.get() + fleet.dropped(),
            seconds: watch.seconds(),
            cpu_seconds: watch.cpu_seconds(),
        }
    }
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}
