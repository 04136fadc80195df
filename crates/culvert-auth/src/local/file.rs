//! The backend over the users file: current without restarts, and as slow for strangers as for users.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use culvert_process::Gate;
use tokio::task::spawn_blocking;

use super::password;
use super::record::{UserFile, UsersError};
use super::store::read_with_stamp;
use crate::backend::{Credentials, Verdict};
use crate::private_file::{Stamp, stamp};

/// Settings of the local backend.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The users file. It may be created later.
    pub path: PathBuf,
    /// Most passwords verified at a time; each costs some 20 ms of a core and 19 MiB.
    pub max_concurrent: usize,
}

impl LocalOptions {
    /// Settings for `path`, verifying on at most half of the cores.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            path: path.into(),
            max_concurrent: cores.div_ceil(2),
        }
    }
}

/// Verifies logins against the users file.
#[derive(Debug)]
pub struct LocalUsers {
    table: Arc<Table>,
    gate: Gate,
}

#[derive(Debug)]
struct Table {
    path: PathBuf,
    /// Chooses whose parameters an unknown name is treated with: always the same for one name, unknown to it.
    seed: RandomState,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    users: Arc<UserFile>,
    /// Of the file last looked at, good or bad.
    stamp: Option<Stamp>,
}

impl LocalUsers {
    /// Reads the users file.
    ///
    /// # Errors
    /// As [`UserFile::read`]. Later on a broken file is logged and the last good one stays in force.
    pub fn open(options: LocalOptions) -> Result<Self, UsersError> {
        let (users, stamp) = read_with_stamp(&options.path)?;
        if users.is_empty() {
            tracing::warn!(path = %options.path.display(),
                "the users file has no users: nobody can log in; add one with `culvert user add`");
        }
        let current = Mutex::new(Current {
            users: Arc::new(users),
            stamp,
        });
        let table = Table {
            path: options.path,
            seed: RandomState::new(),
            current,
        };
        Ok(Self {
            table: Arc::new(table),
            gate: Gate::new(options.max_concurrent),
        })
    }

    /// Path of the users file.
    pub fn path(&self) -> &Path {
        &self.table.path
    }

    /// What a user whose login was proved some other way is granted; a user who is not in the file any more is rejected.
    pub fn grants(&self, username: &str) -> Verdict {
        match self.table.users().find(username) {
            Some(user) => Verdict::Accept {
                groups: user.groups().to_vec(),
                static_v4: user.static_v4(),
                static_v6: user.static_v6(),
            },
            None => Verdict::reject(format!(
                "user {username} is not in {} any more",
                self.table.path.display()
            )),
        }
    }

    pub(crate) async fn verify(&self, credentials: Credentials) -> Verdict {
        let Some(slot) = self.gate.enter().await else {
            return Verdict::reject_telling(
                "too many logins at once for the local users backend",
                "The server is busy. Try again in a minute.",
            );
        };
        let table = Arc::clone(&self.table);
        // The slot goes along: if the login is given up, the thread is busy all the same.
        let work = spawn_blocking(move || {
            let _slot = slot;
            table.verify(&credentials)
        });
        work.await
            .unwrap_or_else(|_| Verdict::reject("verifying the password failed inside the daemon"))
    }
}

