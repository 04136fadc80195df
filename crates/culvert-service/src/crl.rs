//! Revocation lists as they are kept: the list itself apart from the endpoint, which only knows its digest. So a list of
//! a megabyte isn't read and written with every change of its endpoint.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use crate::endpoint::Endpoint;
use crate::error::ServiceError;
use crate::id::EndpointId;
use crate::registry::crl_key;

/// A revocation list, DER. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Crl(Arc<[u8]>);

impl Crl {
    /// Takes DER over, unread: whether it is a list of use is judged when it is imported.
    pub fn from_der(der: impl Into<Arc<[u8]>>) -> Self {
        Self(der.into())
    }

    /// The list, DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of it, in hex.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, &self.0).as_ref())
    }

    /// The list as PEM.
    pub fn to_pem(&self) -> String {
        let mut pem = String::new();
        crate::pem::append(&mut pem, "X509 CRL", &self.0);
        pem
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({} bytes)", self.0.len())
    }
}

/// The revocation lists of all endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crls(BTreeMap<EndpointId, Crl>);

impl Crls {
    /// The list of an endpoint, if it has one.
    ///
    /// # Errors
    /// [`ServiceError::Record`] if the list isn't there, or isn't the one that was imported: without it nobody knows whom
    /// to refuse.
    pub fn of(&self, endpoint: &Endpoint) -> Result<Option<&Crl>, ServiceError> {
        let Some(wanted) = &endpoint.crl else {
            return Ok(None);
        };
        let problem = match self.0.get(&endpoint.id) {
            Some(found) if found.digest() == wanted.digest => return Ok(Some(found)),
            Some(_) => "it is not the list that was imported",
            None => "the list is missing",
        };
        Err(ServiceError::Record {
            key: crl_key(&endpoint.id),
            reason: format!("{problem}; import the revocation list again"),
        })
    }
}

impl FromIterator<(EndpointId, Crl)> for Crls {
    fn from_iter<I: IntoIterator<Item = (EndpointId, Crl)>>(lists: I) -> Self {
        Self(lists.into_iter().collect())
    }
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::samples::endpoint;
    use crate::parts::{CrlState, StoredCrl};

    #[test]
    fn a_list_that_is_missing_or_another_is_an_error_and_never_no_list() {
        let mut endpoint = endpoint();
        let list = Crl::from_der(*b"list");
        assert_eq!(Crls::default().of(&endpoint).unwrap(), None);
        endpoint.crl = Some(StoredCrl {
            digest: list.digest(),
            number: None,
            state: CrlState::Active,
        });
        let with = |crl| Crls::from_iter([(endpoint.id.clone(), crl)]);
        assert_eq!(with(list.clone()).of(&endpoint).unwrap(), Some(&list));
        let error = with(Crl::from_der(*b"other"))
            .of(&endpoint)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/crl/cvpn-endpoint-") && error.contains("not the list"),
            "{error}"
        );
        let error = Crls::default().of(&endpoint).unwrap_err().to_string();
        assert!(error.contains("is missing; import"), "{error}");
    }
}
