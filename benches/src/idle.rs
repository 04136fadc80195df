//! `idle`: clients that do nothing but stay connected.

use std::rc::Rc;

use anyhow::{Result, bail};

use crate::arguments::IdleArguments;
use crate::clock::Stopwatch;
use crate::dialer::Dialer;
use crate::fleet::Fleet;
use crate::report::{Outcome, Report};
use crate::session::Session;
use crate::stop::Stop;

/// Connects, and keeps the clients until told to stop. Clients that end are told of and not replaced.
///
/// # Errors
/// When a client can't connect.
pub(crate) async fn run(arguments: IdleArguments) -> Result<()> {
    let mut stop = Stop::listen()?;
    let connect = &arguments.connect;
    let dialer = Rc::new(Dialer::new(connect, true)?);
    let connecting = Fleet::connect(&dialer, connect.clients, arguments.concurrency, || {
        Session::discard
    });
    let mut fleet = tokio::select! {
        fleet = connecting => fleet?,
        () = stop.told() => bail!("Stopped before all clients were connected"),
    };
    Report::Ready {
        clients: fleet.sessions.len(),
        addresses: Vec::new(),
        seconds: fleet.seconds,
    }
    .print()?;
    let watch = Stopwatch::start();
    let mut lost = 0;
    loop {
        tokio::select! {
            () = stop.told() => break,
            error = fleet.lost() => {
                lost += 1;
                tracing::warn!("{error:#}");
            }
        }
    }
    let result = Outcome::Kept {
        clients: (fleet.sessions.len() as u64).saturating_sub(lost),
        lost,
        seconds: watch.seconds(),
        cpu_seconds: watch.cpu_seconds(),
    };
    Report::Result(result).print()?;
    fleet.leave().await;
    Ok(())
}
