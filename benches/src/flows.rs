//! `flows`: one TCP connection per source address to a `pump`, for the throughput of many tunnels at once.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::arguments::{Direction, FlowsArguments};
use crate::clock::Stopwatch;
use crate::link;
use crate::pump::{self, GIVE, TAKE};
use crate::report::{Outcome, Report};

/// How long a connection may take to come about, and what was sent to arrive.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes a connection may hold that TCP hasn't sent yet. Without a limit a hundred connections hold more than a slow server
/// carries in a minute, and all of it has to arrive.
const UNSENT: u32 = 256 << 10;

/// Connects all, moves bytes for the given time, and counts those that arrived.
///
/// # Errors
/// When a connection can't be made or breaks.
pub(crate) async fn run(arguments: FlowsArguments) -> Result<()> {
    let mut streams = Vec::new();
    for from in &arguments.from {
        streams.push(connect(*from, arguments.to).await?);
    }
    let watch = Stopwatch::start();
    let deadline = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut flows = JoinSet::new();
    for stream in streams {
        match arguments.direction {
            Direction::Up => flows.spawn_local(up(stream, deadline)),
            Direction::Down => flows.spawn_local(down(stream, deadline)),
        };
    }
    let mut bytes = 0;
    while let Some(flow) = flows.join_next().await {
        bytes += flow.context("A task of the generator failed")??;
    }
    let result = Outcome::Moved {
        bytes,
        seconds: watch.seconds(),
        cpu_seconds: watch.cpu_seconds(),
    };
    Report::Result(result).print()
}

async fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let socket = link::tcp_socket(from)?;
    SockRef::from(&socket)
        .set_tcp_notsent_lowat(UNSENT)
        .context("Failed to set TCP_NOTSENT_LOWAT")?;
    timeout(PATIENCE, socket.connect(to))
        .await
        .with_context(|| format!("{to} doesn't answer {from}; does `culvert-bench pump` listen there?"))?
        .with_context(|| format!("Failed to connect from {from} to {to}"))
}

/// Sends until the deadline; returns how many bytes arrived, once they have.
async fn up(mut stream: TcpStream, deadline: Instant) -> Result<u64> {
    stream.write_u8(TAKE).await.context("The connection broke")?;
    if let Ok(ended) = timeout_at(deadline, pump::give(&mut stream, &Cell::new(0))).await {
        ended.context("The connection broke")?;
    }
    stream.shutdown().await.context("The connection broke")?;
    match timeout(PATIENCE, stream.read_u64()).await {
        Ok(arrived) => arrived.context("The connection broke before all that was sent had arrived"),
        Err(_) => bail!("What was sent didn't arrive within {PATIENCE:?} after the end"),
    }
}

/// Receives until the deadline; returns how many bytes arrived.
async fn down(mut stream: TcpStream, deadline: Instant) -> Result<u64> {
    stream.write_u8(GIVE).await.context("The connection broke")?;
    let arrived = Cell::new(0);
    match timeout_at(deadline, pump::take(&mut stream, &arrived)).await {
        Err(_) => Ok(arrived.get()),
        Ok(ended) => {
            ended.context("The connection broke")?;
            bail!("The pump closed the connection before the end")
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;

    /// Runs one flow against a pump over loopback; returns the flow's count and the pump's.
    async fn flow(direction: Direction) -> (u64, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let moved = std::rc::Rc::new(Cell::new(0));
        let pumped = std::rc::Rc::clone(&moved);
        tokio::task::spawn_local(async move { pump::accept(listener, &pumped).await });
        let stream = connect("127.0.0.1".parse().unwrap(), to).await.unwrap();
        let deadline = Instant::now() + Duration::from_millis(200);
        let arrived = match direction {
            Direction::Up => up(stream, deadline).await.unwrap(),
            Direction::Down => down(stream, deadline).await.unwrap(),
        };
        (arrived, moved.get())
    }

    #[tokio::test]
    async fn bytes_sent_up_are_those_the_pump_took() {
        let (arrived, pumped) = LocalSet::new().run_until(flow(Direction::Up)).await;
        assert!(arrived > pump::CHUNK as u64, "{arrived}");
        assert_eq!(arrived, pumped);
    }

    #[tokio::test]
    async fn bytes_received_are_no_more_than_the_pump_gave() {
        let (arrived, pumped) = LocalSet::new().run_until(flow(Direction::Down)).await;
        assert!(arrived > pump::CHUNK as u64, "{arrived}");
        assert!(arrived <= pumped, "{arrived} > {pumped}");
    }

    #[tokio::test]
    async fn a_foreign_source_address_is_named() {
        let error = connect("192.0.2.1".parse().unwrap(), "127.0.0.1:9".parse().unwrap())
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains("192.0.2.1"), "{error:#}");
    }
}
