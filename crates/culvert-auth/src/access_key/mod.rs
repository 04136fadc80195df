//! Access keys: what callers of the management API sign their requests with.
//!
//! ```toml
//! [[access_key]]
//! id = "AKIAEXAMPLEEXAMPLE22"
//! secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
//! created = 2026-01-31T23:59:58Z
//! description = "Terraform"
//! ```
//!
//! A signature is verified with the secret itself, so the file holds secrets in the clear and must be readable by its
//! owner only.

mod file;
mod live;
mod record;

pub use file::AccessKeyFile;
pub use live::AccessKeys;
pub use record::{AccessKey, AccessKeyError};
