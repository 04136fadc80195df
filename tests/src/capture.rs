//! Packets as `tcpdump` sees them.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::netns::Netns;
use crate::process::Logged;

/// A running capture on one device.
#[derive(Debug)]
pub struct Capture(Logged);

impl Capture {
    /// Starts capturing what matches a filter. `name` distinguishes its file in the lab's directory.
    ///
    /// # Errors
    /// Fails when `tcpdump` doesn't start.
    pub fn start(lab: &Lab, ns: &Netns, device: &str, filter: &str, name: &str) -> Result<Self> {
        let mut command = ns.command("tcpdump");
        command.args(["-n", "-vv", "-i", device, filter]);
        let mut process = Logged::start("tcpdump", command, &lab.path(&format!("{name}.dump")))?;
        process.wait_for("listening on", Duration::from_secs(10))?;
        Ok(Self(process))
    }

    /// Ends it and returns the packets as text.
    ///
    /// # Errors
    /// Fails when `tcpdump` doesn't end.
    pub fn stop(mut self) -> Result<Captured> {
        self.0.terminate()?;
        Ok(Captured(self.0.log()))
    }
}

/// What was captured.
#[derive(Clone, Debug)]
pub struct Captured(String);

impl Captured {
    /// Enough packets of TCP and of UDP were seen, and every checksum was right.
    ///
    /// # Errors
    /// Names the first packet with a wrong one.
    pub fn check_sums(&self) -> Result<()> {
        let wrong = self.0.lines().find(|line| {
            line.contains("(incorrect") || line.contains("bad udp cksum") || line.contains("bad cksum")
        });
        ensure!(
            wrong.is_none(),
            "a checksum is wrong: {}",
            wrong.unwrap_or_default()
        );
        for right in ["(correct)", "udp sum ok"] {
            let seen = self.0.matches(right).count();
            ensure!(seen > 100, "only {seen} packets with {right:?} were captured");
        }
        Ok(())
    }

    /// Whether a packet of TCP was seen that came from such an address, over IPv4 or IPv6.
    #[must_use]
    pub fn has_tcp(&self, from: [&str; 2]) -> bool {
        self.has(from, "Flags [")
    }

    /// Whether a datagram of UDP was seen that came from such an address, over IPv4 or IPv6.
    #[must_use]
    pub fn has_udp(&self, from: [&str; 2]) -> bool {
        self.has(from, "UDP, length")
    }

    fn has(&self, from: [&str; 2], what: &str) -> bool {
        self.0.lines().any(|line| {
            let source = line.split(" > ").next().and_then(|left| left.rsplit(' ').next());
            line.contains(what)
                && source.is_some_and(|source| from.iter().any(|from| source.starts_with(from)))
        })
    }
}
