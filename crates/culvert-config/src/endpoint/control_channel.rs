//! What wraps the control channel before TLS.

use std::path::PathBuf;

use super::Digest;

/// The wrapping a client must use. Unwrapped clients are accepted only by [`ControlChannel::Plain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlChannel {
    /// No wrapping, as AWS Client VPN.
    Plain,
    /// One key file shared by all clients.
    Static(StaticKeyWrap),
    /// A key of its own for each client; beside it, optionally, the shared key of older profiles.
    TlsCryptV2(TlsCryptV2, Option<StaticKeyWrap>),
}

/// Wrapping with one key file shared by all clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticKeyWrap {
    /// Authenticated.
    TlsAuth(TlsAuth),
    /// Authenticated and encrypted; holds the path of the key file.
    TlsCrypt(PathBuf),
}

/// OpenVPN's `tls-auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsAuth {
    /// OpenVPN static key file.
    pub key: PathBuf,
    /// The server's direction; clients use the other one.
    pub direction: KeyDirection,
    /// Digest of the authentication; clients call it `auth`.
    pub digest: Digest,
}

/// Which half of a static key the server sends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDirection {
    /// `key-direction 0`, what servers usually have; clients have 1.
    Zero,
    /// `key-direction 1`; clients have 0.
    One,
    /// No direction on either side: both halves of the key are the same.
    Both,
}

/// OpenVPN's `tls-crypt-v2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCryptV2 {
    /// `OpenVPN tls-crypt-v2 server key` file.
    pub server_key: PathBuf,
    /// Refuses UDP clients that cannot prove their address first (2.5 and older cannot).
    pub force_cookie: bool,
}

impl ControlChannel {
    /// The key shared by all clients, when there is one.
    pub fn static_key(&self) -> Option<&StaticKeyWrap> {
        match self {
            Self::Plain => None,
            Self::Static(wrap) => Some(wrap),
            Self::TlsCryptV2(_, wrap) => wrap.as_ref(),
        }
    }

    /// The tls-crypt-v2 settings, when clients may use it.
    pub fn tls_crypt_v2(&self) -> Option<&TlsCryptV2> {
        match self {
            Self::TlsCryptV2(v2, _) => Some(v2),
            Self::Plain | Self::Static(_) => None,
        }
    }
}
