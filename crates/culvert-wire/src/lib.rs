//! OpenVPN wire formats: bytes to meaning and back. No keys, no sockets, no clock.
//!
//! Everything a peer can put on the wire is parsed here into values that cannot be wrong, and every value
//! that can be built encodes and decodes back. Encryption and authentication happen elsewhere: the functions
//! of this crate see control packets after unwrapping and data packets before opening.
//!
//! | module | what it reads and writes |
//! |---|---|
//! | [`opcode`] | the first byte of every packet |
//! | [`control`] | control packets: session ids, acknowledgements, message ids |
//! | [`data`] | the header of data packets |
//! | [`stream`] | the length prefix that TCP puts before every packet |
//! | [`key_method2`] | the key exchange message inside TLS |
//! | [`options`] | the options consistency string in it |
//! | [`peer_info`], [`ncp`] | what the client says it can do, and the cipher that follows from it |
//! | [`message`], [`challenge`] | text messages of the control channel |
//! | [`push`] | `PUSH_REPLY` and `PUSH_UPDATE` |
//! | [`occ`] | ping and the in-band messages of the data channel |
//! | [`ip`] | the fixed part of an IPv4 or IPv6 header |
//!
//! All integers are big-endian on the wire unless a type says otherwise. Nothing here panics on any input,
//! and nothing here stores more than the caps that its documentation names.

#![forbid(unsafe_code)]

pub mod challenge;
pub mod control;
pub mod data;
pub mod ip;
pub mod key_method2;
pub mod message;
pub mod ncp;
pub mod occ;
pub mod opcode;
pub mod options;
pub mod peer_info;
pub mod push;
pub mod stream;

mod addr;
mod error;
mod ids;
mod now;
mod reader;
mod text;

pub use addr::{LinkAddr, TcpLink, Transport, UdpPath};
pub use error::{EncodeError, ParseError};
pub use ids::{KeyId, MessageId, PeerId, SessionId};
pub use now::Now;
pub use opcode::{FirstByte, Opcode};
