//! NAT: one nftables table per device, replaced as a whole, removed with its owner.
//!
//! The table `inet culvert_<device>` holds nothing but masquerading of the clients' addresses towards networks
//! that have no route back to them. Who may reach what is decided in the data path; rules of other programs
//! are never touched.

use std::{
    borrow::Cow,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ipnetwork::IpNetwork;
use nftables::{
    batch::Batch,
    expr::{Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix},
    schema::{Chain, NfListObject, Nftables, Rule, Table},
    stmt::{Match, Operator, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use tokio::io::AsyncWriteExt;

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
/// `srcnat` priority: where source NAT happens.
const PRIORITY: i32 = 100;

/// Why NAT rules could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatError {
    /// The program is not installed.
    #[error(
        "NAT needs the program nft, which is not installed; install the package nftables (`apt install \
         nftables`, `dnf install nftables`, `apk add nftables`), or declare the target networks as routed"
    )]
    NotInstalled,
    /// The rules need a privilege.
    #[error("nft may not change firewall rules; start the daemon as root or give it CAP_NET_ADMIN")]
    PermissionDenied,
    /// The program failed.
    #[error("nft failed to {action}: {reason}")]
    Failed {
        /// What was asked for.
        action: &'static str,
        /// Its message.
        reason: String,
    },
}

/// Clients' addresses that are replaced by this machine's on the way to a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masquerade {
    /// Addresses of the clients.
    pub clients: IpNetwork,
    /// The network; `/0` for all. Must be of the same family.
    pub destination: IpNetwork,
    /// Only packets that leave by this interface.
    pub interface: Option<String>,
}

/// The masquerading rules of one device, installed until dropped.
#[derive(Debug)]
pub struct Nat {
    device: String,
    nft: PathBuf,
}

impl Nat {
    /// Installs `rules` for `device`, replacing what a former run left, in one transaction.
    ///
    /// # Errors
    ///
    /// [`NatError`]; nothing is changed then.
    pub async fn install(device: &str, rules: &[Masquerade]) -> Result<Self, NatError> {
        let nft = find()?;
        apply(&nft, &table_with(device, rules), "install the NAT rules").await?;
        Ok(Self {
            device: device.to_owned(),
            nft,
        })
    }

    /// Replaces the rules in one transaction: no packet sees a mixture, connections keep their translation.
    ///
    /// # Errors
    ///
    /// [`NatError`]; the former rules stay then.
    pub async fn replace(&self, rules: &[Masquerade]) -> Result<(), NatError> {
        apply(
            &self.nft,
            &table_with(&self.device, rules),
            "replace the NAT rules",
        )
        .await
    }

    /// Name of the table, of family `inet`.
    pub fn table(&self) -> String {
        table_name(&self.device)
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        if let Err(error) = apply_blocking(&self.nft, &no_table(&self.device)) {
            tracing::warn!(table = self.table(), %error, "the NAT table stays behind");
        }
    }
}

/// Removes the table a former run left for `device`. That there is none is no error, nor that nft is not
/// installed: nothing can be left then.
///
/// # Errors
///
/// [`NatError`] when nft fails.
pub async fn remove_stale(device: &str) -> Result<(), NatError> {
    match find() {
        Ok(nft) => apply(&nft, &no_table(device), "remove stale NAT rules").await,
        Err(_) => Ok(()),
    }
}

/// All rules of the machine, as `nft -j list ruleset` prints them.
pub(crate) async fn list_ruleset() -> Result<serde_json::Value, NatError> {
    let output = run(&find()?, &["-j", "list", "ruleset"], None, "list the rules").await?;
    serde_json::from_str(&output).map_err(|error| NatError::Failed {
        action: "list the rules",
        reason: error.to_string(),
    })
}

fn table_name(device: &str) -> String {
    format!("culvert_{device}")
}

fn table(device: &str) -> NfListObject<'static> {
    NfListObject::Table(Table {
        family: NfFamily::INet,
        name: table_name(device).into(),
        ..Table::default()
    })
}

/// The transaction that leaves no table: adding first makes the deletion valid in any case.
fn no_table(device: &str) -> Nftables<'static> {
    let mut batch = Batch::new();
    batch.add(table(device));
    batch.delete(table(device));
    batch.to_nftables()
}

