//! The answering side: connections, limits and time-outs around a [`Handler`].

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::codec::{Line, encode_line, read_line, write_line};
use crate::error::{ErrorCode, RequestError};
use crate::message::{
    MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, PROTOCOL_VERSION, Request, RequestEnvelope, Response,
    ResponseEnvelope,
};

/// Most connections served at a time; further ones are told [`ErrorCode::Busy`] and closed.
pub const MAX_CONNECTIONS: usize = 32;

/// Longest silence on a connection, and longest time a peer may take to read one answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Who asks, as the kernel vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Process id, where known.
    pub pid: Option<i32>,
}

/// Carries requests out. Closures `Fn(Peer, Request) -> impl Future` are handlers.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Runs concurrently with other connections' requests, and to its end even if the
    /// asker disconnects meanwhile.
    fn handle(
        &self,
        peer: Peer,
        request: Request,
    ) -> impl Future<Output = Result<Response, RequestError>> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Peer, Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, RequestError>> + Send,
{
    fn handle(
        &self,
        peer: Peer,
        request: Request,
    ) -> impl Future<Output = Result<Response, RequestError>> + Send {
        self(peer, request)
    }
}

/// Accepts connections from `listener` and answers their requests with `handler` until this future is
/// dropped, which also ends the connections.
///
/// At most [`MAX_CONNECTIONS`] are served; each is answered in order, one request at a time.
pub async fn serve(listener: &UnixListener, handler: impl Handler) {
    let handler = Arc::new(handler);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                connections.spawn(converse(stream, Arc::clone(&handler), slot));
            }
            Err(_) => refuse(&stream),
        }
    }
}

/// Tells a surplus connection why it is closed; never waits for it.
fn refuse(stream: &UnixStream) {
    let error = RequestError::new(
        ErrorCode::Busy,
        format!("culvertd already serves {MAX_CONNECTIONS} administration connections; try again shortly"),
    );
    if let Ok(Some(line)) = encode_line(&envelope(0, Err(error)), MAX_RESPONSE_BYTES) {
        let _ = stream.try_write(&line);
    }
}

