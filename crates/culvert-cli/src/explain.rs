//! `culvert explain`.

use std::net::IpAddr;

use clap::Args;
use culvert_admin::{ExplainRequest, ExplainStep, Explanation, KillTarget, Service};
use serde_json::json;

use crate::output::{Output, clean, table};
use crate::setup::Daemon;

/// What the ids of connections begin with.
const CONNECTION: &str = "cvpn-connection-";

/// Arguments of `culvert explain`.
#[derive(Args)]
#[command(
    after_help = "Routes, authorization rules and security groups are looked at, as they are in force now. \
    Firewalls behind the endpoint are not."
)]
pub(crate) struct Explain {
    /// The client: its id or its connection's, its name, or an address of its
    #[arg(value_name = "CLIENT")]
    client: String,
    /// What it wants to reach
    #[arg(value_name = "DESTINATION")]
    destination: IpAddr,
    /// With which service: 443/tcp, 53/udp, icmp [default: any]
    #[arg(long, value_name = "SERVICE")]
    service: Option<Service>,
    /// Only on this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Explain {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let request = ExplainRequest {
            endpoint: self.endpoint.clone(),
            client: target(&self.client),
            destination: self.destination,
            service: self.service,
        };
        let explanation = self.daemon.talk(async |admin| admin.explain(request).await)?;
        output.emit(&json!(explanation), || self.describe(&explanation))
    }

    fn describe(&self, explanation: &Explanation) -> String {
        let client = &explanation.client;
        let name = client.username.as_deref().or(client.common_name.as_deref());
        let verdict = if explanation.allowed { "may" } else { "may not" };
        let row = |step: &ExplainStep| {
            let outcome = if step.passes { "yes" } else { "no" };
            vec![clean(&step.what), outcome.to_owned(), clean(&step.why)]
        };
        format!(
            "{} ({}) at {} {verdict} reach {}\n\n{}",
            clean(name.unwrap_or("-")),
            client.client_id,
            clean(&client.endpoint),
            self.destination,
            table(&["looked at", "passes", "why"], explanation.steps.iter().map(row)),
        )
    }
}

/// What a word for a client means.
fn target(word: &str) -> KillTarget {
    if let Ok(id) = word.parse() {
        return KillTarget::ClientId(id);
    }
    if word.starts_with(CONNECTION) {
        return KillTarget::ConnectionId(word.to_owned());
    }
    match word.parse() {
        Ok(address) => KillTarget::Address(address),
        Err(_) => KillTarget::Name(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_be_named_in_several_ways() {
        assert_eq!(target("7"), KillTarget::ClientId(7));
        assert_eq!(
            target("10.8.0.2"),
            KillTarget::Address("10.8.0.2".parse().unwrap())
        );
        assert_eq!(target("ana.test"), KillTarget::Name("ana.test".into()));
        let id = "cvpn-connection-00000000000000007";
        assert_eq!(target(id), KillTarget::ConnectionId(id.into()));
    }
}
