//! Why the API can't be served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What keeps the API from being served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiStartError {
    /// The address can't be listened on.
    #[error("cannot serve the API on {address}: {source}; {}", cure(source))]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket can't be made.
    #[error("cannot serve the API on the socket {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody else serves there.
    #[error("another daemon serves the API on the socket {}; stop it first", path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// Without TLS, others could read and change what is asked.
    #[error("the API would be served on {0} without TLS; give it a certificate, or listen on 127.0.0.1")]
    Unprotected(SocketAddr),
    /// The certificate or its key can't be used.
    #[error("cannot use {} for the API: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "choose another port, or stop what listens there (`ss -ltnp` names it)",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine (`ip address` lists them)",
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023, or give the daemon the capability CAP_NET_BIND_SERVICE"
        }
        _ => "choose another address",
    }
}
