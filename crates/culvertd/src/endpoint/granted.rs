//! What a login command granted, for clients that come back with a token instead of a password: the command is not
//! asked about tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use culvert_auth::Verdict;

/// The most users whose grants are remembered; a client of the others has to log in again.
const MOST: usize = 1 << 17;

/// The grants of each user's latest login, for the life of the daemon.
#[derive(Debug, Default)]
pub(crate) struct Granted(Mutex<HashMap<String, Verdict>>);

impl Granted {
    /// Notes what a login with a password led to. A refusal takes nothing away: anybody can cause one.
    pub(crate) fn note(&self, user: &str, verdict: &Verdict) {
        if !matches!(verdict, Verdict::Accept { .. }) {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(user) {
            all.clear();
        }
        all.insert(user.to_owned(), verdict.clone());
    }

    /// What the user's latest login led to.
    pub(crate) fn of(&self, user: &str) -> Option<Verdict> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(user)
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_take_back_what_a_login_granted() {
        let accepted = Verdict::Accept {
            groups: vec!["engineering".to_owned()],
            static_v4: None,
            static_v6: None,
        };
        let granted = Granted::default();
        assert_eq!(granted.of("alice"), None);
        granted.note("alice", &accepted);
        let refused = Verdict::Reject {
            log: "wrong password".to_owned(),
            client_message: None,
        };
        granted.note("alice", &refused);
        assert_eq!(granted.of("alice"), Some(accepted));
        assert_eq!(granted.of("bob"), None);
    }
}
