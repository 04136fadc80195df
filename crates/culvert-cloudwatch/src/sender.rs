//! Delivers what is in the spool, the oldest first, until it is stopped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout};

use crate::GOODBYE;
use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::spool::{Event, Spool};

/// How long it sleeps at most while there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

pub(crate) struct Sender {
    pub(crate) group: String,
    pub(crate) client: Client,
    pub(crate) spool: Arc<Mutex<Spool>>,
    /// Something was added.
    pub(crate) ready: Arc<Notify>,
    pub(crate) stop: Arc<Notify>,
}

impl Sender {
    /// Delivers until told to stop; then what there is, for a moment.
    pub(crate) async fn run(self) {
        let stop = Arc::clone(&self.stop);
        tokio::select! {
            () = stop.notified() => {}
            () = self.deliver() => {}
        }
        self.spool().close();
        // What isn't delivered now waits on disk.
        let last = async {
            while let Some((number, events)) = self.oldest() {
                if self.put(&events).await.is_err() {
                    return;
                }
                self.spool().remove(number);
            }
        };
        drop(timeout(GOODBYE, last).await);
        self.tell_dropped();
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn oldest(&self) -> Option<(u64, Vec<Event>)> {
        self.spool().oldest()
    }

    async fn deliver(&self) {
        let mut backoff = Backoff::new();
        loop {
            self.tell_dropped();
            let Some((number, events)) = self.oldest() else {
                self.wait().await;
                continue;
            };
            match self.put(&events).await {
                Ok(()) => {
                    backoff.succeeded();
                    self.spool().remove(number);
                }
                Err(error) if error.is_final() => {
                    let lost = events.len();
                    tracing::error!(
                        group = self.group,
                        lost,
                        "connection log records are refused and lost: {error}"
                    );
                    self.spool().remove(number);
                }
                Err(error) => {
                    let wait = backoff.failed();
                    tracing::warn!(
                        group = self.group,
                        "the connection log can't be delivered and waits on disk; next attempt in {wait:?}: {error}"
                    );
                    sleep(wait).await;
                }
            }
        }
    }

    /// Waits until the growing segment is due, and ends it.
    async fn wait(&self) {
        let due = self.spool().due();
        match due {
            Some(due) if due <= Instant::now() => self.spool().close(),
            due => {
                let until = due.unwrap_or_else(|| Instant::now() + IDLE);
                tokio::select! {
                    () = self.ready.notified() => {}
                    () = sleep_until(until.into()) => {}
                }
            }
        }
    }

    /// Delivers the events of a segment, one call for each stream.
    async fn put(&self, events: &[Event]) -> Result<(), ClientError> {
        let mut streams: Vec<&str> = events.iter().map(|event| event.stream.as_str()).collect();
        streams.sort_unstable();
        streams.dedup();
        for stream in streams {
            let mut of_stream: Vec<&Event> = events.iter().filter(|event| event.stream == stream).collect();
            // The service demands it; the clock may have been set back.
            of_stream.sort_by_key(|event| event.millis);
            self.client.put(stream, &of_stream).await?;
        }
        Ok(())
    }

    fn tell_dropped(&self) {
        let lost = self.spool().take_dropped();
        if lost > 0 {
            tracing::error!(
                group = self.group,
                lost,
                "the connection log could not be delivered for so long that the oldest records were dropped"
            );
        }
    }
}
