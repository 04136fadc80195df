//! Authorization rules and routes of one endpoint, compiled for the packet path.
//!
//! Default deny. For a destination, the rules with the longest prefix among **all** rules of the endpoint
//! decide: it is allowed when one of them admits everybody or a group of the client. A longer rule for another
//! group therefore shadows a shorter one of mine. In addition a route must cover the destination: a rule
//! without a route leads nowhere, a route without a rule is closed.
//!
//! Two things go beyond that. A rule may be limited to services, `443/tcp` for instance: it decides for its network as any
//! other rule does, but allows no more than those. And with [`RuleEvaluation::Additive`] nothing shadows anything: what any
//! rule for the client allows is allowed.
//!
//! [`Policy::compile`] flattens rules and routes into disjoint sorted ranges; [`Policy::filter_for`] keeps the
//! ranges one set of groups may reach; [`ClientFilter::allows`] is a binary search over those, a few
//! nanoseconds without locks or allocation. Clients with the same effective groups share one filter. Where rules are limited
//! a second search, [`ClientFilter::allows_service`], asks for protocol and port; nothing else pays for it.
//!
//! Source: AWS Client VPN Administrator Guide, authorization rules and example scenarios.

#![forbid(unsafe_code)]

mod filter;
mod flatten;
mod grant;
mod policy;
mod service;

pub use filter::ClientFilter;
pub use policy::{Access, AuthorizationRule, Policy, RuleEvaluation, Verdict};
pub use service::{MalformedService, Ports, Service};
