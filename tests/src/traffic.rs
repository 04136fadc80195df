//! Real traffic between a client machine and the host: bulk transfers with verified hashes, and a ping series.

use std::cmp::Reverse;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use ring::digest;

use crate::netns::Netns;

/// The TCP port of [`BulkServer`].
pub const BULK_PORT: u16 = 5001;
/// The UDP port of [`EchoServer`].
pub const ECHO_PORT: u16 = 5002;
/// The size of a matrix transfer, each way.
pub const TRANSFER: u64 = 20_000_000;

/// How many of its longest silences a ping series keeps.
const SILENCES: usize = 16;

/// How long a connection may stand still.
pub(crate) const STALL: Duration = Duration::from_secs(120);

/// Pseudo-random bytes that depend on a seed: both ends can make and check them without a file.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(pub(crate) u64);

impl Pattern {
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let word = self.0.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

fn send_pattern(mut stream: &TcpStream, seed: u64, length: u64) -> Result<()> {
    let mut pattern = Pattern(seed | 1);
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let n = usize::try_from(left.min(buffer.len() as u64))?;
        pattern.fill(&mut buffer[..n]);
        hash.update(&buffer[..n]);
        stream.write_all(&buffer[..n])?;
        left -= n as u64;
    }
    stream.write_all(hash.finish().as_ref())?;
    Ok(())
}

fn receive_pattern(mut stream: &TcpStream, length: u64) -> Result<()> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let n = usize::try_from(left.min(buffer.len() as u64))?;
        let n = stream
            .read(&mut buffer[..n])
            .context("Failed to read from the transfer")?;
        ensure!(n > 0, "the transfer ended {left} bytes early");
        hash.update(&buffer[..n]);
        left -= n as u64;
    }
    let mut sent = [0; 32];
    stream.read_exact(&mut sent)?;
    ensure!(hash.finish().as_ref() == sent, "the transfer arrived damaged");
    Ok(())
}

/// Lets a connection see loss as loss and not as congestion, with BBR instead of the default congestion control.
fn use_bbr(stream: &TcpStream) -> Result<()> {
    setsockopt(stream, sockopt::TcpCongestion, &"bbr".into())
        .context("The kernel lacks BBR congestion control: load its module tcp_bbr")
}

fn serve_one(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    receive_pattern(&stream, length)?;
    send_pattern(&stream, length ^ 0x5eed, length)
}

