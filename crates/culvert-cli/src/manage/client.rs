//! Asking the daemon over the API's Unix socket: HTTP/1.1, one request per connection, everything bounded. Who may ask
//! is told by the kernel, so requests carry no signature.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::error::ManageError;

/// Longest wait for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Most bytes of an answer: a page of a thousand items, or a revocation list of 20,000 entries, several times over.
const ANSWER_BYTES: usize = 16 << 20;
/// The header that names an action of the certificate manager.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Where the API is, and what it takes to ask it.
pub(crate) struct Client {
    path: PathBuf,
    runtime: Runtime,
}

/// A request.
pub(crate) struct Question {
    pub(crate) content_type: &'static str,
    /// The action, where a header names it.
    pub(crate) target: Option<String>,
    /// It may hold secrets.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) is_success: bool,
    pub(crate) body: String,
}

impl Client {
    /// A client of the API at `path`.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.into(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn ask(&self, action: &str, question: Question) -> Result<Answer, ManageError> {
        let asked = async { timeout(ANSWER_TIME, exchange(&self.path, action, question)).await };
        self.runtime.block_on(asked).map_err(|_| ManageError::Slow {
            seconds: ANSWER_TIME.as_secs(),
        })?
    }
}

async fn connect(path: &Path) -> Result<UnixStream, ManageError> {
    UnixStream::connect(path)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ManageError::Denied { path: path.into() },
            _ => ManageError::NoDaemon {
                path: path.into(),
                source,
            },
        })
}

async fn exchange(path: &Path, action: &str, question: Question) -> Result<Answer, ManageError> {
    let stream = TokioIo::new(connect(path).await?);
    let failed = |error: &dyn std::error::Error| ManageError::Connection(error.to_string());
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| failed(&error))?;
    // Its errors come back through the sender and the body.
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, question.content_type);
    if let Some(target) = question.target {
        request = request.header(TARGET, target);
    }
    let body = Full::new(Bytes::from_owner(question.body));
    let request = request.body(body).map_err(|error| failed(&error))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    let is_success = response.status().is_success();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    driver.abort();
    let malformed = |reason: String| ManageError::Malformed {
        action: action.to_owned(),
        reason,
    };
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            malformed(format!("it has more than {ANSWER_BYTES} bytes"))
        } else {
            failed(&*error)
        }
    })?;
    let body = String::from_utf8(body.to_bytes().to_vec())
        .map_err(|_| malformed("it is not text in UTF-8".to_owned()))?;
    Ok(Answer { is_success, body })
}
