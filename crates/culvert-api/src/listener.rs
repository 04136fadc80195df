//! Where connections come from: an address, or a socket in the file system.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use culvert_process::take_over;
use culvert_socket::{BindError, PrivateSocket};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::error::ApiStartError;
use crate::peer::Peer;
use crate::tls::Tls;

/// A bound socket of the API, not yet served.
pub struct Listener(Kind);

enum Kind {
    Network { socket: TcpListener, tls: Option<Tls> },
    Local(PrivateSocket),
}

/// A connection that was accepted.
pub(crate) enum Accepted {
    /// As it is.
    Plain(TcpStream, Peer),
    /// To be encrypted first.
    Encrypted(TcpStream, Peer, Tls),
    /// From this machine.
    Local(UnixStream, Peer),
}

impl Listener {
    /// Listens on an address: with TLS anywhere, without on the loopback interface only.
    ///
    /// Must be called within a tokio runtime, at its start: it blocks for a second if the address is in use.
    ///
    /// # Errors
    /// [`ApiStartError::Unprotected`], [`ApiStartError::Address`].
    pub fn bind_tcp(address: SocketAddr, tls: Option<Tls>) -> Result<Self, ApiStartError> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(ApiStartError::Unprotected(address));
        }
        match listen(address) {
            Ok(socket) => Ok(Self(Kind::Network { socket, tls })),
            Err(source) => Err(ApiStartError::Address { address, source }),
        }
    }

    /// Makes a socket with mode 0600, and its folder (0755) if missing. One left over by a dead daemon is replaced.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ApiStartError::Taken`] if a daemon answers there, [`ApiStartError::Socket`] otherwise.
    pub fn bind_unix(path: &Path) -> Result<Self, ApiStartError> {
        match PrivateSocket::bind(path) {
            Ok(socket) => Ok(Self(Kind::Local(socket))),
            Err(BindError::Taken) => Err(ApiStartError::Taken { path: path.into() }),
            Err(BindError::Io(source)) => Err(ApiStartError::Socket {
                path: path.into(),
                source,
            }),
        }
    }

    /// Address and port, of a listener that has them.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Network { socket, .. } => socket.local_addr().ok(),
            Kind::Local(_) => None,
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match &self.0 {
            Kind::Network { socket, tls } => {
                let (stream, address) = socket.accept().await?;
                // Answers are written at once; nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                let peer = Peer::Network(address);
                Ok(match tls {
                    Some(tls) => Accepted::Encrypted(stream, peer, tls.clone()),
                    None => Accepted::Plain(stream, peer),
                })
            }
            Kind::Local(socket) => {
                let stream = socket.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted::Local(stream, Peer::Local { uid }))
            }
        }
    }
}

/// Listens on a TCP address, once a killed predecessor has given it up.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let socket = take_over(|| std::net::TcpListener::bind(address), in_use)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}
