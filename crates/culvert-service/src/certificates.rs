//! The certificates in the store.
//!
//! ```text
//! /certificate/<uuid>   a certificate with its private key and chain
//! ```

mod tags;

use std::sync::Arc;

use culvert_store::{Compare, Key, KeyRange, KeyValue, Op, RangeRequest, Revision, Store, Txn};
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::endpoint::{AuthenticationMethod, Endpoint};
use crate::environment::Environment;
use crate::error::{AcmError, AcmErrorCode, ServiceError};
use crate::id::{CertificateArn, EndpointId};
use crate::record;
use crate::registry::{ANY_CHANGE, Registry, Stored};
use crate::request::ImportCertificate;
use crate::retry::tries;

pub(crate) const PREFIX: &str = "/certificate/";

/// The certificates in the store. Calls block.
#[derive(Clone)]
pub struct Certificates {
    store: Arc<dyn Store>,
}

impl Certificates {
    /// Certificates in this store, which also holds the endpoints that use them.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// All certificates, by creation, then ARN.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn list(&self) -> Result<Vec<Certificate>, ServiceError> {
        let response = self.store.range(&RangeRequest::from(KeyRange::prefix(PREFIX)))?;
        let mut certificates = response
            .kvs
            .into_iter()
            .map(read)
            .collect::<Result<Vec<Certificate>, _>>()?;
        sort(&mut certificates);
        Ok(certificates)
    }

    /// The certificate with this ARN.
    ///
    /// # Errors
    /// `InvalidArnException`, `ResourceNotFoundException`, and [`ServiceError`].
    pub fn get(&self, arn: &str) -> Result<Certificate, ServiceError> {
        let arn = parse_arn(arn)?;
        let (certificate, _) = self.find(&arn)?.ok_or_else(|| not_found(&arn))?;
        Ok(certificate)
    }

    /// Imports a certificate: a new one under an ARN from 16 random bytes, or in place of the one that is named, which
    /// keeps its tags.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `ValidationException`, also if an endpoint shows it and clients couldn't trust it any
    /// more, `ResourceInUseException` if clients of an endpoint are checked by an authority that the new one lacks, and
    /// [`ServiceError`].
    pub fn import(
        &self,
        request: &ImportCertificate,
        environment: &Environment,
        random: [u8; 16],
        now: OffsetDateTime,
    ) -> Result<CertificateArn, ServiceError> {
        let fresh = CertificateArn::from_random(&environment.region, &environment.account_id, random);
        let arn = request.arn.clone().unwrap_or(fresh);
        let key = key(&arn);
        for () in tries() {
            let listing = Registry::new(Arc::clone(&self.store)).listing()?;
            let found = self.find(&arn)?;
            if found.is_none() && request.arn.is_some() {
                return Err(not_found(&arn).into());
            }
            let before = found.as_ref().map(|(before, _)| before);
            let certificate = Certificate::import(request, arn.clone(), before, now)?;
            if !certificate.has_authority() {
                let mut endpoints = listing.endpoints.iter();
                if let Some(user) = endpoints.find(|stored| checks_clients_by(&stored.endpoint, &arn)) {
                    return Err(in_use(&arn, &user.endpoint.id).into());
                }
            }
            if let Err(reason) = certificate.check_root() {
                let mut endpoints = listing.endpoints.iter();
                let shows = |stored: &&Stored| stored.endpoint.server_certificate == arn;
                if let Some(user) = endpoints.find(shows) {
                    let message = format!("{} shows it to clients: {reason}", user.endpoint.id);
                    return Err(AcmError::new(AcmErrorCode::Validation, message).into());
                }
            }
            let condition = match &found {
                Some((_, revision)) => Compare::unchanged(key.clone(), *revision),
                None => Compare::absent(key.clone()),
            };
            let value = record::write(&key, &certificate)?;
            // An endpoint that is being made with it meanwhile notices by the mark.
            let txn = Txn::new()
                .when(condition)
                .when(Compare::unchanged(ANY_CHANGE, listing.changed))
                .then(Op::put(key.clone(), value))
                .then(Op::put(ANY_CHANGE, ""));
            if self.store.txn(&txn)?.succeeded {
                return Ok(arn);
            }
        }
        Err(ServiceError::Contended)
    }

    /// Deletes a certificate that no endpoint uses.
    ///
    /// # Errors
    /// `InvalidArnException`, `ResourceNotFoundException`, `ResourceInUseException`, and [`ServiceError`].
    pub fn delete(&self, arn: &str) -> Result<(), ServiceError> {
        let arn = parse_arn(arn)?;
        let key = key(&arn);
        for () in tries() {
            let listing = Registry::new(Arc::clone(&self.store)).listing()?;
            let (_, revision) = self.find(&arn)?.ok_or_else(|| not_found(&arn))?;
            let mut endpoints = listing.endpoints.iter();
            if let Some(user) = endpoints.find(|stored| uses(&stored.endpoint, &arn)) {
                return Err(in_use(&arn, &user.endpoint.id).into());
            }
            // An endpoint that is being made with it meanwhile notices by the mark.
            let txn = Txn::new()
                .when(Compare::unchanged(key.clone(), revision))
                .when(Compare::unchanged(ANY_CHANGE, listing.changed))
                .then(Op::delete(key.clone()))
                .then(Op::put(ANY_CHANGE, ""));
            if self.store.txn(&txn)?.succeeded {
                return Ok(());
            }
        }
        Err(ServiceError::Contended)
    }

    /// The certificate with this ARN, and the revision of its last change.
    fn find(&self, arn: &CertificateArn) -> Result<Option<(Certificate, Revision)>, ServiceError> {
        let response = self
            .store
            .range(&RangeRequest::from(KeyRange::single(key(arn))))?;
        let Some(kv) = response.kvs.into_iter().next() else {
            return Ok(None);
        };
        let revision = kv.mod_revision;
        let certificate = read(kv)?;
        // The key holds only the last part of an ARN.
        Ok((certificate.arn == *arn).then_some((certificate, revision)))
    }
}

