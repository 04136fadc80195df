//! Handlers that are web services.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use crate::reason::{Reason, Refusal};

/// Most that is read of an answer.
const MAX_ANSWER: usize = 64 * 1024;
/// In an answer of AWS Lambda: the function failed, and the body is about that.
const FUNCTION_ERROR: &str = "x-amz-function-error";
/// Connections that are kept for later questions.
const IDLE: usize = 8;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// A web service that is asked.
#[derive(Debug)]
pub(crate) struct Web {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Web {
    /// The service at this address. Its certificate is checked by `authority`, PEM, or by the system's authorities.
    ///
    /// # Errors
    /// Fails when there is no usable authority.
    pub(crate) fn new(url: Uri, authority: Option<&[u8]>) -> io::Result<Self> {
        let builder = HttpsConnectorBuilder::new();
        let builder = match authority {
            Some(pem) => builder.with_tls_config(
                ClientConfig::builder()
                    .with_root_certificates(roots(pem)?)
                    .with_no_client_auth(),
            ),
            // Without any authority every HTTPS address would fail later, and plain HTTP would not need one.
            None if url.scheme_str() == Some("https") => builder.with_native_roots()?,
            None => builder.with_tls_config(
                ClientConfig::builder()
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth(),
            ),
        };
        let connector = builder.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(IDLE_FOR)
            .build(connector);
        Ok(Self { url, client })
    }

    /// Posts the question. Returns the body of the answer.
    pub(crate) async fn ask(&self, question: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let refuse =
            |reason, detail: String| Err(Refusal::without_answer(reason, format!("{}: {detail}", self.url)));
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(question));
        let request = match request {
            Ok(request) => request,
            Err(error) => return refuse(Reason::ServiceError, error.to_string()),
        };
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return refuse(Reason::ServiceError, chain(&error)),
        };
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            return refuse(Reason::Throttled, "it has too much to do (429)".to_owned());
        }
        if !status.is_success() {
            return refuse(Reason::ServiceError, format!("it answered {status}"));
        }
        if let Some(kind) = response.headers().get(FUNCTION_ERROR) {
            return refuse(
                Reason::OtherExecutionError,
                format!("the function failed ({kind:?})"),
            );
        }
        match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
            Ok(body) => Ok(body.to_bytes().into()),
            Err(error) => refuse(Reason::InvalidResponse, format!("the answer breaks off: {error}")),
        }
    }
}

fn roots(mut pem: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut pem) {
        roots.add(certificate?).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        return Err(io::Error::other("there is no certificate in it"));
    }
    Ok(roots)
}

/// An error with its causes: the first of them says next to nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
