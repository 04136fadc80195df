//! The one task that writes to a connection.

use std::{io, sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf};

use super::queue::{OutQueue, Turn};

/// Silence after which a connection's buffers are given back.
const IDLE: Duration = Duration::from_secs(1);
/// How long a closed queue may take to be written out to a peer that reads slowly or not at all.
const LINGER: Duration = Duration::from_secs(5);

/// The writing half of a connection: spawn [`FrameWriter::run`].
#[derive(Debug)]
pub struct FrameWriter {
    stream: OwnedWriteHalf,
    queue: Arc<OutQueue>,
    _end: EndOnDrop,
}

impl FrameWriter {
    pub(crate) fn new(stream: OwnedWriteHalf, queue: Arc<OutQueue>) -> Self {
        Self {
            stream,
            _end: EndOnDrop(Arc::clone(&queue)),
            queue,
        }
    }

    /// Writes what is pushed to the queue, all that waits with one call, until the queue is closed (what is
    /// queued is still written, for at most 5 s) or aborted, or the connection fails. However it ends, also
    /// by being dropped, the queue is ended with it, and the reading half reports `Closed`.
    ///
    /// # Errors
    ///
    /// The kernel's answer to a write that failed.
    pub async fn run(mut self) -> io::Result<()> {
        let queue = Arc::clone(&self.queue);
        tokio::select! {
            result = self.write_all() => result,
            () = queue.ended() => Ok(()),
            () = lingered(&queue) => Ok(()),
        }
    }

    async fn write_all(&mut self) -> io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            match self.queue.take(&mut buffer) {
                Turn::Write => self.write(&buffer).await?,
                Turn::Wait => {
                    if tokio::time::timeout(IDLE, self.queue.filled()).await.is_err() {
                        buffer = Vec::new();
                        self.queue.rest();
                        self.queue.filled().await;
                    }
                }
                Turn::Stop => return self.stream.shutdown().await,
            }
            buffer.clear();
        }
    }

    async fn write(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let written = self.stream.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.queue.progress(written);
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Completes when the queue was closed and the time to write it out has passed.
async fn lingered(queue: &OutQueue) {
    queue.closed().await;
    tokio::time::sleep(LINGER).await;
}

/// Ends the queue when the writer is done, so that nobody pushes to or reads from a dead connection.
#[derive(Debug)]
struct EndOnDrop(Arc<OutQueue>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
