//! From HTTP to a request that can be answered, and back.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use culvert_query::{ApiError, ErrorCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use time::OffsetDateTime;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::api::Api;
use crate::audit::Audit;
use crate::head::Head;
use crate::peer::Peer;
use crate::random;
use crate::service::Service;

/// Bodies up to this size are read from whoever may connect at all; larger ones share a budget.
const SMALL_BODY: usize = 64 * 1024;

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
        Ok(head) if surplus => busy(&head, audit),
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

/// Refuses with a code of the service that seems to be meant.
fn refuse_as(head: &Head, audit: Audit, error: &ApiError) -> Answer {
    let service = claimed(head);
    let answer = service.refuse(error, &audit.request_id);
    finish(audit, answer)
}

fn claimed(head: &Head) -> Service {
    head.with(&[], Service::claimed).unwrap_or(Service::Ec2)
}

fn busy(head: &Head, audit: Audit) -> Answer {
    let error = ApiError::new(
        ErrorCode::RequestLimitExceeded,
        "Too many requests at once. Please try again in a few seconds.",
    );
    refuse_as(head, audit, &error)
}

/// Takes in a request if it may be one that has to be answered, and has it answered.
async fn take(api: Arc<Api>, peer: Peer, head: Head, body: Incoming, audit: Audit) -> Answer {
    if let Peer::Network(_) = peer {
        if let Err(error) = api.check_head(&head, OffsetDateTime::now_utc()) {
            let answer = claimed(&head).refuse_signature(&error, &audit.request_id);
            return finish(audit, answer);
        }
    } else if !peer.is_trusted() {
        let message = "Only root and the user the daemon runs as may use this socket. Sign requests to the API's address.";
        return refuse_as(
            &head,
            audit,
            &ApiError::new(ErrorCode::UnauthorizedOperation, message),
        );
    }
    match timeout(api.limits.body_time, read(&api, body)).await {
        Ok(Ok((body, _budget))) => {
            let Ok(_working) = api.gates.requests.try_acquire() else {
                return busy(&head, audit);
            };
            work(Arc::clone(&api), peer, head, body, audit).await
        }
        Ok(Err(Unread::Busy)) => busy(&head, audit),
        Ok(Err(Unread::TooLarge)) => {
            let message = format!("The body has more than {} bytes", api.limits.body_bytes);
            let answer = refuse_malformed(&head, &audit, 413, message);
            finish(audit, answer)
        }
        Ok(Err(Unread::Gone)) => {
            let answer = refuse_malformed(&head, &audit, 400, "The body ended early".to_owned());
            finish(audit, answer)
        }
        Err(_) => {
            let message = format!(
                "The body took longer than {} seconds",
                api.limits.body_time.as_secs()
            );
            let answer = refuse_malformed(&head, &audit, 408, message);
            finish(audit, answer)
        }
    }
}

fn refuse_malformed(head: &Head, audit: &Audit, status: u16, message: String) -> Answer {
    let error = ApiError::new(ErrorCode::MalformedQueryString, message);
    Answer {
        status,
        ..claimed(head).refuse(&error, &audit.request_id)
    }
}

/// Why there is no body.
enum Unread {
    TooLarge,
    /// Others have large bodies just now.
    Busy,
    /// The connection failed.
    Gone,
}

/// Reads a body, which may hold secrets. What it takes of the budget for large ones is given back with the permit.
async fn read(
    api: &Api,
    mut body: Incoming,
) -> Result<(Zeroizing<Vec<u8>>, Option<SemaphorePermit<'_>>), Unread> {
    let limit = api.limits.body_bytes;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Unread::TooLarge);
    }
    let mut budget: Option<SemaphorePermit<'_>> = None;
    let mut read = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Gone)?.into_data() else {
            continue;
        };
        let size = read.len().saturating_add(data.len());
        if size > limit {
            return Err(Unread::TooLarge);
        }
        if size > SMALL_BODY {
            let more = u32::try_from(data.len()).map_err(|_| Unread::TooLarge)?;
            let more = api
                .gates
                .large_bodies
                .try_acquire_many(more)
                .map_err(|_| Unread::Busy)?;
            match &mut budget {
                Some(budget) => budget.merge(more),
                None => budget = Some(more),
            }
        }
        read.extend_from_slice(&data);
    }
    Ok((read, budget))
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
