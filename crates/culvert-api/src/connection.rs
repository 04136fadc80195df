//! One connection, from its acceptance to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::api::Api;
use crate::http::respond;
use crate::limits::Limits;
use crate::listener::Accepted;
use crate::peer::Peer;

/// Requests at once on one connection of HTTP/2.
const STREAMS: u32 = 4;
/// Bytes that may be under way in a request of HTTP/2 before they are read, and in all of a connection.
const WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);
/// How often a silent peer of HTTP/2 is asked whether it is there.
const PING: Duration = Duration::from_secs(20);

/// What a connection needs from its listener.
pub(crate) struct Connection {
    pub(crate) api: Arc<Api>,
    /// Becomes true when the API stops.
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) slot: OwnedSemaphorePermit,
    /// One too many: it is only told to come back later.
    pub(crate) is_surplus: bool,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

/// Serves one connection to its end.
pub(crate) async fn converse(accepted: Accepted, connection: Connection) {
    match accepted {
        Accepted::Plain(stream, peer) => connection.serve(stream, peer, Version::One).await,
        Accepted::Local(stream, peer) => connection.serve(stream, peer, Version::One).await,
        Accepted::Encrypted(stream, peer, tls) => {
            let handshake = tls.acceptor().accept(stream);
            match timeout(connection.api.limits.head_time, handshake).await {
                Ok(Ok(stream)) => {
                    let version = match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => Version::Two,
                        _ => Version::One,
                    };
                    connection.serve(stream, peer, version).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        }
    }
}

impl Connection {
    async fn serve<S>(mut self, stream: S, peer: Peer, version: Version)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.api.limits;
        let activity = Arc::new(Activity::new());
        let service = service_fn(|request| {
            let busy = Busy::begin(&activity);
            let answered = respond(Arc::clone(&self.api), peer, self.is_surplus, request);
            async move {
                let _busy = busy;
                answered.await
            }
        });
        let builder = builder(version, &limits);
        let mut http = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let idle_time = if self.is_surplus {
            limits.head_time
        } else {
            limits.idle_time
        };
        tokio::select! {
            ended = http.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection of the API failed");
                }
                return;
            }
            () = activity.idle_for(idle_time) => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
        http.as_mut().graceful_shutdown();
        // Whoever doesn't take the last answer loses it.
        let _ = timeout(limits.stop_time, http).await;
        drop(self.slot);
    }
}

/// Which version is known already: guessing it would wait for a client that says nothing.
fn builder(version: Version, limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = match version {
        Version::One => Builder::new(TokioExecutor::new()).http1_only(),
        Version::Two => Builder::new(TokioExecutor::new()).http2_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.header_fields);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(limits.head_time);
    builder
}

/// When a connection was last asked something.
struct Activity(Mutex<State>);

struct State {
    /// Requests that are being answered.
    active: usize,
    last: Instant,
}

impl Activity {
    fn new() -> Self {
        Self(Mutex::new(State {
            active: 0,
            last: Instant::now(),
        }))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.last = Instant::now();
    }

    /// Ready when there was no request for so long.
    async fn idle_for(&self, idle: Duration) {
        loop {
            let (active, last) = {
                let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                (state.active, state.last)
            };
            let now = Instant::now();
            let end = if active == 0 { last + idle } else { now + idle };
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A request is being answered.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.change(|state| state.active += 1);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0
            .change(|state| state.active = state.active.saturating_sub(1));
    }
}
