//! The question and the answer every backend shares.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use zeroize::Zeroizing;

use crate::command::CommandBackend;
use crate::local::LocalUsers;
use crate::name::check_name;

/// Longest password a backend looks at, in bytes. Stock clients send at most 4,095.
pub(crate) const MAX_PASSWORD_BYTES: usize = 16 * 1024;

/// What a client claims to be. `Debug` leaves the password out.
#[derive(Clone)]
pub struct Credentials {
    /// Name of the endpoint the client connects to.
    pub endpoint: String,
    /// User name as sent.
    pub username: String,
    /// Password as sent; wiped when dropped.
    pub password: Zeroizing<String>,
    /// Common name of the client's verified certificate, if it showed one.
    pub common_name: Option<String>,
    /// Serial number of that certificate, decimal.
    pub serial: Option<String>,
    /// The same, as colon-separated lower-case hex bytes.
    pub serial_hex: Option<String>,
    /// SHA-256 of that certificate, colon-separated lower-case hex bytes.
    pub fingerprint: Option<String>,
    /// Where the client connects from.
    pub remote: SocketAddr,
    /// What the client tells about itself (`IV_VER`, `UV_...`), in its order.
    pub peer_info: Vec<(String, String)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("endpoint", &self.endpoint)
            .field("username", &self.username)
            .field("common_name", &self.common_name)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// A backend's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client may connect.
    Accept {
        /// Groups the user is in, for authorization rules.
        groups: Vec<String>,
        /// Address reserved for the user.
        static_v4: Option<Ipv4Addr>,
        /// Address reserved for the user.
        static_v6: Option<Ipv6Addr>,
    },
    /// The client may not connect.
    Reject {
        /// For the operator's log: what exactly is wrong.
        log: String,
        /// For the user, where it gives nothing away.
        client_message: Option<String>,
    },
}

impl Verdict {
    pub(crate) fn reject(log: impl Into<String>) -> Self {
        Self::Reject {
            log: log.into(),
            client_message: None,
        }
    }

    pub(crate) fn reject_telling(log: impl Into<String>, client_message: impl Into<String>) -> Self {
        Self::Reject {
            log: log.into(),
            client_message: Some(client_message.into()),
        }
    }
}

/// A configured login backend.
#[derive(Debug)]
pub enum AuthBackend {
    /// The local users file.
    Local(LocalUsers),
    /// An external command.
    Command(CommandBackend),
    /// The users file, then the command.
    Combined(LocalUsers, CommandBackend, Combine),
}

/// How the two backends of [`AuthBackend::Combined`] go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The first that accepts decides.
    Any,
    /// Both must accept. The user has the groups of both; of two static addresses the users file's counts.
    All,
}

impl AuthBackend {
    /// Decides a login. Never fails: what goes wrong inside is a rejection whose log text says so.
    ///
    /// Dropping the future gives the login up; a command that runs for it is killed.
    pub async fn verify(&self, credentials: Credentials) -> Verdict {
        if let Err(reason) = check_name(&credentials.username) {
            return Verdict::reject(format!("the user name is refused: {reason}"));
        }
        if credentials.password.len() > MAX_PASSWORD_BYTES {
            return Verdict::reject(format!("the password exceeds {MAX_PASSWORD_BYTES} bytes"));
        }
        match self {
            Self::Local(users) => users.verify(credentials).await,
            Self::Command(command) => command.verify(credentials).await,
            Self::Combined(users, command, combine) => {
                let first = users.verify(credentials.clone()).await;
                match (combine, &first) {
                    (Combine::Any, Verdict::Accept { .. }) | (Combine::All, Verdict::Reject { .. }) => first,
                    (Combine::Any, Verdict::Reject { .. }) => {
                        either(first, command.verify(credentials).await)
                    }
                    (Combine::All, Verdict::Accept { .. }) => both(first, command.verify(credentials).await),
                }
            }
        }
    }
}

/// The second verdict, its log completed by why the first backend refused.
fn either(first: Verdict, second: Verdict) -> Verdict {
    match (first, second) {
        (Verdict::Reject { log: first, .. }, Verdict::Reject { log, client_message }) => Verdict::Reject {
            log: format!("users file: {first}; command: {log}"),
            client_message,
        },
        (_, second) => second,
    }
}

/// What two acceptances grant together; a rejection stays one.
fn both(first: Verdict, second: Verdict) -> Verdict {
    match (first, second) {
        (
            Verdict::Accept {
                mut groups,
                static_v4,
                static_v6,
            },
            Verdict::Accept {
                groups: more,
                static_v4: other_v4,
                static_v6: other_v6,
            },
        ) => {
            let more: Vec<String> = more.into_iter().filter(|group| !groups.contains(group)).collect();
            groups.extend(more);
            Verdict::Accept {
                groups,
                static_v4: static_v4.or(other_v4),
                static_v6: static_v6.or(other_v6),
            }
        }
        (rejected @ Verdict::Reject { .. }, _) | (_, rejected) => rejected,
    }
}

/// Takes over a static address into the slot of its family.
///
/// Returns `false` if that slot is taken.
pub(crate) fn place_address(address: IpAddr, v4: &mut Option<Ipv4Addr>, v6: &mut Option<Ipv6Addr>) -> bool {
    match address {
        IpAddr::V4(address) => v4.replace(address).is_none(),
        IpAddr::V6(address) => v6.replace(address).is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_acceptances_add_up_and_the_users_file_has_the_first_say() {
        let accept = |groups: &[&str], v4: Option<[u8; 4]>| Verdict::Accept {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            static_v4: v4.map(Ipv4Addr::from),
            static_v6: None,
        };
        assert_eq!(
            both(
                accept(&["a", "b"], Some([10, 0, 0, 1])),
                accept(&["b", "c"], Some([10, 0, 0, 2]))
            ),
            accept(&["a", "b", "c"], Some([10, 0, 0, 1]))
        );
        assert_eq!(
            both(accept(&[], None), Verdict::reject("no")),
            Verdict::reject("no")
        );
        assert_eq!(either(Verdict::reject("a"), accept(&[], None)), accept(&[], None));
        assert_eq!(
            either(Verdict::reject("a"), Verdict::reject_telling("b", "c")),
            Verdict::reject_telling("users file: a; command: b", "c")
        );
    }

    #[test]
    fn debug_output_never_shows_the_password() {
        let credentials = Credentials {
            endpoint: "office".into(),
            username: "alice".into(),
            password: Zeroizing::new("hunter2".into()),
            common_name: None,
            serial: None,
            serial_hex: None,
            fingerprint: None,
            remote: "192.0.2.1:1".parse().unwrap(),
            peer_info: vec![],
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
