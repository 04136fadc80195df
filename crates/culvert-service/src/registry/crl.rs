//! Revocation lists in the store.

use culvert_store::{Key, Op, Txn};
use time::OffsetDateTime;

use super::{CRL_PREFIX, Registry, key, not_found, stored};
use crate::certificates::Certificates;
use crate::crl::{Crl, Crls};
use crate::environment::Environment;
use crate::error::ServiceError;
use crate::id::EndpointId;
use crate::parts::CrlState;
use crate::repeat::Once;

/// Importing has no client token: the same list twice is the same list.
const NEVER: Once<'static> = Once {
    action: "ImportClientVpnClientCertificateRevocationList",
    repeat: None,
};

impl Registry {
    /// Gives an endpoint the revocation list in `pem`, in place of the one it has. Endpoint and list change in one.
    ///
    /// # Errors
    /// `InvalidClientVpnEndpointId.NotFound`, what [`crate::Endpoint::import_crl`] refuses, and [`ServiceError`]. Nothing
    /// has changed then.
    pub fn import_crl(
        &self,
        id: &str,
        pem: &str,
        certificates: &Certificates,
        environment: &Environment,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        self.change_with(NEVER, id, |endpoint, _| {
            let root = endpoint.client_root().map(ToString::to_string);
            let root = root.map(|arn| certificates.get(&arn)).transpose()?;
            let crl = endpoint.import_crl(pem, root.as_ref(), &environment.quotas, now)?;
            let keep = Op::put(crl_key(&endpoint.id), crl.der().to_vec());
            Ok::<_, ServiceError>(((), vec![keep]))
        })
    }

    /// The revocation list of an endpoint as PEM, if one was imported, and whether it is in force.
    ///
    /// # Errors
    /// `InvalidClientVpnEndpointId.NotFound`, and [`ServiceError`].
    pub fn export_crl(&self, id: &str) -> Result<Option<(String, CrlState)>, ServiceError> {
        let id: EndpointId = id.parse().map_err(|_| not_found(id))?;
        // One transaction: both as of the same revision.
        let txn = Txn::new().then(Op::get(key(&id))).then(Op::get(crl_key(&id)));
        let mut kvs = self.store.txn(&txn)?.results.into_iter().flat_map(got);
        let endpoint = kvs.next().filter(|kv| kv.key == key(&id));
        let endpoint = stored(&endpoint.ok_or_else(|| not_found(id.as_str()))?)?.endpoint;
        let lists: Crls = kvs
            .map(|kv| (id.clone(), Crl::from_der(kv.value.into_bytes())))
            .collect();
        let list = lists.of(&endpoint)?;
        Ok(list
            .zip(endpoint.crl.as_ref())
            .map(|(list, kept)| (list.to_pem(), kept.state.clone())))
    }
}

fn got(result: culvert_store::OpResult) -> Vec<culvert_store::KeyValue> {
    match result {
        culvert_store::OpResult::Got(kvs) => kvs,
        culvert_store::OpResult::Put(_) | culvert_store::OpResult::Deleted(_) => Vec::new(),
    }
}

/// Where the list of an endpoint is kept.
pub(crate) fn crl_key(id: &EndpointId) -> Key {
    Key::from(format!("{CRL_PREFIX}{id}"))
}

/// Whose list is kept under a key; `None` if it is none of these keys.
pub(super) fn owner(key: &Key) -> Option<EndpointId> {
    let id = key.as_bytes().strip_prefix(CRL_PREFIX.as_bytes())?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

#[cfg(test)]
mod kill;
#[cfg(test)]
mod tests;
