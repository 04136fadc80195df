//! Taking over from a predecessor that was killed.
//!
//! A process that is killed just when it starts a program leaves its locks and sockets to the child, until that has become
//! the program and the kernel closes what is marked close-on-exec. Whoever starts right afterwards finds them held by
//! nobody who would use them.

use std::thread;
use std::time::{Duration, Instant};

/// How long what is held may take to become free: much longer than a child takes to become a program on a busy machine, and
/// short for somebody who starts a second daemon by mistake.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Tries until it isn't `held` any more, for a second at most, and returns what the last attempt did.
///
/// Blocks the thread: for the start of a daemon, not for its work.
///
/// # Errors
/// Those of `attempt`.
pub fn take_over<T, E>(mut attempt: impl FnMut() -> Result<T, E>, held: impl Fn(&E) -> bool) -> Result<T, E> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(error) if held(&error) && Instant::now() < deadline => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, TryLockError};

    use super::*;

    fn lock(path: &std::path::Path) -> Result<File, TryLockError> {
        let file = File::create(path).map_err(TryLockError::Error)?;
        file.try_lock().map(|()| file)
    }

    fn is_held(error: &TryLockError) -> bool {
        matches!(error, TryLockError::WouldBlock)
    }

    #[test]
    fn what_is_about_to_be_given_up_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = lock(&path).unwrap();
        let holder = thread::spawn(move || {
            thread::sleep(PATIENCE / 4);
            drop(held);
        });
        assert!(take_over(|| lock(&path), is_held).is_ok());
        holder.join().unwrap();
    }

    #[test]
    fn what_somebody_keeps_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _held = lock(&path).unwrap();
        let error = take_over(|| lock(&path), is_held).unwrap_err();
        assert!(is_held(&error));
    }

    #[test]
    fn other_errors_are_not_waited_out() {
        let mut attempts = 0;
        let outcome: Result<(), _> = take_over(
            || {
                attempts += 1;
                Err("broken")
            },
            |_| false,
        );
        assert_eq!((outcome, attempts), (Err("broken"), 1));
    }
}
