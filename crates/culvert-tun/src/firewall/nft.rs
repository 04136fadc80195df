//! Running the program `nft`, which takes each batch as one transaction.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nftables::schema::Nftables;
use tokio::io::AsyncWriteExt;

use super::FirewallError;

/// Where distributions put the program. It is never looked up in PATH: the daemon is privileged.
const NFT: [&str; 5] = [
    "/usr/sbin/nft",
    "/sbin/nft",
    "/usr/bin/nft",
    "/usr/local/sbin/nft",
    "/run/current-system/sw/bin/nft",
];
/// Longest wait for one run of the program.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn find() -> Result<PathBuf, FirewallError> {
    NFT.iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .map(Path::to_owned)
        .ok_or(FirewallError::NotInstalled)
}

pub(super) async fn apply(
    nft: &Path,
    rules: &Nftables<'_>,
    action: &'static str,
) -> Result<(), FirewallError> {
    run(nft, &["-j", "-f", "-"], Some(&encode(rules)?), action)
        .await
        .map(drop)
}

fn encode(rules: &Nftables<'_>) -> Result<Vec<u8>, FirewallError> {
    serde_json::to_vec(rules).map_err(|error| FirewallError::Failed {
        action: "encode the rules",
        reason: error.to_string(),
    })
}

pub(super) async fn run(
    nft: &Path,
    args: &[&str],
    input: Option<&[u8]>,
    action: &'static str,
) -> Result<String, FirewallError> {
    let failed = |error: io::Error| FirewallError::Failed {
        action,
        reason: error.to_string(),
    };
    let mut child = tokio::process::Command::new(nft)
        .args(args)
        .env_clear()
        .kill_on_drop(true)
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    let finish = async move {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            stdin.write_all(input).await?;
            drop(stdin);
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, finish)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    judge(output.map_err(failed)?, action)
}

/// For `drop`, which cannot wait.
pub(super) fn apply_blocking(nft: &Path, rules: &Nftables<'_>) -> Result<(), FirewallError> {
    const ACTION: &str = "remove the firewall rules";
    let failed = |error: io::Error| FirewallError::Failed {
        action: ACTION,
        reason: error.to_string(),
    };
    let mut child = std::process::Command::new(nft)
        .args(["-j", "-f", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&encode(rules)?).map_err(failed)?;
    }
    judge(child.wait_with_output().map_err(failed)?, ACTION).map(drop)
}

fn judge(output: std::process::Output, action: &'static str) -> Result<String, FirewallError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if reason.contains("Operation not permitted") || reason.contains("must be root") {
        return Err(FirewallError::PermissionDenied);
    }
    Err(FirewallError::Failed { action, reason })
}
