//! Reading `culvert.toml`: every key by hand, so that all problems of a file are reported at once, each at
//! its line and column, and an unknown key is answered with the known one that was probably meant.

mod api;
mod authentication;
mod connect_handler;
mod control_channel;
mod daemon;
mod document;
mod endpoint;
mod environment;
mod listen;
mod log_group;
mod networks;
mod quotas;
mod security_group;
mod suggest;
mod table;
mod values;
mod warnings;

pub(crate) use daemon::read;
