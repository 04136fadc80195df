//! The services that are spoken here, and how each says no.

use culvert_query::response::{CONTENT_TYPE, QueryService, ec2_error, query_error};
use culvert_query::sigv4::{Dialect, SigV4Error};
use culvert_query::{ApiError, Request};
use percent_encoding::percent_decode_str;

use crate::acm;
use crate::answer::Answer;

/// A service, which a caller chooses by what it signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Endpoints and what they refer to.
    Ec2,
    /// Who am I?
    Sts,
    /// Certificates.
    Acm,
}

impl Service {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Ec2, Self::Sts, Self::Acm];

    /// The name in the scope of a signature.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Acm => "acm",
        }
    }

    /// The service with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Which one a request is meant for, as far as it tells without proof.
    pub(crate) fn claimed(request: &Request<'_>) -> Option<Self> {
        if request.header_values("x-amz-target").next().is_some() {
            return Some(Self::Acm);
        }
        claimed_scope(request).and_then(|scope| {
            let service = scope.split('/').nth(3)?;
            Self::from_name(service)
        })
    }

    /// A refusal in the words of the service.
    pub(crate) fn refuse(self, error: &ApiError, request_id: &str) -> Answer {
        let answer = |body| Answer {
            status: error.status(),
            content_type: CONTENT_TYPE,
            body,
            outcome: error.code.as_str(),
            reason: Some(error.message.clone()),
        };
        match self {
            Self::Ec2 => answer(ec2_error(error, request_id)),
            Self::Sts => answer(query_error(QueryService::STS, error, request_id)),
            Self::Acm => acm::Refusal::from(error).to_answer(),
        }
    }

    /// The refusal of a signature. The caller isn't told everything, the log is.
    pub(crate) fn refuse_signature(self, error: &SigV4Error, request_id: &str) -> Answer {
        let dialect = match self {
            Self::Ec2 => Dialect::Ec2,
            Self::Sts | Self::Acm => Dialect::Query,
        };
        Answer {
            reason: Some(error.to_string()),
            ..self.refuse(&error.to_api(dialect), request_id)
        }
    }
}

/// The credential a request names, `KEY/20260101/REGION/SERVICE/aws4_request`.
fn claimed_scope(request: &Request<'_>) -> Option<String> {
    let header = request.header_values("authorization").find_map(|value| {
        let text = std::str::from_utf8(value).ok()?;
        let (_, rest) = text.split_once("Credential=")?;
        rest.split([',', ' ']).next().map(str::to_owned)
    });
    header.or_else(|| {
        let mut pairs = request.query.split('&');
        let value = pairs.find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}

#[cfg(test)]
mod tests {
    use culvert_query::Method;

    use super::*;

    fn claimed(query: &str, headers: &[(&str, &[u8])]) -> Option<Service> {
        Service::claimed(&Request {
            method: Method::Post,
            path: "/",
            query,
            headers,
            body: &[],
        })
    }

    #[test]
    fn a_request_tells_which_service_it_is_meant_for() {
        let header =
            b"AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/sts/aws4_request, SignedHeaders=host";
        assert_eq!(claimed("", &[("authorization", header)]), Some(Service::Sts));
        let presigned = "Action=X&X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fec2%2Faws4_request";
        assert_eq!(claimed(presigned, &[]), Some(Service::Ec2));
        assert_eq!(claimed("", &[("x-amz-target", b"x")]), Some(Service::Acm));
        for header in [
            &b"AWS4-HMAC-SHA256 Credential=a/b/c/s3/d"[..],
            b"Credential=",
            b"\xff",
            b"",
        ] {
            assert_eq!(claimed("X-Amz-Credential=a", &[("authorization", header)]), None);
        }
    }
}
