//! The calls: JSON 1.1 over HTTP or HTTPS, signed.

use std::time::Duration;

use bytes::Bytes;
use culvert_http::WebClient;
use culvert_query::sigv4::Signer;
use culvert_query::{Method, Request};
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::Options;
use crate::spool::Event;

/// What this version of the API is called in requests.
const TARGET: &str = "Logs_20140328";
const CONTENT: &str = "application/x-amz-json-1.1";
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most that is read of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// Calls one service about one group.
pub(crate) struct Client {
    group: String,
    url: Uri,
    host: String,
    signer: Signer,
    http: WebClient,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("{0:?} is not the address of a service; write it as in \"https://logs.us-east-1.amazonaws.com\"")]
    Address(String),
    /// There are no authorities to check the service's certificate by.
    #[error("cannot read the system's certificate authorities: {0}")]
    Authorities(std::io::Error),
    /// The service can't be reached, or broke off.
    #[error("{url} can't be asked: {cause}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        cause: String,
    },
    /// The service refused.
    #[error("{call} was refused with status {status}: {code}: {message}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// HTTP status.
        status: u16,
        /// Its name for the reason.
        code: String,
        /// Its words.
        message: String,
    },
}

impl ClientError {
    /// Whether asking the same again can't help.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if ["InvalidParameterException", "SerializationException"].contains(&code.as_str()))
    }

    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl Client {
    pub(crate) fn new(group: &str, options: Options) -> Result<Self, ClientError> {
        let bad = || ClientError::Address(options.endpoint.clone());
        let url: Uri = options.endpoint.parse().map_err(|_| bad())?;
        let host = url.authority().ok_or_else(bad)?.to_string();
        let http = WebClient::new(&url, None).map_err(ClientError::Authorities)?;
        Ok(Self {
            group: group.to_owned(),
            url,
            host,
            signer: Signer::new(options.access_key, options.secret, options.region, "logs"),
            http,
        })
    }

    /// Puts events into a stream, which is made if it isn't there.
    pub(crate) async fn put(&self, stream: &str, events: &[&Event]) -> Result<(), ClientError> {
        let events: Vec<Value> = events
            .iter()
            .map(|event| json!({ "timestamp": event.millis, "message": event.message }))
            .collect();
        let request = json!({ "logGroupName": self.group, "logStreamName": stream, "logEvents": events });
        match self.call("PutLogEvents", &request).await {
            Err(error) if error.is("ResourceNotFoundException") => {
                self.make(stream).await?;
                self.call("PutLogEvents", &request).await
            }
            outcome => outcome,
        }
    }

    async fn make(&self, stream: &str) -> Result<(), ClientError> {
        let group = json!({ "logGroupName": self.group });
        let both = json!({ "logGroupName": self.group, "logStreamName": stream });
        for (call, request) in [("CreateLogGroup", group), ("CreateLogStream", both)] {
            match self.call(call, &request).await {
                Err(error) if !error.is("ResourceAlreadyExistsException") => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn call(&self, call: &'static str, request: &Value) -> Result<(), ClientError> {
        match timeout(PATIENCE, self.ask(call, request.to_string())).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(self.unreachable("it gave no answer in time")),
        }
    }

    async fn ask(&self, call: &'static str, body: String) -> Result<(), ClientError> {
        let request = self.signed(call, body)?;
        let response = self.http.ask(request, MAX_ANSWER).await;
        let response = response.map_err(|error| self.unreachable(&error.to_string()))?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| answer.get(name)?.as_str());
            found.unwrap_or_default().chars().take(200).collect::<String>()
        };
        let code = text(["__type", "code"]);
        Err(ClientError::Refused {
            call,
            status: status.as_u16(),
            // It may come with the name of the model before it.
            code: code.rsplit('#').next().unwrap_or_default().to_owned(),
            message: text(["message", "Message"]),
        })
    }

    fn signed(&self, call: &str, body: String) -> Result<hyper::Request<Full<Bytes>>, ClientError> {
        let date = Signer::date(OffsetDateTime::now_utc());
        let target = format!("{TARGET}.{call}");
        let headers: [(&str, &[u8]); 4] = [
            ("content-type", CONTENT.as_bytes()),
            ("host", self.host.as_bytes()),
            ("x-amz-date", date.as_bytes()),
            ("x-amz-target", target.as_bytes()),
        ];
        let authorization = self.signer.authorization(
            &Request {
                method: Method::Post,
                path: self.url.path(),
                query: self.url.query().unwrap_or_default(),
                headers: &headers,
                body: body.as_bytes(),
            },
            &date,
        );
        hyper::Request::post(self.url.clone())
            .header(CONTENT_TYPE, CONTENT)
            .header(HOST, &self.host)
            .header("x-amz-date", &date)
            .header("x-amz-target", &target)
            .header(AUTHORIZATION, authorization)
            .body(Full::from(body))
            .map_err(|error| self.unreachable(&error.to_string()))
    }

    fn unreachable(&self, cause: &str) -> ClientError {
        ClientError::Unreachable {
            url: self.url.to_string(),
            cause: cause.to_owned(),
        }
    }
}
