//! What a session reports.

use culvert_wire::KeyId;
use culvert_wire::key_method2::{KeyMethod2Client, KeyMethod2Server};

use crate::CertificateInfo;
use crate::error::SessionError;

/// Something happened in a [`crate::Session`]; see [`crate::Session::poll_event`].
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// Server: the client's half of the key exchange has arrived, with its credentials. The server's half is
    /// on its way already.
    KeyMethod2 {
        /// The key it belongs to; 0 at login, other ids at renegotiations.
        key_id: KeyId,
        /// The client's message.
        message: KeyMethod2Client,
        /// The client's certificate, if it showed one.
        certificate: Option<CertificateInfo>,
    },
    /// Client: the server's half of the key exchange has arrived.
    KeyMethod2Reply {
        /// The key it belongs to.
        key_id: KeyId,
        /// The server's message.
        message: KeyMethod2Server,
        /// The server's certificate.
        certificate: Option<CertificateInfo>,
    },
    /// Both halves were exchanged and the peer has everything we sent: the key may be used. For key ids other
    /// than the first, data keys can be derived at once.
    Active {
        /// The key.
        key_id: KeyId,
    },
    /// A control message arrived, exactly one TLS record.
    Message {
        /// The key it came under.
        key_id: KeyId,
        /// The record's plaintext; split it at NUL bytes.
        record: Vec<u8>,
    },
    /// A replaced key is forgotten: remove its data key.
    LameDuckExpired {
        /// The key.
        key_id: KeyId,
    },
    /// A renegotiation failed. The earlier key stays in use and another attempt follows.
    RenegotiationFailed {
        /// The key that did not come to be.
        key_id: KeyId,
        /// Why.
        error: SessionError,
    },
    /// The session is over. Drain [`crate::Session::poll_transmit`] once more: an alert for the peer may wait.
    Failed {
        /// Why.
        error: SessionError,
    },
}
