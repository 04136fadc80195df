//! Requests that may be repetitions: the answer to each is kept for a day, under the token its client chose.
//!
//! ```text
//! /repeat/<action>/<token>   what was asked, as a fingerprint, and the answer; vanishes by itself
//! ```

use culvert_query::idempotency::{Fingerprint, KEPT_FOR};
use culvert_store::{Compare, Key, KeyRange, LeaseId, Op, RangeRequest, Store, Txn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ServiceError;
use crate::record;
use crate::request::Repeat;

/// A request of one action that its client may repeat.
#[derive(Clone, Copy, Debug)]
pub struct Once<'a> {
    /// The action; a token means something only to one.
    pub action: &'static str,
    /// Token and fingerprint, if the client gave a token.
    pub repeat: Option<&'a Repeat>,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    fingerprint: [u8; 32],
    answer: T,
}

impl Once<'_> {
    /// The answer, if this is the repetition of a request that took effect already.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` if the token was used for something else.
    pub(crate) fn answered<T: DeserializeOwned>(self, store: &dyn Store) -> Result<Option<T>, ServiceError> {
        let Some((key, repeat)) = self.key() else {
            return Ok(None);
        };
        let response = store.range(&RangeRequest::from(KeyRange::single(key)))?;
        let Some(kv) = response.kvs.first() else {
            return Ok(None);
        };
        let kept: Kept<T> = record::read(&kv.key, &kv.value)?;
        repeat
            .fingerprint
            .judge(Fingerprint::from_bytes(kept.fingerprint))?;
        Ok(Some(kept.answer))
    }

    /// Carries out `txn` and keeps the answer with it, in one. Returns whether it took effect.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub(crate) fn commit<T: Serialize>(
        self,
        store: &dyn Store,
        txn: Txn,
        answer: &T,
    ) -> Result<bool, ServiceError> {
        let Some((key, repeat)) = self.key() else {
            return Ok(store.txn(&txn)?.succeeded);
        };
        let kept = Kept {
            fingerprint: repeat.fingerprint.to_bytes(),
            answer,
        };
        let value = record::write(&key, &kept)?;
        let lease = store.grant(KEPT_FOR)?.id;
        let txn = txn
            .when(Compare::absent(key.clone()))
            .then(Op::put_leased(key, value, lease));
        // After an error it is unknown whether the answer is kept: the lease must stay then, and ends by itself.
        let succeeded = store.txn(&txn)?.succeeded;
        if !succeeded {
            abandon(store, lease);
        }
        Ok(succeeded)
    }

    fn key(&self) -> Option<(Key, &Repeat)> {
        let repeat = self.repeat?;
        let key = format!("/repeat/{}/{}", self.action, repeat.token.as_str());
        Some((Key::from(key.as_str()), repeat))
    }
}

/// Ends a lease nothing hangs on. If that fails, it ends by itself.
fn abandon(store: &dyn Store, lease: LeaseId) {
    drop(store.revoke(lease));
}
