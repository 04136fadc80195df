//! What answers requests, once they are read.

use std::sync::Arc;

use culvert_auth::AccessKeys;
use culvert_ec2::{Call, Ec2};
use culvert_query::params::{Limits as FormLimits, Params};
use culvert_query::response::CONTENT_TYPE;
use culvert_query::sigv4::{Credential, SigV4Error, Verifier};
use culvert_query::{ApiError, Request};
use culvert_service::ServiceError;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use crate::answer::Answer;
use crate::audit::Audit;
use crate::head::Head;
use crate::limits::Limits;
use crate::peer::Peer;
use crate::service::Service;
use crate::{acm, random, sts};

/// The management API of one account in one region.
pub struct Api {
    pub(crate) ec2: Ec2,
    keys: AccessKeys,
    pub(crate) limits: Limits,
    pub(crate) gates: Gates,
}

/// What callers share.
pub(crate) struct Gates {
    /// Requests that are being worked on.
    pub(crate) requests: Semaphore,
    /// Threads that work on them.
    pub(crate) threads: Arc<Semaphore>,
    /// Bytes of large bodies.
    pub(crate) large_bodies: Semaphore,
}

/// Who calls, proven.
pub(crate) enum Caller {
    /// Somebody with this access key.
    Key(String),
    /// A trusted user of this machine.
    Local,
}

impl Api {
    /// The API in front of `ec2`, for callers with one of `keys`.
    pub fn new(ec2: Ec2, keys: AccessKeys, limits: Limits) -> Self {
        Self {
            ec2,
            keys,
            limits,
            gates: Gates {
                requests: Semaphore::new(limits.requests),
                threads: Arc::new(Semaphore::new(limits.threads)),
                large_bodies: Semaphore::new(limits.large_body_bytes),
            },
        }
    }

    /// Refuses what can't be right whatever the body is: unsigned, for another region, too old.
    ///
    /// An access key is never looked up here: how long a refusal takes must not tell which exist.
    pub(crate) fn check_head(&self, head: &Head, now: OffsetDateTime) -> Result<(), SigV4Error> {
        let nobody = |_: &str| None::<Credential>;
        match head.with(&[], |request| self.verifier().verify(request, &nobody, now)) {
            Ok(_) | Err(SigV4Error::UnknownAccessKey(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn verifier(&self) -> Verifier {
        let region = self.ec2.environment.load().region.clone();
        Verifier::new(Some(region), Service::ALL.map(Service::name))
    }

    /// Answers a request. Blocks while the store works.
    pub(crate) fn answer(&self, head: &Head, body: &[u8], peer: Peer, audit: &mut Audit) -> Answer {
        let now = OffsetDateTime::now_utc();
        head.with(body, |request| match self.identify(request, peer, now, audit) {
            Ok((caller, service)) => self.dispatch(request, &caller, service, now, audit),
            Err(refused) => refused,
        })
    }

    /// Who calls which service?
    fn identify(
        &self,
        request: &Request<'_>,
        peer: Peer,
        now: OffsetDateTime,
        audit: &mut Audit,
    ) -> Result<(Caller, Service), Answer> {
        if let Peer::Local { .. } = peer {
            return Ok((Caller::Local, unsigned_service(request)));
        }
        let lookup = |id: &str| {
            Some(Credential {
                secret: self.keys.secret(id)?,
                session_token: None,
            })
        };
        let found = self.verifier().verify(request, &lookup, now).map_err(|error| {
            let service = Service::claimed(request).unwrap_or(Service::Ec2);
            service.refuse_signature(&error, &audit.request_id)
        })?;
        audit.caller(found.access_key.clone());
        // The verifier knows no others.
        let service = Service::from_name(&found.service).unwrap_or(Service::Ec2);
        Ok((Caller::Key(found.access_key), service))
    }

    fn dispatch(
        &self,
        request: &Request<'_>,
        caller: &Caller,
        service: Service,
        now: OffsetDateTime,
        audit: &mut Audit,
    ) -> Answer {
        audit.service(service.name());
        if service == Service::Acm {
            return acm::answer(self, request, now, audit);
        }
        let answered = Params::from_request(request, &FormLimits::default())
            .map_err(ApiError::from)
            .and_then(|params| {
                audit.action(params.action().unwrap_or_default());
                match service {
                    Service::Sts => sts::answer(self, caller, &params, &audit.request_id),
                    Service::Ec2 | Service::Acm => self.answer_ec2(&params, now, &audit.request_id),
                }
            });
        match answered {
            Ok(body) => Answer::done(CONTENT_TYPE, body),
            Err(error) => service.refuse(&error, &audit.request_id),
        }
    }

    fn answer_ec2(
        &self,
        params: &Params,
        now: OffsetDateTime,
        request_id: &str,
    ) -> Result<Vec<u8>, ApiError> {
        let call = Call {
            params,
            request_id,
            now,
            random: &random::bytes,
        };
        self.ec2.answer(&call).map_err(|error| {
            log_failure(&error, request_id);
            error.to_api()
        })
    }
}

/// The service an unsigned request of a trusted user is meant for.
fn unsigned_service(request: &Request<'_>) -> Service {
    Service::claimed(request).unwrap_or_else(|| {
        let params = Params::from_request(request, &FormLimits::default());
        let is_sts = params.is_ok_and(|params| params.action() == Ok(sts::GET_CALLER_IDENTITY));
        if is_sts { Service::Sts } else { Service::Ec2 }
    })
}

/// What is wrong inside is the operator's business, and not told to callers.
pub(crate) fn log_failure(error: &ServiceError, request_id: &str) {
    match error {
        ServiceError::Refused(_) | ServiceError::Acm(_) | ServiceError::Contended => {}
        _ => tracing::error!(request_id, %error, "a request of the API failed"),
    }
}
