//! Super-packets: split on the way out of the TUN device, joined on the way in.

pub(crate) mod join;
pub(crate) mod split;
pub(crate) mod vnet;
