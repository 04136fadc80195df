//! Certificates, keys and revocation lists, wherever their text is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

/// PEM text: in a file, or in memory for whoever keeps it elsewhere. Shown by its name, never by its contents.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file that is read when the endpoint starts or changes.
    File(PathBuf),
    /// In memory. Wiped when the last copy of the configuration is gone.
    Held {
        /// What messages call it, an ARN for instance.
        name: String,
        /// The text; shared by the copies of a configuration.
        text: Arc<Zeroizing<String>>,
    },
}

impl Pem {
    /// Text held in memory under a name for messages.
    pub fn held(name: impl Into<String>, text: impl Into<Zeroizing<String>>) -> Self {
        Self::Held {
            name: name.into(),
            text: Arc::new(text.into()),
        }
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Held { .. } => None,
        }
    }

    /// The text, read from the file where it is in one.
    ///
    /// # Errors
    /// Fails when the file can't be read.
    pub fn read(&self) -> std::io::Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::File(path) => std::fs::read(path).map(Zeroizing::new),
            Self::Held { text, .. } => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        }
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// The path, or the name of what is held in memory.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Held { name, .. } => f.write_str(name),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Held { name, .. } => f.debug_struct("Held").field("name", name).finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_text_is_named_but_never_shown() {
        let pem = Pem::held("arn:of-a-key", "-----BEGIN SECRET-----".to_owned());
        assert_eq!(pem.to_string(), "arn:of-a-key");
        let debug = format!("{pem:?}");
        assert!(
            debug.contains("arn:of-a-key") && !debug.contains("SECRET"),
            "{debug}"
        );
        assert_eq!(pem.read().unwrap().as_slice(), b"-----BEGIN SECRET-----");
        assert_eq!(pem.path(), None);
        assert_ne!(pem, Pem::held("arn:of-a-key", "another".to_owned()));
    }

    #[test]
    fn a_file_is_read_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.crt");
        let pem = Pem::from(path.clone());
        assert_eq!(pem.read().unwrap_err().kind(), std::io::ErrorKind::NotFound);
        std::fs::write(&path, "text").unwrap();
        assert_eq!(pem.read().unwrap().as_slice(), b"text");
        assert_eq!(pem.to_string(), path.display().to_string());
    }
}
