//! What is wrong with a configuration, where, and how to cure it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong, at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to cure it.
    pub cure: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; {}",
            self.line, self.column, self.message, self.cure
        )
    }
}

/// Every problem of one file, in the order of the file.
///
/// Displayed one problem per line, as `file:line:column: what is wrong; how to cure it`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn new(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        Self {
            path: path.into(),
            problems,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong in it, by line and column.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{problem}", self.path.display())?;
        }
        Ok(())
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("cannot read {}: {source}; check that the file exists and that culvertd may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read and does not describe endpoints that can work.
    #[error("{0}")]
    Invalid(Report),
}

/// One thing that is wrong with an endpoint, named by field: for callers that did not read a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}; {cure}")]
pub struct FieldProblem {
    /// Path of the field, as in `routes[2].destination_cidr`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to cure it.
    pub cure: String,
}

/// What is wrong with a single value and how to cure it; the place is added by whoever knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) cure: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            cure: cure.into(),
        }
    }

    pub(crate) fn at(self, field: impl Into<String>) -> FieldProblem {
        FieldProblem {
            field: field.into(),
            message: self.message,
            cure: self.cure,
        }
    }
}
