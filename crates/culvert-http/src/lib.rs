//! Asking web services over HTTP or HTTPS, within bounds. Knows nothing of what they are asked, follows no redirection,
//! and leaves it to the caller how long an answer may take.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

/// Connections that are kept for later questions.
const IDLE: usize = 8;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Asks one web service.
#[derive(Clone, Debug)]
pub struct WebClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The service can't be reached, isn't who it should be, or speaks no HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// The answer is too long or breaks off.
    #[error("the answer can't be read: {0}")]
    Broken(String),
}

impl WebClient {
    /// For the service at `url`, whose certificate is checked by `authority`, PEM, or by the system's authorities.
    ///
    /// # Errors
    /// Fails when there is no usable authority, unless plain HTTP is spoken and none is given.
    pub fn new(url: &Uri, authority: Option<&[u8]>) -> io::Result<Self> {
        let builder = ClientConfig::builder();
        let tls = match authority {
            Some(pem) => builder.with_root_certificates(roots(pem)?),
            None if url.scheme_str() == Some("https") => builder.with_native_roots()?,
            None => builder.with_root_certificates(RootCertStore::empty()),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(IDLE_FOR)
            .build(connector);
        Ok(Self { client })
    }

    /// The answer to a request, if its body has at most so many bytes.
    ///
    /// # Errors
    /// [`AskError`]. An answer of any status is none.
    pub async fn ask(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Response<Bytes>, AskError> {
        let answered = self.client.request(request).await;
        let (head, body) = answered
            .map_err(|error| AskError::Unreachable(with_causes(&error)))?
            .into_parts();
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| AskError::Broken(error.to_string()))?;
        Ok(Response::from_parts(head, body.to_bytes()))
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
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnone";

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = [0; 1024];
        // The client may think better of it.
        if stream.read(&mut request).await.is_ok_and(|n| n > 0) {
            let _ = stream.write_all(ANSWER).await;
            let _ = stream.shutdown().await;
        }
    }

    /// Serves HTTPS for `localhost`; returns its address and its certificate.
    async fn serve() -> (Uri, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            }
        });
        (format!("https://localhost:{port}/").parse().unwrap(), cert.pem())
    }

    fn get(url: &Uri) -> Request<Full<Bytes>> {
        Request::get(url.clone()).body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn a_service_is_known_by_its_authority() {
        let (url, certificate) = serve().await;
        let client = WebClient::new(&url, Some(certificate.as_bytes())).unwrap();
        let response = client.ask(get(&url), 4).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.body().as_ref()),
            (404, &b"none"[..])
        );
        let stranger = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let client = WebClient::new(&url, Some(stranger.cert.pem().as_bytes())).unwrap();
        let error = client.ask(get(&url), 4).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_none() {
        let (url, certificate) = serve().await;
        let client = WebClient::new(&url, Some(certificate.as_bytes())).unwrap();
        assert!(matches!(client.ask(get(&url), 3).await, Err(AskError::Broken(_))));
    }

    #[tokio::test]
    async fn nobody_listens() {
        let url: Uri = "http://127.0.0.1:1/".parse().unwrap();
        let client = WebClient::new(&url, None).unwrap();
        let error = client.ask(get(&url), 1).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
    }

    #[test]
    fn text_is_no_authority() {
        let url: Uri = "https://localhost/".parse().unwrap();
        let error = WebClient::new(&url, Some(b"text")).unwrap_err();
        assert!(error.to_string().contains("no certificate"), "{error}");
    }
}
