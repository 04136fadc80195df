//! Rules that come and go. Each change checks everything before it changes anything.

use std::collections::BTreeMap;

use culvert_query::{ApiError, ErrorCode};
use ipnetwork::IpNetwork;

use super::{Direction, SecurityGroup, SecurityGroupRule};
use crate::environment::IpProtocol;
use crate::id::SecurityGroupRuleId;
use crate::operations::tags;

/// Most rules of a group in each direction.
///
/// Source: Amazon VPC User Guide, "Amazon VPC quotas".
const MAX_RULES: usize = 60;
/// Longest name and description, in characters.
const MAX_TEXT: usize = 255;
/// What names and descriptions may have beside letters and digits.
const MARKS: &str = " ._-:/()#,@[]+=&;{}!$*";

/// Something that is to be allowed, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The other side.
    pub network: IpNetwork,
    /// With this protocol.
    pub protocol: IpProtocol,
    /// Text for people; it does not tell one permission from another.
    pub description: Option<String>,
}

impl Permission {
    /// Whether a rule of that direction says this.
    fn is(&self, direction: Direction, rule: &SecurityGroupRule) -> bool {
        rule.direction == direction && self.says_as(rule.network, rule.protocol)
    }

    fn says_as(&self, network: IpNetwork, protocol: IpProtocol) -> bool {
        canonical(self.network) == canonical(network) && self.protocol == protocol
    }
}

/// Which rules are to be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Those that say this.
    Permissions(Vec<Permission>),
    /// Those with these ids.
    Rules(Vec<String>),
}

impl SecurityGroup {
    /// Adds rules, each with an id from `next_id` and these tags, and returns them.
    ///
    /// # Errors
    /// `InvalidParameterValue`, `InvalidPermission.Duplicate`, `RulesPerSecurityGroupLimitExceeded`, `TagLimitExceeded`.
    /// Nothing has changed then.
    pub fn authorize(
        &mut self,
        direction: Direction,
        permissions: &[Permission],
        given: &BTreeMap<String, String>,
        next_id: impl Fn() -> SecurityGroupRuleId,
    ) -> Result<Vec<SecurityGroupRule>, ApiError> {
        let given = tags::checked(given.clone())?;
        if permissions.len() > MAX_RULES {
            return Err(full(&self.id));
        }
        for (number, permission) in permissions.iter().enumerate() {
            if let Some(description) = &permission.description {
                checked_text("Description", description)?;
            }
            let mut before = permissions.iter().take(number);
            if before.any(|other| other.says_as(permission.network, permission.protocol)) {
                let message = "The same permission must not appear multiple times";
                return Err(ApiError::new(ErrorCode::InvalidParameterValue, message));
            }
            if let Some(rule) = self.rules.iter().find(|rule| permission.is(direction, rule)) {
                let message = format!(
                    "The security group {} has this rule already: {}",
                    self.id, rule.id
                );
                return Err(ApiError::new(ErrorCode::InvalidPermissionDuplicate, message));
            }
        }
        if self.rules(direction).count() + permissions.len() > MAX_RULES {
            return Err(full(&self.id));
        }
        let rule = |permission: &Permission| SecurityGroupRule {
            id: next_id(),
            direction,
            network: canonical(permission.network),
            protocol: permission.protocol,
            description: permission.description.clone().filter(|text| !text.is_empty()),
            tags: given.clone(),
        };
        let added: Vec<SecurityGroupRule> = permissions.iter().map(rule).collect();
        self.rules.extend(added.iter().cloned());
        Ok(added)
    }

    /// Takes rules away and returns them.
    ///
    /// # Errors
    /// `InvalidPermission.NotFound`, `InvalidSecurityGroupRuleId.NotFound`. Nothing has changed then.
    pub fn revoke(
        &mut self,
        direction: Direction,
        what: &Revocation,
    ) -> Result<Vec<SecurityGroupRule>, ApiError> {
        let gone: Vec<SecurityGroupRuleId> = match what {
            Revocation::Permissions(permissions) => {
                let said = permissions
                    .iter()
                    .map(|permission| self.said(direction, permission));
                said.collect::<Result<_, _>>()?
            }
            Revocation::Rules(ids) => {
                let named = ids.iter().map(|id| self.named(direction, id));
                named.collect::<Result<_, _>>()?
            }
        };
        let (gone, kept) = std::mem::take(&mut self.rules)
            .into_iter()
            .partition(|rule| gone.contains(&rule.id));
        self.rules = kept;
        Ok(gone)
    }

    /// The rule that says this.
    fn said(&self, direction: Direction, permission: &Permission) -> Result<SecurityGroupRuleId, ApiError> {
        let mut rules = self.rules.iter();
        let found = rules.find(|rule| permission.is(direction, rule));
        found.map(|rule| rule.id.clone()).ok_or_else(|| {
            let message = format!("The security group {} has no such rule", self.id);
            ApiError::new(ErrorCode::InvalidPermissionNotFound, message)
        })
    }

    /// The rule with this id.
    fn named(&self, direction: Direction, id: &str) -> Result<SecurityGroupRuleId, ApiError> {
        let found = self.rules(direction).find(|rule| rule.id.as_str() == id);
        found.map(|rule| rule.id.clone()).ok_or_else(|| {
            let message = format!(
                "The security group {} has no rule {id:?} in this direction",
                self.id
            );
            ApiError::new(ErrorCode::InvalidSecurityGroupRuleIdNotFound, message)
        })
    }
}

/// Tags of a group, or of one of its rules: `id` says whose.
impl SecurityGroup {
    /// Sets tags; those with the same keys are replaced.
    ///
    /// # Errors
    /// `InvalidID` if neither the group nor a rule has that id, and what
    /// [`Endpoint::create_tags`](crate::Endpoint::create_tags) refuses. Nothing has changed then.
    pub fn create_tags(&mut self, id: &str, given: &BTreeMap<String, String>) -> Result<(), ApiError> {
        tags::set(self.tags_of(id)?, given)
    }

    /// Removes tags, as [`Endpoint::delete_tags`](crate::Endpoint::delete_tags) does.
    ///
    /// # Errors
    /// `InvalidID` if neither the group nor a rule has that id.
    pub fn delete_tags(&mut self, id: &str, given: &[(String, Option<String>)]) -> Result<(), ApiError> {
        tags::remove(self.tags_of(id)?, given);
        Ok(())
    }

    fn tags_of(&mut self, id: &str) -> Result<&mut BTreeMap<String, String>, ApiError> {
        if self.id == id {
            return Ok(&mut self.tags);
        }
        let mut rules = self.rules.iter_mut();
        let found = rules.find(|rule| rule.id.as_str() == id);
        found.map(|rule| &mut rule.tags).ok_or_else(|| {
            let message = format!(
                "The ID {id:?} is not valid: the security group {} has no such rule",
                self.id
            );
            ApiError::new(ErrorCode::InvalidId, message)
        })
    }
}

fn full(id: &str) -> ApiError {
    let message = format!(
        "The security group {id} may have {MAX_RULES} rules in each direction; revoke some, or widen others"
    );
    ApiError::new(ErrorCode::RulesPerSecurityGroupLimitExceeded, message)
}

/// A network without host bits.
fn canonical(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

/// Refuses a name or description that is too long or has other characters than may be in one.
pub(crate) fn checked_text(parameter: &str, text: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || MARKS.contains(c);
    if text.chars().count() <= MAX_TEXT && text.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("{parameter}: it has at most {MAX_TEXT} characters from a-zA-Z0-9 and {MARKS}");
    Err(ApiError::new(ErrorCode::InvalidParameterValue, message))
}
