//! The head of a request, in the form in which signatures are verified.

use culvert_query::{Method, Request};
use hyper::http::request::Parts;

/// A method the API isn't called with.
pub(crate) struct WrongMethod;

/// The head of a request.
pub(crate) struct Head {
    method: Method,
    path: String,
    query: String,
    fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Takes over what hyper has parsed.
    pub(crate) fn new(parts: &Parts) -> Result<Self, WrongMethod> {
        let mut fields: Vec<(String, Vec<u8>)> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        // Over HTTP/2 the host is a part of the request's target, and signed all the same.
        if let Some(authority) = parts.uri.authority()
            && !parts.headers.contains_key("host")
        {
            fields.push(("host".to_owned(), authority.as_str().as_bytes().to_vec()));
        }
        Ok(Self {
            method: Method::from_name(parts.method.as_str()).ok_or(WrongMethod)?,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            fields,
        })
    }

    /// Looks at the request with this body.
    pub(crate) fn with<T>(&self, body: &[u8], look: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        look(&Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body,
        })
    }
}
