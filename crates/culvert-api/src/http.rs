//! From HTTP to a request that can be answered, and back.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use culvert_query::{ApiError, ErrorCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use time::OffsetDateTime;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::api::Api;
use crate::audit::Audit;
use crate::body::{Unread, linger, read};
use crate::head::Head;
use crate::peer::Peer;
use crate::random;
use crate::service::Service;

/// Answers one request of a connection; all of a surplus connection are told to come back later.
pub(crate) async fn respond(
    api: Arc<Api>,
    peer: Peer,
    surplus: bool,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let request_id = random::uuid();
    let audit = Audit::begin(request_id.clone(), peer);
    let (parts, body) = request.into_parts();
    let answer = match Head::new(&parts) {
        Ok(_) if parts.uri.path() != "/" => finish(
            audit,
            Answer::plain(404, "NotFound", "the API is at /, and nothing else is here"),
        ),
        Ok(head) if surplus => {
            linger(body);
            busy(&head, audit)
        }
        Ok(head) => take(api, peer, head, body, audit).await,
        Err(_) => finish(
            audit,
            Answer::plain(405, "MethodNotAllowed", "the API is called with GET or POST"),
        ),
    };
    Ok(response(answer, &request_id))
}

/// Writes down what became of a request.
fn finish(audit: Audit, answer: Answer) -> Answer {
    audit.finish(&answer);
    answer
}

/// The service that seems to be meant.
fn claimed(head: &Head) -> Service {
    head.with(&[], Service::claimed).unwrap_or(Service::Ec2)
}

fn busy(head: &Head, audit: Audit) -> Answer {
    let error = ApiError::new(
        ErrorCode::RequestLimitExceeded,
        "Too many requests at once. Please try again in a few seconds.",
    );
    let answer = claimed(head).refuse(&error, &audit.request_id);
    finish(audit, answer)
}

/// Takes in a request if it may be one that has to be answered, and has it answered.
async fn take(api: Arc<Api>, peer: Peer, head: Head, mut body: Incoming, audit: Audit) -> Answer {
    if let Err(refusal) = admit(&api, peer, &head, &audit.request_id) {
        linger(body);
        return finish(audit, refusal);
    }
    let unread = match timeout(api.limits.body_time, read(&api, &mut body)).await {
        Ok(Ok((body, _budget))) => {
            let Ok(_working) = api.gates.requests.try_acquire() else {
                return busy(&head, audit);
            };
            return work(Arc::clone(&api), peer, head, body, audit).await;
        }
        Ok(Err(unread)) => unread,
        Err(_) => Unread::Slow,
    };
    let (status, message) = match unread {
        Unread::Busy => {
            linger(body);
            return busy(&head, audit);
        }
        Unread::TooLarge => {
            linger(body);
            (
                413,
                format!("The body has more than {} bytes", api.limits.body_bytes),
            )
        }
        Unread::Slow => (
            408,
            format!(
                "The body took longer than {} seconds",
                api.limits.body_time.as_secs()
            ),
        ),
        Unread::Gone => (400, "The body ended early".to_owned()),
    };
    let error = ApiError::new(ErrorCode::MalformedQueryString, message);
    let answer = Answer {
        status,
        ..claimed(&head).refuse(&error, &audit.request_id)
    };
    finish(audit, answer)
}

/// Refuses whom nothing in the body could help.
fn admit(api: &Api, peer: Peer, head: &Head, request_id: &str) -> Result<(), Answer> {
    match peer {
        Peer::Network(_) => api
            .check_head(head, OffsetDateTime::now_utc())
            .map_err(|error| claimed(head).refuse_signature(&error, request_id)),
        Peer::Local { .. } if peer.is_trusted() => Ok(()),
        Peer::Local { .. } => {
            let message = "Only root and the user the daemon runs as may use this socket. Sign requests to the API's address.";
            let error = ApiError::new(ErrorCode::UnauthorizedOperation, message);
            Err(claimed(head).refuse(&error, request_id))
        }
    }
}

/// Has a request answered on a thread that may block. It is carried out to its end even if the client leaves.
async fn work(api: Arc<Api>, peer: Peer, head: Head, body: Zeroizing<Vec<u8>>, audit: Audit) -> Answer {
    let service = claimed(&head);
    let request_id = audit.request_id.clone();
    let threads = Arc::clone(&api.gates.threads);
    let Ok(Ok(thread)) = timeout(api.limits.wait_time, threads.acquire_owned()).await else {
        return busy(&head, audit);
    };
    let done = tokio::task::spawn_blocking(move || {
        let _thread = thread;
        let mut audit = audit;
        let answer = api.answer(&head, &body, peer, &mut audit);
        finish(audit, answer)
    });
    done.await.unwrap_or_else(|_| {
        let message = "The request failed for a reason that the server's log tells";
        service.refuse(&ApiError::new(ErrorCode::InternalError, message), &request_id)
    })
}

fn response(answer: Answer, request_id: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}
