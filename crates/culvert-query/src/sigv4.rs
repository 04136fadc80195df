//! Verification of AWS Signature Version 4, as the services other than S3 do it; and signing.
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/ec2/aws4_request,
//!                SignedHeaders=content-type;host;x-amz-date, Signature=<64 hex>
//!
//! canonical request   METHOD \n path, encoded once more \n sorted query \n
//!                     name:value \n ... \n signed;names \n SHA-256 of the body
//! string to sign      AWS4-HMAC-SHA256 \n 20260101T000000Z \n 20260101/us-east-1/ec2/aws4_request \n
//!                     SHA-256 of the canonical request
//! key                 HMAC chain: "AWS4" + secret, date, region, service, "aws4_request"
//! ```
//!
//! A presigned request carries the same things as `X-Amz-*` parameters of its query string.
//!
//! A signature can be replayed for as long as it is fresh: whoever listens on the wire can repeat a request for 15
//! minutes. TLS prevents that, client tokens ([`crate::idempotency`]) make it harmless for the calls that have them.
//!
//! Source: IAM User Guide, "Create a signed AWS API request"; AWS's signing test suite is replayed by this crate's
//! tests.

mod canonical;
mod claim;
pub(crate) use claim::QUERY_PARAMETERS;
mod error;
mod signer;
mod timestamp;

use ring::{digest, hmac};
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

pub use error::{Dialect, SigV4Error};
pub use signer::Signer;

use crate::Request;
use claim::{Claim, Proof, Scope};

/// The one algorithm there is.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the clocks of client and server may be apart.
const MAX_SKEW: Duration = Duration::minutes(15);
/// Header fields that must not be sent unsigned: they change what the request means.
const SIGNED_IF_SENT: [&str; 3] = ["x-amz-security-token", "x-amz-target", "x-amz-content-sha256"];

/// What is known about an access key. Wiped when dropped.
pub struct Credential {
    /// The secret access key. An empty one is never accepted.
    pub secret: Zeroizing<String>,
    /// The token that has to come with it, if these are temporary credentials.
    pub session_token: Option<Zeroizing<String>>,
}

impl Credential {
    fn nobody() -> Self {
        Self {
            secret: Zeroizing::new(String::new()),
            session_token: None,
        }
    }
}

/// Where access keys are looked up. Closures do, too.
pub trait Credentials {
    /// The credential with this access key id; `None` if there is none, or no longer.
    fn credential(&self, access_key: &str) -> Option<Credential>;
}

impl<F: Fn(&str) -> Option<Credential>> Credentials for F {
    fn credential(&self, access_key: &str) -> Option<Credential> {
        self(access_key)
    }
}

/// Who sent a request, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The access key id.
    pub access_key: String,
    /// The region it was signed for.
    pub region: String,
    /// The service it was signed for, `ec2` for instance.
    pub service: String,
    /// When it was signed, by the client's clock.
    pub signed_at: OffsetDateTime,
}

/// Verifies requests that are meant for certain services of a region.
#[derive(Clone, Debug)]
pub struct Verifier {
    region: Option<String>,
    services: Vec<String>,
}

impl Verifier {
    /// Accepts requests that were signed for `region`, or for any if `None`, and for one of `services`.
    pub fn new(region: Option<String>, services: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            region,
            services: services.into_iter().map(Into::into).collect(),
        }
    }

    /// Tells who sent `request`, at the time `now`.
    ///
    /// # Errors
    /// [`SigV4Error`] tells what is missing or wrong, for the log; [`SigV4Error::to_api`] is what the caller may
    /// know about it.
    pub fn verify(
        &self,
        request: &Request<'_>,
        credentials: &impl Credentials,
        now: OffsetDateTime,
    ) -> Result<Caller, SigV4Error> {
        let claim = Claim::from_request(request)?;
        check_coverage(&claim, request)?;
        self.check_scope(&claim)?;
        check_freshness(&claim, now)?;
        let known = credentials
            .credential(&claim.access_key)
            .filter(|credential| !credential.secret.is_empty());
        // An unknown key takes as long as a wrong signature, so that time doesn't tell which keys exist.
        let unknown = known.is_none();
        let credential = known.unwrap_or_else(Credential::nobody);
        let signature = check_signature(&claim, request, &credential);
        if unknown {
            return Err(SigV4Error::UnknownAccessKey(claim.access_key));
        }
        check_session_token(&claim, &credential)?;
        signature?;
        Ok(Caller {
            access_key: claim.access_key,
            region: claim.scope.region,
            service: claim.scope.service,
            signed_at: claim.timestamp.time,
        })
    }

    fn check_scope(&self, claim: &Claim) -> Result<(), SigV4Error> {
        let scope = &claim.scope;
        if scope.date != claim.timestamp.date() {
            return Err(SigV4Error::ScopeDate {
                scope: scope.date.clone(),
                signed: claim.timestamp.date().to_owned(),
            });
        }
        if let Some(region) = &self.region
            && *region != scope.region
        {
            return Err(SigV4Error::Region {
                wanted: region.clone(),
                found: scope.region.clone(),
            });
        }
        if !self.services.contains(&scope.service) {
            return Err(SigV4Error::Service {
                wanted: self.services.join(", "),
                found: scope.service.clone(),
            });
        }
        Ok(())
    }
}

