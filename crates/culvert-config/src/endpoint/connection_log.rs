//! Where it is kept who connected.

use std::path::PathBuf;
use std::time::Duration;

use culvert_connection_log::Rotation;

/// A log group: what endpoints may name as the place of their connection log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name, `/vpn/office` for instance.
    pub name: String,
    /// Where its records go.
    pub sink: LogSink,
    /// How often the counters of a connection are told while it lasts.
    pub update_interval: Duration,
}

/// Where the records of a group go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// To files below a folder.
    Files {
        /// The folder.
        folder: PathBuf,
        /// When they are turned over.
        rotation: Rotation,
    },
    /// To the systemd journal.
    Journal,
    /// To CloudWatch Logs, or what speaks its protocol.
    CloudWatch {
        /// Address of the service.
        endpoint: String,
        /// The region requests are signed for.
        region: String,
        /// File with the access key.
        access_key_file: PathBuf,
        /// What may wait on disk at most, in bytes.
        spool_size: u64,
    },
}

/// The connection log of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLog {
    /// The group.
    pub group: String,
    /// The stream of the group.
    pub stream: String,
    /// How often the counters of a connection are told while it lasts.
    pub update_interval: Duration,
}

impl LogGroup {
    /// The connection log of an endpoint that is this stream of the group.
    pub fn stream(&self, stream: impl Into<String>) -> ConnectionLog {
        ConnectionLog {
            group: self.name.clone(),
            stream: stream.into(),
            update_interval: self.update_interval,
        }
    }
}
