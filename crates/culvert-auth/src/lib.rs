//! Who may do what they ask for: login backends (the local users file and external commands), and the access keys of the
//! management API. No protocol, no certificates' validity.
//!
//! An [`AuthBackend`] is asked with [`Credentials`] and answers with a [`Verdict`]. It may take long (a slow
//! directory behind a command, a deliberately slow password hash), so each backend bounds how many logins it
//! works on at a time, does slow work off the runtime's threads, and answers "busy" instead of queueing
//! without end.

mod access_key;
mod backend;
mod command;
mod local;
mod name;
mod private_file;

pub use access_key::{AccessKey, AccessKeyError, AccessKeyFile, AccessKeys};
pub use backend::{AuthBackend, Combine, Credentials, Verdict};
pub use command::{CommandBackend, CommandError, CommandOptions};
pub use local::{LocalOptions, LocalUsers, UserFile, UserRecord, UsersError, hash_password};
pub use name::{MAX_NAME_BYTES, UnsafeName, check_name};
