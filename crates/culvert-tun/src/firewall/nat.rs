//! Source NAT: clients' addresses towards networks that have no route back to them.

use ipnetwork::IpNetwork;
use nftables::{
    batch::Batch,
    expr::{Expression, MetaKey, NamedExpression, Prefix},
    schema::{Chain, NfListObject},
    stmt::{Operator, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};

use super::{field, matching, meta, rule, table_name, text};

const CHAIN: &str = "postrouting";
/// `srcnat` priority: where source NAT happens.
const PRIORITY: i32 = 100;

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

/// Adds the chain with `rules`.
pub(super) fn add_chain(batch: &mut Batch<'static>, device: &str, rules: &[Masquerade]) {
    batch.add(NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: table_name(device).into(),
        name: CHAIN.into(),
        _type: Some(NfChainType::NAT),
        hook: Some(NfHook::Postrouting),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Accept),
        ..Chain::default()
    }));
    for masquerade in rules {
        batch.add(rule(device, CHAIN, statements(device, masquerade)));
    }
}

/// `ip saddr CLIENTS ip daddr DESTINATION oifname != DEVICE oifname INTERFACE masquerade`
fn statements(device: &str, rule: &Masquerade) -> Vec<Statement<'static>> {
    let mut list = vec![network("saddr", rule.clients)];
    if rule.destination.prefix() > 0 {
        list.push(network("daddr", rule.destination));
    }
    // What one client sends to another keeps its address.
    list.push(matching(meta(MetaKey::Oifname), Operator::NEQ, text(device)));
    if let Some(interface) = &rule.interface {
        list.push(matching(meta(MetaKey::Oifname), Operator::EQ, text(interface)));
    }
    list.push(Statement::Masquerade(None));
    list
}

fn network(name: &'static str, network: IpNetwork) -> Statement<'static> {
    let protocol = if network.is_ipv4() { "ip" } else { "ip6" };
    let prefix = Expression::Named(NamedExpression::Prefix(Prefix {
        addr: Box::new(text(network.network().to_string())),
        len: network.prefix().into(),
    }));
    matching(field(protocol, name), Operator::EQ, prefix)
}

#[cfg(test)]
mod tests {
    use super::super::{Ruleset, table_with};
    use super::*;

    #[test]
    fn the_table_is_replaced_in_one_transaction() {
        let rule = Masquerade {
            clients: "10.8.0.0/22".parse().unwrap(),
            destination: "192.168.1.77/24".parse().unwrap(),
            interface: Some("eth0".into()),
        };
        let rules = Ruleset {
            masquerades: vec![rule],
            egress: None,
        };
        let json = serde_json::to_value(table_with("cvpn0", &rules)).unwrap();
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
