//! Accepting connections, as many as there may be, until told to stop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::api::Api;
use crate::connection::{Connection, converse};
use crate::listener::Listener;

/// Pause after a failed accept (out of file descriptors), so that the loop doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections beyond the limit that are told to come back later.
const SURPLUS: usize = 16;

/// Serves the API on `listener` until `stop` is ready. Then the listener is closed, requests that have begun are answered,
/// and what isn't done in [`crate::Limits::stop_time`] is given up.
///
/// Each listener has connections of its own: whoever floods the network address doesn't lock out the Unix socket.
pub async fn serve(listener: Listener, api: Arc<Api>, stop: impl Future) {
    let mut connections = JoinSet::new();
    let regular = Arc::new(Semaphore::new(api.limits.connections));
    let surplus = Arc::new(Semaphore::new(SURPLUS));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok(accepted) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (slot, is_surplus) = match Arc::clone(&regular).try_acquire_owned() {
            Ok(slot) => (slot, false),
            Err(_) => match Arc::clone(&surplus).try_acquire_owned() {
                Ok(slot) => (slot, true),
                Err(_) => continue,
            },
        };
        connections.spawn(converse(
            accepted,
            Connection {
                api: Arc::clone(&api),
                stopped: stopped.clone(),
                slot,
                is_surplus,
            },
        ));
    }
    drop(listener);
    // Nobody listens if there is no connection.
    let _ = stopping.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(api.limits.stop_time, ended).await;
    connections.shutdown().await;
}