/// Serves one connection to its end.
async fn converse(stream: UnixStream, handler: Arc<impl Handler>, _slot: OwnedSemaphorePermit) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    let peer = Peer {
        uid: credentials.uid(),
        pid: credentials.pid(),
    };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let read = timeout(IDLE_TIMEOUT, read_line(&mut stream, &mut line, MAX_REQUEST_BYTES)).await;
        let (answer, last) = match read {
            Ok(Ok(Line::Complete)) => (answer(&line, peer, &*handler).await, false),
            Ok(Ok(Line::TooLong)) => (too_long(), true),
            Ok(Ok(Line::End) | Err(_)) | Err(_) => return,
        };
        let sent = timeout(IDLE_TIMEOUT, send(&mut stream, &answer)).await;
        if last || !matches!(sent, Ok(Ok(()))) {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

fn too_long() -> ResponseEnvelope {
    let message = format!("the request exceeds {MAX_REQUEST_BYTES} bytes");
    envelope(0, Err(RequestError::new(ErrorCode::Malformed, message)))
}

/// Reads one request line and has it carried out.
async fn answer(line: &[u8], peer: Peer, handler: &impl Handler) -> ResponseEnvelope {
    let document: serde_json::Value = match serde_json::from_slice(line) {
        Ok(document) => document,
        Err(error) => {
            let message = format!("the request is not JSON: {error}");
            return envelope(0, Err(RequestError::new(ErrorCode::Malformed, message)));
        }
    };
    // Version and id first: a request of another version need not be readable beyond them.
    let field = |name: &str| document.get(name).and_then(serde_json::Value::as_u64);
    let id = field("id").unwrap_or(0);
    if field("version") != Some(u64::from(PROTOCOL_VERSION)) {
        let message =
            format!("this culvertd speaks version {PROTOCOL_VERSION} of the administration protocol");
        return envelope(id, Err(RequestError::new(ErrorCode::UnsupportedVersion, message)));
    }
    let outcome = match serde_json::from_value::<RequestEnvelope>(document) {
        Ok(envelope) => handler.handle(peer, envelope.request).await,
        Err(error) => Err(RequestError::new(
            ErrorCode::Malformed,
            format!("the request is not understood: {error}"),
        )),
    };
    envelope(id, outcome)
}

fn envelope(id: u64, outcome: Result<Response, RequestError>) -> ResponseEnvelope {
    let (response, error) = match outcome {
        Ok(response) => (Some(response), None),
        Err(error) => (None, Some(error)),
    };
    ResponseEnvelope {
        version: PROTOCOL_VERSION,
        id,
        response,
        error,
    }
}

async fn send(stream: &mut BufReader<UnixStream>, answer: &ResponseEnvelope) -> io::Result<()> {
    let line = match encode_line(answer, MAX_RESPONSE_BYTES)? {
        Some(line) => line,
        None => {
            let message = format!("the answer exceeds {MAX_RESPONSE_BYTES} bytes; ask for smaller pages");
            let error = RequestError::new(ErrorCode::Internal, message);
            serde_json::to_vec(&envelope(answer.id, Err(error))).map(|mut line| {
                line.push(b'\n');
                line
            })?
        }
    };
    write_line(stream, &line).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::AdminClient;
    use crate::error::AdminError;
    use crate::message::*;
    use crate::socket::AdminSocket;
    use crate::types::*;
    use std::path::PathBuf;
    use tokio::io::AsyncReadExt;

    fn client(id: u64) -> ClientInfo {
        ClientInfo {
            client_id: id,
            connection_id: None,
            groups: Vec::new(),
            endpoint: "office".into(),
            common_name: None,
            username: Some(format!("user{id}")),
            real_address: "192.0.2.1:1000".parse().unwrap(),
            transport: Transport::Tcp,
            virtual_v4: None,
            virtual_v6: None,
            connected_since_unix: 0,
            cipher: "AES-128-GCM".into(),
            link_rx_bytes: 0,
            link_tx_bytes: 0,
            tunnel_rx_bytes: 0,
            tunnel_tx_bytes: 0,
            iv_ver: None,
            iv_plat: None,
        }
    }

    async fn handle(_: Peer, request: Request) -> Result<Response, RequestError> {
        match request {
            Request::Status => Ok(Response::Status(StatusReport {
                daemon: DaemonInfo {
                    version: "1".into(),
                    pid: 2,
                    uptime_seconds: 3,
                },
                endpoints: vec![],
            })),
            Request::Clients(selection) => {
                let first: u64 = selection
                    .after
                    .as_deref()
                    .map_or(0, |after| after.parse().unwrap());
                let next = (first + selection.page_size() as u64).min(2_500);
                Ok(Response::Clients(ClientPage {
                    clients: (first..next).map(client).collect(),
                    next: (next < 2_500).then(|| next.to_string()),
                }))
            }
            Request::Kill(kill) => Err(RequestError::new(
                ErrorCode::NotFound,
                format!("nobody matches {}", kill.target),
            )),
            Request::Reload => Ok(Response::Reloaded(ReloadReport::default())),
            Request::Plan => Ok(Response::Planned(ReloadReport::default())),
            Request::Explain(_) => Err(RequestError::new(ErrorCode::NotFound, "there is no such client")),
            Request::Backup => Err(RequestError::new(ErrorCode::Refused, "there is no store")),
        }
    }

    /// A served socket in a folder of its own.
    fn served() -> (tempfile::TempDir, PathBuf, tokio::task::JoinHandle<()>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let socket = AdminSocket::bind(&path).unwrap();
        let task = tokio::spawn(async move { socket.serve(handle).await });
        (dir, path, task)
    }

    async fn raw(path: &PathBuf, input: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        let _ = stream.write_all(input).await;
        let _ = stream.shutdown().await;
        let mut output = String::new();
        let _ = stream.read_to_string(&mut output).await;
        output
    }

    #[tokio::test]
    async fn every_request_is_answered_over_one_connection() {
        let (_dir, path, _task) = served();
        let mut admin = AdminClient::connect(&path).await.unwrap();
        assert_eq!(admin.status().await.unwrap().daemon.pid, 2);
        let clients = admin.clients(None).await.unwrap();
        assert_eq!(clients.len(), 2_500, "three pages");
        assert!(
            clients
                .iter()
                .enumerate()
                .all(|(at, client)| client.client_id == at as u64)
        );
        let kill = KillRequest {
            endpoint: None,
            target: KillTarget::ClientId(9),
        };
        let error = admin.kill(kill).await.unwrap_err();
        assert!(matches!(&error, AdminError::Refused(refusal) if refusal.code == ErrorCode::NotFound));
        assert_eq!(error.to_string(), "nobody matches client id 9");
        assert_eq!(admin.reload().await.unwrap(), ReloadReport::default());
        assert_eq!(admin.backup().await.unwrap_err().to_string(), "there is no store");
    }

    #[tokio::test]
    async fn hostile_lines_are_answered_with_an_error_and_never_stop_the_server() {
        let (_dir, path, _task) = served();
        assert!(raw(&path, b"hello\n").await.contains("not JSON"));
        assert!(raw(&path, b"{}\n").await.contains("unsupported_version"));
        assert!(
            raw(&path, b"{\"version\":2,\"id\":5}\n")
                .await
                .contains("\"id\":5")
        );
        assert!(
            raw(&path, b"{\"version\":1,\"id\":5,\"request\":{\"op\":\"x\"}}\n")
                .await
                .contains("malformed")
        );
        assert!(raw(&path, &[0xff; 100]).await.is_empty(), "no line, no answer");
        assert!(raw(&path, &vec![b'['; MAX_REQUEST_BYTES - 1]).await.is_empty());
        let mut deep = vec![b'['; MAX_REQUEST_BYTES - 1];
        deep.push(b'\n');
        assert!(raw(&path, &deep).await.contains("not JSON"));
        assert!(
            raw(&path, &vec![b'x'; MAX_REQUEST_BYTES + 1])
                .await
                .contains("exceeds")
        );
        AdminClient::connect(&path).await.unwrap().status().await.unwrap();
    }

    #[tokio::test]
    async fn surplus_connections_are_told_and_closed() {
        let (_dir, path, _task) = served();
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut admin = AdminClient::connect(&path).await.unwrap();
            admin.status().await.unwrap();
            held.push(admin);
        }
        let mut surplus = AdminClient::connect(&path).await.unwrap();
        let error = surplus.status().await.unwrap_err();
        assert!(
            matches!(&error, AdminError::Refused(refusal) if refusal.code == ErrorCode::Busy),
            "{error}"
        );
        held.pop();
        sleep(Duration::from_millis(50)).await;
        AdminClient::connect(&path).await.unwrap().status().await.unwrap();
    }

    #[tokio::test]
    async fn dropping_the_server_ends_its_connections_and_the_socket() {
        let (_dir, path, task) = served();
        let mut admin = AdminClient::connect(&path).await.unwrap();
        admin.status().await.unwrap();
        task.abort();
        let _ = task.await;
        assert!(admin.status().await.is_err());
        let error = AdminClient::connect(&path).await.unwrap_err();
        assert!(matches!(error, AdminError::NotRunning { .. }), "{error}");
    }
}
