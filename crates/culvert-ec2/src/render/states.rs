//! States: a code, and sometimes a reason.

use culvert_query::response::Element;
use culvert_service::{AssociationState, ConnectionState, CrlState, EndpointState, RouteState, RuleState};

/// A state in the words of the API.
pub(crate) struct State<'a> {
    /// What programs decide by.
    pub(crate) code: &'static str,
    /// What people read.
    message: Option<&'a str>,
}

const fn state(code: &'static str) -> State<'static> {
    State { code, message: None }
}

const fn failed<'a>(code: &'static str, reason: &'a str) -> State<'a> {
    let message = Some(reason);
    State { code, message }
}

/// The member `status`.
pub(crate) fn status(element: &mut Element<'_>, state: State<'_>) {
    named_status(element, "status", state);
}

/// A state as a member of another name.
pub(crate) fn named_status(element: &mut Element<'_>, name: &str, state: State<'_>) {
    element.structure(name, |status| {
        status.text("code", state.code);
        status.optional_text("message", state.message);
    });
}

/// Of an endpoint.
pub(crate) const fn endpoint_state(found: EndpointState) -> State<'static> {
    state(match found {
        EndpointState::PendingAssociate => "pending-associate",
        EndpointState::Available => "available",
        EndpointState::Deleting => "deleting",
    })
}

/// Of an association.
pub(crate) fn association_state(found: &AssociationState) -> State<'_> {
    match found {
        AssociationState::Associating => state("associating"),
        AssociationState::Associated => state("associated"),
        AssociationState::Failed(reason) => failed("association-failed", reason),
        AssociationState::Disassociating => state("disassociating"),
    }
}

/// Of a route.
pub(crate) fn route_state(found: &RouteState) -> State<'_> {
    match found {
        RouteState::Creating => state("creating"),
        RouteState::Active => state("active"),
        RouteState::Failed(reason) => failed("failed", reason),
        RouteState::Deleting => state("deleting"),
    }
}

/// Of an authorization rule.
pub(crate) fn rule_state(found: &RuleState) -> State<'_> {
    match found {
        RuleState::Authorizing => state("authorizing"),
        RuleState::Active => state("active"),
        RuleState::Failed(reason) => failed("failed", reason),
        RuleState::Revoking => state("revoking"),
    }
}

/// Of a revocation list.
pub(crate) fn crl_state(found: &CrlState) -> State<'_> {
    match found {
        CrlState::Pending(None) => state("pending"),
        CrlState::Pending(Some(reason)) => failed("pending", reason),
        CrlState::Active => state("active"),
    }
}

/// Of a connection.
pub(crate) const fn connection_state(found: ConnectionState) -> State<'static> {
    state(match found {
        ConnectionState::Active => "active",
        ConnectionState::FailedToTerminate => "failed-to-terminate",
        ConnectionState::Terminating => "terminating",
        ConnectionState::Terminated => "terminated",
    })
}
