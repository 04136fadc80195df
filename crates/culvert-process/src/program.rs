//! Programs that may be run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program with its first arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

/// Why a program can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitProgram {
    /// The path depends on the working directory.
    #[error("{} must be an absolute path", .0.display())]
    Relative(PathBuf),
    /// There is no such file, or it may not be looked at.
    #[error("{} can't be looked at: {source}", path.display())]
    Missing {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is no program.
    #[error("{} is not executable: chmod +x it", .0.display())]
    NotExecutable(PathBuf),
    /// Anyone could replace what decides.
    #[error("anyone may write to {}: chmod o-w it", .0.display())]
    Writable(PathBuf),
}

impl Program {
    /// The program at this absolute path.
    ///
    /// # Errors
    /// [`UnfitProgram`], by what is wrong with it now; it may change later.
    pub fn new(path: impl Into<PathBuf>, arguments: Vec<String>) -> Result<Self, UnfitProgram> {
        let path = path.into();
        check(&path)?;
        Ok(Self { path, arguments })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its first arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

fn check(path: &Path) -> Result<(), UnfitProgram> {
    if !path.is_absolute() {
        return Err(UnfitProgram::Relative(path.into()));
    }
    let found = fs::metadata(path).map_err(|source| UnfitProgram::Missing {
        path: path.into(),
        source,
    })?;
    let mode = found.permissions().mode();
    if !found.is_file() || mode & 0o111 == 0 {
        return Err(UnfitProgram::NotExecutable(path.into()));
    }
    if mode & 0o002 != 0 {
        return Err(UnfitProgram::Writable(path.into()));
    }
    Ok(())
}
