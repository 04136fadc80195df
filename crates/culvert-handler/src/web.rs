//! Handlers that are web services.

use std::io;

use culvert_http::{AskError, WebClient};
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};

use crate::reason::{Reason, Refusal};

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// In an answer of AWS Lambda: the function failed, and the body is about that.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// A web service that is asked.
#[derive(Debug)]
pub(crate) struct Web {
    url: Uri,
    client: WebClient,
}

impl Web {
    /// The service at this address. Its certificate is checked by `authority`, PEM, or by the system's authorities.
    ///
    /// # Errors
    /// Fails when there is no usable authority.
    pub(crate) fn new(url: Uri, authority: Option<&[u8]>) -> io::Result<Self> {
        let client = WebClient::new(&url, authority)?;
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
        let response = match self.client.ask(request, MAX_ANSWER).await {
            Ok(response) => response,
            Err(error @ AskError::Unreachable(_)) => return refuse(Reason::ServiceError, error.to_string()),
            Err(error @ AskError::Broken(_)) => return refuse(Reason::InvalidResponse, error.to_string()),
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
        Ok(response.into_body().into())
    }
}