/// A thread with a stop flag, ended when dropped.
#[derive(Debug)]
pub(crate) struct Stoppable {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Stoppable {
    fn spawn(ns: &Netns, work: impl FnOnce(Arc<AtomicBool>) -> Result<()> + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = Some(ns.spawn(move || work(flag))?);
        Ok(Self { stop, thread })
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Serves every connection to a port of a namespace on a thread of its own.
pub(crate) fn accept_all(ns: &Netns, port: u16, serve: fn(TcpStream)) -> Result<Stoppable> {
    let listener = ns.enter(move || Ok(TcpListener::bind(("::", port))?))?;
    listener.set_nonblocking(true)?;
    Stoppable::spawn(ns, move |stop| {
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    std::thread::spawn(move || serve(stream));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(())
    })
}

/// Answers bulk transfers on the host, on every address.
#[derive(Debug)]
pub struct BulkServer {
    _thread: Stoppable,
}

impl BulkServer {
    /// Starts listening in a namespace.
    ///
    /// # Errors
    /// Fails when the port is taken.
    pub fn start(ns: &Netns) -> Result<Self> {
        // A failed transfer shows at the client's end, where the test looks.
        let thread = accept_all(ns, BULK_PORT, |stream| drop(serve_one(stream)))?;
        Ok(Self { _thread: thread })
    }

    /// Likewise, for [`transfer_through_loss`].
    ///
    /// # Errors
    /// Fails when the port is taken.
    pub fn start_for_loss(ns: &Netns) -> Result<Self> {
        let thread = accept_all(ns, BULK_PORT, |stream| {
            drop(use_bbr(&stream).and_then(|()| serve_one(stream)));
        })?;
        Ok(Self { _thread: thread })
    }
}

/// Sends `length` bytes from a namespace to the host and receives as many, both hashed.
///
/// # Errors
/// Fails when the connection does, stalls for a minute, or the data arrive damaged.
pub fn transfer(ns: &Netns, host: IpAddr, length: u64) -> Result<Duration> {
    ns.enter(move || transfer_here(&connect(host)?, length))
}

/// Like [`transfer`], from [`BulkServer::start_for_loss`] over a link that loses packets. The default congestion control takes
/// every loss for congestion: through 30 % each way it sends a packet now and then, with or without a tunnel. BBR, which every
/// distribution's kernel has, doesn't, so that the transfer tests the tunnel and not TCP.
///
/// # Errors
/// As [`transfer`], and when the kernel lacks BBR.
pub fn transfer_through_loss(ns: &Netns, host: IpAddr, length: u64) -> Result<Duration> {
    ns.enter(move || {
        let stream = connect(host)?;
        use_bbr(&stream)?;
        transfer_here(&stream, length)
    })
}

/// Like [`transfer`], in the background.
///
/// # Errors
/// Fails when the namespace doesn't exist.
pub fn spawn_transfer(ns: &Netns, host: IpAddr, length: u64) -> Result<JoinHandle<Result<Duration>>> {
    ns.spawn(move || transfer_here(&connect(host)?, length))
}

fn connect(host: IpAddr) -> Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(host, BULK_PORT), Duration::from_secs(15))
        .context("Failed to reach the host through the tunnel")
}

fn transfer_here(mut stream: &TcpStream, length: u64) -> Result<Duration> {
    let start = Instant::now();
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    stream.write_all(&length.to_be_bytes())?;
    send_pattern(stream, length, length)?;
    receive_pattern(stream, length)?;
    Ok(start.elapsed())
}

/// Echoes UDP datagrams on the host.
#[derive(Debug)]
pub struct EchoServer {
    _thread: Stoppable,
}

impl EchoServer {
    /// Starts listening in a namespace.
    ///
    /// # Errors
    /// Fails when the port is taken.
    pub fn start(ns: &Netns) -> Result<Self> {
        Self::start_on(ns, IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }

    /// Likewise, on one address, which the answers then come from.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(ns: &Netns, address: IpAddr) -> Result<Self> {
        let socket = ns.enter(move || Ok(UdpSocket::bind((address, ECHO_PORT))?))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let thread = Stoppable::spawn(ns, move |stop| {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((n, from)) = socket.recv_from(&mut buffer) {
                    drop(socket.send_to(&buffer[..n], from));
                }
            }
            Ok(())
        })?;
        Ok(Self { _thread: thread })
    }
}

/// What a ping series saw.
#[derive(Clone, Debug, Default)]
pub struct PingSeries {
    /// Requests sent.
    pub sent: u32,
    /// Distinct answers received.
    pub received: u32,
    /// The longest run of consecutive requests without an answer.
    pub longest_gap: u32,
    /// The longest times between two answers, the longest first.
    pub silences: Vec<Silence>,
    /// The time to an answer, from the request: the middle one of all.
    pub median: Duration,
    /// The longest one.
    pub slowest: Duration,
}

/// A time without an answer in a ping series.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// When the answer before it came.
    pub since: SystemTime,
    /// The time to the answer after it.
    pub length: Duration,
}

impl Silence {
    /// Whether any of it is less than `within` away from a moment.
    #[must_use]
    pub fn is_near(&self, moment: SystemTime, within: Duration) -> bool {
        self.since < moment + within && self.since + self.length + within > moment
    }
}

/// Sends `count` UDP echo requests to the host, one each `interval`, and counts the answers.
///
/// # Errors
/// Fails when the namespace can't be entered or the socket can't be made.
pub fn spawn_pings(
    ns: &Netns,
    host: IpAddr,
    interval: Duration,
    count: u32,
) -> Result<JoinHandle<Result<PingSeries>>> {
    ns.spawn(move || {
        let socket = UdpSocket::bind(if host.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect((host, ECHO_PORT))?;
        let receiver = socket.try_clone()?;
        receiver.set_read_timeout(Some(Duration::from_millis(50)))?;
        let done = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&done);
        let start = Instant::now();
        let counter = std::thread::spawn(move || collect_pings(&receiver, count, start, &finished));
        for sequence in 0..count {
            let due = start + interval * sequence;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A full send queue is a lost ping, which is what the series counts.
            drop(socket.send(&ping(sequence, start)));
        }
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        counter
            .join()
            .map_err(|_| anyhow::anyhow!("the ping receiver panicked"))
    })
}

