//! One TCP connection through the tunnel that lasts as long as the test wants, at the pace it wants.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;
use crate::traffic::{Pattern, STALL, Stoppable, accept_all};

/// The TCP port of [`StreamEcho`].
pub const STREAM_PORT: u16 = 5003;

/// Echoes TCP streams on the host.
#[derive(Debug)]
pub struct StreamEcho {
    _thread: Stoppable,
}

impl StreamEcho {
    /// Starts listening in a namespace.
    ///
    /// # Errors
    /// Fails when the port is taken.
    pub fn start(ns: &Netns) -> Result<Self> {
        let thread = accept_all(ns, STREAM_PORT, |stream| {
            // How it ends shows at the client's end, where the test looks.
            drop(stream.set_read_timeout(Some(STALL)));
            drop(std::io::copy(&mut &stream, &mut &stream));
        })?;
        Ok(Self { _thread: thread })
    }
}

/// How fast [`spawn_stream`] sends.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many bytes a second each way. No queue on the way fills, and what is lost is lost by whatever the test does
    /// meanwhile.
    Steady(usize),
    /// As fast as the link goes: queues fill, and the link itself delays and loses packets.
    Full,
}

impl Pace {
    const BEAT: Duration = Duration::from_millis(10);

    /// The bytes written at once.
    fn chunk(self) -> usize {
        match self {
            Self::Steady(bytes_per_second) => bytes_per_second / 100,
            Self::Full => 64 * 1024,
        }
    }

    /// Waits for the moment of the next chunk.
    fn wait(self, start: Instant, chunks: u32) {
        if matches!(self, Self::Steady(_)) {
            std::thread::sleep((start + Self::BEAT * chunks).saturating_duration_since(Instant::now()));
        }
    }
}

/// Sends a stream over one TCP connection to [`StreamEcho`] for a time, and verifies that all of it comes back, undamaged;
/// returns the bytes that did.
///
/// # Errors
/// Fails when the connection breaks, stalls for two minutes, or brings something else back.
pub fn spawn_stream(
    ns: &Netns,
    host: IpAddr,
    pace: Pace,
    length: Duration,
) -> Result<JoinHandle<Result<u64>>> {
    ns.spawn(move || {
        let stream =
            TcpStream::connect((host, STREAM_PORT)).context("Failed to reach the host through the tunnel")?;
        stream.set_read_timeout(Some(STALL))?;
        stream.set_write_timeout(Some(STALL))?;
        stream.set_nodelay(true)?;
        let mut reader = stream.try_clone()?;
        let verifier = std::thread::spawn(move || verify_stream(&mut reader, pace.chunk()));
        let mut pattern = Pattern(1);
        let mut buffer = vec![0; pace.chunk()];
        let mut chunks = 0;
        let start = Instant::now();
        while start.elapsed() < length {
            pattern.fill(&mut buffer);
            (&stream).write_all(&buffer).context("The stream broke")?;
            chunks += 1;
            pace.wait(start, chunks);
        }
        stream.shutdown(Shutdown::Write)?;
        let received = verifier
            .join()
            .map_err(|_| anyhow::anyhow!("the verifier panicked"))??;
        let sent = buffer.len() as u64 * u64::from(chunks);
        ensure!(received == sent, "{received} of {sent} bytes came back");
        Ok(received)
    })
}

/// Compares what comes back with what was sent until the other side ends the stream; returns the bytes.
fn verify_stream(reader: &mut TcpStream, chunk: usize) -> Result<u64> {
    let mut pattern = Pattern(1);
    let (mut expected, mut got) = (vec![0; chunk], Vec::with_capacity(chunk));
    let mut received = 0;
    loop {
        got.clear();
        reader
            .take(chunk as u64)
            .read_to_end(&mut got)
            .context("The stream broke")?;
        if got.is_empty() {
            return Ok(received);
        }
        pattern.fill(&mut expected);
        ensure!(
            got == expected[..got.len()],
            "the stream came back damaged after {received} bytes"
        );
        received += got.len() as u64;
    }
}
