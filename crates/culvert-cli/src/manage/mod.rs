//! Managing endpoints: commands that ask the daemon's API over its Unix socket.
//!
//! ```text
//! endpoint, network, ...   one command each: arguments into a form, the answer into a table or JSON
//! api                      calls, pages, and the arguments that say where the API is
//! client, form, xml        HTTP over the socket; what goes out; what comes in
//! model                    the answers, typed
//! resolve, wait            names into ids; until something has settled
//! ```

mod api;
mod certificate;
mod client;
mod connection;
mod create;
mod crl;
mod endpoint;
mod error;
mod export;
mod files;
mod filters;
mod form;
mod model;
mod network;
mod quickstart;
mod resolve;
mod route;
mod rule;
mod security_group;
mod settings;
mod show;
#[cfg(test)]
mod tests;
mod wait;
mod xml;

pub(crate) use certificate::Certificates;
pub(crate) use connection::Connections;
pub(crate) use crl::RevocationLists;
pub(crate) use endpoint::Endpoints;
pub(crate) use error::ManageError;
pub(crate) use export::Export;
pub(crate) use network::Networks;
pub(crate) use route::Routes;
pub(crate) use rule::Rules;
pub(crate) use security_group::SecurityGroups;
