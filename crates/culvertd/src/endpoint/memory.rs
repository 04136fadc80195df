//! What an endpoint keeps from one configuration to the next, by its name: what logins were granted, and, also through a
//! restart of the daemon, the key that signs its auth tokens.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use culvert_crypto::SystemEntropy;
use culvert_crypto::auth_token::TokenKey;
use culvert_failure::describe;
use zeroize::Zeroizing;

use super::granted::Granted;

/// The memories of all endpoints.
pub(crate) struct Memories {
    state_dir: PathBuf,
    granted: Mutex<HashMap<String, Arc<Granted>>>,
    token_keys: Mutex<HashMap<String, Arc<TokenKey>>>,
}

impl Memories {
    /// Memories whose lasting part is in this folder. It is made when it is first needed.
    pub(crate) fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            granted: Mutex::default(),
            token_keys: Mutex::default(),
        }
    }

    /// What the login command granted the users of the endpoint with this name.
    pub(crate) fn granted(&self, endpoint: &str) -> Arc<Granted> {
        let mut all = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(endpoint.to_owned()).or_default())
    }

    /// The key that signs auth tokens where the configuration names none. It is made once and kept in the state folder.
    /// Worth nothing at another endpoint, whose logins may be judged by somebody else.
    pub(crate) fn token_key(&self, endpoint: &str) -> Arc<TokenKey> {
        let mut all = self.token_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = all.entry(endpoint.to_owned()).or_insert_with(|| {
            Arc::new(kept_key(&self.key_path(endpoint)).unwrap_or_else(|error| {
                tracing::warn!(
                    endpoint,
                    "the auth-token key can't be kept, so users log in anew after a restart: {}",
                    describe(&error)
                );
                TokenKey::generate(&mut SystemEntropy::new())
            }))
        });
        Arc::clone(key)
    }

    /// Forgets an endpoint that is deleted, its key included.
    pub(crate) fn forget(&self, endpoint: &str) {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.remove(endpoint);
        let mut keys = self.token_keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(endpoint);
        let path = self.key_path(endpoint);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(endpoint, path = %path.display(), %error, "the auth-token key of a deleted endpoint can't be removed");
            }
            _ => {}
        }
    }

    /// Endpoint names are letters, digits, dots, dashes and underscores.
    fn key_path(&self, endpoint: &str) -> PathBuf {
        self.state_dir.join(format!("auth-token-{endpoint}.key"))
    }
}

/// Reads the key, or makes it the first time.
fn kept_key(path: &Path) -> Result<TokenKey> {
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => TokenKey::parse(&text)
            .with_context(|| format!("Failed to read {}; remove it for a new key", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = TokenKey::generate(&mut SystemEntropy::new());
            keep(path, &key.to_pem()).with_context(|| format!("Failed to write {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("Failed to read {}", path.display())),
    }
}

/// Writes a file for the daemon's eyes only, whole or not at all.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_its_key_through_restarts_and_shares_it_with_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let before = Memories::new(state.clone());
        let key = before.token_key("office").to_pem();
        assert_eq!(before.token_key("office").to_pem(), key);
        assert_ne!(before.token_key("guests").to_pem(), key);
        let after = Memories::new(state.clone());
        assert_eq!(after.token_key("office").to_pem(), key);
        after.forget("office");
        assert!(!state.join("auth-token-office.key").exists());
        assert_ne!(after.token_key("office").to_pem(), key);
    }

    #[test]
    fn a_damaged_key_is_not_overwritten_and_tokens_still_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth-token-office.key");
        fs::write(&path, "not a key").unwrap();
        let memories = Memories::new(folder.path().to_owned());
        let key = memories.token_key("office").to_pem();
        assert_eq!(memories.token_key("office").to_pem(), key);
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
    }
}
