//! Many clients that log in at once, on one thread: as many stock processes would weigh more than the server.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use culvert_client::{End, Personality};
use culvert_wire::message::AuthFailed;

use crate::member::{Member, settings};
use crate::netns::Netns;
use crate::pki::Leaf;

/// What became of a crowd.
#[derive(Debug, Default)]
pub struct Fates {
    /// Clients that were let in.
    pub connected: usize,
    /// What those that were refused with a reason were told.
    pub refused: Vec<String>,
    /// How the others ended.
    pub failed: Vec<String>,
    /// Those that still waited at last.
    pub waiting: usize,
}

/// Lets `count` clients with this certificate log in over UDP from a namespace, all at once, and watches them until each
/// knows its fate or `patience` is over.
///
/// # Errors
/// Fails when a file can't be read or a socket can't be made.
pub fn spawn_logins(
    ns: &Netns,
    server: SocketAddr,
    ca: &Path,
    leaf: &Leaf,
    count: usize,
    patience: Duration,
) -> Result<JoinHandle<Result<Fates>>> {
    let settings = settings(ca, leaf, Personality::v2_6())?;
    ns.spawn(move || {
        let members = (0..count).map(|_| Member::dial(server, settings.clone()));
        let mut members = members.collect::<Result<Vec<_>>>()?;
        let deadline = Instant::now() + patience;
        while members.iter().any(Member::waits) && Instant::now() < deadline {
            let moved: usize = members.iter_mut().map(Member::turn).sum();
            if moved == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(fates(&members))
    })
}

fn fates(members: &[Member]) -> Fates {
    let mut fates = Fates::default();
    for member in members {
        match &member.end {
            Some(End::AuthFailed(AuthFailed::Reason(reason))) => fates.refused.push(reason.clone()),
            Some(end) => fates.failed.push(format!("{end:?}")),
            None if member.client.is_connected() => fates.connected += 1,
            None => fates.waiting += 1,
        }
    }
    fates
}
