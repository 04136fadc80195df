//! The list of certificates that an endpoint no longer takes.

use culvert_service::ServiceError;

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

/// `ExportClientVpnClientCertificateRevocationList`. For an endpoint without a list the answer has an empty one, and no
/// status: there is nothing that could be in force.
pub(crate) fn export(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    task.ready()?;
    let list = task.ec2.registry.export_crl(endpoint_id)?;
    task.answer(|root| match &list {
        Some((pem, state)) => {
            root.text("certificateRevocationList", pem);
            status(root, render::crl_state(state));
        }
        None => root.text("certificateRevocationList", ""),
    })
}
