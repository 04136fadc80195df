//! The other half: signing requests as a client does.

use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::claim::Scope;
use super::{ALGORITHM, canonical, hex_sha256, signing_key};
use crate::Request;

/// Signs requests to one service of a region with one access key.
pub struct Signer {
    access_key: String,
    secret: Zeroizing<String>,
    region: String,
    service: String,
}

impl Signer {
    /// Signs with this key.
    pub fn new(
        access_key: impl Into<String>,
        secret: Zeroizing<String>,
        region: impl Into<String>,
        service: impl Into<String>,
    ) -> Self {
        Self {
            access_key: access_key.into(),
            secret,
            region: region.into(),
            service: service.into(),
        }
    }

    /// A time as `X-Amz-Date` tells it.
    pub fn date(now: OffsetDateTime) -> String {
        let now = now.to_offset(time::UtcOffset::UTC);
        let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
        let (hour, minute, second) = now.to_hms();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// The `Authorization` of a request whose `X-Amz-Date` is `date`. All its header fields are signed, so `Host` and
    /// `X-Amz-Date` must be among them.
    pub fn authorization(&self, request: &Request<'_>, date: &str) -> String {
        let mut names: Vec<String> = request
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        names.dedup();
        let scope = Scope {
            date: date.get(..8).unwrap_or_default().to_owned(),
            region: self.region.clone(),
            service: self.service.clone(),
        };
        let canonical = canonical::request(request, &names, &hex_sha256(request.body));
        let to_sign = [ALGORITHM, date, &scope.text(), &hex_sha256(&canonical)].join("\n");
        let signature = ring::hmac::sign(&signing_key(&scope, &self.secret), to_sign.as_bytes());
        format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            self.access_key,
            scope.text(),
            names.join(";"),
            data_encoding::HEXLOWER.encode(signature.as_ref())
        )
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}
