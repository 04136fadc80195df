//! The API endpoints are managed through, as the official tools speak it, over HTTP.
//!
//! ```text
//! TCP, TLS or Unix socket -> HTTP/1.1 or 2 -> who calls? -> which service? -> EC2   Query protocol, culvert-ec2
//!                                             SigV4, or     by the scope of   STS   Query protocol
//!                                             the kernel    the signature     ACM   JSON protocol 1.1
//! ```
//!
//! [`Listener`] binds, [`serve()`] answers with an [`Api`] until it is told to stop. Whoever calls over TCP signs each request
//! with an access key; over the Unix socket the kernel tells who calls, and root and the daemon's own user may do
//! everything. Each request leaves one line under the target `culvert_api::audit`.
//!
//! Strangers can't make it work: unsigned requests are refused before their body is read, and everything that costs
//! memory, time or a thread has a bound in [`Limits`].

#![forbid(unsafe_code)]

mod acm;
mod answer;
mod api;
mod audit;
mod body;
mod connection;
mod error;
mod head;
mod http;
mod limits;
mod listener;
mod peer;
mod random;
mod serve;
mod service;
mod sts;
mod tls;

pub use api::Api;
pub use error::ApiStartError;
pub use limits::Limits;
pub use listener::Listener;
pub use serve::serve;
pub use tls::Tls;
