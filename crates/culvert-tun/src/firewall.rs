//! The firewall: one nftables table per device, replaced as a whole, removed with its owner.
//!
//! The table `inet culvert_<device>` masquerades the clients' addresses towards networks that have no route back to
//! them ([`Masquerade`]), and where security groups apply, lets clients begin only what these allow ([`Egress`]). Who may
//! reach what is decided in the data path; rules of other programs are never touched.

mod egress;
mod nat;
mod nft;
mod orphans;

use std::path::PathBuf;

use nftables::{
    batch::Batch,
    expr::{Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField},
    schema::{NfListObject, Nftables, Rule, Table},
    stmt::{Match, Operator, Statement},
    types::NfFamily,
};

pub use egress::{Egress, EgressProtocol};
pub use nat::Masquerade;
pub use orphans::remove_orphans;

/// What the names of our tables begin with; the device follows.
const PREFIX: &str = "culvert_";

/// Why firewall rules could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirewallError {
    /// The program is not installed.
    #[error(
        "NAT and security groups need the program nft, which is not installed; install the package nftables (`apt \
         install nftables`, `dnf install nftables`, `apk add nftables`), or declare the target networks as routed and \
         without security groups"
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

/// All rules of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Which addresses are replaced.
    pub masquerades: Vec<Masquerade>,
    /// What clients may begin; `None`: no security group applies, and everything may be.
    pub egress: Option<Vec<Egress>>,
}

impl Ruleset {
    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.masquerades.is_empty() && self.egress.is_none()
    }
}

/// The rules of one device, installed until dropped.
#[derive(Debug)]
pub struct Firewall {
    device: String,
    nft: PathBuf,
}

impl Firewall {
    /// Installs `rules` for `device`, replacing what a former run left, in one transaction.
    ///
    /// # Errors
    ///
    /// [`FirewallError`]; nothing is changed then.
    pub async fn install(device: &str, rules: &Ruleset) -> Result<Self, FirewallError> {
        let nft = nft::find()?;
        nft::apply(&nft, &table_with(device, rules), "install the firewall rules").await?;
        Ok(Self {
            device: device.to_owned(),
            nft,
        })
    }

    /// Replaces the rules in one transaction: no packet sees a mixture, connections keep their translation.
    ///
    /// # Errors
    ///
    /// [`FirewallError`]; the former rules stay then.
    pub async fn replace(&self, rules: &Ruleset) -> Result<(), FirewallError> {
        let table = table_with(&self.device, rules);
        nft::apply(&self.nft, &table, "replace the firewall rules").await
    }

    /// Name of the table, of family `inet`.
    pub fn table(&self) -> String {
        table_name(&self.device)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        if let Err(error) = nft::apply_blocking(&self.nft, &no_table(&self.device)) {
            tracing::warn!(table = self.table(), %error, "the firewall table stays behind");
        }
    }
}

/// Removes the table a former run left for `device`. That there is none is no error, nor that nft is not
/// installed: nothing can be left then.
///
/// # Errors
///
/// [`FirewallError`] when nft fails.
pub async fn remove_stale(device: &str) -> Result<(), FirewallError> {
    match nft::find() {
        Ok(nft) => nft::apply(&nft, &no_table(device), "remove stale firewall rules").await,
        Err(_) => Ok(()),
    }
}

/// All rules of the machine, as `nft -j list ruleset` prints them.
pub(crate) async fn list_ruleset() -> Result<serde_json::Value, FirewallError> {
    let output = nft::run(&nft::find()?, &["-j", "list", "ruleset"], None, "list the rules").await?;
    serde_json::from_str(&output).map_err(|error| FirewallError::Failed {
        action: "list the rules",
        reason: error.to_string(),
    })
}

fn table_name(device: &str) -> String {
    format!("{PREFIX}{device}")
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
fn table_with(device: &str, rules: &Ruleset) -> Nftables<'static> {
    let mut batch = Batch::new();
    batch.add(table(device));
    batch.delete(table(device));
    batch.add(table(device));
    nat::add_chain(&mut batch, device, &rules.masquerades);
    if let Some(egress) = &rules.egress {
        egress::add_chain(&mut batch, device, egress);
    }
    batch.to_nftables()
}

/// A rule of a chain in the table of `device`.
fn rule(device: &str, chain: &'static str, statements: Vec<Statement<'static>>) -> NfListObject<'static> {
    NfListObject::Rule(Rule {
        family: NfFamily::INet,
        table: table_name(device).into(),
        chain: chain.into(),
        expr: statements.into(),
        ..Rule::default()
    })
}

fn matching(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    })))
}

fn text(text: impl Into<String>) -> Expression<'static> {
    Expression::String(text.into().into())
}
