//! Who else is asked before a client is let in.

use std::path::PathBuf;
use std::time::Duration;

/// What the name of every handler begins with, as that of a Lambda function for the purpose does.
pub const FUNCTION_PREFIX: &str = "AWSClientVPN-";

/// A client connect handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectHandler {
    /// Its name: [`FUNCTION_PREFIX`] and letters, digits, `-` and `_`; at most 64.
    pub function: String,
    /// What is asked.
    pub target: HandlerTarget,
    /// Form of the questions: 1 to 3.
    pub schema_version: u8,
    /// Writes groups as one text with commas instead of a list.
    pub groups_as_text: bool,
    /// Longest time until the answer.
    pub timeout: Duration,
    /// How many of an endpoint's clients it is asked about at a time.
    pub concurrency: u16,
}

/// What is asked about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerTarget {
    /// A program.
    Command {
        /// Its path.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// A web service.
    Url {
        /// `http://` or `https://`.
        url: String,
        /// File of the authority its certificate must come from, PEM; `None`: whom the system trusts.
        ca: Option<PathBuf>,
    },
}
