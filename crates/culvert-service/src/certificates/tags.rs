//! Tags of certificates, which mean nothing here and something to those who set them.

use std::collections::BTreeMap;

use culvert_store::{Compare, Op, Txn};

use super::{Certificates, key, not_found, parse_arn};
use crate::error::ServiceError;
use crate::record;
use crate::retry::tries;

impl Certificates {
    /// Changes the tags of a certificate. `change` may be called several times, each time with the tags as they are.
    ///
    /// # Errors
    /// `InvalidArnException`, `ResourceNotFoundException`, what `change` refuses, and [`ServiceError`].
    pub fn retag<E: From<ServiceError>>(
        &self,
        arn: &str,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), E>,
    ) -> Result<(), E> {
        let arn = parse_arn(arn).map_err(ServiceError::from)?;
        let key = key(&arn);
        for () in tries() {
            let found = self.find(&arn)?;
            let (mut certificate, revision) = found.ok_or_else(|| ServiceError::from(not_found(&arn)))?;
            change(&mut certificate.tags)?;
            let value = record::write(&key, &certificate)?;
            let txn = Txn::new()
                .when(Compare::unchanged(key.clone(), revision))
                .then(Op::put(key.clone(), value));
            if self.store.txn(&txn).map_err(ServiceError::from)?.succeeded {
                return Ok(());
            }
        }
        Err(ServiceError::Contended.into())
    }
}
