//! One access key, and what can be wrong with it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use data_encoding::{BASE32, BASE64};
use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// What ids of permanent keys begin with, by custom.
const ID_PREFIX: &str = "AKIA";
/// Random bytes of an id: 16 digits of base 32.
const ID_BYTES: usize = 10;
/// Random bytes of a secret: 40 digits of base 64.
const SECRET_BYTES: usize = 30;
/// Characters of an id.
const ID_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;
/// Characters of a secret. A shorter one could be guessed from one recorded request.
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 32..=128;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 256;

/// What can be wrong with the file of access keys or a change to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessKeyError {
    /// The file can't be read, locked or replaced.
    #[error("cannot {action} the file of access keys {}: {source}", path.display())]
    Io {
        /// `read`, `lock` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others can read the secrets.
    #[error(
        "others may read the access keys: {path} has mode {mode:04o}; run `chmod 600 {path}`",
        path = path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file isn't what it should be.
    #[error("{place} is no file of access keys: {reason}")]
    Content {
        /// The file, with a line where one is known.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A key can't be used as it is.
    #[error("the access key {id:?} cannot be used: {reason}")]
    Unusable {
        /// Its id.
        id: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// Two keys with one id.
    #[error("there is an access key {0:?} already; each needs an id of its own")]
    Exists(String),
    /// There is no such key.
    #[error("there is no access key {0:?}; `culvert access-key list` shows those there are")]
    Unknown(String),
    /// The system gave no random bytes.
    #[error("the system has no random bytes to make a key of; try again")]
    NoRandomness,
}

/// An access key. Its secret is wiped when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    id: String,
    secret: Zeroizing<String>,
    created: Option<OffsetDateTime>,
    description: Option<String>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("created", &self.created)
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

impl AccessKey {
    /// A key that somebody made.
    ///
    /// # Errors
    /// [`AccessKeyError::Unusable`].
    pub fn new(
        id: String,
        secret: Zeroizing<String>,
        created: Option<OffsetDateTime>,
        description: Option<String>,
    ) -> Result<Self, AccessKeyError> {
        let key = Self {
            id,
            secret,
            created,
            description,
        };
        match key.fault() {
            Some(reason) => Err(AccessKeyError::Unusable { id: key.id, reason }),
            None => Ok(key),
        }
    }

    /// A new key of random bytes, made `now`.
    ///
    /// # Errors
    /// [`AccessKeyError::NoRandomness`]; [`AccessKeyError::Unusable`] for a description that can't be kept.
    pub fn generate(now: OffsetDateTime, description: Option<String>) -> Result<Self, AccessKeyError> {
        let id = [ID_PREFIX, &BASE32.encode(&*random::<ID_BYTES>()?)].concat();
        let secret = Zeroizing::new(BASE64.encode(&*random::<SECRET_BYTES>()?));
        // The file holds whole seconds.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self::new(id, secret, Some(now), description)
    }

    fn fault(&self) -> Option<&'static str> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !ID_LENGTHS.contains(&self.id.len()) || !self.id.bytes().all(word) {
            return Some("an id has 16 to 128 letters, digits and underscores");
        }
        let graphic = self.secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !SECRET_LENGTHS.contains(&self.secret.len()) || !graphic {
            return Some("a secret has 32 to 128 printable ASCII characters and no spaces");
        }
        let description = self.description.as_deref().unwrap_or_default();
        if description.chars().count() > MAX_DESCRIPTION || description.chars().any(char::is_control) {
            return Some("a description has at most 256 characters and no control characters");
        }
        None
    }

    /// The id, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret, for whoever signs or verifies.
    pub fn expose_secret(&self) -> &Zeroizing<String> {
        &self.secret
    }

    /// When it was made, where that is known.
    pub fn created(&self) -> Option<OffsetDateTime> {
        self.created
    }

    /// What it is for.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, AccessKeyError> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| AccessKeyError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_have_the_customary_form_and_differ() {
        let make = || AccessKey::generate(OffsetDateTime::UNIX_EPOCH, Some("ci".into())).unwrap();
        let (one, other) = (make(), make());
        assert_ne!(one.id(), other.id());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(
            one.id().starts_with("AKIA") && one.id().len() == 20,
            "{}",
            one.id()
        );
        assert_eq!(one.expose_secret().len(), 40);
        let shown = format!("{one:?}");
        assert!(!shown.contains(&**one.expose_secret()), "{shown}");
    }

    #[test]
    fn what_could_not_be_used_is_refused_with_the_rule() {
        let make = |id: &str, secret: &str, description: &str| {
            let secret = Zeroizing::new(secret.to_owned());
            AccessKey::new(id.into(), secret, None, Some(description.into()))
                .map_err(|error| error.to_string())
        };
        let (id, secret) = ("AKIAEXAMPLEEXAMPLE22", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        assert!(make(id, secret, "laptop").is_ok());
        for (id, secret, description, part) in [
            ("AKIA", secret, "", "16 to 128 letters"),
            ("AKIAEXAMPLE/EXAMPLE2", secret, "", "16 to 128 letters"),
            (id, "", "", "32 to 128 printable"),
            (id, "short", "", "32 to 128 printable"),
            (id, "wJalrXUtnFEMI K7MDENG+bPxRfiCYEXAMPLEKEY", "", "no spaces"),
            (id, secret, "a\nb", "no control characters"),
        ] {
            let error = make(id, secret, description).unwrap_err();
            assert!(error.contains(part), "{error}");
            assert!(secret.is_empty() || !error.contains(secret), "{error}");
        }
    }
}
