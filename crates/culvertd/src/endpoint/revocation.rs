//! Watches an endpoint's revocation list: puts a new file in force without a restart, and reminds of the end of the list.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use culvert_config::Pem;
use culvert_failure::describe;

use super::live::Live;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How long before the end of a list's validity its operator is reminded, and how often.
const REMIND_BEFORE: u64 = 7 * 24 * 3600;
const REMIND_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    inode: u64,
    size: u64,
}

/// Looks at the list until the task is aborted. One held in memory changes only with the configuration.
pub(crate) async fn watch(live: Arc<Live>, list: Pem) {
    let mut seen = list.path().and_then(stamp);
    let mut reminded: Option<tokio::time::Instant> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if reminded.is_none_or(|last| last.elapsed() > REMIND_EVERY) && live.remind_of_expiry(REMIND_BEFORE) {
            reminded = Some(tokio::time::Instant::now());
        }
        let now = list.path().and_then(stamp);
        if now == seen {
            continue;
        }
        seen = now;
        reminded = None;
        match live.apply_revocation_list().await {
            Ok(()) => tracing::info!(endpoint = live.name(), "a new revocation list is in force"),
            Err(error) => tracing::error!(
                endpoint = live.name(),
                "the new revocation list is refused, the previous list stays in force: {}",
                describe(&error)
            ),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: meta.modified().ok(),
        inode: meta.ino(),
        size: meta.len(),
    })
}
