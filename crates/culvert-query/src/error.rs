//! What an API caller is told when it goes wrong: a code SDKs know, an HTTP status and a sentence.

use std::fmt;

/// A refusal as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// What programs decide by.
    pub code: ErrorCode,
    /// What people read: cause and cure.
    pub message: String,
}

impl ApiError {
    /// A refusal with `code`, explained by `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The answer to a request with `DryRun=true` that would have been carried out.
    pub fn dry_run() -> Self {
        Self::new(
            ErrorCode::DryRunOperation,
            "Request would have succeeded, but DryRun flag is set.",
        )
    }

    /// The HTTP status of the answer.
    pub const fn status(&self) -> u16 {
        self.code.status()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! error_codes {
    ($($name:ident $text:literal $status:literal $when:literal,)+) => {
        /// The error codes of the EC2 API that Culvert answers with.
        ///
        /// Source: Amazon EC2 API Reference, "Error codes for the Amazon EC2 API"; the statuses are those seen from
        /// the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $when] $name,)+
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The HTTP status it is sent with.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }
        }
    };
}

error_codes! {
    // Who are you, and may you?
    AuthFailure "AuthFailure" 401 "The access key is unknown or the signature is wrong; EC2 doesn't say which.",
    MissingAuthenticationToken "MissingAuthenticationToken" 403 "The request isn't signed.",
    IncompleteSignature "IncompleteSignature" 400 "The signature can't be read, or leaves out what it must cover.",
    RequestExpired "RequestExpired" 400 "The signature is too old or from the future.",
    SignatureDoesNotMatch "SignatureDoesNotMatch" 403 "The signature is wrong (services other than EC2).",
    InvalidClientTokenId "InvalidClientTokenId" 403 "The access key is unknown (services other than EC2).",
    UnauthorizedOperation "UnauthorizedOperation" 403 "The caller is known, but may not do this.",
    DryRunOperation "DryRunOperation" 412 "`DryRun` was set and the request would have succeeded.",
    // What do you want?
    MissingAction "MissingAction" 400 "No `Action`.",
    InvalidAction "InvalidAction" 400 "No such action.",
    NoSuchVersion "NoSuchVersion" 400 "Not the API version that is spoken here.",
    MalformedQueryString "MalformedQueryString" 400 "The form can't be read.",
    MissingParameter "MissingParameter" 400 "A required parameter is missing.",
    UnknownParameter "UnknownParameter" 400 "The action has no such parameter.",
    InvalidParameter "InvalidParameter" 400 "A parameter isn't valid in this place.",
    InvalidParameterValue "InvalidParameterValue" 400 "A parameter's value isn't valid.",
    InvalidParameterCombination "InvalidParameterCombination" 400 "Parameters exclude each other.",
    InvalidFilter "InvalidFilter" 400 "A filter can't be read.",
    FilterLimitExceeded "FilterLimitExceeded" 400 "Too many filters, or values in one.",
    InvalidPaginationToken "InvalidPaginationToken" 400 "The page token is damaged, foreign or old.",
    InvalidClientToken "InvalidClientToken" 400 "The client token is too long or not ASCII.",
    IdempotentParameterMismatch "IdempotentParameterMismatch" 400 "A client token was used before, for something else.",
    InvalidId "InvalidID" 400 "The resource to be tagged doesn't exist.",
    TagLimitExceeded "TagLimitExceeded" 400 "Too many tags.",
    // State and surroundings.
    IncorrectState "IncorrectState" 400 "Not in the state the resource is in.",
    UnsupportedOperation "UnsupportedOperation" 400 "This kind of resource can't do that.",
    DependencyViolation "DependencyViolation" 400 "Something else still needs the resource.",
    ResourceLimitExceeded "ResourceLimitExceeded" 400 "A quota without a code of its own.",
    RequestLimitExceeded "RequestLimitExceeded" 503 "Too many requests; SDKs retry.",
    ConcurrentMutationLimitExceeded "ConcurrentMutationLimitExceeded" 400 "Too many changes of one endpoint at once.",
    InternalError "InternalError" 500 "Our fault; SDKs retry.",
    Unavailable "Unavailable" 503 "Not able to answer now; SDKs retry.",
    InvalidVpcIdNotFound "InvalidVpcID.NotFound" 400 "Unknown VPC.",
    InvalidGroupNotFound "InvalidGroup.NotFound" 400 "Unknown security group.",
    InvalidGroupDuplicate "InvalidGroup.Duplicate" 400 "The VPC has a security group of that name already.",
    InvalidGroupReserved "InvalidGroup.Reserved" 400 "The name is kept for the group of a VPC.",
    InvalidGroupIdMalformed "InvalidGroupId.Malformed" 400 "Not the form of a security group's id.",
    InvalidPermissionDuplicate "InvalidPermission.Duplicate" 400 "The security group has such a rule already.",
    InvalidPermissionNotFound "InvalidPermission.NotFound" 400 "The security group has no such rule.",
    InvalidSecurityGroupRuleIdNotFound "InvalidSecurityGroupRuleId.NotFound" 400 "Unknown rule of a security group.",
    RulesPerSecurityGroupLimitExceeded "RulesPerSecurityGroupLimitExceeded" 400 "Too many rules of a security group.",
    SecurityGroupLimitExceeded "SecurityGroupLimitExceeded" 400 "Too many security groups.",
    VpcIdNotSpecified "VPCIdNotSpecified" 400 "No VPC is named, and none is the default.",
    InvalidSubnetIdNotFound "InvalidSubnetID.NotFound" 400 "Unknown subnet, where not an endpoint's is asked for.",
    InvalidNetworkInterfaceIdNotFound "InvalidNetworkInterfaceID.NotFound" 400 "Unknown network interface.",
    InvalidSubnetIdMalformed "InvalidSubnetID.Malformed" 400 "Not the form of a subnet id.",
    // Client VPN.
    EndpointIdNotFound "InvalidClientVpnEndpointId.NotFound" 400 "Unknown endpoint.",
    ActiveAssociationNotFound "InvalidClientVpnActiveAssociationNotFound" 400 "The endpoint has no target network yet.",
    AssociationIdNotFound "InvalidClientVpnAssociationIdNotFound" 400 "Unknown association.",
    ConnectionIdNotFound "InvalidClientVpnConnection.IdNotFound" 400 "Unknown connection.",
    ConnectionUserNotFound "InvalidClientVpnConnection.UserNotFound" 400 "The user has no active connection.",
    DuplicateAssociation "InvalidClientVpnDuplicateAssociationException" 400 "The subnet is associated already.",
    DuplicateAuthorizationRule "InvalidClientVpnDuplicateAuthorizationRule" 400 "There is such a rule already.",
    DuplicateRoute "InvalidClientVpnDuplicateRoute" 400 "There is such a route already.",
    AuthorizationRuleNotFound "InvalidClientVpnEndpointAuthorizationRuleNotFound" 400 "No such rule.",
    AuthorizationPolicyNotFound "InvalidClientVpnEndpointAuthorizationPolicyNotFound" 400 "No authorization policy.",
    RouteNotFound "InvalidClientVpnRouteNotFound" 400 "No such route.",
    SubnetIdDifferentAccount "InvalidClientVpnSubnetId.DifferentAccount" 400 "The subnet of another account.",
    SubnetIdDuplicateAz "InvalidClientVpnSubnetId.DuplicateAz" 400 "A subnet of that zone is associated already.",
    SubnetIdNotFound "InvalidClientVpnSubnetId.NotFound" 400 "Unknown subnet, or not of the endpoint's VPC.",
    SubnetIdOverlappingCidr "InvalidClientVpnSubnetId.OverlappingCidr" 400 "The subnet overlaps the client CIDR.",
    EndpointLimitExceeded "ClientVpnEndpointLimitExceeded" 400 "Too many endpoints.",
    AuthorizationRuleLimitExceeded "ClientVpnAuthorizationRuleLimitExceeded" 400 "Too many rules.",
    RouteLimitExceeded "ClientVpnRouteLimitExceeded" 400 "Too many routes.",
    CrlLimitExceeded "ClientVpnCertificateRevocationListLimitExceeded" 400 "Too many entries in the revocation list.",
    TerminateConnectionsLimitExceeded "ClientVpnTerminateConnectionsLimitExceeded" 400 "The user has too many connections.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_fit_in_xml_and_their_status_is_an_error() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.')
            );
            assert!((400..600).contains(&code.status()), "{code}");
        }
    }

    #[test]
    fn sdks_see_the_statuses_the_service_sends() {
        assert_eq!(ApiError::dry_run().status(), 412);
        assert_eq!(ErrorCode::AuthFailure.status(), 401);
        assert_eq!(ErrorCode::UnauthorizedOperation.status(), 403);
        assert_eq!(ErrorCode::RequestLimitExceeded.status(), 503);
        assert_eq!(ErrorCode::EndpointIdNotFound.status(), 400);
    }

    #[test]
    fn an_error_reads_as_code_and_sentence() {
        let error = ApiError::new(ErrorCode::InvalidAction, "no such thing");
        assert_eq!(error.to_string(), "InvalidAction: no such thing");
    }
}