/// The transaction that leaves a fresh table with `rules`.
fn table_with(device: &str, rules: &[Masquerade]) -> Nftables<'static> {
    let name = table_name(device);
    let mut batch = Batch::new();
    batch.add(table(device));
    batch.delete(table(device));
    batch.add(table(device));
    batch.add(NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: name.clone().into(),
        name: "postrouting".into(),
        _type: Some(NfChainType::NAT),
        hook: Some(NfHook::Postrouting),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Accept),
        ..Chain::default()
    }));
    for rule in rules {
        batch.add(NfListObject::Rule(Rule {
            family: NfFamily::INet,
            table: name.clone().into(),
            chain: "postrouting".into(),
            expr: statements(device, rule).into(),
            ..Rule::default()
        }));
    }
    batch.to_nftables()
}

/// `ip saddr CLIENTS ip daddr DESTINATION oifname != DEVICE oifname INTERFACE masquerade`
fn statements(device: &str, rule: &Masquerade) -> Vec<Statement<'static>> {
    let mut list = vec![network("saddr", rule.clients)];
    if rule.destination.prefix() > 0 {
        list.push(network("daddr", rule.destination));
    }
    // What one client sends to another keeps its address.
    list.push(out_interface(Operator::NEQ, device));
    if let Some(interface) = &rule.interface {
        list.push(out_interface(Operator::EQ, interface));
    }
    list.push(Statement::Masquerade(None));
    list
}

fn network(field: &'static str, network: IpNetwork) -> Statement<'static> {
    let protocol = if network.is_ipv4() { "ip" } else { "ip6" };
    Statement::Match(Match {
        left: Expression::Named(NamedExpression::Payload(Payload::PayloadField(PayloadField {
            protocol: Cow::Borrowed(protocol),
            field: Cow::Borrowed(field),
        }))),
        right: Expression::Named(NamedExpression::Prefix(Prefix {
            addr: Box::new(Expression::String(network.network().to_string().into())),
            len: network.prefix().into(),
        })),
        op: Operator::EQ,
    })
}

fn out_interface(op: Operator, name: &str) -> Statement<'static> {
    Statement::Match(Match {
        left: Expression::Named(NamedExpression::Meta(Meta {
            key: MetaKey::Oifname,
        })),
        right: Expression::String(name.to_owned().into()),
        op,
    })
}

fn find() -> Result<PathBuf, NatError> {
    NFT.iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .map(Path::to_owned)
        .ok_or(NatError::NotInstalled)
}

async fn apply(nft: &Path, rules: &Nftables<'_>, action: &'static str) -> Result<(), NatError> {
    run(nft, &["-j", "-f", "-"], Some(&encode(rules)?), action)
        .await
        .map(drop)
}

fn encode(rules: &Nftables<'_>) -> Result<Vec<u8>, NatError> {
    serde_json::to_vec(rules).map_err(|error| NatError::Failed {
        action: "encode the rules",
        reason: error.to_string(),
    })
}

async fn run(
    nft: &Path,
    args: &[&str],
    input: Option<&[u8]>,
    action: &'static str,
) -> Result<String, NatError> {
    let failed = |error: io::Error| NatError::Failed {
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
fn apply_blocking(nft: &Path, rules: &Nftables<'_>) -> Result<(), NatError> {
    const ACTION: &str = "remove the NAT rules";
    let failed = |error: io::Error| NatError::Failed {
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

fn judge(output: std::process::Output, action: &'static str) -> Result<String, NatError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if reason.contains("Operation not permitted") || reason.contains("must be root") {
        return Err(NatError::PermissionDenied);
    }
    Err(NatError::Failed { action, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_replaced_in_one_transaction() {
        let rule = Masquerade {
            clients: "10.8.0.0/22".parse().unwrap(),
            destination: "192.168.1.77/24".parse().unwrap(),
            interface: Some("eth0".into()),
        };
        let json = serde_json::to_value(table_with("cvpn0", &[rule])).unwrap();
        let commands = json["nftables"].as_array().unwrap();
        let table = serde_json::json!({"table": {"family": "inet", "name": "culvert_cvpn0"}});
        assert_eq!(commands[0]["add"], table);
        assert_eq!(commands[1]["delete"], table);
        assert_eq!(commands[2]["add"], table);
        let expr = commands[4]["add"]["rule"]["expr"].to_string();
        assert!(expr.contains(r#""addr":"192.168.1.0","len":24"#), "{expr}");
        assert!(expr.contains(r#""right":"eth0""#), "{expr}");
        assert!(expr.ends_with(r#"{"masquerade":null}]"#), "{expr}");
    }
}
