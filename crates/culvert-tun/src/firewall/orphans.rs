//! Tables of devices that are no more: a run that was killed leaves its tables, while its devices go with it.

use nftables::batch::Batch;
use serde_json::Value;

use super::{FirewallError, PREFIX, nft, table};

/// Removes the tables of devices that don't exist, and returns these devices' names. Tables of devices that do are in use,
/// maybe by another daemon. That nft is not installed is no error: nothing can be left then.
///
/// # Errors
///
/// [`FirewallError`] when nft fails.
pub async fn remove_orphans() -> Result<Vec<String>, FirewallError> {
    let Ok(nft) = nft::find() else {
        return Ok(Vec::new());
    };
    let output = nft::run(&nft, &["-j", "list", "tables"], None, "list the tables").await?;
    let tables: Value = serde_json::from_str(&output).map_err(|error| FirewallError::Failed {
        action: "list the tables",
        reason: error.to_string(),
    })?;
    let mut orphans = devices(&tables);
    orphans.retain(|device| nix::net::if_::if_nametoindex(device.as_str()).is_err());
    if !orphans.is_empty() {
        let mut batch = Batch::new();
        for device in &orphans {
            // Adding first makes the deletion valid if somebody else was faster.
            batch.add(table(device));
            batch.delete(table(device));
        }
        nft::apply(&nft, &batch.to_nftables(), "remove stale firewall rules").await?;
    }
    Ok(orphans)
}

/// The devices whose tables are in the output of `nft -j list tables`.
fn devices(tables: &Value) -> Vec<String> {
    let objects = tables["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    let inet = objects
        .iter()
        .map(|object| &object["table"])
        .filter(|table| table["family"] == "inet");
    inet.filter_map(|table| table["name"].as_str()?.strip_prefix(PREFIX))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_tables_of_our_family_count() {
        let listed = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"table": {"family": "inet", "name": "culvert_cvpn3", "handle": 1}},
            {"table": {"family": "ip", "name": "culvert_cvpn4", "handle": 2}},
            {"table": {"family": "inet", "name": "filter", "handle": 3}},
        ]});
        assert_eq!(devices(&listed), ["cvpn3"]);
        assert!(devices(&Value::Null).is_empty());
    }
}
