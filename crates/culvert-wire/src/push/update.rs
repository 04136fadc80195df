//! The client's side of a `PUSH_UPDATE`: what it makes of the options so far.

use super::PushOptions;
use crate::ParseError;

/// The options that OpenVPN 2.7 and OpenVPN 3 change while connected. Any other in an update makes them connect anew.
///
/// Source: OpenVPN 2.7 and OpenVPN 3 behaviour.
pub const UPDATABLE: [&str; 14] = [
    "block-ipv6",
    "block-outside-dns",
    "dhcp-option",
    "dns",
    "ifconfig",
    "ifconfig-ipv6",
    "redirect-gateway",
    "redirect-private",
    "route",
    "route-gateway",
    "route-ipv6",
    "route-metric",
    "topology",
    "tun-mtu",
];

impl PushOptions {
    /// Changes the options as the update says: `-name` removes all options of that name, the first of a name replaces
    /// all of that name so far, further ones add to it. `?name` may be ignored.
    ///
    /// As with OpenVPN 2.7, new routes switch redirection off unless the update switches it on behind them, and new
    /// `dns` options drop what `dhcp-option` brought.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] if an option can't be changed while connected; nothing was changed then.
    pub fn update(&mut self, update: &Self) -> Result<(), ParseError> {
        let mut options = self.options.clone();
        let mut replaced: Vec<&str> = Vec::new();
        for words in &update.options {
            let Some((word, arguments)) = words.split_first() else {
                continue;
            };
            let (removes, name) = strip(word, '-');
            let (optional, name) = strip(name, '?');
            if !UPDATABLE.contains(&name) {
                if optional {
                    continue;
                }
                return Err(ParseError::Malformed("an option that can't be updated"));
            }
            let kind = kind(name);
            if removes || !replaced.contains(&kind) {
                let beside = dropped_with(name);
                options.retain(|words| {
                    let first = words.first().map(String::as_str);
                    first != Some(name) && !first.is_some_and(|first| beside.contains(&first))
                });
                replaced.push(kind);
            }
            if !removes {
                let name = std::iter::once(name.to_owned());
                options.push(name.chain(arguments.iter().cloned()).collect());
            }
        }
        self.options = options;
        Ok(())
    }
}

/// Under which name options are replaced: both forms of redirection are one.
fn kind(name: &str) -> &str {
    if name == "redirect-private" {
        "redirect-gateway"
    } else {
        name
    }
}

/// What goes with options of this name.
fn dropped_with(name: &str) -> &'static [&'static str] {
    match name {
        "route" | "route-ipv6" | "redirect-gateway" | "redirect-private" => {
            &["redirect-gateway", "redirect-private"]
        }
        "dns" => &["dhcp-option"],
        _ => &[],
    }
}

fn strip(word: &str, prefix: char) -> (bool, &str) {
    word.strip_prefix(prefix)
        .map_or((false, word), |rest| (true, rest))
}
