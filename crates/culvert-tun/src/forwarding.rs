//! What keeps this machine from forwarding between clients' tunnel and the networks behind it.

use std::fmt;

use crate::firewall::{self, FirewallError};

/// One thing that stops forwarded packets, with its cure in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardingProblem {
    /// `net.ipv4.ip_forward` is 0.
    Ipv4Off,
    /// `net.ipv6.conf.all.forwarding` is 0.
    Ipv6Off,
    /// Another firewall's forward chain drops what none of its rules accepts (Docker sets this up, for one).
    ChainDrops {
        /// Address family of the table.
        family: String,
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// Our device, for the cure.
        device: String,
    },
}

impl fmt::Display for ForwardingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4Off => f.write_str(
                "the kernel does not forward IPv4, so clients reach this machine only; switch it on with \
                 `sysctl -w net.ipv4.ip_forward=1` and keep it in a file in /etc/sysctl.d",
            ),
            Self::Ipv6Off => f.write_str(
                "the kernel does not forward IPv6, so clients reach this machine only; switch it on with \
                 `sysctl -w net.ipv6.conf.all.forwarding=1` and keep it in a file in /etc/sysctl.d",
            ),
            Self::ChainDrops {
                family,
                table,
                chain,
                device,
            } => write!(
                f,
                "the firewall chain `{family} {table} {chain}` drops forwarded packets by default; let those of \
                 the tunnel pass with `nft insert rule {family} {table} {chain} iifname {device} accept` and \
                 the same with `oifname`, or in the tool that owns the chain"
            ),
        }
    }
}

/// Reads the kernel's forwarding switches for the families in use.
pub fn check(v4: bool, v6: bool) -> Vec<ForwardingProblem> {
    // What cannot be read is not reported: a family the kernel lacks, or a masked /proc.
    let off = |path| std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "0");
    let mut problems = Vec::new();
    if v4 && off("/proc/sys/net/ipv4/ip_forward") {
        problems.push(ForwardingProblem::Ipv4Off);
    }
    if v6 && off("/proc/sys/net/ipv6/conf/all/forwarding") {
        problems.push(ForwardingProblem::Ipv6Off);
    }
    problems
}

/// All that keeps packets of `device` from being forwarded: the switches, and other firewalls' forward chains
/// that drop by default and have no rule for the device.
///
/// # Errors
///
/// [`FirewallError`] when the firewall rules cannot be listed.
pub async fn report(device: &str, v4: bool, v6: bool) -> Result<Vec<ForwardingProblem>, FirewallError> {
    let mut problems = check(v4, v6);
    let ruleset = firewall::list_ruleset().await?;
    problems.extend(dropping_chains(&ruleset, device));
    Ok(problems)
}

/// Finds base chains at the forward hook with policy drop in the output of `nft -j list ruleset`.
fn dropping_chains(ruleset: &serde_json::Value, device: &str) -> Vec<ForwardingProblem> {
    let objects = ruleset
        .get("nftables")
        .and_then(|list| list.as_array())
        .map_or(&[][..], Vec::as_slice);
    let text = |object: &serde_json::Value, key| {
        object
            .get(key)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let mentions_device = |family: &str, table: &str, chain: &str| {
        objects
            .iter()
            .filter_map(|object| object.get("rule"))
            .any(|rule| {
                text(rule, "family").as_deref() == Some(family)
                    && text(rule, "table").as_deref() == Some(table)
                    && text(rule, "chain").as_deref() == Some(chain)
                    && rule
                        .get("expr")
                        .is_some_and(|expr| expr.to_string().contains(&format!("\"{device}\"")))
            })
    };
    let mut found = Vec::new();
    for chain in objects.iter().filter_map(|object| object.get("chain")) {
        if text(chain, "hook").as_deref() != Some("forward")
            || text(chain, "policy").as_deref() != Some("drop")
        {
            continue;
        }
        if let (Some(family), Some(table), Some(name)) =
            (text(chain, "family"), text(chain, "table"), text(chain, "name"))
            && !mentions_device(&family, &table, &name)
        {
            found.push(ForwardingProblem::ChainDrops {
                family,
                table,
                chain: name,
                device: device.to_owned(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_chain_that_drops_is_found_unless_it_knows_the_device() {
        let ruleset = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "handle": 1, "type": "filter",
                       "hook": "forward", "prio": 0, "policy": "drop"}},
            {"chain": {"family": "inet", "table": "own", "name": "forward", "hook": "forward", "policy": "accept"}},
            {"chain": {"family": "inet", "table": "good", "name": "fwd", "hook": "forward", "policy": "drop"}},
            {"rule": {"family": "inet", "table": "good", "chain": "fwd", "expr": [
                {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "cvpn0"}}, {"accept": null}]}},
        ]});
        let found = dropping_chains(&ruleset, "cvpn0");
        assert_eq!(found.len(), 1);
        let text = found[0].to_string();
        assert!(
            text.contains("ip filter FORWARD") && text.contains("iifname cvpn0 accept"),
            "{text}"
        );
        assert_eq!(dropping_chains(&serde_json::json!({}), "cvpn0"), vec![]);
    }

    #[test]
    fn switched_off_forwarding_is_told_with_the_cure() {
        assert!(
            ForwardingProblem::Ipv4Off
                .to_string()
                .contains("sysctl -w net.ipv4.ip_forward=1")
        );
        assert_eq!(check(false, false), vec![]);
    }
}
