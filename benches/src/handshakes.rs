//! `handshakes`: clients that connect and leave, as many as the server takes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use crate::arguments::HandshakesArguments;
use crate::clock::Stopwatch;
use crate::dialer::Dialer;
use crate::report::{Outcome, Report};
use crate::session::Session;

/// Wait after a failure, so that a server that refuses at once isn't asked in a tight loop.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What the tasks count together.
#[derive(Default)]
struct Counts {
    connects: Cell<u64>,
    failed: Cell<u64>,
}

/// Runs for the given time.
///
/// # Errors
/// When the certificates can't be used, or nobody listens to the result.
pub(crate) async fn run(arguments: HandshakesArguments) -> Result<()> {
    let dialer = Rc::new(Dialer::new(&arguments.connect, true)?);
    let counts = Rc::new(Counts::default());
    let watch = Stopwatch::start();
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.concurrency {
        tasks.spawn_local(repeat(Rc::clone(&dialer), Rc::clone(&counts)));
    }
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let result = Outcome::Handshakes {
        connects: counts.connects.get(),
        failed: counts.failed.get(),
        seconds: watch.seconds(),
        cpu_seconds: watch.cpu_seconds(),
    };
    Report::Result(result).print()
}

/// One client after another, for ever.
async fn repeat(dialer: Rc<Dialer>, counts: Rc<Counts>) {
    loop {
        match Session::connect(&dialer).await {
            Ok((session, incoming)) => {
                session.leave();
                incoming.leave_to(&dialer);
                counts.connects.set(counts.connects.get() + 1);
            }
            Err(error) => {
                counts.failed.set(counts.failed.get() + 1);
                tracing::warn!("{error:#}");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}