/// A ping: its number, and the microseconds since `start` at which it leaves.
fn ping(sequence: u32, start: Instant) -> [u8; 12] {
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut ping = [0; 12];
    ping[..4].copy_from_slice(&sequence.to_be_bytes());
    ping[4..].copy_from_slice(&micros.to_be_bytes());
    ping
}

/// The number of a ping and when it left.
fn read_ping(ping: &[u8], start: Instant) -> Option<(usize, Instant)> {
    let (sequence, micros) = ping.split_first_chunk()?;
    let sequence = usize::try_from(u32::from_be_bytes(*sequence)).ok()?;
    let micros = u64::from_be_bytes(micros.try_into().ok()?);
    Some((sequence, start + Duration::from_micros(micros)))
}

fn collect_pings(socket: &UdpSocket, count: u32, start: Instant, done: &AtomicBool) -> PingSeries {
    let mut seen = vec![false; count as usize];
    let mut series = PingSeries {
        sent: count,
        ..PingSeries::default()
    };
    let mut last: Option<Instant> = None;
    let mut silences = Vec::with_capacity(count as usize);
    let mut round_trips = Vec::with_capacity(count as usize);
    let mut buffer = [0; 64];
    while !done.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else {
            continue;
        };
        let Some((sequence, left)) = read_ping(&buffer[..length], start) else {
            continue;
        };
        let Some(slot) = seen.get_mut(sequence) else {
            continue;
        };
        if std::mem::replace(slot, true) {
            continue;
        }
        series.received += 1;
        let now = Instant::now();
        round_trips.push(now - left);
        if let Some(last) = last.replace(now) {
            let length = now - last;
            let since = SystemTime::now() - length;
            silences.push(Silence { since, length });
        }
    }
    silences.sort_unstable_by_key(|silence| Reverse(silence.length));
    silences.truncate(SILENCES);
    series.silences = silences;
    round_trips.sort_unstable();
    series.median = round_trips
        .get(round_trips.len() / 2)
        .copied()
        .unwrap_or_default();
    series.slowest = round_trips.last().copied().unwrap_or_default();
    let mut gap = 0;
    for answered in seen {
        gap = if answered { 0 } else { gap + 1 };
        series.longest_gap = series.longest_gap.max(gap);
    }
    series
}

/// Pings an address until it answers.
///
/// # Errors
/// Fails when it doesn't answer within the time-out.
pub fn wait_reachable(ns: &Netns, host: IpAddr, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    let text = host.to_string();
    loop {
        if ns.run("ping", &["-n", "-c", "1", "-W", "1", &text]).is_ok() {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{host} is not reachable from {} after {timeout:?}",
            ns.name()
        );
    }
}

/// Whether an address answers one ping within a second.
#[must_use]
pub fn reachable(ns: &Netns, host: IpAddr) -> bool {
    ns.run("ping", &["-n", "-c", "1", "-W", "1", &host.to_string()])
        .is_ok()
}

/// Whether a connection of TCP comes about with an address that [`BulkServer`] listens on.
///
/// # Errors
/// Fails when there is no answer to tell: the machine itself has no way there.
pub fn tcp_connects(to: IpAddr, patience: Duration) -> Result<bool> {
    match TcpStream::connect_timeout(&SocketAddr::new(to, BULK_PORT), patience) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NetworkUnreachable => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Whether a datagram of UDP is answered by an [`EchoServer`]; two more are sent if the first one isn't.
///
/// # Errors
/// Fails when the machine itself has no way there.
pub fn udp_answers(to: IpAddr, patience: Duration) -> Result<bool> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((to, ECHO_PORT))?;
    socket.set_read_timeout(Some(patience / 3))?;
    for _ in 0..3 {
        // An answer that says nobody is there makes the next call fail; nobody is there, then.
        drop(socket.send(b"anybody?"));
        if socket.recv(&mut [0; 64]).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
