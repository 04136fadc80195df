//! Giving an endpoint a revocation list.

use culvert_control::crl::{CrlError, RevocationList};
use culvert_control::pem;
use culvert_control::tls::ServerTls;
use culvert_query::{ApiError, ErrorCode};
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::invalid;
use crate::certificate::Certificate;
use crate::crl::Crl;
use crate::endpoint::{AuthenticationMethod, Endpoint};
use crate::environment::Quotas;
use crate::id::CertificateArn;
use crate::parts::{CrlState, StoredCrl};

const PARAMETER: &str = "CertificateRevocationList";
/// Longest list, in bytes of DER: 20,000 entries with serials of 20 bytes and reasons take 1.1 MB. It is kept in one
/// transaction with its endpoint, which needs the rest of what [`culvert_store::MAX_TXN_BYTES`] allows.
const MAX_DER: usize = 1150 * 1024;
/// Longest text: Base64 takes four characters for three bytes; line ends and remarks come on top.
const MAX_PEM: usize = 2 * MAX_DER;

impl Endpoint {
    /// The certificate whose chain holds the authority of the endpoint's clients, if they show certificates.
    pub fn client_root(&self) -> Option<&CertificateArn> {
        self.authentication.iter().find_map(|method| match method {
            AuthenticationMethod::Certificate { client_root } => Some(client_root),
            AuthenticationMethod::Directory { .. } => None,
        })
    }

    /// Replaces the revocation list, and returns what is to be kept of it. `root` is the certificate that
    /// [`Self::client_root`] names.
    ///
    /// # Errors
    /// `IncorrectState`, `UnsupportedOperation` if clients show no certificates, `InvalidParameterValue` for a list that
    /// would be of no use, `ClientVpnCertificateRevocationListLimitExceeded`. Nothing has changed then.
    pub fn import_crl(
        &mut self,
        pem: &str,
        root: Option<&Certificate>,
        quotas: &Quotas,
        now: OffsetDateTime,
    ) -> Result<Crl, ApiError> {
        self.check_alive()?;
        let Some(root) = root else {
            let message = format!(
                "The clients of {} show no certificates, so none can be revoked: a revocation list is for \
                 certificate-authentication",
                self.id
            );
            return Err(ApiError::new(ErrorCode::UnsupportedOperation, message));
        };
        let crl = judge(pem, root, quotas, now)?;
        let digest = crl.digest();
        // The very list that is in force stays so.
        let in_force = |before: &StoredCrl| before.digest == digest && before.state == CrlState::Active;
        if !self.crl.as_ref().is_some_and(in_force) {
            self.crl = Some(StoredCrl {
                number: number(&crl),
                digest,
                state: CrlState::Pending(None),
            });
        }
        Ok(crl)
    }
}

/// The list in `text`, if it can be used with this authority today.
fn judge(text: &str, root: &Certificate, quotas: &Quotas, now: OffsetDateTime) -> Result<Crl, ApiError> {
    if text.len() > MAX_PEM {
        return Err(too_long(format!("The text has more than {MAX_PEM} bytes")));
    }
    let lists = pem::crls("the text", text.as_bytes()).map_err(|error| invalid(PARAMETER, error))?;
    let [der] = lists.as_slice() else {
        let reason = format!(
            "it must hold one revocation list and holds {}; import the one of the authority that issues the client \
             certificates",
            lists.len()
        );
        return Err(invalid(PARAMETER, reason));
    };
    if der.len() > MAX_DER {
        return Err(too_long(format!("The list has more than {MAX_DER} bytes")));
    }
    let authorities =
        ServerTls::authorities(root.authority().as_bytes()).map_err(|error| invalid(PARAMETER, error))?;
    let now = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    let list = RevocationList::parse(text.as_bytes(), now, &authorities).map_err(|error| match error {
        CrlError::TooLong { entries } => too_many(entries, quotas.crl_entries),
        other => invalid(PARAMETER, other),
    })?;
    if list.len() > quotas.crl_entries {
        return Err(too_many(list.len(), quotas.crl_entries));
    }
    Ok(Crl::from_der(der.as_ref()))
}

/// The list's number, in hex, if it has one.
fn number(crl: &Crl) -> Option<String> {
    let (_, list) = CertificateRevocationList::from_der(crl.der()).ok()?;
    list.crl_number().map(|number| format!("{number:x}"))
}

fn too_many(entries: usize, most: usize) -> ApiError {
    let message = format!(
        "The revocation list has {entries} entries, and {most} are possible; let expired certificates drop out of it"
    );
    ApiError::new(ErrorCode::CrlLimitExceeded, message)
}

fn too_long(what: String) -> ApiError {
    let message = format!("{what}; let expired certificates drop out of it");
    ApiError::new(ErrorCode::CrlLimitExceeded, message)
}

#[cfg(test)]
mod tests;
