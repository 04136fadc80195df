//! What can go wrong between a command and the daemon's API.

use std::io;
use std::path::PathBuf;

/// Why a command on the API failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManageError {
    /// Nobody listens.
    #[error(
        "no daemon serves its API at {}: {source}. Start it with `systemctl start culvert`; its configuration must have \
         an [api] section. Is the socket elsewhere? Name it with --api-socket, or the daemon's configuration with --config",
        path.display()
    )]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket is there, but not for this user.
    #[error(
        "the API's socket {} may be used by root and the user the daemon runs as: run this command with sudo",
        path.display()
    )]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The API has an answer, and it is no.
    #[error("{code}: {message}")]
    Refused {
        /// The code programs decide by.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// The answer takes too long.
    #[error("the daemon gave no answer within {seconds} seconds: its log tells what keeps it")]
    Slow {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The connection failed on the way.
    #[error("the connection to the daemon failed: {0}")]
    Connection(String),
    /// The answer can't be read.
    #[error(
        "the daemon's answer to {action} can't be read: {reason}; daemon and command line may be of different versions"
    )]
    Malformed {
        /// What was asked for.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Nothing has the name.
    #[error("there is no {what} {name:?}; {cure}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// How to find the right one.
        cure: &'static str,
    },
    /// Several have the name.
    #[error("the name {name:?} stands for several: say which by its id ({ids})")]
    Ambiguous {
        /// The name.
        name: String,
        /// The ids of those that have it.
        ids: String,
    },
    /// What was waited for came out badly.
    #[error("{what} is {state}{}", reason(message))]
    Failed {
        /// What was waited for.
        what: String,
        /// Its state.
        state: String,
        /// The reason the daemon gives.
        message: Option<String>,
    },
    /// What was waited for doesn't come.
    #[error(
        "{what} is still {state} after {seconds} seconds{}; it goes on without this command",
        reason(message)
    )]
    Unsettled {
        /// What was waited for.
        what: String,
        /// Its state.
        state: String,
        /// The reason the daemon gives.
        message: Option<String>,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl ManageError {
    /// The exit status of the program.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::NoDaemon { .. } | Self::Denied { .. } | Self::Slow { .. } | Self::Connection(_) => 3,
            Self::Unknown { .. } => 4,
            Self::Refused { code, .. } if is_not_found(code) => 4,
            _ => 1,
        }
    }

    /// Whether the API says that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if is_not_found(code))
    }

    /// Whether the API says that it has too much to do just now.
    pub(crate) fn is_busy(&self) -> bool {
        const CODES: [&str; 4] = [
            "RequestLimitExceeded",
            "ConcurrentMutationLimitExceeded",
            "ThrottlingException",
            "ConflictException",
        ];
        matches!(self, Self::Refused { code, .. } if CODES.contains(&code.as_str()))
    }
}

/// EC2 ends such codes in `NotFound`, the certificate manager has one code for it.
fn is_not_found(code: &str) -> bool {
    code.ends_with("NotFound") || code == "ResourceNotFoundException"
}

fn reason(message: &Option<String>) -> String {
    let message = message.as_deref().filter(|message| !message.is_empty());
    message.map_or_else(String::new, |message| format!(": {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> ManageError {
        ManageError::Refused {
            code: code.into(),
            message: "m".into(),
        }
    }

    #[test]
    fn what_is_not_there_has_an_exit_status_of_its_own() {
        for code in [
            "InvalidClientVpnEndpointId.NotFound",
            "InvalidClientVpnAssociationIdNotFound",
            "ResourceNotFoundException",
        ] {
            assert_eq!(refused(code).status(), 4, "{code}");
        }
        assert_eq!(refused("DependencyViolation").status(), 1);
        assert_eq!(ManageError::Slow { seconds: 1 }.status(), 3);
    }

    #[test]
    fn a_state_tells_its_reason_if_there_is_one() {
        let failed = |message: Option<&str>| {
            ManageError::Failed {
                what: "the route".into(),
                state: "failed".into(),
                message: message.map(str::to_owned),
            }
            .to_string()
        };
        assert_eq!(
            failed(Some("no device lan9")),
            "the route is failed: no device lan9"
        );
        assert_eq!(failed(None), "the route is failed");
        assert_eq!(failed(Some("")), "the route is failed");
    }
}
