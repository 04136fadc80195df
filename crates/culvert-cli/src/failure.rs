//! Errors as text and as exit status.

use std::io::{self, Write};
use std::process::ExitCode;

use culvert_admin::{AdminError, ErrorCode};
use culvert_auth::{AccessKeyError, UsersError};
use culvert_failure::describe;
use culvert_pki::PkiError;
use serde_json::json;

use crate::manage::ManageError;

/// The result is already on the output; only the exit status is left to give.
#[derive(Debug)]
pub(crate) struct Unsound;

impl std::fmt::Display for Unsound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the configuration is not sound")
    }
}

impl std::error::Error for Unsound {}

/// Writes the error to standard error and says how to exit.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    if !error.is::<Unsound>() {
        let text = describe(error);
        let line = if json {
            json!({ "error": text }).to_string()
        } else {
            format!("culvert: {text}")
        };
        let _ = writeln!(io::stderr(), "{line}");
    }
    ExitCode::from(status(error))
}

fn status(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<ManageError>() {
        return error.status();
    }
    if let Some(error) = error.downcast_ref::<AdminError>() {
        return match error {
            AdminError::Refused(refusal) if refusal.code == ErrorCode::NotFound => 4,
            AdminError::Refused(_) => 1,
            _ => 3,
        };
    }
    if let Some(AccessKeyError::Unknown(_)) = error.downcast_ref() {
        return 4;
    }
    match (
        error.downcast_ref::<UsersError>(),
        error.downcast_ref::<PkiError>(),
    ) {
        (Some(UsersError::Unknown(_)), _) | (_, Some(PkiError::Unknown(_))) => 4,
        _ => 1,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
