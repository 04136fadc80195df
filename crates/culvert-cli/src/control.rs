//! `culvert kill`, `culvert reload` and `culvert plan`.

use std::net::IpAddr;

use clap::Args;
use culvert_admin::{KillRequest, KillTarget, ReloadReport};
use serde_json::json;

use crate::output::{Output, clean};
use crate::setup::Daemon;

/// Arguments of `culvert kill`.
#[derive(Args)]
#[command(
    after_help = "A client that may still log in can come back at once: revoke its certificate or \
    remove its user first."
)]
pub(crate) struct Kill {
    #[command(flatten)]
    target: Target,
    /// Only on this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// The client with this id (see `culvert status --clients`)
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
    /// Every client with this user name or certificate common name
    #[arg(
        long,
        value_name = "NAME",
        visible_alias = "common-name",
        visible_alias = "username"
    )]
    name: Option<String>,
    /// Every client with this address, inside the tunnel or outside
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
}

impl Target {
    fn chosen(&self) -> Option<KillTarget> {
        let id = self.id.map(KillTarget::ClientId);
        let name = || self.name.clone().map(KillTarget::Name);
        id.or_else(name).or_else(|| self.address.map(KillTarget::Address))
    }
}

impl Kill {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let Some(target) = self.target.chosen() else {
            anyhow::bail!("say whom to disconnect")
        };
        let request = KillRequest {
            endpoint: self.endpoint.clone(),
            target,
        };
        let (killed, more) = self.daemon.talk(async |admin| admin.kill(request).await)?;
        output.emit(&json!({ "clients": killed, "more": more }), || {
            let line = |client: &culvert_admin::KilledClient| {
                let name = client.name.as_deref().unwrap_or("-");
                format!(
                    "disconnected client {} ({}) of {}\n",
                    client.client_id,
                    clean(name),
                    clean(&client.endpoint)
                )
            };
            let mut text: String = killed.iter().map(line).collect();
            if more > 0 {
                text.push_str(&format!("and {more} more\n"));
            }
            text
        })
    }
}

/// Arguments of `culvert reload`.
#[derive(Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    daemon: Daemon,
}

impl Reload {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let report = self.daemon.talk(async |admin| admin.reload().await)?;
        let same =
            "the configuration is the same; certificates, keys, users and revocation lists were read again";
        output.emit(&json!(report), || describe(&report, same))
    }
}

/// Arguments of `culvert plan`.
#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    daemon: Daemon,
}

impl Plan {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let report = self.daemon.talk(async |admin| admin.plan().await)?;
        let same = "the configuration is what is in force; a reload would read certificates, keys, users and revocation \
                    lists again";
        output.emit(&json!(report), || describe(&report, same))
    }
}

fn describe(report: &ReloadReport, same: &str) -> String {
    let mut text = String::new();
    for applied in &report.applied {
        text.push_str(&format!("{}\n", clean(applied)));
    }
    for warning in &report.warnings {
        text.push_str(&format!("warning: {}\n", clean(warning)));
    }
    if text.is_empty() { same.to_owned() } else { text }
}
