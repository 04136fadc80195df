//! The command line.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use culvert_wire::Transport;
use ipnetwork::IpNetwork;

/// Puts load on an OpenVPN server and tells, as JSON lines, what came through.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connect clients and carry the packets of a TUN device through their tunnels until stopped.
    Tunnel(TunnelArguments),
    /// Connect and leave, over and over.
    Handshakes(HandshakesArguments),
    /// Send UDP packets through the tunnels as fast as possible, each as a datagram of its own.
    Blast(BlastArguments),
    /// Count the UDP packets that arrive, until stopped.
    Sink(ListenArguments),
    /// Connect clients and keep them connected until stopped.
    Idle(IdleArguments),
    /// Move bytes over one TCP connection per source address, to or from a `pump`.
    Flows(FlowsArguments),
    /// The other end of `flows`, until stopped.
    Pump(ListenArguments),
}

/// The server and who connects to it.
#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Address and port of the server.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) server: SocketAddr,
    /// Transport protocol.
    #[arg(long, default_value = "udp")]
    pub(crate) proto: Proto,
    /// Authority of the server's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// Certificate all clients show, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: PathBuf,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Addresses of this machine to connect from, in turn: servers limit what comes from one. Default: the kernel's choice.
    #[arg(long, value_name = "IP,..", value_delimiter = ',')]
    pub(crate) from: Vec<IpAddr>,
    /// Number of clients.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
}

/// `--proto`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Proto {
    /// One packet per datagram.
    Udp,
    /// A connection per client.
    Tcp,
}

impl From<Proto> for Transport {
    fn from(proto: Proto) -> Self {
        match proto {
            Proto::Udp => Self::Udp,
            Proto::Tcp => Self::Tcp,
        }
    }
}

/// Arguments of `tunnel`.
#[derive(Debug, Args)]
pub(crate) struct TunnelArguments {
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
    /// Send each datagram as a message of its own and receive them as they come, as clients without UDP_SEGMENT and
    /// UDP_GRO do.
    #[arg(long)]
    pub(crate) no_gso: bool,
    /// Name of the TUN device that gets the addresses of all clients.
    #[arg(long, default_value = "bench0")]
    pub(crate) device: String,
    /// Network to reach through the tunnels; may be repeated.
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub(crate) route: Vec<IpNetwork>,
    /// Handshakes at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
}

/// Arguments of `handshakes`.
#[derive(Debug, Args)]
pub(crate) struct HandshakesArguments {
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
    /// How long.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// Handshakes at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
}

/// Arguments of `blast`.
#[derive(Debug, Args)]
pub(crate) struct BlastArguments {
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
    /// Bytes of each packet inside the tunnel, IP header included.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(28..=9000))]
    pub(crate) size: u16,
    /// How long.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// Address and port behind the server the packets go to.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) to: SocketAddrV4,
    /// Handshakes at a time, before the packets.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
}

/// Arguments of `idle`.
#[derive(Debug, Args)]
pub(crate) struct IdleArguments {
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
    /// Handshakes at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
}

/// Arguments of the ends behind the server.
#[derive(Debug, Args)]
pub(crate) struct ListenArguments {
    /// Address and port to listen on.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: SocketAddr,
}

/// Arguments of `flows`.
#[derive(Debug, Args)]
pub(crate) struct FlowsArguments {
    /// Address and port of the `pump`.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) to: SocketAddr,
    /// Source addresses, one connection each.
    #[arg(long, value_name = "IP,..", value_delimiter = ',', required = true)]
    pub(crate) from: Vec<IpAddr>,
    /// Which way the bytes go.
    #[arg(long)]
    pub(crate) direction: Direction,
    /// How long.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
}

/// `--direction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// To the pump.
    Up,
    /// From the pump.
    Down,
}
