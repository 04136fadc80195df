//! TCP connections that carry length-prefixed packets.

pub(crate) mod listener;
pub(crate) mod queue;
pub(crate) mod reader;
pub(crate) mod writer;
