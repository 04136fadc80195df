//! The administration socket.

use std::path::Path;

use culvert_socket::{BindError, PrivateSocket};

use crate::error::AdminError;
use crate::server::{Handler, serve};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/culvert/culvert.sock";

/// The daemon's listening socket. Dropping it removes the file, if the file is still this socket.
#[derive(Debug)]
pub struct AdminSocket(PrivateSocket);

impl AdminSocket {
    /// Creates the socket with mode 0600 and its folder (0755) if missing. A socket left over by a dead
    /// daemon is replaced.
    ///
    /// Must be called within a tokio runtime, at its start: it blocks for half a second if the socket is taken.
    ///
    /// # Errors
    /// [`AdminError::AlreadyRunning`] if a daemon answers there, [`AdminError::Bind`] otherwise.
    pub fn bind(path: &Path) -> Result<Self, AdminError> {
        PrivateSocket::bind(path).map(Self).map_err(|error| match error {
            BindError::Taken => AdminError::AlreadyRunning { path: path.into() },
            BindError::Io(source) => AdminError::Bind {
                path: path.into(),
                source,
            },
        })
    }

    /// Path of the socket.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Answers requests with `handler` until this future is dropped; see [`serve`].
    pub async fn serve(&self, handler: impl Handler) {
        serve(self.0.listener(), handler).await;
    }
}