/// Is everything signed that has to be, and nothing ambiguous?
fn check_coverage(claim: &Claim, request: &Request<'_>) -> Result<(), SigV4Error> {
    let sent = |name: &str| request.header_values(name).next().is_some();
    let signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    let date = match claim.proof {
        Proof::Presigned { .. } => None,
        Proof::Header { dated_by } => Some(dated_by),
    };
    for name in date.into_iter().chain(["host"]) {
        if !signed(name) {
            return Err(SigV4Error::Unsigned(name.to_owned()));
        }
    }
    if request.header_values("host").count() > 1 {
        return Err(SigV4Error::Duplicate("host"));
    }
    if let Some(name) = SIGNED_IF_SENT.iter().find(|name| sent(name) && !signed(name)) {
        return Err(SigV4Error::Unsigned((*name).to_owned()));
    }
    match claim.signed_headers.iter().find(|name| !sent(name)) {
        Some(name) => Err(SigV4Error::NotSent(name.clone())),
        None => Ok(()),
    }
}

fn check_freshness(claim: &Claim, now: OffsetDateTime) -> Result<(), SigV4Error> {
    let signed = claim.timestamp.time;
    let lifetime = match claim.proof {
        Proof::Header { .. } => MAX_SKEW,
        Proof::Presigned { lifetime } => lifetime,
    };
    let age = now - signed;
    if age > lifetime {
        return Err(SigV4Error::Expired { signed, now });
    }
    if age < -MAX_SKEW {
        return Err(SigV4Error::FromTheFuture { signed, now });
    }
    Ok(())
}

fn check_session_token(claim: &Claim, credential: &Credential) -> Result<(), SigV4Error> {
    match (&claim.session_token, &credential.session_token) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(SigV4Error::UnexpectedSessionToken),
        (None, Some(_)) => Err(SigV4Error::MissingSessionToken),
        (Some(sent), Some(wanted)) if bool::from(sent.ct_eq(wanted.as_bytes())) => Ok(()),
        (Some(_), Some(_)) => Err(SigV4Error::WrongSessionToken),
    }
}

fn check_signature(claim: &Claim, request: &Request<'_>, credential: &Credential) -> Result<(), SigV4Error> {
    let body_hash = hex_sha256(request.body);
    if request
        .header_values("x-amz-content-sha256")
        .any(|declared| declared != body_hash.as_bytes())
    {
        return Err(SigV4Error::BodyHash);
    }
    let canonical_hash = hex_sha256(&canonical::request(request, &claim.signed_headers, &body_hash));
    let to_sign = [
        ALGORITHM,
        &claim.timestamp.text,
        &claim.scope.text(),
        &canonical_hash,
    ]
    .join("\n");
    hmac::verify(
        &signing_key(&claim.scope, &credential.secret),
        to_sign.as_bytes(),
        &claim.signature,
    )
    .map_err(|_| SigV4Error::WrongSignature { canonical_hash })
}

/// The key that signs for one day, region and service.
fn signing_key(scope: &Scope, secret: &str) -> hmac::Key {
    // Made at full size: a buffer that grows leaves copies of the secret behind.
    let mut first = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret.as_bytes());
    [&*scope.date, &scope.region, &scope.service, claim::TERMINATOR]
        .into_iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, &first), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
}

fn hex_sha256(data: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, data).as_ref())
}

#[cfg(test)]
mod tests;
