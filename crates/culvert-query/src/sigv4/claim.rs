//! What a request claims about its sender, read from the `Authorization` header or the query string; not verified.

use std::borrow::Cow;

use time::Duration;

use super::timestamp::Timestamp;
use super::{ALGORITHM, SigV4Error, canonical};
use crate::Request;
use crate::encoding::{decode, pairs};

/// The last part of every scope.
pub(super) const TERMINATOR: &str = "aws4_request";
/// The parameter of a presigned request that isn't signed itself.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
/// The parameters of a presigned request that are about its signature.
pub(crate) const QUERY_PARAMETERS: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
    SIGNATURE_PARAMETER,
];
/// Characters of an access key id, at most.
const MAX_ACCESS_KEY: usize = 128;
/// Each is looked for among the headers sent.
const MAX_SIGNED_HEADERS: usize = 64;
/// A presigned request is good for a week at most.
const MAX_LIFETIME: i64 = 7 * 24 * 60 * 60;

/// Everything a signature says besides the request itself.
pub(super) struct Claim {
    pub(super) access_key: String,
    pub(super) scope: Scope,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: Vec<u8>,
    pub(super) timestamp: Timestamp,
    pub(super) session_token: Option<Vec<u8>>,
    pub(super) proof: Proof,
}

/// In which of the two forms a request is signed.
pub(super) enum Proof {
    /// By a header; its time stands in this one.
    Header { dated_by: &'static str },
    /// By the query string, for so long.
    Presigned { lifetime: Duration },
}

/// What a signing key is good for.
pub(super) struct Scope {
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    /// As it is signed.
    pub(super) fn text(&self) -> String {
        [&*self.date, &self.region, &self.service, TERMINATOR].join("/")
    }
}

impl Claim {
    /// Reads the claim of either form.
    pub(super) fn from_request(request: &Request<'_>) -> Result<Self, SigV4Error> {
        let header = single(request, "authorization", "Authorization")?;
        let parameters = QueryClaim::read(request.query)?;
        match (header, parameters.is_empty()) {
            (None, true) => Err(SigV4Error::NotSigned),
            (Some(_), false) => Err(SigV4Error::SignedTwice),
            (Some(header), true) => Self::from_header(header, request),
            (None, false) => Self::from_query(&parameters, request),
        }
    }

    fn from_header(header: &[u8], request: &Request<'_>) -> Result<Self, SigV4Error> {
        let [credential, signed_headers, signature] = header_parts(header)?;
        let (access_key, scope) = parse_credential(credential)?;
        let (timestamp, dated_by) = match single(request, "x-amz-date", "X-Amz-Date")? {
            Some(text) => (Timestamp::from_basic(text), "x-amz-date"),
            None => {
                let date = single(request, "date", "Date")?
                    .ok_or_else(|| SigV4Error::Unsigned("x-amz-date".to_owned()))?;
                (Timestamp::from_date(date), "date")
            }
        };
        Ok(Self {
            access_key,
            scope,
            signed_headers: parse_signed_headers(signed_headers)?,
            signature: parse_signature(signature.as_bytes())?,
            timestamp: timestamp.ok_or(WRONG_DATE)?,
            session_token: single(request, "x-amz-security-token", "X-Amz-Security-Token")?
                .map(|token| token.trim_ascii().to_vec()),
            proof: Proof::Header { dated_by },
        })
    }

