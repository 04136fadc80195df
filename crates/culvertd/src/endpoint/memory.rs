//! What an endpoint keeps from one configuration to the next, and through a restart of its own, by its name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use culvert_crypto::SystemEntropy;
use culvert_crypto::auth_token::TokenKey;

use super::granted::Granted;

/// The memory of one endpoint, for the life of the daemon.
#[derive(Clone)]
pub(crate) struct Memory {
    /// Signs auth tokens where there is no key file. Worth nothing at another endpoint, whose logins may be judged by
    /// somebody else.
    pub(crate) token_key: Arc<TokenKey>,
    /// What the login command granted.
    pub(crate) granted: Arc<Granted>,
}

/// The memories of all endpoints.
#[derive(Default)]
pub(crate) struct Memories(Mutex<HashMap<String, Memory>>);

impl Memories {
    /// The memory of the endpoint with this name.
    pub(crate) fn of(&self, endpoint: &str) -> Memory {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(endpoint.to_owned())
            .or_insert_with(|| Memory {
                token_key: Arc::new(TokenKey::generate(&mut SystemEntropy::new())),
                granted: Arc::default(),
            })
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_its_key_and_shares_it_with_none() {
        let memories = Memories::default();
        let key = |name: &str| memories.of(name).token_key;
        assert!(Arc::ptr_eq(&key("office"), &key("office")));
        assert_ne!(key("office").to_pem(), key("guests").to_pem());
    }
}
