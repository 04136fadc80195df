//! `DescribeVpcAttribute`: what tools ask about a VPC besides its blocks. Nothing here resolves names or counts usage
//! on a VPC's behalf, so every attribute is off.

use culvert_query::{ApiError, ErrorCode};
use culvert_service::ServiceError;

use crate::task::Task;

/// The attributes, which are members of the answer by the same names.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("enableDnsSupport", "enableDnsSupport"),
    ("enableDnsHostnames", "enableDnsHostnames"),
    (
        "enableNetworkAddressUsageMetrics",
        "enableNetworkAddressUsageMetrics",
    ),
];

/// Tells one attribute of a VPC.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    const MEMBER: &str = "Attribute";
    let id = task.form.required("VpcId")?;
    task.form.required(MEMBER)?;
    let attribute = task.form.choice(MEMBER, ATTRIBUTES)?;
    let attribute = attribute.ok_or_else(|| task.form.missing(MEMBER))?;
    task.ready()?;
    let vpc = task.environment.vpc(id).ok_or_else(|| {
        ApiError::new(
            ErrorCode::InvalidVpcIdNotFound,
            format!("The VPC {id:?} does not exist"),
        )
    })?;
    task.answer(|root| {
        root.text("vpcId", &vpc.id);
        root.structure(attribute, |structure| structure.boolean("value", false));
    })
}
