//! Security groups.

use std::collections::BTreeSet;

use culvert_query::{ApiError, ErrorCode};

use super::{invalid, missing};
use crate::endpoint::Endpoint;
use crate::environment::Environment;

impl Endpoint {
    /// Replaces the security groups that apply to the endpoint's traffic into its VPC.
    ///
    /// # Errors
    /// `IncorrectState`, `InvalidParameterValue` for another VPC or too many groups, `MissingParameter` for none,
    /// `InvalidGroup.NotFound`.
    pub fn apply_security_groups(
        &mut self,
        environment: &Environment,
        vpc_id: &str,
        groups: &[String],
    ) -> Result<(), ApiError> {
        self.check_alive()?;
        match &self.vpc_id {
            Some(own) if own == vpc_id => {}
            Some(own) => {
                return Err(invalid(
                    "VpcId",
                    format!("the endpoint belongs to the VPC {own}, not to {vpc_id}"),
                ));
            }
            None => {
                let reason = "the endpoint belongs to no VPC yet; associate a subnet first";
                return Err(invalid("VpcId", reason));
            }
        }
        self.security_group_ids = checked_groups(environment, vpc_id, groups)?;
        Ok(())
    }
}

/// Groups of one VPC, each once, in the order given.
///
/// # Errors
/// As [`Endpoint::apply_security_groups`].
pub(super) fn checked_groups(
    environment: &Environment,
    vpc_id: &str,
    groups: &[String],
) -> Result<Vec<String>, ApiError> {
    if groups.is_empty() {
        return Err(missing("You must specify at least one SecurityGroupId"));
    }
    let most = environment.quotas.security_groups;
    let mut seen = BTreeSet::new();
    let distinct: Vec<String> = groups.iter().filter(|id| seen.insert(*id)).cloned().collect();
    if distinct.len() > most {
        return Err(invalid(
            "SecurityGroupId",
            format!("at most {most} security groups apply at once"),
        ));
    }
    for id in &distinct {
        let known = environment.security_group(id);
        if known.is_none_or(|group| group.vpc_id != vpc_id) {
            let message = format!("The security group {id:?} does not exist in the VPC {vpc_id}");
            return Err(ApiError::new(ErrorCode::InvalidGroupNotFound, message));
        }
    }
    Ok(distinct)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{associated, code, endpoint, environment};
    use super::*;

    fn groups(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn groups_replace_those_before_and_must_be_of_the_endpoints_vpc() {
        let environment = environment();
        let mut endpoint = associated();
        let mut apply =
            |vpc: &str, ids: &[&str]| endpoint.apply_security_groups(&environment, vpc, &groups(ids));
        apply("vpc-00000001", &["sg-00000002", "sg-00000001", "sg-00000002"]).unwrap();
        assert_eq!(code(apply("vpc-00000001", &[])), ErrorCode::MissingParameter);
        assert_eq!(
            code(apply("vpc-00000001", &["sg-00000099"])),
            ErrorCode::InvalidGroupNotFound
        );
        assert_eq!(
            code(apply("vpc-00000001", &["sg-00000003"])),
            ErrorCode::InvalidGroupNotFound,
            "another VPC's"
        );
        assert_eq!(
            code(apply("vpc-00000002", &["sg-00000003"])),
            ErrorCode::InvalidParameterValue
        );
        let many: Vec<String> = (0..6).map(|number| format!("sg-0000001{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            code(apply("vpc-00000001", &many)),
            ErrorCode::InvalidParameterValue
        );
        assert_eq!(endpoint.security_group_ids, ["sg-00000002", "sg-00000001"]);
    }

    #[test]
    fn without_a_vpc_no_group_applies() {
        let refused =
            endpoint().apply_security_groups(&environment(), "vpc-00000001", &groups(&["sg-00000001"]));
        assert_eq!(code(refused), ErrorCode::InvalidParameterValue);
    }
}
