//! The parameters of a request: a form whose flattened names are read as structures and lists.
//!
//! ```text
//! Action=CreateClientVpnEndpoint&Authentication.1.Type=certificate-authentication&SecurityGroupId.1=sg-1
//! ```
//!
//! Names are joined with dots; lists count from 1 and may have gaps. What is read is remembered, so that
//! [`Params::finish`] can name the parameter that nothing asked for: a misspelt option is refused, never ignored.
//!
//! Source: Amazon EC2 API Reference, "Query requests"; what the AWS CLI sends.

mod error;
mod filter;
mod group;
mod tag;
mod tree;

pub use error::ParamError;
pub use filter::Filter;
pub use group::Group;
pub use tag::{Tag, TagSpecification};

use crate::encoding::{decode, is_xml_text, pairs};
use crate::sigv4::QUERY_PARAMETERS;
use crate::{Method, Request};
use tree::{Node, parse_name};

/// How much a request may contain. The defaults have room for every call of the API, the import of a revocation list
/// with 20,000 entries included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the query string, and of the body.
    pub bytes: usize,
    /// Parameters.
    pub parameters: usize,
    /// Parts of a name.
    pub depth: usize,
    /// The highest number of a list item. Gaps are allowed and cost nothing.
    pub index: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            parameters: 4096,
            depth: 8,
            index: 10_000,
        }
    }
}

/// Characters of a parameter's name.
const MAX_NAME: usize = 256;

/// The parameters of one request.
#[derive(Debug)]
pub struct Params {
    root: Node,
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the query string and, of a POST, the body. The parameters of a presigned signature are left out.
    ///
    /// # Errors
    /// [`ParamError::Malformed`] for what can't be read, is too much or contradicts itself.
    pub fn from_request(request: &Request<'_>, limits: &Limits) -> Result<Self, ParamError> {
        let body = match request.method {
            Method::Get => &[][..],
            Method::Post => request.body,
        };
        if request.query.len() > limits.bytes || body.len() > limits.bytes {
            return Err(ParamError::Malformed(format!(
                "The request has more than {} bytes of parameters",
                limits.bytes
            )));
        }
        if !body.is_empty() {
            check_content_type(request)?;
        }
        let signature = |name: &[u8]| QUERY_PARAMETERS.iter().any(|known| known.as_bytes() == name);
        let decoded = |(name, value)| (decode(name), decode(value));
        let query = pairs(request.query.as_bytes())
            .map(decoded)
            .filter(|(name, _)| !signature(name));
        let mut params = Self {
            root: Node::default(),
            pairs: Vec::new(),
        };
        for (name, value) in query.chain(pairs(body).map(decoded)) {
            params.add(&name, &value, limits)?;
        }
        params.pairs.sort();
        Ok(params)
    }

    fn add(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), ParamError> {
        if self.pairs.len() == limits.parameters {
            return Err(ParamError::Malformed(format!(
                "The request has more than {} parameters",
                limits.parameters
            )));
        }
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| {
                ParamError::Malformed(format!(
                    "A parameter's name is not plain ASCII of at most {MAX_NAME} characters"
                ))
            })?;
        let value = std::str::from_utf8(value)
            .ok()
            .filter(|value| is_xml_text(value))
            .ok_or_else(|| {
                ParamError::Malformed(format!(
                    "The value of {name} is not UTF-8 text without control characters"
                ))
            })?;
        let path = parse_name(name, limits)?;
        if !self.root.insert(path, value) {
            return Err(ParamError::Malformed(format!(
                "The parameter {name} was given more than once"
            )));
        }
        self.pairs.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// What is to be done.
    ///
    /// # Errors
    /// [`ParamError::MissingAction`].
    pub fn action(&self) -> Result<&str, ParamError> {
        self.root()
            .text("Action")
            .filter(|action| !action.is_empty())
            .ok_or(ParamError::MissingAction)
    }

    /// Refuses requests of another version of the API than `wanted`.
    ///
    /// # Errors
    /// [`ParamError::Missing`] or [`ParamError::Version`].
    pub fn check_version(&self, wanted: &'static str) -> Result<(), ParamError> {
        match self.root().required("Version")? {
            version if version == wanted => Ok(()),
            version => Err(ParamError::Version {
                wanted,
                found: version.to_owned(),
            }),
        }
    }

    /// The parameters, to be read by name.
    pub fn root(&self) -> Group<'_> {
        Group::new(&self.root, String::new())
    }

    /// Call this when everything has been read: it refuses the request if a parameter was not.
    ///
    /// # Errors
    /// [`ParamError::Unknown`] names the first one.
    pub fn finish(&self) -> Result<(), ParamError> {
        match self.root.first_unread() {
            Some(name) => Err(ParamError::Unknown(name)),
            None => Ok(()),
        }
    }

    /// All parameters as they were sent, sorted by name; reading them here doesn't count.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }
}

fn check_content_type(request: &Request<'_>) -> Result<(), ParamError> {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    match request.header_values("content-type").next() {
        Some(sent)
            if !sent
                .split(|&b| b == b';')
                .next()
                .is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(FORM)) =>
        {
            Err(ParamError::Malformed(
                "The body must be a form: set Content-Type to application/x-www-form-urlencoded".to_owned(),
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
