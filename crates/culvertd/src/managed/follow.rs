//! Follows the store: puts in force what changes, soon after it did.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use culvert_failure::describe;
use culvert_service::Registry;
use culvert_store::{Revision, Watch};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::Applied;
use crate::daemon::Daemon;

/// How often what could not be put in force is tried again: what stood in the way may be gone.
const RETRY: Duration = Duration::from_secs(10);
/// How long after a failure of the store it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Puts changes of the store in force that came after what was `applied`, until the task is aborted.
pub(crate) async fn follow(daemon: Arc<Mutex<Daemon>>, registry: Registry, applied: Applied) {
    let (mut revision, mut failed) = (applied.revision, !applied.failed.is_empty());
    loop {
        if let Err(error) = wait_for_change(&registry, revision, failed.then_some(RETRY)).await {
            // Whatever was missed is in the next snapshot.
            tracing::warn!(
                "the store can't be watched, its endpoints are looked at again: {}",
                describe(&error)
            );
            sleep(PAUSE).await;
        }
        match daemon.lock().await.apply_managed(false).await {
            Ok(applied) => {
                revision = applied.revision;
                failed = !applied.failed.is_empty();
            }
            Err(error) => {
                tracing::error!("stored endpoints can't be put in force: {}", describe(&error));
                failed = true;
                sleep(PAUSE).await;
            }
        }
    }
}

/// Waits until something changes behind this revision, but no longer than `limit`.
async fn wait_for_change(registry: &Registry, revision: Revision, limit: Option<Duration>) -> Result<()> {
    let registry = registry.clone();
    let mut watch = spawn_blocking(move || registry.watch(revision)).await??;
    let change = async {
        loop {
            watch.ready().await;
            let (back, changed) = look(watch).await?;
            watch = back;
            if changed {
                return Ok(());
            }
        }
    };
    match limit {
        // Nothing changed: it is tried again all the same.
        Some(limit) => timeout(limit, change).await.unwrap_or(Ok(())),
        None => change.await,
    }
}

/// Whether there is a change, off the tasks that must not block.
async fn look(mut watch: Box<dyn Watch>) -> Result<(Box<dyn Watch>, bool)> {
    spawn_blocking(move || {
        let changes = watch.try_next().context("Failed to read the store")?;
        Ok((watch, changes.is_some()))
    })
    .await?
}
