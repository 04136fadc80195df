//! What all actions do alike.

use std::sync::Arc;

use culvert_query::idempotency::Fingerprint;
use culvert_query::params::Group;
use culvert_query::response::{self, Element};
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Endpoint, Environment, Once, Repeat, ServiceError};

use crate::{Call, Ec2};

/// One action that is being carried out.
pub(crate) struct Task<'a> {
    /// The service.
    pub(crate) ec2: &'a Ec2,
    /// The request.
    pub(crate) call: &'a Call<'a>,
    /// The action.
    pub(crate) action: &'static str,
    /// The form.
    pub(crate) form: Group<'a>,
    /// The surroundings that the configuration declares, the same from beginning to end.
    pub(crate) environment: Arc<Environment>,
}

impl<'a> Task<'a> {
    pub(crate) fn new(ec2: &'a Ec2, call: &'a Call<'a>, action: &'static str) -> Self {
        Self {
            ec2,
            call,
            action,
            form: call.params.root(),
            environment: ec2.environment.load_full(),
        }
    }

    /// `ClientVpnEndpointId`.
    pub(crate) fn endpoint_id(&self) -> Result<&'a str, ServiceError> {
        Ok(self.form.required("ClientVpnEndpointId")?)
    }

    /// `ClientToken`, with what is asked for.
    pub(crate) fn repeat(&self) -> Result<Option<Repeat>, ServiceError> {
        let token = self.form.client_token()?;
        Ok(token.map(|token| Repeat {
            token,
            fingerprint: Fingerprint::of(self.call.params),
        }))
    }

    /// To be called when the form has been read and before anything is done: refuses what nothing asked for, and ends
    /// a request that is only to be tried.
    pub(crate) fn ready(&self) -> Result<(), ServiceError> {
        let dry_run = self.form.boolean("DryRun")?;
        self.call.params.finish()?;
        match dry_run {
            Some(true) => Err(ApiError::dry_run().into()),
            Some(false) | None => Ok(()),
        }
    }

    /// This request as one that may be a repetition.
    pub(crate) const fn once<'r>(&self, repeat: Option<&'r Repeat>) -> Once<'r> {
        Once {
            action: self.action,
            repeat,
        }
    }

    /// Changes an endpoint; `Registry::change` says how often `change` may be called.
    pub(crate) fn change<T>(
        &self,
        repeat: Option<&Repeat>,
        id: &str,
        change: impl Fn(&mut Endpoint) -> Result<T, ApiError>,
    ) -> Result<T, ServiceError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let registry = &self.ec2.registry;
        registry.change(self.once(repeat), id, |endpoint, _| change(endpoint))
    }

    /// The surroundings with the security groups of the store, as they are now. Whoever changes an endpoint reads them in
    /// the change: only then they are as of the moment it is made.
    pub(crate) fn surroundings(&self) -> Result<Environment, ServiceError> {
        let groups = self.ec2.security_groups.list()?;
        Ok(self.environment.with_security_groups(groups))
    }

    /// All endpoints, by creation.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, ServiceError> {
        let stored = self.ec2.registry.endpoints()?;
        Ok(stored.into_iter().map(|stored| stored.endpoint).collect())
    }

    /// One endpoint.
    pub(crate) fn endpoint(&self, id: &str) -> Result<Endpoint, ServiceError> {
        let mut endpoints = self.endpoints()?.into_iter();
        let found = endpoints.find(|endpoint| endpoint.id.as_str() == id);
        found.ok_or_else(|| {
            let message = format!("The Client VPN endpoint {id:?} does not exist");
            ApiError::new(ErrorCode::EndpointIdNotFound, message).into()
        })
    }

    /// The answer, with the members that `write` adds.
    pub(crate) fn answer(&self, write: impl FnOnce(&mut Element<'_>)) -> Result<Vec<u8>, ServiceError> {
        Ok(response::ec2(self.action, self.call.request_id, write))
    }

    /// The answer of an action that has nothing to tell.
    pub(crate) fn done(&self) -> Result<Vec<u8>, ServiceError> {
        Ok(response::ec2_done(self.action, self.call.request_id))
    }
}
