//! A log group in CloudWatch Logs, or in anything that speaks its protocol.
//!
//! ```text
//! append ──▶ spool: numbered segments on disk ──▶ sender ──▶ PutLogEvents, one call for each stream of a segment
//! ```
//!
//! An event is on disk before it is anywhere else, and stays there until it was delivered: neither an endpoint that is away
//! nor a restart loses it. What is on disk is bounded; then the oldest segment is dropped, counted and told of. An event may
//! be delivered twice, if the answer to its delivery got lost.
//!
//! Source: Amazon CloudWatch Logs API Reference, "PutLogEvents", "CreateLogGroup", "CreateLogStream".

#![forbid(unsafe_code)]

mod backoff;
mod batch;
mod client;
mod sender;
mod spool;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use zeroize::Zeroizing;

use client::Client;
use sender::Sender;
use spool::Spool;

pub use client::ClientError;
pub use spool::SpoolError;

/// How long a stopping group tries to deliver what it has. The rest waits on disk.
const GOODBYE: Duration = Duration::from_secs(3);

/// Where a group is.
pub struct Options {
    /// Address of the service, `https://logs.us-east-1.amazonaws.com` for instance.
    pub endpoint: String,
    /// The region requests are signed for.
    pub region: String,
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret: Zeroizing<String>,
    /// What may wait on disk at most, in bytes.
    pub spool_size: u64,
}

/// A log group that is delivered.
pub struct CloudWatchLog {
    spool: Arc<Mutex<Spool>>,
    ready: Arc<Notify>,
    stop: Arc<Notify>,
    sender: Option<JoinHandle<()>>,
}

/// A group can't be delivered.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its spool can't be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The service can't be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no thread for it.
    #[error("cannot start the thread that delivers it: {0}")]
    Thread(std::io::Error),
}

impl CloudWatchLog {
    /// Opens a group whose events wait in this folder, which is its own. What a former run left there is delivered first.
    ///
    /// # Errors
    /// Fails when the folder or the address can't be used. That nobody answers there is no error.
    pub fn open(folder: &Path, group: &str, options: Options) -> Result<Self, OpenError> {
        let spool = Arc::new(Mutex::new(Spool::open(folder, options.spool_size)?));
        let client = Client::new(group, options)?;
        let (ready, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let sender = Sender {
            group: group.to_owned(),
            client,
            spool: Arc::clone(&spool),
            ready: Arc::clone(&ready),
            stop: Arc::clone(&stop),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("cloudwatch".into())
            .spawn(move || runtime.block_on(sender.run()))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            spool,
            ready,
            stop,
            sender: Some(thread),
        })
    }

    /// Adds an event to a stream. It happened so many milliseconds after the beginning of 1970.
    ///
    /// # Errors
    /// Fails when it can't be put on disk; it is lost then.
    pub fn append(&mut self, stream: &str, millis: i64, message: &str) -> Result<(), SpoolError> {
        let mut spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        let added = spool.append(stream, millis, message, Instant::now());
        drop(spool);
        self.ready.notify_one();
        added
    }
}

impl Drop for CloudWatchLog {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(sender) = self.sender.take() {
            // It ends by itself, soon; a panic was reported when it happened.
            drop(sender.join());
        }
    }
}
