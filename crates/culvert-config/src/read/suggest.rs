//! "Did you mean": the known word nearest to an unknown one.

/// Words people bring along from elsewhere, and ours.
const ALIASES: &[(&str, &str)] = &[
    ("address", "listen_addresses"),
    ("auth_users_file", "users_file"),
    ("authorization_rule", "authorization_rules"),
    ("banner_text", "banner"),
    ("ca", "client_ca"),
    ("cert", "server_certificate"),
    ("certificate", "server_certificate"),
    ("cidr_block", "cidr"),
    ("cipher", "data_ciphers"),
    ("ciphers", "data_ciphers"),
    ("client_login_banner_options", "banner"),
    ("crl_verify", "crl"),
    ("destination", "destination_cidr"),
    ("destination_cidr_block", "destination_cidr"),
    ("dev", "device"),
    ("dns", "dns_servers"),
    ("tls_ekm", "tls_key_export"),
    ("access_group_id", "group_id"),
    ("all_users", "access_all"),
    ("authorize_all_groups", "access_all"),
    ("group", "group_id"),
    ("hand_window", "handshake_window"),
    ("key", "server_private_key"),
    ("listen", "listen_addresses"),
    ("mtu", "tun_mtu"),
    ("port", "vpn_port"),
    ("ports", "services"),
    ("proto", "transport_protocol"),
    ("protocol", "transport_protocol"),
    ("reneg_sec", "renegotiation"),
    ("search_domains", "domains"),
    ("server_certificate_arn", "server_certificate"),
    ("server_key", "server_private_key"),
    ("service", "services"),
    ("target_network_cidr", "destination_cidr"),
    ("tls_version", "tls_version_min"),
    ("transport_protocols", "transport_protocol"),
];

/// The known key that was probably meant.
pub(crate) fn closest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let unknown = unknown.to_ascii_lowercase().replace('-', "_");
    let alias = ALIASES
        .iter()
        .find(|(from, _)| *from == unknown)
        .map(|(_, to)| *to);
    if let Some(meant) = known.iter().find(|key| Some(**key) == alias || **key == unknown) {
        return Some(meant);
    }
    let near = |key: &&'k str| (distance(&unknown, key), *key);
    let (distance, key) = known.iter().map(near).min()?;
    (distance <= 1 + unknown.len() / 4).then_some(key)
}

/// Edits between two words (insert, delete, replace). Words are keys of a file, so short; longer ones than
/// any key are cut.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_and_words_from_elsewhere_find_their_key() {
        let known = ["vpn_port", "transport_protocol", "split_tunnel", "dns_servers"];
        assert_eq!(closest("split-tunel", &known), Some("split_tunnel"));
        assert_eq!(closest("Split-Tunnel", &known), Some("split_tunnel"));
        assert_eq!(closest("proto", &known), Some("transport_protocol"));
        assert_eq!(closest("dns_server", &known), Some("dns_servers"));
        assert_eq!(closest("entirely_different", &known), None);
        assert_eq!(closest("x", &[]), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
