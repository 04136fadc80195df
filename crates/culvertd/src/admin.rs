//! Answers the requests of the administration socket.

use std::sync::Arc;
use std::time::Instant;

use culvert_admin::{
    ClientInfo, ClientPage, ClientSelection, DaemonInfo, ErrorCode, ExplainRequest, Explanation, Handler,
    KillRequest, KillTarget, KilledClient, MAX_KILLED_LISTED, Peer, Request, RequestError, Response,
    StatusReport,
};
use culvert_config::EndpointConfig;
use culvert_failure::describe;
use tokio::sync::Mutex;

use crate::daemon::Daemon;
use crate::endpoint::Endpoint;
use crate::explain::explain;
use crate::managed::Managed;

/// Clients looked at in one go when some are looked for.
const PAGE: usize = 256;

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

    async fn clients(&self, selection: ClientSelection) -> Answer<ClientPage> {
        let mark = selection.after.as_deref().map(parse_cursor).transpose()?;
        let size = selection.page_size();
        let daemon = self.daemon.lock().await;
        let mut clients = Vec::new();
        for endpoint in chosen(&daemon, selection.endpoint.as_deref())? {
            let after = match mark {
                Some((name, _)) if endpoint.name() < name => continue,
                Some((name, id)) if endpoint.name() == name => Some(id),
                _ => None,
            };
            // One more than fits tells whether there is another page.
            let wanted = (size + 1).saturating_sub(clients.len());
            clients.append(&mut endpoint.clients(after, wanted).await.map_err(internal)?);
        }
        let more = clients.len() > size;
        clients.truncate(size);
        let next = clients
            .last()
            .filter(|_| more)
            .map(|last| format!("{} {}", last.client_id, last.endpoint));
        Ok(ClientPage { clients, next })
    }

    async fn backup(&self) -> Answer<Response> {
        let backups = self.daemon.lock().await.managed.as_ref().map(Managed::backups);
        let refused = |text: String| RequestError::new(ErrorCode::Refused, text);
        let backups = backups.ok_or_else(|| {
            refused(
                "there is no store: no endpoint is managed at run time, as the configuration has no [api]"
                    .to_owned(),
            )
        })?;
        let report = backups.write().await.map_err(|error| refused(describe(&error)))?;
        Ok(Response::BackedUp(report))
    }

    async fn explain(&self, request: ExplainRequest) -> Answer<Response> {
        let daemon = self.daemon.lock().await;
        let mut found: Option<(ClientInfo, EndpointConfig)> = None;
        for endpoint in chosen(&daemon, request.endpoint.as_deref())? {
            let mut pages = Pages::of(endpoint, &request.client);
            while let Some(matching) = pages.next().await? {
                for client in matching {
                    if found.is_some() {
                        let text = format!("several clients have {}; choose one by its id", request.client);
                        return Err(RequestError::new(ErrorCode::Refused, text));
                    }
                    found = Some((client, endpoint.config()));
                }
            }
        }
        let (client, config) = found.ok_or_else(|| nobody(&request.client))?;
        let (allowed, steps) = explain(&config, &client.groups, request.destination, request.service);
        Ok(Response::Explained(Box::new(Explanation {
            client,
            allowed,
            steps,
        })))
    }

    /// Ends all clients that match, a page at a time: the control threads see to their clients in between.
    async fn kill(&self, request: KillRequest) -> Answer<Response> {
        let daemon = self.daemon.lock().await;
        let (mut clients, mut more) = (Vec::new(), 0);
        for endpoint in chosen(&daemon, request.endpoint.as_deref())? {
            let mut pages = Pages::of(endpoint, &request.target);
            while let Some(matching) = pages.next().await? {
                let ids: Vec<u64> = matching.iter().map(|client| client.client_id).collect();
                let ended = endpoint.kill(&ids).await.map_err(internal)?;
                for client in matching
                    .into_iter()
                    .filter(|client| ended.contains(&client.client_id))
                {
                    if clients.len() < MAX_KILLED_LISTED {
                        clients.push(killed(client));
                    } else {
                        more += 1;
                    }
                }
            }
        }
        if clients.is_empty() {
            return Err(nobody(&request.target));
        }
        Ok(Response::Killed { clients, more })
    }
}

fn nobody(target: &KillTarget) -> RequestError {
    let text = format!("no connected client has {target}; see `culvert status --clients`");
    RequestError::new(ErrorCode::NotFound, text)
}

/// The clients of an endpoint that match, found a page at a time.
struct Pages<'a> {
    endpoint: &'a Endpoint,
    target: &'a KillTarget,
    after: Option<u64>,
}

impl<'a> Pages<'a> {
    fn of(endpoint: &'a Endpoint, target: &'a KillTarget) -> Self {
        Self {
            endpoint,
            target,
            after: None,
        }
    }

    /// Those of the next page, if there is one.
    async fn next(&mut self) -> Answer<Option<Vec<ClientInfo>>> {
        let mut page = self.endpoint.clients(self.after, PAGE).await.map_err(internal)?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some(last.client_id);
        page.retain(|client| self.target.matches(client));
        Ok(Some(page))
    }
}

/// The endpoint of this name, or all, in the order of their names.
fn chosen<'d>(daemon: &'d Daemon, name: Option<&str>) -> Answer<Vec<&'d Endpoint>> {
    let mut endpoints: Vec<&Endpoint> = daemon
        .endpoints()
        .filter(|endpoint| name.is_none_or(|name| name == endpoint.name()))
        .collect();
    if let Some(name) = name.filter(|_| endpoints.is_empty()) {
        let text = format!("there is no endpoint {name:?}");
        return Err(RequestError::new(ErrorCode::NotFound, text));
    }
    endpoints.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(endpoints)
}

fn killed(client: ClientInfo) -> KilledClient {
    KilledClient {
        client_id: client.client_id,
        endpoint: client.endpoint,
        name: client.username.or(client.common_name),
    }
}

impl Handler for Admin {
    async fn handle(&self, peer: Peer, request: Request) -> Answer<Response> {
        match request {
            Request::Status => self.status().await.map(Response::Status),
            Request::Clients(selection) => self.clients(selection).await.map(Response::Clients),
            Request::Kill(request) => {
                tracing::info!(uid = peer.uid, target = %request.target, "asked to end clients");
                self.kill(request).await
            }
            Request::Reload => {
                tracing::info!(uid = peer.uid, "asked to reload");
                let reloaded = self.daemon.lock().await.reload().await;
                reloaded
                    .map(Response::Reloaded)
                    .map_err(|error| RequestError::new(ErrorCode::Refused, describe(&error)))
            }
            Request::Plan => {
                let planned = self.daemon.lock().await.plan().await;
                planned
                    .map(Response::Planned)
                    .map_err(|error| RequestError::new(ErrorCode::Refused, describe(&error)))
            }
            Request::Explain(request) => self.explain(request).await,
            Request::Backup => {
                tracing::info!(uid = peer.uid, "asked for a backup");
                self.backup().await
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
    RequestError::new(ErrorCode::Internal, describe(&error))
}
