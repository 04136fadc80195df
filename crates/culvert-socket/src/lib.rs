//! A Unix socket in the file system that is private from its first moment, and goes with its owner.

#![forbid(unsafe_code)]

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use culvert_process::take_over;
use tokio::net::{UnixListener, UnixStream};

/// Tells the nurseries of one process apart.
static NURSERIES: AtomicU64 = AtomicU64::new(0);

/// A listening socket for its owner only. Dropping it removes the file, if the file is still this socket.
#[derive(Debug)]
pub struct PrivateSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our socket file.
    identity: (u64, u64),
}

/// Why a socket can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("somebody else listens there")]
    Taken,
    /// The file system refuses it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PrivateSocket {
    /// Creates the socket with mode 0600 and its folder (0755) if missing. A socket left over by a dead process is
    /// replaced; a file that is no socket never is.
    ///
    /// Must be called within a tokio runtime, at its start: it blocks for a second if the socket is taken.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        refuse_if_taken(path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        // Between bind and chmod a socket has the mode that the umask leaves. It is made in a folder that nobody else can
        // enter and renamed into place when its mode is right. Names of sockets are short: so is the folder's.
        let number = NURSERIES.fetch_add(1, Ordering::Relaxed);
        let nursery = folder.join(format!(".c{}.{number}", std::process::id()));
        let _ = fs::remove_dir_all(&nursery);
        DirBuilder::new().mode(0o700).create(&nursery)?;
        let made = bind_private(&nursery.join("s"), path);
        let _ = fs::remove_dir_all(&nursery);
        let (listener, identity) = made?;
        Ok(Self {
            listener,
            path: path.into(),
            identity,
        })
    }

    /// Path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket itself.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// The next connection.
    ///
    /// # Errors
    /// Those of the system, of which running out of descriptors is the usual one.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_private(nursery: &Path, path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let listener = UnixListener::bind(nursery)?;
    fs::set_permissions(nursery, Permissions::from_mode(0o600))?;
    let found = fs::symlink_metadata(nursery)?;
    fs::rename(nursery, path)?;
    Ok((listener, (found.dev(), found.ino())))
}

/// Errors if `path` is served by somebody or is no socket at all.
fn refuse_if_taken(path: &Path) -> Result<(), BindError> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        let reason = "a file that is no socket has that name; remove it or choose another path";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason).into());
    }
    let free = || match StdUnixStream::connect(path) {
        Ok(_) => Err(BindError::Taken),
        Err(_) => Ok(()),
    };
    take_over(free, |error| matches!(error, BindError::Taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_goes_away_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/culvert.sock");
        let socket = PrivateSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no left-over"
        );
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_a_dead_ones_socket_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("culvert.sock");
        let first = PrivateSocket::bind(&path).unwrap();
        assert!(matches!(PrivateSocket::bind(&path), Err(BindError::Taken)));
        drop(first);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file");
        let second = PrivateSocket::bind(&path).unwrap();
        assert_eq!(second.path(), path);
    }

    #[tokio::test]
    async fn a_socket_that_is_about_to_be_given_up_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("culvert.sock");
        let held = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let holder = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            drop(held);
        });
        assert!(PrivateSocket::bind(&path).is_ok());
        holder.join().unwrap();
    }

    #[tokio::test]
    async fn a_plain_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "text").unwrap();
        let error = PrivateSocket::bind(&path).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[tokio::test]
    async fn an_owner_does_not_remove_its_successors_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("culvert.sock");
        let first = PrivateSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = PrivateSocket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
