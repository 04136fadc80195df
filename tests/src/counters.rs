//! What the kernel counted in a namespace.

use anyhow::{Context, Result};

use crate::netns::Netns;

/// How the kernel calls the occasions on which a sender of TCP found that its segments had passed each other, by the
/// acknowledgements that came back. Segments that were lost and sent again are not among them.
const REORDERED: [&str; 3] = ["TCPSACKReorder", "TCPTSReorder", "TCPRenoReorder"];

/// How often TCP connections from this namespace found their segments out of order at the other end.
///
/// # Errors
/// Fails when the kernel doesn't tell.
pub fn tcp_reordered(ns: &Netns) -> Result<u64> {
    let text = ns.run("cat", &["/proc/net/netstat"])?;
    REORDERED
        .iter()
        .map(|name| find(&text, name).with_context(|| format!("this kernel has no counter {name}")))
        .sum()
}

/// A counter in the kernel's notation: a line of names, then a line of figures.
fn find(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks_exact(2)
        .flat_map(|pair| pair[0].split(' ').zip(pair[1].split(' ')))
        .find_map(|(found, value)| (found == name).then(|| value.parse().ok()).flatten())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_counter_is_found_by_its_name() {
        let text = "TcpExt: A TCPSACKReorder\nTcpExt: 1 23\nIpExt: B C\nIpExt: 4 5\n";
        assert_eq!(find(text, "TCPSACKReorder"), Some(23));
        assert_eq!(find(text, "C"), Some(5));
        assert_eq!(find(text, "TcpExt:"), None);
        assert_eq!(find(text, "D"), None);
    }
}
