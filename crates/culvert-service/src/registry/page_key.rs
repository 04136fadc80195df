//! The key of page tokens in the store: whoever answers from this store makes and takes the same tokens.
//!
//! ```text
//! /page-key   32 bytes
//! ```

use culvert_store::{Compare, Key, Op, OpResult, Txn};
use zeroize::Zeroizing;

use super::Registry;
use crate::error::ServiceError;

const PAGE_KEY: &str = "/page-key";

impl Registry {
    /// The key of page tokens: the one that is kept, else `fresh`, 32 random bytes, which is kept from now on.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn page_key(&self, fresh: [u8; 32]) -> Result<Zeroizing<[u8; 32]>, ServiceError> {
        let fresh = Zeroizing::new(fresh);
        let txn = Txn::new()
            .when(Compare::absent(PAGE_KEY))
            .then(Op::put(PAGE_KEY, fresh.as_slice()))
            .otherwise(Op::get(PAGE_KEY));
        let response = self.store.txn(&txn)?;
        if response.succeeded {
            return Ok(fresh);
        }
        let Some(OpResult::Got(kvs)) = response.results.first() else {
            return Err(unusable());
        };
        let kept = kvs.first().map(|kv| kv.value.as_bytes());
        let kept = kept.and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok());
        Ok(Zeroizing::new(*kept.ok_or_else(unusable)?))
    }
}

fn unusable() -> ServiceError {
    ServiceError::Record {
        key: Key::from(PAGE_KEY),
        reason: "it is no key of 32 bytes; restore the store from a backup".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use culvert_store::{EmbeddedStore, Options, Store};

    use super::*;

    fn open(folder: &tempfile::TempDir) -> Arc<dyn Store> {
        let path = folder.path().join("store.redb");
        Arc::new(EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap())
    }

    #[test]
    fn the_first_key_stays_also_after_the_store_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::new(open(&folder));
        assert_eq!(*registry.page_key([1; 32]).unwrap(), [1; 32]);
        assert_eq!(*registry.page_key([2; 32]).unwrap(), [1; 32]);
        drop(registry);
        assert_eq!(*Registry::new(open(&folder)).page_key([3; 32]).unwrap(), [1; 32]);
    }

    #[test]
    fn all_who_begin_at_once_have_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::new(open(&folder));
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let ask = |number| {
                let registry = registry.clone();
                scope.spawn(move || *registry.page_key([number; 32]).unwrap())
            };
            let asked: Vec<_> = (0..8).map(ask).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        store.txn(&Txn::new().then(Op::put(PAGE_KEY, "short"))).unwrap();
        let error = Registry::new(store).page_key([1; 32]).unwrap_err();
        assert!(error.to_string().contains("/page-key"), "{error}");
    }
}
