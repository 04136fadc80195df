//! The local users file: who may log in without any other service.
//!
//! One user per line, fields separated by spaces; `#` begins a comment line:
//!
//! ```text
//! # name  password (argon2id, PHC format)               optional fields
//! alice   $argon2id$v=19$m=19456,t=2,p=1$c2Fs…$aGFz…    groups=dev,ops address=10.8.0.9 address=fd00::9
//! ```

mod file;
mod password;
mod record;
mod store;

pub use file::{LocalOptions, LocalUsers};
pub use password::hash_password;
pub use record::{UserFile, UserRecord, UsersError};
