//! Answers the requests of the administration socket.

use std::sync::Arc;
use std::time::Instant;

use culvert_admin::{
    ClientInfo, ClientPage, ClientSelection, DaemonInfo, ErrorCode, Handler, KillRequest, KilledClient, Peer,
    Request, RequestError, Response, StatusReport,
};
use tokio::sync::Mutex;

use crate::daemon::Daemon;

/// The daemon's side of the socket.
pub(crate) struct Admin {
    daemon: Arc<Mutex<Daemon>>,
    started: Instant,
}

type Answer<T> = Result<T, RequestError>;

impl Admin {
    pub(crate) fn new(daemon: Arc<Mutex<Daemon>>) -> Self {
        Self {
            daemon,
            started: Instant::now(),
        }
    }

    async fn status(&self) -> Answer<StatusReport> {
        let daemon = self.daemon.lock().await;
        let mut endpoints = Vec::new();
        for endpoint in daemon.endpoints() {
            endpoints.push(endpoint.info().await.map_err(internal)?);
        }
        let daemon = DaemonInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
        };
        Ok(StatusReport { daemon, endpoints })
    }

    /// The clients of one endpoint or all, in a stable order.
    async fn all_clients(&self, endpoint: Option<&str>) -> Answer<Vec<ClientInfo>> {
        let daemon = self.daemon.lock().await;
        let mut clients = Vec::new();
        let mut found = endpoint.is_none();
        for one in daemon.endpoints() {
            if endpoint.is_none_or(|name| name == one.name()) {
                found = true;
                clients.append(&mut one.clients().await.map_err(internal)?);
            }
        }
        if !found {
            let name = endpoint.unwrap_or_default();
            return Err(RequestError::new(
                ErrorCode::NotFound,
                format!("there is no endpoint {name:?}"),
            ));
        }
        clients.sort_by(|a, b| (&a.endpoint, a.client_id).cmp(&(&b.endpoint, b.client_id)));
        Ok(clients)
    }

    async fn clients(&self, selection: ClientSelection) -> Answer<ClientPage> {
        let after = selection.after.as_deref().map(parse_cursor).transpose()?;
        let size = selection.page_size();
        let mut clients = self.all_clients(selection.endpoint.as_deref()).await?;
        if let Some((endpoint, id)) = after {
            clients.retain(|client| (client.endpoint.as_str(), client.client_id) > (endpoint, id));
        }
        let more = clients.len() > size;
        clients.truncate(size);
        let next = clients
            .last()
            .filter(|_| more)
            .map(|last| format!("{} {}", last.client_id, last.endpoint));
        Ok(ClientPage { clients, next })
    }

    async fn kill(&self, request: KillRequest) -> Answer<Vec<KilledClient>> {
        let clients = self.all_clients(request.endpoint.as_deref()).await?;
        let daemon = self.daemon.lock().await;
        let mut killed = Vec::new();
        for client in clients
            .into_iter()
            .filter(|client| request.target.matches(client))
        {
            let Some(endpoint) = daemon
                .endpoints()
                .iter()
                .find(|endpoint| endpoint.name() == client.endpoint)
            else {
                continue;
            };
            if endpoint.kill(client.client_id).await.map_err(internal)? {
                let name = client.username.or(client.common_name);
                killed.push(KilledClient {
                    client_id: client.client_id,
                    endpoint: client.endpoint,
                    name,
                });
            }
        }
        if killed.is_empty() {
            let text = format!(
                "no connected client has {}; see `culvert status --clients`",
                request.target
            );
            return Err(RequestError::new(ErrorCode::NotFound, text));
        }
        Ok(killed)
    }
}

impl Handler for Admin {
    async fn handle(&self, peer: Peer, request: Request) -> Answer<Response> {
        match request {
            Request::Status => self.status().await.map(Response::Status),
            Request::Clients(selection) => self.clients(selection).await.map(Response::Clients),
            Request::Kill(request) => {
                tracing::info!(uid = peer.uid, target = %request.target, "asked to end clients");
                self.kill(request)
                    .await
                    .map(|clients| Response::Killed { clients })
            }
            Request::Reload => {
                tracing::info!(uid = peer.uid, "asked to reload");
                let reloaded = self.daemon.lock().await.reload().await;
                reloaded
                    .map(Response::Reloaded)
                    .map_err(|error| RequestError::new(ErrorCode::Refused, format!("{error:#}")))
            }
            _ => Err(RequestError::new(
                ErrorCode::Malformed,
                "this daemon doesn't know the request; update it",
            )),
        }
    }
}

/// A page ends with the id and endpoint of its last client.
fn parse_cursor(cursor: &str) -> Answer<(&str, u64)> {
    let parsed = cursor
        .split_once(' ')
        .and_then(|(id, endpoint)| Some((endpoint, id.parse().ok()?)));
    parsed.ok_or_else(|| RequestError::new(ErrorCode::Malformed, "the page mark is not one this daemon gave"))
}

fn internal(error: anyhow::Error) -> RequestError {
    RequestError::new(ErrorCode::Internal, format!("{error:#}"))
}
