//! The list of certificates that an endpoint no longer takes.

use culvert_service::{CrlState, ServiceError};

use crate::render::{self, status};
use crate::task::Task;

/// `ImportClientVpnClientCertificateRevocationList`.
pub(crate) fn import(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let pem = task.form.required("CertificateRevocationList")?;
    task.ready()?;
    let (certificates, environment) = (&task.ec2.certificates, &task.environment);
    let registry = &task.ec2.registry;
    registry.import_crl(endpoint_id, pem, certificates, environment, task.call.now)?;
    task.done()
}

/// `ExportClientVpnClientCertificateRevocationList`. The answer for an endpoint without one has no list and says
/// `active`: that nobody is revoked is in force.
pub(crate) fn export(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    task.ready()?;
    let list = task.ec2.registry.export_crl(endpoint_id)?;
    let (pem, state) = match list {
        Some((pem, state)) => (Some(pem), state),
        None => (None, CrlState::Active),
    };
    task.answer(|root| {
        root.optional_text("certificateRevocationList", pem.as_deref());
        status(root, render::crl_state(&state));
    })
}
