//! Measures the stock server under the strangers of the hostile tests, for the comparison in `docs/hostile.md`.
//!
//! Run as root: `cargo run -p culvert-tests --example stock-figures`; the names of some rows after `--` measure only those.
#![allow(clippy::print_stdout)] // Printing is its purpose.

mod connections;
mod datagrams;
mod failures;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use culvert_tests::lab::SERVER_V4;

type Row = fn() -> Result<()>;

const ROWS: [(&str, Row); 10] = [
    ("answers", datagrams::answers),
    ("flood", datagrams::flood),
    ("stalled", datagrams::stalled),
    ("garbage", datagrams::garbage),
    ("slow", connections::slow),
    ("descriptors", connections::descriptors),
    ("device", failures::device),
    ("revocation", failures::revocation),
    ("broken-list", failures::broken_list),
    ("expired-list", failures::expired_list),
];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for name in &wanted {
        ensure!(
            ROWS.iter().any(|(row, _)| row == name),
            "there is no row {name:?}; there are {:?}",
            ROWS.map(|(row, _)| row)
        );
    }
    for (name, row) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            row().with_context(|| format!("Failed to measure {name}"))?;
        }
    }
    Ok(())
}

/// Where the server listens.
fn to() -> SocketAddr {
    SocketAddr::from((SERVER_V4, 443))
}

/// How long something took that was watched for `limit`.
fn figure(took: Option<Duration>, limit: Duration) -> String {
    took.map_or_else(
        || format!("more than {limit:?}, if ever"),
        |took| format!("{took:?}"),
    )
}
