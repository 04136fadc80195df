//! Where connections come from: an address, or a socket in the file system.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::error::ApiStartError;
use crate::peer::Peer;
use crate::tls::Tls;

/// A bound socket of the API, not yet served.
pub struct Listener(Kind);

enum Kind {
    Network { socket: TcpListener, tls: Option<Tls> },
    Local(LocalSocket),
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
    /// # Errors
    /// [`ApiStartError::Unprotected`], [`ApiStartError::Address`].
    pub async fn bind_tcp(address: SocketAddr, tls: Option<Tls>) -> Result<Self, ApiStartError> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(ApiStartError::Unprotected(address));
        }
        match TcpListener::bind(address).await {
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
        LocalSocket::bind(path).map(|socket| Self(Kind::Local(socket)))
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
            Kind::Local(local) => {
                let (stream, _) = local.socket.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted::Local(stream, Peer::Local { uid }))
            }
        }
    }
}

/// A socket in the file system. Dropping it removes the file, if the file is still this socket.
struct LocalSocket {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    identity: (u64, u64),
}

impl LocalSocket {
    fn bind(path: &Path) -> Result<Self, ApiStartError> {
        let failed = |source| ApiStartError::Socket {
            path: path.into(),
            source,
        };
        refuse_if_taken(path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(failed)?;
        // Between bind and chmod a socket has the mode that the umask leaves. It is made in a folder that nobody else can
        // enter and renamed into place when its mode is right.
        let nursery = folder.join(format!(".a{}", std::process::id()));
        let _ = fs::remove_dir_all(&nursery);
        DirBuilder::new().mode(0o700).create(&nursery).map_err(failed)?;
        let made = bind_private(&nursery.join("s"), path);
        let _ = fs::remove_dir_all(&nursery);
        let (socket, identity) = made.map_err(failed)?;
        Ok(Self {
            socket,
            path: path.into(),
            identity,
        })
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_private(nursery: &Path, path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let socket = UnixListener::bind(nursery)?;
    fs::set_permissions(nursery, Permissions::from_mode(0o600))?;
    let found = fs::symlink_metadata(nursery)?;
    fs::rename(nursery, path)?;
    Ok((socket, (found.dev(), found.ino())))
}

/// Refuses a path that somebody serves, or that is no socket at all.
fn refuse_if_taken(path: &Path) -> Result<(), ApiStartError> {
    let foreign = fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket());
    if foreign {
        let reason = "a file that is no socket has that name; remove it or choose another path";
        return Err(ApiStartError::Socket {
            path: path.into(),
            source: io::Error::new(io::ErrorKind::AlreadyExists, reason),
        });
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(ApiStartError::Taken { path: path.into() }),
        Err(_) => Ok(()),
    }
}
