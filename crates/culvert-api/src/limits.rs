//! How much of memory, time and threads callers can take.

use std::time::Duration;

/// Bounds of the API. The defaults suit a daemon that is managed by people and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of a listener at once. Some more are told to come back later, further ones are closed.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Header fields.
    pub header_fields: usize,
    /// How long a head may take, and a TLS handshake.
    pub head_time: Duration,
    /// Bytes of a body. A revocation list of 20,000 entries fits, as a form of some 1.2 MB.
    pub body_bytes: usize,
    /// How long a body may take.
    pub body_time: Duration,
    /// Bytes that large bodies may take together, while they are being read or worked on.
    pub large_body_bytes: usize,
    /// Requests that are being worked on.
    pub requests: usize,
    /// Threads that work on them.
    pub threads: usize,
    /// How long a request waits for a thread.
    pub wait_time: Duration,
    /// How long a connection may be without request.
    pub idle_time: Duration,
    /// How long connections have to end by themselves when the API stops.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head_bytes: 16 * 1024,
            header_fields: 64,
            head_time: Duration::from_secs(10),
            body_bytes: 4 << 20,
            body_time: Duration::from_secs(30),
            large_body_bytes: 32 << 20,
            requests: 64,
            threads: 8,
            wait_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            stop_time: Duration::from_secs(10),
        }
    }
}
