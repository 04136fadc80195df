//! The asking side, used by the command line.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::codec::{Line, encode_line, read_line, write_line};
use crate::error::AdminError;
use crate::explain::{ExplainRequest, Explanation};
use crate::message::{
    BackupReport, ClientSelection, KillRequest, KilledClient, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES,
    PROTOCOL_VERSION, ReloadReport, Request, RequestEnvelope, Response, ResponseEnvelope,
};
use crate::types::{ClientInfo, StatusReport};

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the daemon's administration socket.
#[derive(Debug)]
pub struct AdminClient {
    stream: BufReader<UnixStream>,
    next_id: u64,
}

impl AdminClient {
    /// Connects to the daemon's socket at `path` ([`crate::DEFAULT_SOCKET`] by default).
    ///
    /// # Errors
    /// [`AdminError::NotRunning`] and [`AdminError::PermissionDenied`], each with its cure.
    pub async fn connect(path: &Path) -> Result<Self, AdminError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied => AdminError::PermissionDenied { path: path.into() },
                _ => AdminError::NotRunning {
                    path: path.into(),
                    source,
                },
            })?;
        Ok(Self {
            stream: BufReader::new(stream),
            next_id: 1,
        })
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// [`AdminError::Refused`] carries the daemon's refusal; all else is about the connection.
    pub async fn request(&mut self, request: Request) -> Result<Response, AdminError> {
        timeout(ANSWER_TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| AdminError::TimedOut {
                seconds: ANSWER_TIMEOUT.as_secs(),
            })?
    }

    async fn exchange(&mut self, request: Request) -> Result<Response, AdminError> {
        let id = self.next_id;
        self.next_id += 1;
        let envelope = RequestEnvelope {
            version: PROTOCOL_VERSION,
            id,
            request,
        };
        let line = encode_line(&envelope, MAX_REQUEST_BYTES)
            .map_err(|error| AdminError::Malformed {
                detail: error.to_string(),
            })?
            .ok_or(AdminError::TooLong {
                limit: MAX_REQUEST_BYTES,
            })?;
        // A daemon that refuses the connection itself writes its reason and closes: read even if our
        // write failed.
        let written = write_line(&mut self.stream, &line).await;
        let mut answer = Vec::new();
        match read_line(&mut self.stream, &mut answer, MAX_RESPONSE_BYTES).await {
            Ok(Line::Complete) => {}
            Ok(Line::End) => return Err(AdminError::Closed),
            Ok(Line::TooLong) => {
                return Err(AdminError::TooLong {
                    limit: MAX_RESPONSE_BYTES,
                });
            }
            Err(error) => return Err(written.err().unwrap_or(error).into()),
        }
        let answer: ResponseEnvelope =
            serde_json::from_slice(&answer).map_err(|error| AdminError::Malformed {
                detail: error.to_string(),
            })?;
        match answer {
            ResponseEnvelope {
                error: Some(error), ..
            } => Err(AdminError::Refused(error)),
            ResponseEnvelope {
                response: Some(response),
                id: answered,
                ..
            } if answered == id => Ok(response),
            _ => Err(AdminError::Malformed {
                detail: "it belongs to no request of ours".into(),
            }),
        }
    }

    /// The daemon and its endpoints.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn status(&mut self) -> Result<StatusReport, AdminError> {
        match self.request(Request::Status).await? {
            Response::Status(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// All connected clients, of one endpoint or of all, page after page.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn clients(&mut self, endpoint: Option<&str>) -> Result<Vec<ClientInfo>, AdminError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let selection = ClientSelection {
                endpoint: endpoint.map(str::to_owned),
                after: after.clone(),
                limit: None,
            };
            let page = match self.request(Request::Clients(selection)).await? {
                Response::Clients(page) => page,
                other => return Err(unexpected(&other)),
            };
            all.extend(page.clients);
            // A cursor that stands still would loop for ever.
            if page.next.is_none() || page.next == after {
                return Ok(all);
            }
            after = page.next;
        }
    }

    /// Disconnects every client that matches. Returns the clients, and the number of those the answer had no room for.
    ///
    /// # Errors
    /// As [`Self::request`]; nobody found is [`crate::ErrorCode::NotFound`].
    pub async fn kill(&mut self, request: KillRequest) -> Result<(Vec<KilledClient>, u64), AdminError> {
        match self.request(Request::Kill(request)).await? {
            Response::Killed { clients, more } => Ok((clients, more)),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the daemon read its configuration again.
    ///
    /// # Errors
    /// As [`Self::request`]; an invalid configuration is [`crate::ErrorCode::Refused`] and changes nothing.
    pub async fn reload(&mut self) -> Result<ReloadReport, AdminError> {
        match self.request(Request::Reload).await? {
            Response::Reloaded(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks what [`Self::reload`] would change.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub async fn plan(&mut self) -> Result<ReloadReport, AdminError> {
        match self.request(Request::Plan).await? {
            Response::Planned(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the daemon write a backup of its store, which the caller takes away.
    ///
    /// # Errors
    /// As [`Self::request`]; [`crate::ErrorCode::Refused`] if it has no store, or can't write.
    pub async fn backup(&mut self) -> Result<BackupReport, AdminError> {
        match self.request(Request::Backup).await? {
            Response::BackedUp(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Says why a client may reach a destination or not.
    ///
    /// # Errors
    /// As [`Self::request`]; [`crate::ErrorCode::NotFound`] if there is no such client,
    /// [`crate::ErrorCode::Refused`] if there are several.
    pub async fn explain(&mut self, request: ExplainRequest) -> Result<Explanation, AdminError> {
        match self.request(Request::Explain(request)).await? {
            Response::Explained(explanation) => Ok(*explanation),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(response: &Response) -> AdminError {
    let kind = match response {
        Response::Status(_) => "status",
        Response::Clients(_) => "clients",
        Response::Killed { .. } => "killed",
        Response::Reloaded(_) => "reloaded",
        Response::Planned(_) => "planned",
        Response::BackedUp(_) => "backed_up",
        Response::Explained(_) => "explained",
    };
    AdminError::Malformed {
        detail: format!("an answer of kind {kind:?} does not fit the request"),
    }
}