/// Whether an endpoint refers to a certificate.
fn uses(endpoint: &Endpoint, arn: &CertificateArn) -> bool {
    endpoint.server_certificate == *arn || checks_clients_by(endpoint, arn)
}

/// Whether an endpoint takes the authority of its clients from a certificate.
fn checks_clients_by(endpoint: &Endpoint, arn: &CertificateArn) -> bool {
    let mut methods = endpoint.authentication.iter();
    methods.any(
        |method| matches!(method, AuthenticationMethod::Certificate { client_root } if client_root == arn),
    )
}

fn key(arn: &CertificateArn) -> Key {
    Key::from(format!("{PREFIX}{}", arn.id()).as_str())
}

pub(crate) fn read(kv: KeyValue) -> Result<Certificate, ServiceError> {
    record::read(&kv.key, &kv.value)
}

/// By creation, then ARN.
pub(crate) fn sort(certificates: &mut [Certificate]) {
    certificates.sort_by(|a, b| (a.created, &a.arn).cmp(&(b.created, &b.arn)));
}

fn parse_arn(text: &str) -> Result<CertificateArn, AcmError> {
    text.parse()
        .map_err(|error: crate::id::MalformedId| AcmError::new(AcmErrorCode::InvalidArn, error.to_string()))
}

fn not_found(arn: &CertificateArn) -> AcmError {
    let message = format!("There is no certificate {arn}; import it first");
    AcmError::new(AcmErrorCode::ResourceNotFound, message)
}

fn in_use(arn: &CertificateArn, endpoint: &EndpointId) -> AcmError {
    let message =
        format!("The certificate {arn} is in use by {endpoint}; give that another one or delete it first");
    AcmError::new(AcmErrorCode::ResourceInUse, message)
}

#[cfg(test)]
mod tests;
