//! The file of access keys: read whole, changed under a lock.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::record::{AccessKey, AccessKeyError};
use crate::private_file::{self, ReadError, Stamp};

/// Largest file that is read: some thousands of keys.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What a file begins with.
const HEADER: &str = "\
# Access keys of the management API. Written by `culvert access-key`, which keeps no comments.
# Whoever can read this file can manage every endpoint.
";

/// The access keys of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessKeyFile {
    keys: Vec<AccessKey>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    access_key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    secret: Secret,
    created: Option<toml::value::Datetime>,
    description: Option<String>,
}

struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl AccessKeyFile {
    /// Reads the file; one that isn't there has no keys.
    ///
    /// # Errors
    /// [`AccessKeyError::Mode`] if others may read it, and what can be wrong with its content.
    pub fn read(path: &Path) -> Result<Self, AccessKeyError> {
        Ok(read_with_stamp(path)?.0)
    }

    /// Changes the file: waits for the lock, reads, lets `change` work, and replaces the file whole with mode 0600. If
    /// `change` fails nothing is written. A power cut leaves the old file or the new one.
    ///
    /// # Errors
    /// What `change` returns, and as [`AccessKeyFile::read`].
    pub fn edit<T>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, AccessKeyError>,
    ) -> Result<T, AccessKeyError> {
        let failed = |action| {
            move |source| AccessKeyError::Io {
                action,
                path: path.into(),
                source,
            }
        };
        let _lock = private_file::lock(path).map_err(failed("lock"))?;
        let mut keys = Self::read(path)?;
        let result = change(&mut keys)?;
        private_file::replace(path, &keys.to_text()).map_err(failed("write"))?;
        Ok(result)
    }

    /// Reads the text of a file; `path` is for errors.
    ///
    /// # Errors
    /// [`AccessKeyError::Content`], [`AccessKeyError::Unusable`], [`AccessKeyError::Exists`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, AccessKeyError> {
        // The parser's own message would quote the line, and with it perhaps a secret.
        let document: Document = toml::from_str(text).map_err(|error| AccessKeyError::Content {
            place: place(path, text, error.span().map(|span| span.start)),
            reason: error.message().to_owned(),
        })?;
        let mut file = Self::default();
        for entry in document.access_key {
            file.add(entry.into_key(path)?)?;
        }
        Ok(file)
    }

    /// The text of the file.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Made at full size: a buffer that grows leaves copies of secrets behind.
        let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + self.keys.len() * 2048));
        text.push_str(HEADER);
        for key in &self.keys {
            // Text in memory takes every write.
            let _ = write!(text, "\n[[access_key]]\nid = \"{}\"\n", key.id());
            text.push_str("secret = ");
            push_quoted(&mut text, key.expose_secret());
            if let Some(created) = key.created().and_then(|at| at.format(&Rfc3339).ok()) {
                let _ = writeln!(text, "created = {created}");
            }
            if let Some(description) = key.description() {
                text.push_str("description = ");
                push_quoted(&mut text, description);
            }
        }
        text
    }

    /// The keys in the order of the file.
    pub fn keys(&self) -> &[AccessKey] {
        &self.keys
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Option<&AccessKey> {
        self.keys.iter().find(|key| key.id() == id)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`AccessKeyError::Exists`].
    pub fn add(&mut self, key: AccessKey) -> Result<(), AccessKeyError> {
        if self.find(key.id()).is_some() {
            return Err(AccessKeyError::Exists(key.id().to_owned()));
        }
        self.keys.push(key);
        Ok(())
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`AccessKeyError::Unknown`].
    pub fn remove(&mut self, id: &str) -> Result<(), AccessKeyError> {
        let before = self.keys.len();
        self.keys.retain(|key| key.id() != id);
        match self.keys.len() == before {
            true => Err(AccessKeyError::Unknown(id.to_owned())),
            false => Ok(()),
        }
    }
}

impl Entry {
    fn into_key(self, path: &Path) -> Result<AccessKey, AccessKeyError> {
        let time = |written: toml::value::Datetime| {
            OffsetDateTime::parse(&written.to_string(), &Rfc3339).map_err(|_| AccessKeyError::Content {
                place: path.display().to_string(),
                reason: format!(
                    "{written} of the access key {} is no time with a zone, as in 2026-01-31T23:59:58Z",
                    self.id
                ),
            })
        };
        let created = self.created.map(time).transpose()?;
        AccessKey::new(self.id, self.secret.0, created, self.description)
    }
}

/// A basic string of TOML. Control characters never get here.
fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push_str("\"\n");
}

