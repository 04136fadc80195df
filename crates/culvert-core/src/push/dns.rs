//! DNS settings as pushed options.

use std::net::IpAddr;

use crate::settings::PushSettings;

/// DNS settings in the form every client knows.
pub(super) fn dhcp_options(push: &PushSettings) -> Vec<String> {
    let server = |address: &IpAddr| match address {
        IpAddr::V4(v4) => format!("dhcp-option DNS {v4}"),
        IpAddr::V6(v6) => format!("dhcp-option DNS6 {v6}"),
    };
    let mut options: Vec<_> = push.dns_servers.iter().map(server).collect();
    // DOMAIN names the adapter's own suffix, for clients that take only one; the rest are search domains.
    options.extend(
        push.search_domains
            .first()
            .map(|domain| format!("dhcp-option DOMAIN {domain}")),
    );
    let searched = push.search_domains.iter().chain(&push.resolve_domains);
    options.extend(searched.map(|domain| format!("dhcp-option DOMAIN-SEARCH {domain}")));
    options
}

/// The same for clients with the `dns` option, which wins there.
pub(super) fn dns_options(push: &PushSettings) -> Vec<String> {
    /// Addresses one `dns server` takes.
    const ADDRESSES: usize = 8;
    let mut options = Vec::new();
    if !push.search_domains.is_empty() {
        options.extend(listed("dns search-domains", &push.search_domains));
    }
    if push.dns_servers.is_empty() {
        return options;
    }
    let addresses: Vec<_> = push
        .dns_servers
        .iter()
        .take(ADDRESSES)
        .map(IpAddr::to_string)
        .collect();
    options.push(format!("dns server 0 address {}", addresses.join(" ")));
    if !push.resolve_domains.is_empty() {
        options.extend(listed("dns server 0 resolve-domains", &push.resolve_domains));
    }
    options
}

/// Spreads words over as many options as the limits on length and argument count demand.
fn listed(prefix: &str, words: &[String]) -> Vec<String> {
    const LONGEST: usize = 255;
    const MOST: usize = 10;
    let mut options = Vec::new();
    let (mut option, mut count) = (prefix.to_owned(), 0);
    for word in words {
        if count > 0 && (count == MOST || option.len() + 1 + word.len() > LONGEST) {
            options.push(std::mem::replace(&mut option, prefix.to_owned()));
            count = 0;
        }
        option.push(' ');
        option.push_str(word);
        count += 1;
    }
    options.push(option);
    options
}
