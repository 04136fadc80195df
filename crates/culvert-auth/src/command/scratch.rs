//! The private folder of one login: credentials, reason and grants files, gone when it is dropped.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::backend::Credentials;

/// Names of login folders begin so, followed by the daemon's process id.
const PREFIX: &str = "login-";

/// Most that is read of a file the command wrote.
const MAX_ANSWER_BYTES: u64 = 8 * 1024;

/// One login's folder.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes the folder (0700) with the credentials file and the empty answer files (0600).
    pub(super) fn create(parent: &Path, credentials: &Credentials) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let scratch = Self { folder };
        let lines = Zeroizing::new(format!(
            "{}\n{}\n",
            credentials.username,
            credentials.password.as_str()
        ));
        write_new(&scratch.credentials(), lines.as_bytes())?;
        write_new(&scratch.reason(), b"")?;
        write_new(&scratch.grants(), b"")?;
        Ok(scratch)
    }

    pub(super) fn credentials(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }

    pub(super) fn reason(&self) -> PathBuf {
        self.folder.path().join("reason")
    }

    pub(super) fn grants(&self) -> PathBuf {
        self.folder.path().join("grants")
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}

/// What the command wrote into an answer file, cut at 8 KiB; nothing if it removed the file or put something
/// else in its place.
pub(super) fn read_answer(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        if !fs::symlink_metadata(path)?.is_file() {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        fs::File::open(path)?
            .take(MAX_ANSWER_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// Makes the parent folder, private, and removes login folders of daemons that are dead.
pub(super) fn prepare(parent: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        let Some(pid) = owner.and_then(|(pid, _)| pid.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new("/proc").join(pid.to_string()).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
