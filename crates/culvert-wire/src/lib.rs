//! OpenVPN wire formats: bytes to meaning and back. No keys, no sockets, no clock.
//!
//! Everything a peer can put on the wire is parsed here into values that cannot be wrong, and every value
//! that can be built encodes and decodes back. Encryption and authentication happen elsewhere: the functions
//! of this crate see control packets after unwrapping and data packets before opening.
//!
//! All integers are big-endian on the wire unless a type says otherwise. Nothing here panics on any input,
//! and nothing here stores more than the caps that its documentation names.

#![forbid(unsafe_code)]

pub mod control;
pub mod data;
pub mod opcode;
pub mod stream;

mod addr;
mod error;
mod ids;
mod now;
mod reader;

pub use addr::{LinkAddr, TcpLink, Transport, UdpPath};
pub use error::{EncodeError, ParseError};
pub use ids::{KeyId, MessageId, PeerId, SessionId};
pub use now::Now;
pub use opcode::{FirstByte, Opcode};
