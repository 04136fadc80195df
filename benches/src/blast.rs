//! `blast`: UDP packets through the tunnels as fast as this machine can seal and send them, each as a datagram of its
//! own, which is how those of stock clients arrive.

use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use culvert_wire::Transport;
use tokio::time::{Instant, timeout_at};

use crate::arguments::BlastArguments;
use crate::clock::{self, Stopwatch};
use crate::dialer::Dialer;
use crate::fleet::Fleet;
use crate::packet;
use crate::report::{Outcome, Report};
use crate::session::Session;

/// Packets of one client sent with one system call, before the next client's turn.
const BURST: usize = 64;
/// Port the packets come from.
const SOURCE_PORT: u16 = 40_000;

/// A client and the packet it sends.
struct Gun {
    session: Rc<Session>,
    packet: Vec<u8>,
}

/// Connects, sends for the given time, and leaves.
///
/// # Errors
/// When a client can't connect or ends.
pub(crate) async fn run(arguments: BlastArguments) -> Result<()> {
    let connect = &arguments.connect;
    let dialer = Rc::new(Dialer::new(connect, false)?);
    if dialer.transport != Transport::Udp {
        bail!("`blast` sends datagrams: use --proto udp; for TCP measure with `tunnel`");
    }
    let mut fleet = Fleet::connect(&dialer, connect.clients, arguments.concurrency, || {
        Session::discard
    })
    .await?;
    let guns = fleet
        .sessions
        .iter()
        .map(|session| gun(session, &arguments))
        .collect::<Result<Vec<_>>>()?;
    Report::Ready {
        clients: guns.len(),
        addresses: guns.iter().filter_map(|gun| gun.session.client().v4()).collect(),
        seconds: fleet.seconds,
    }
    .print()?;
    let watch = Stopwatch::start();
    let deadline = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut sent = 0;
    tokio::select! {
        // A timeout is how it ends.
        _ = timeout_at(deadline, fire(&guns, &mut sent)) => {}
        error = fleet.lost() => return Err(error),
    }
    let result = Outcome::Sent {
        sent,
        bytes: sent * u64::from(arguments.size),
        seconds: watch.seconds(),
        cpu_seconds: watch.cpu_seconds(),
    };
    Report::Result(result).print()?;
    fleet.leave().await;
    Ok(())
}

fn gun(session: &Rc<Session>, arguments: &BlastArguments) -> Result<Gun> {
    let address = session
        .client()
        .v4()
        .context("The server gave a client no IPv4 address; `blast` needs one for each")?;
    Ok(Gun {
        session: Rc::clone(session),
        packet: packet::udp(
            arguments.size,
            SocketAddrV4::new(address, SOURCE_PORT),
            arguments.to,
        ),
    })
}

/// Sends for ever, counting what the kernel took. Between bursts the clients' own tasks get their turns.
async fn fire(guns: &[Gun], sent: &mut u64) {
    loop {
        for Gun { session, packet } in guns {
            let now = clock::now();
            for _ in 0..BURST {
                session.send(now, &[packet]);
            }
            *sent += session.flush();
            tokio::task::yield_now().await;
        }
    }
}
