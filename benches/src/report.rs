//! What is printed: one JSON object per line on standard output.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use serde::Serialize;

/// A line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Report {
    /// All clients are connected and, where there is one, the TUN device is up.
    Ready {
        /// Number of clients.
        clients: usize,
        /// Their addresses in the tunnel.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        addresses: Vec<Ipv4Addr>,
        /// How long that took.
        seconds: f64,
    },
    /// Whatever is sent to this address from now on counts.
    Listening {
        /// Where.
        address: SocketAddr,
    },
    /// A tunnel was stopped.
    End(TrafficReport),
    /// A measurement is over.
    Result(Outcome),
}

/// What a measurement brought.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// Of `handshakes`.
    Handshakes {
        /// Clients that got their options.
        connects: u64,
        /// Clients that didn't; those cut off by the end count as neither.
        failed: u64,
        /// How long it took.
        seconds: f64,
        /// What the generator itself needed of the processors.
        cpu_seconds: f64,
    },
    /// Of `blast`.
    Sent {
        /// Datagrams the kernel took.
        sent: u64,
        /// Bytes of the packets in them, as inside the tunnel.
        bytes: u64,
        /// How long it took.
        seconds: f64,
        /// What the generator itself needed of the processors.
        cpu_seconds: f64,
    },
    /// Of `sink`.
    Received {
        /// Datagrams.
        received: u64,
        /// Their payload.
        bytes: u64,
    },
    /// Of `idle`.
    Kept {
        /// Clients still connected.
        clients: u64,
        /// Clients that ended.
        lost: u64,
        /// How long they were kept.
        seconds: f64,
        /// What the generator itself needed of the processors.
        cpu_seconds: f64,
    },
    /// Of `flows` and `pump`.
    Moved {
        /// Bytes that arrived.
        bytes: u64,
        /// How long it took.
        seconds: f64,
        /// What the generator itself needed of the processors.
        cpu_seconds: f64,
    },
}

/// What a tunnel carried, counted as packets inside of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TrafficReport {
    /// Bytes from the server.
    pub(crate) rx_bytes: u64,
    /// Bytes to the server.
    pub(crate) tx_bytes: u64,
    /// Packets from the server.
    pub(crate) rx_packets: u64,
    /// Packets to the server.
    pub(crate) tx_packets: u64,
    /// Packets that led to nothing on this side: not to be opened, of no client, or no room for them.
    pub(crate) dropped: u64,
    /// How long the tunnel was there.
    pub(crate) seconds: f64,
    /// What the generator itself needed of the processors in that time.
    pub(crate) cpu_seconds: f64,
}

impl Report {
    /// Prints the line at once, for whoever waits for it.
    ///
    /// # Errors
    /// When standard output is closed: nobody gets the figures then.
    pub(crate) fn print(&self) -> Result<()> {
        let mut line = serde_json::to_vec(self).context("Failed to encode a report")?;
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        out.write_all(&line)
            .and_then(|()| out.flush())
            .context("Failed to write to standard output")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_their_kind_and_their_figures_side_by_side() {
        let end = Report::End(TrafficReport {
            rx_bytes: 7,
            ..TrafficReport::default()
        });
        let line = serde_json::to_value(end).unwrap();
        assert_eq!(line["event"], "end");
        assert_eq!(line["rx_bytes"], 7);
        let ready = Report::Ready {
            clients: 1,
            addresses: vec![Ipv4Addr::new(10, 66, 0, 2)],
            seconds: 0.5,
        };
        let line = serde_json::to_value(ready).unwrap();
        assert_eq!(line["event"], "ready");
        assert_eq!(line["addresses"][0], "10.66.0.2");
        let received = Outcome::Received {
            received: 3,
            bytes: 42,
        };
        let line = serde_json::to_value(Report::Result(received)).unwrap();
        assert_eq!(line["event"], "result");
        assert_eq!(line["received"], 3);
    }
}
