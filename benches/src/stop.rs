//! Being told to stop.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT. From the moment it exists they no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Stop {
    term: Signal,
    int: Signal,
}

impl Stop {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the signal handlers can't be installed.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("Failed to listen to signals");
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them. Cancel safe.
    pub(crate) async fn told(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
