//! Waiting until something has settled.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::ManageError;
use super::model::Status;
use crate::output::{Output, clean};

/// How long a command waits at most.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long it waits without a word.
const SILENCE: Duration = Duration::from_secs(1);
/// Pauses between questions: short at first, since most things settle at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How far something is.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// It is where it should be.
    Settled,
    /// It is on its way.
    Going(Status),
    /// It won't get there.
    Failed(Status),
}

impl Progress {
    /// How far something is that should come to the state `wanted`, and does not leave a state in `failed`.
    pub(crate) fn toward(wanted: &str, failed: &[&str], status: &Status) -> Self {
        match status.code.as_str() {
            code if code == wanted => Self::Settled,
            code if failed.contains(&code) => Self::Failed(status.clone()),
            _ => Self::Going(status.clone()),
        }
    }

    /// How far something is that should go away.
    pub(crate) fn away(status: Option<&Status>) -> Self {
        status.map_or(Self::Settled, |status| Self::Going(status.clone()))
    }
}

/// Asks until `what` has settled, [`LIMIT`] long at most.
pub(crate) fn settled(
    output: &Output,
    what: &str,
    ask: impl FnMut() -> Result<Progress, ManageError>,
) -> Result<(), ManageError> {
    settled_within(LIMIT, output, what, ask)
}

fn settled_within(
    limit: Duration,
    output: &Output,
    what: &str,
    mut ask: impl FnMut() -> Result<Progress, ManageError>,
) -> Result<(), ManageError> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut told: Option<Status> = None;
    loop {
        let status = match ask()? {
            Progress::Settled => return Ok(()),
            Progress::Failed(status) => {
                return Err(ManageError::Failed {
                    what: what.to_owned(),
                    state: status.code,
                    message: status.message,
                });
            }
            Progress::Going(status) => status,
        };
        let waited = began.elapsed();
        if waited >= limit {
            return Err(ManageError::Unsettled {
                what: what.to_owned(),
                state: status.code,
                message: status.message,
                seconds: limit.as_secs(),
            });
        }
        if waited >= SILENCE && told.as_ref() != Some(&status) {
            output.note(&format!("waiting: {what} is {}", clean(&status.to_string())));
            told = Some(status);
        }
        // Not past the moment when there is something to say.
        let next = if waited < SILENCE {
            SILENCE.min(limit)
        } else {
            limit
        };
        sleep(pause.min(next.saturating_sub(waited)));
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: &str, message: Option<&str>) -> Status {
        Status {
            code: code.into(),
            message: message.map(str::to_owned),
        }
    }

    fn wait(states: &[(&str, Option<&str>)], limit: u64) -> Result<(), String> {
        let mut states = states.iter();
        let mut last = status("none", None);
        settled_within(
            Duration::from_millis(limit),
            &Output::new(true),
            "the network",
            || {
                if let Some((code, message)) = states.next() {
                    last = status(code, *message);
                }
                Ok(Progress::toward("associated", &["association-failed"], &last))
            },
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn waiting_ends_where_it_should() {
        assert_eq!(
            wait(&[("associating", None), ("associated", None)], 10_000),
            Ok(())
        );
    }

    #[test]
    fn waiting_ends_where_nothing_better_comes() {
        let failed = wait(
            &[("associating", None), ("association-failed", Some("no lan9"))],
            10_000,
        );
        assert_eq!(failed, Err("the network is association-failed: no lan9".into()));
    }

    #[test]
    fn waiting_has_an_end() {
        let late = wait(&[("associating", Some("no route yet"))], 20).unwrap_err();
        assert!(
            late.starts_with("the network is still associating after 0 seconds: no route yet"),
            "{late}"
        );
    }

    #[test]
    fn what_should_go_away_has_settled_when_it_is_gone() {
        assert_eq!(Progress::away(None), Progress::Settled);
        let deleting = status("deleting", None);
        assert_eq!(Progress::away(Some(&deleting)), Progress::Going(deleting.clone()));
    }
}
