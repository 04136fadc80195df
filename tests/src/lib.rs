//! Test bench for interoperability: real `openvpn` clients and a real `culvertd` in network namespaces.
//!
//! A [`Lab`] is one machine room: a server namespace, a host behind it, and any number of client namespaces.
//! Nothing here leaves the namespaces a lab makes itself, and dropping the lab removes them.

pub mod capture;
pub mod counters;
pub mod crowd;
pub mod datagrams;
pub mod endpoint;
pub mod follower;
pub mod hook;
pub mod lab;
mod member;
pub mod netns;
pub mod openvpn;
pub mod pki;
pub mod process;
pub mod relay;
pub mod server;
pub mod stock;
pub mod stranger;
pub mod stream;
pub mod traffic;

pub use endpoint::EndpointPlan;
pub use follower::Follower;
pub use lab::Lab;
pub use openvpn::{OpenVpn, Profile};
pub use pki::Pki;
pub use server::Culvertd;