impl Table {
    /// The users as the file has them now.
    fn users(&self) -> Arc<UserFile> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match stamp(&self.path) {
            Ok(found) if found == current.stamp => {}
            Ok(found) => match read_with_stamp(&self.path) {
                Ok((users, read)) => {
                    tracing::info!(path = %self.path.display(), users = users.len(), "users file read");
                    current.users = Arc::new(users);
                    current.stamp = read;
                }
                Err(error) => {
                    tracing::error!(%error, "the users file is broken; its last good content stays in force");
                    current.stamp = found;
                }
            },
            Err(error) => tracing::error!(path = %self.path.display(), %error,
                "cannot look at the users file; its last good content stays in force"),
        }
        Arc::clone(&current.users)
    }

    fn verify(&self, credentials: &Credentials) -> Verdict {
        let users = self.users();
        let Some(user) = users.find(&credentials.username) else {
            password::pretend(&credentials.password, self.model(&users, &credentials.username));
            return Verdict::reject("no such user in the users file");
        };
        if !password::matches(&credentials.password, &user.hash) {
            return Verdict::reject("wrong password");
        }
        Verdict::Accept {
            groups: user.groups().to_vec(),
            static_v4: user.static_v4(),
            static_v6: user.static_v6(),
        }
    }

    /// A user whose hash parameters an unknown name shares, so that its time tells nothing even if the
    /// file's hashes differ in cost.
    fn model<'u>(
        &self,
        users: &'u UserFile,
        name: &str,
    ) -> Option<&'u argon2::password_hash::phc::PasswordHash> {
        let count = users.len() as u64;
        let chosen = self.seed.hash_one(name).checked_rem(count)?;
        users
            .users()
            .nth(usize::try_from(chosen).ok()?)
            .map(|user| &user.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{UserRecord, hash_password};
    use super::*;
    use crate::AuthBackend;
    use std::time::{Duration, Instant};
    use zeroize::Zeroizing;

    fn credentials(username: &str, password: &str) -> Credentials {
        Credentials {
            endpoint: "office".into(),
            username: username.into(),
            password: Zeroizing::new(password.into()),
            common_name: None,
            serial: None,
            serial_hex: None,
            fingerprint: None,
            remote: "192.0.2.1:1".parse().unwrap(),
            peer_info: vec![],
        }
    }

    fn add(path: &Path, name: &str, password: &str) {
        let user = UserRecord::new(
            name,
            &hash_password(password).unwrap(),
            &["dev".into()],
            &["10.8.0.9".parse().unwrap()],
        );
        UserFile::edit(path, |users| users.add(user?)).unwrap();
    }

    async fn accepted(backend: &AuthBackend, username: &str, password: &str) -> bool {
        matches!(
            backend.verify(credentials(username, password)).await,
            Verdict::Accept { .. }
        )
    }

    #[tokio::test]
    async fn users_get_in_with_their_password_groups_and_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        add(&path, "alice", "wonderland");
        let backend = AuthBackend::Local(LocalUsers::open(LocalOptions::new(&path)).unwrap());
        assert_eq!(
            backend.verify(credentials("alice", "wonderland")).await,
            Verdict::Accept {
                groups: vec!["dev".into()],
                static_v4: Some("10.8.0.9".parse().unwrap()),
                static_v6: None
            }
        );
        for (name, password) in [
            ("alice", "Wonderland"),
            ("alice", ""),
            ("bob", "wonderland"),
            ("Alice", "wonderland"),
            ("", "x"),
        ] {
            let verdict = backend.verify(credentials(name, password)).await;
            // What the client is told must not tell whether the user exists.
            assert!(
                matches!(
                    verdict,
                    Verdict::Reject {
                        client_message: None,
                        ..
                    }
                ),
                "{name}: {verdict:?}"
            );
        }
    }

    #[tokio::test]
    async fn changes_to_the_file_count_at_the_next_login() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let backend = AuthBackend::Local(LocalUsers::open(LocalOptions::new(&path)).unwrap());
        assert!(!accepted(&backend, "alice", "one").await);
        add(&path, "alice", "one");
        assert!(accepted(&backend, "alice", "one").await);
        UserFile::edit(&path, |users| users.set_password("alice", &hash_password("two")?)).unwrap();
        assert!(!accepted(&backend, "alice", "one").await);
        assert!(accepted(&backend, "alice", "two").await);

        std::fs::write(&path, "alice broken\n").unwrap();
        assert!(
            accepted(&backend, "alice", "two").await,
            "the last good content stays"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(!accepted(&backend, "alice", "two").await, "no file, no users");
    }

    #[tokio::test]
    async fn strangers_cost_as_much_time_as_users() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        add(&path, "alice", "wonderland");
        let users = LocalUsers::open(LocalOptions::new(&path)).unwrap();
        let time = |name: &str| {
            let started = Instant::now();
            assert!(matches!(
                users.table.verify(&credentials(name, "wrong")),
                Verdict::Reject { .. }
            ));
            started.elapsed()
        };
        // The fastest of many runs is the work itself; other load on the machine only adds to it.
        let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..50 {
            known = known.min(time("alice"));
            unknown = unknown.min(time("mallory"));
            if unknown < known * 3 / 2 && known < unknown * 3 / 2 {
                return;
            }
        }
        panic!("known {known:?}, unknown {unknown:?}");
    }

    #[tokio::test]
    async fn verification_leaves_the_runtime_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        add(&path, "alice", "wonderland");
        let options = LocalOptions {
            path,
            max_concurrent: 1,
        };
        let backend = Arc::new(AuthBackend::Local(LocalUsers::open(options).unwrap()));
        let logins: Vec<_> = (0..20)
            .map(|_| {
                let backend = Arc::clone(&backend);
                tokio::spawn(async move { accepted(&backend, "alice", "wonderland").await })
            })
            .collect();
        // This runtime has one thread: it ticks on only if no login blocks it.
        let mut ticks = 0;
        while !logins.iter().all(tokio::task::JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            ticks += 1;
        }
        for login in logins {
            assert!(login.await.unwrap());
        }
        assert!(ticks > 20, "{ticks}");
    }
}
