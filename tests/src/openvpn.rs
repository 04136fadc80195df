//! The stock `openvpn` client.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::{Lab, SERVER_V4};
use crate::process::Logged;

/// How long a client may take to come up on a good link. Generous: test machines have two cores.
pub const CONNECT: Duration = Duration::from_secs(30);

/// The lines of a client profile.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    lines: Vec<String>,
}

impl Profile {
    /// A UDP profile for the lab's server with this certificate and key.
    #[must_use]
    pub fn udp(ca: &Path, certificate: &Path, key: &Path) -> Self {
        Self::new("udp", ca)
            .line(&format!("cert {}", certificate.display()))
            .line(&format!("key {}", key.display()))
    }

    /// A TCP profile for the lab's server with this certificate and key.
    #[must_use]
    pub fn tcp(ca: &Path, certificate: &Path, key: &Path) -> Self {
        Self::new("tcp-client", ca)
            .line(&format!("cert {}", certificate.display()))
            .line(&format!("key {}", key.display()))
    }

    /// A profile without a client certificate.
    #[must_use]
    pub fn new(proto: &str, ca: &Path) -> Self {
        let mut profile = Self::default();
        for line in [
            "client",
            "dev tun",
            "nobind",
            "verb 3",
            "remote-cert-tls server",
            "connect-retry 1 5",
            "auth-nocache",
            "resolv-retry 0",
        ] {
            profile.lines.push(line.to_owned());
        }
        profile.lines.push(format!("proto {proto}"));
        profile.lines.push(format!("remote {SERVER_V4} 443"));
        profile.lines.push(format!("ca {}", ca.display()));
        profile
    }

    /// Adds a line.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Replaces the address to dial.
    #[must_use]
    pub fn remote(mut self, address: IpAddr, port: u16) -> Self {
        self.lines.retain(|line| !line.starts_with("remote "));
        self.lines.push(format!("remote {address} {port}"));
        self
    }

    /// Replaces `proto`.
    #[must_use]
    pub fn proto(mut self, proto: &str) -> Self {
        self.lines.retain(|line| !line.starts_with("proto "));
        self.lines.push(format!("proto {proto}"));
        self
    }

    /// The profile's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

/// A running stock client.
#[derive(Debug)]
pub struct OpenVpn {
    process: Logged,
}

impl OpenVpn {
    /// Starts `openvpn` on client machine `index`. `name` distinguishes its files in the lab's directory.
    ///
    /// # Errors
    /// Fails when the program can't be started.
    pub fn start(lab: &Lab, index: usize, name: &str, profile: &Profile) -> Result<Self> {
        let path = lab.write(&format!("{name}.ovpn"), &profile.text())?;
        Self::start_file(lab, index, name, &path)
    }

    /// Starts `openvpn` on client machine `index` with this profile as it is.
    ///
    /// # Errors
    /// Fails when the program can't be started.
    pub fn start_file(lab: &Lab, index: usize, name: &str, path: &Path) -> Result<Self> {
        let client = lab
            .clients
            .get(index)
            .context("No such client machine in this lab")?;
        let mut command = client.command("openvpn");
        command.arg("--config").arg(path);
        let process = Logged::start(
            &format!("openvpn {name}"),
            command,
            &lab.path(&format!("{name}.log")),
        )?;
        Ok(Self { process })
    }

    /// Starts a client and waits until its tunnel is up.
    ///
    /// # Errors
    /// Fails when it doesn't connect within [`CONNECT`].
    pub fn connect(lab: &Lab, index: usize, name: &str, profile: &Profile) -> Result<Self> {
        let mut client = Self::start(lab, index, name, profile)?;
        client.wait_connected(CONNECT)?;
        Ok(client)
    }

    /// How often the tunnel came up so far.
    #[must_use]
    pub fn times_connected(&self) -> usize {
        self.process
            .log()
            .matches("Initialization Sequence Completed")
            .count()
    }

    /// Waits until the tunnel came up this many times.
    ///
    /// # Errors
    /// Fails when it doesn't within [`CONNECT`].
    pub fn wait_times_connected(&mut self, times: usize) -> Result<()> {
        let deadline = std::time::Instant::now() + CONNECT;
        while self.times_connected() < times {
            anyhow::ensure!(
                std::time::Instant::now() < deadline,
                "the tunnel did not come up {times} times:\n{}",
                self.process.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until the tunnel is up.
    ///
    /// # Errors
    /// Fails on time-out or when the client ends.
    pub fn wait_connected(&mut self, timeout: Duration) -> Result<()> {
        self.process
            .wait_for("Initialization Sequence Completed", timeout)
    }

    /// The virtual IPv4 address the server pushed.
    #[must_use]
    pub fn virtual_v4(&self) -> Option<IpAddr> {
        let log = self.process.log();
        let after = log.rsplit("PUSH_REPLY").next()?.split("ifconfig ").nth(1)?;
        after.split(' ').next()?.parse().ok()
    }

    /// The process and its log.
    pub fn process(&mut self) -> &mut Logged {
        &mut self.process
    }

    /// Ends the client as a user would and checks that it left in good order.
    ///
    /// # Errors
    /// Fails when it doesn't end, or not cleanly.
    pub fn disconnect(mut self) -> Result<()> {
        self.process.terminate()?;
        let log = self.process.log();
        anyhow::ensure!(
            log.contains("process exiting"),
            "openvpn did not exit cleanly:\n{log}"
        );
        Ok(())
    }
}