/// The file, and the line of a byte in it.
fn place(path: &Path, text: &str, at: Option<usize>) -> String {
    match at.and_then(|at| text.get(..at)) {
        Some(before) => format!("{}:{}", path.display(), before.matches('\n').count() + 1),
        None => path.display().to_string(),
    }
}

/// Reads the file and the stamp of exactly what was read.
pub(super) fn read_with_stamp(path: &Path) -> Result<(AccessKeyFile, Option<Stamp>), AccessKeyError> {
    let content = |reason: &str| AccessKeyError::Content {
        place: path.display().to_string(),
        reason: reason.to_owned(),
    };
    let read = private_file::read(path, MAX_FILE_BYTES).map_err(|error| match error {
        ReadError::Io(source) => AccessKeyError::Io {
            action: "read",
            path: path.into(),
            source,
        },
        ReadError::TooLarge => content("it is larger than 1 MiB"),
        ReadError::NotAFile => content("it is no regular file"),
        ReadError::NotText => content("it is no UTF-8 text"),
    })?;
    let Some(found) = read else {
        return Ok((AccessKeyFile::default(), None));
    };
    if found.is_open_to_others() {
        return Err(AccessKeyError::Mode {
            path: path.into(),
            mode: found.mode & 0o7777,
        });
    }
    Ok((AccessKeyFile::parse(&found.text, path)?, Some(found.stamp)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn parse(text: &str) -> Result<AccessKeyFile, String> {
        AccessKeyFile::parse(text, Path::new("keys")).map_err(|error| error.to_string())
    }

    fn entry(rest: &str) -> String {
        format!("[[access_key]]\nid = \"AKIAEXAMPLEEXAMPLE22\"\n{rest}")
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let text = entry(&format!("secret = '{SECRET}'\ncreated = 2026-01-31T23:59:58Z\n"));
        let file = parse(&text).unwrap();
        let key = file.find("AKIAEXAMPLEEXAMPLE22").unwrap();
        assert_eq!(&**key.expose_secret(), SECRET);
        assert_eq!(key.created().unwrap().unix_timestamp(), 1_769_903_998);
        assert_eq!((key.description(), file.find("akia")), (None, None));
    }

    #[test]
    fn errors_name_place_and_cause_and_never_the_secret() {
        let secret = format!("secret = \"{SECRET}\"\n");
        for (text, expected) in [
            (
                entry(&format!("{secret}user = \"x\"")),
                "keys:4 is no file of access keys: unknown field",
            ),
            (entry(""), "missing field `secret`"),
            (
                entry(&format!("secret = \"{SECRET}")),
                "keys:3 is no file of access keys",
            ),
            (
                entry(&format!("{secret}created = 2026-01-31")),
                "no time with a zone",
            ),
            (entry(&secret).repeat(2), "each needs an id of its own"),
            ("key = 1".to_owned(), "unknown field"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn keys_are_added_and_removed_in_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let key = AccessKey::generate(OffsetDateTime::now_utc(), Some("a \"b\" \\ c".into())).unwrap();
        AccessKeyFile::edit(&path, |keys| keys.add(key.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            AccessKeyFile::read(&path).unwrap().keys(),
            std::slice::from_ref(&key)
        );
        assert!(matches!(
            AccessKeyFile::edit(&path, |keys| keys.add(key.clone())),
            Err(AccessKeyError::Exists(_))
        ));
        AccessKeyFile::edit(&path, |keys| keys.remove(key.id())).unwrap();
        assert!(matches!(
            AccessKeyFile::edit(&path, |keys| keys.remove(key.id())),
            Err(AccessKeyError::Unknown(_))
        ));
        assert!(AccessKeyFile::read(&path).unwrap().keys().is_empty());
    }

    #[test]
    fn a_file_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        fs::write(&path, "").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = AccessKeyFile::read(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{mode:04o}; run `chmod 600 {}`", path.display())),
                "{error}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(AccessKeyFile::read(&path).is_ok());
        fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(
            AccessKeyFile::read(&path)
                .unwrap_err()
                .to_string()
                .contains("1 MiB")
        );
        assert!(AccessKeyFile::read(dir.path()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in "\\PC{0,100}|(\\[\\[access_key\\]\\]\n|(id|secret|created) = [\"0-9a-zA-Z-]{0,30}\n){0,6}") {
            let _ = parse(&text);
        }

        #[test]
        fn whatever_can_be_built_reads_back(id in "[A-Za-z0-9_]{16,20}", secret in "[!-~]{32,60}", description in "\\PC{0,40}") {
            let key = AccessKey::new(id, Zeroizing::new(secret), None, Some(description)).unwrap();
            let mut file = AccessKeyFile::default();
            file.add(key).unwrap();
            prop_assert_eq!(parse(&file.to_text()).unwrap(), file);
        }
    }
}