    fn from_query(parameters: &QueryClaim<'_>, request: &Request<'_>) -> Result<Self, SigV4Error> {
        if parameters.text("X-Amz-Algorithm")? != ALGORITHM {
            return Err(WRONG_ALGORITHM);
        }
        if request.header_values("x-amz-security-token").next().is_some() {
            return Err(SigV4Error::Malformed(
                "a presigned request has its session token in the query string",
            ));
        }
        let (access_key, scope) = parse_credential(parameters.text("X-Amz-Credential")?)?;
        let lifetime = parameters
            .text("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=MAX_LIFETIME).contains(seconds))
            .ok_or(SigV4Error::Malformed("X-Amz-Expires must be 1 to 604800 seconds"))?;
        Ok(Self {
            access_key,
            scope,
            signed_headers: parse_signed_headers(parameters.text("X-Amz-SignedHeaders")?)?,
            signature: parse_signature(parameters.text(SIGNATURE_PARAMETER)?.as_bytes())?,
            timestamp: Timestamp::from_basic(parameters.text("X-Amz-Date")?.as_bytes()).ok_or(WRONG_DATE)?,
            session_token: parameters.find("X-Amz-Security-Token").map(<[u8]>::to_vec),
            proof: Proof::Presigned {
                lifetime: Duration::seconds(lifetime),
            },
        })
    }
}

const WRONG_DATE: SigV4Error = SigV4Error::Malformed("X-Amz-Date must have the form 20260101T000000Z");
const WRONG_ALGORITHM: SigV4Error = SigV4Error::Malformed("the algorithm must be AWS4-HMAC-SHA256");

/// The parameters of a presigned request.
struct QueryClaim<'a>(Vec<(&'static str, Cow<'a, [u8]>)>);

impl<'a> QueryClaim<'a> {
    fn read(query: &'a str) -> Result<Self, SigV4Error> {
        let mut found: Vec<(&'static str, Cow<'a, [u8]>)> = Vec::new();
        for (name, value) in pairs(query.as_bytes()) {
            let name = decode(name);
            let Some(name) = QUERY_PARAMETERS
                .into_iter()
                .find(|known| known.as_bytes() == &*name)
            else {
                continue;
            };
            if found.iter().any(|(before, _)| *before == name) {
                return Err(SigV4Error::Duplicate(name));
            }
            found.push((name, decode(value)));
        }
        Ok(Self(found))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| &**value)
    }

    fn text(&self, name: &str) -> Result<&str, SigV4Error> {
        self.find(name)
            .and_then(|value| std::str::from_utf8(value).ok())
            .ok_or(SigV4Error::Malformed(
                "a presigned request has X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders and -Signature",
            ))
    }
}

/// The value of a header that may be sent once at most.
fn single<'a>(
    request: &Request<'a>,
    name: &str,
    shown: &'static str,
) -> Result<Option<&'a [u8]>, SigV4Error> {
    let mut values = request.header_values(name);
    let first = values.next();
    match values.next() {
        Some(_) => Err(SigV4Error::Duplicate(shown)),
        None => Ok(first),
    }
}

/// Credential, signed headers and signature of an `Authorization` header, which may stand in any order.
fn header_parts(header: &[u8]) -> Result<[&str; 3], SigV4Error> {
    const SHAPE: SigV4Error =
        SigV4Error::Malformed("Authorization must have one each of Credential, SignedHeaders and Signature");
    let header = std::str::from_utf8(header).map_err(|_| SHAPE)?;
    let (algorithm, parts) = header.trim().split_once(' ').ok_or(SHAPE)?;
    if algorithm != ALGORITHM {
        return Err(WRONG_ALGORITHM);
    }
    let mut found = [None; 3];
    for part in parts.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or(SHAPE)?;
        let slot = match name {
            "Credential" => 0,
            "SignedHeaders" => 1,
            "Signature" => 2,
            _ => return Err(SHAPE),
        };
        if found[slot].replace(value).is_some() {
            return Err(SHAPE);
        }
    }
    match found {
        [Some(credential), Some(signed_headers), Some(signature)] => {
            Ok([credential, signed_headers, signature])
        }
        _ => Err(SHAPE),
    }
}

fn parse_credential(text: &str) -> Result<(String, Scope), SigV4Error> {
    const SHAPE: SigV4Error =
        SigV4Error::Malformed("Credential must have the form KEY/20260101/REGION/SERVICE/aws4_request");
    let parts: Vec<_> = text.split('/').collect();
    let [access_key, date, region, service, TERMINATOR] = parts[..] else {
        return Err(SHAPE);
    };
    let printable = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
    if access_key.len() > MAX_ACCESS_KEY || ![access_key, region, service].into_iter().all(printable) {
        return Err(SHAPE);
    }
    let scope = Scope {
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    Ok((access_key.to_owned(), scope))
}

fn parse_signed_headers(text: &str) -> Result<Vec<String>, SigV4Error> {
    let names: Vec<_> = text
        .split(';')
        .take(MAX_SIGNED_HEADERS + 1)
        .map(str::to_owned)
        .collect();
    if names.len() > MAX_SIGNED_HEADERS || !canonical::is_canonical_list(&names) {
        return Err(SigV4Error::Malformed(
            "SignedHeaders must be at most 64 names in lower case, sorted, separated by semicolons",
        ));
    }
    Ok(names)
}

fn parse_signature(text: &[u8]) -> Result<Vec<u8>, SigV4Error> {
    data_encoding::HEXLOWER
        .decode(text)
        .ok()
        .filter(|signature| signature.len() == 32)
        .ok_or(SigV4Error::Malformed(
            "Signature must be 64 hexadecimal digits in lower case",
        ))
}
