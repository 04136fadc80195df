//! A stock `openvpn` server in a lab's server namespace, to measure the same things as with `culvertd`.

use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;
use crate::openvpn::Profile;
use crate::pki::{KeyKind, Leaf, Pki};
use crate::process::Logged;
use crate::server::Proto;

/// The TUN device of a [`StockServer`].
pub const STOCK_DEVICE: &str = "tun0";

/// A stock server that is not started yet.
#[derive(Debug)]
pub struct StockPlan<'l> {
    lab: &'l Lab,
    pki: Pki,
    proto: Proto,
    lines: Vec<String>,
    descriptor_limit: Option<u32>,
}

/// A running stock server on port 443 without control-channel wrapping.
#[derive(Debug)]
pub struct StockServer {
    process: Logged,
    pki: Pki,
    leaf: Leaf,
    proto: Proto,
}

impl StockServer {
    /// A plan with the defaults of the package on UDP, and a route to the lab's host.
    ///
    /// # Errors
    /// Fails when no CA can be made.
    pub fn plan(lab: &Lab) -> Result<StockPlan<'_>> {
        Ok(StockPlan {
            lab,
            pki: Pki::create(lab.dir(), "stock-ca", KeyKind::P256)?,
            proto: Proto::Udp,
            lines: Vec::new(),
            descriptor_limit: None,
        })
    }

    /// A client profile for it.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile_with(&self.leaf)
    }

    /// A client profile with this certificate.
    #[must_use]
    pub fn profile_with(&self, leaf: &Leaf) -> Profile {
        match self.proto {
            Proto::Udp => Profile::udp(&self.pki.ca(), &leaf.certificate, &leaf.key),
            Proto::Tcp => Profile::tcp(&self.pki.ca(), &leaf.certificate, &leaf.key),
        }
    }

    /// The CA.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The process and its log.
    pub fn process(&mut self) -> &mut Logged {
        &mut self.process
    }
}

impl StockPlan<'_> {
    /// Listens on TCP instead of UDP.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.proto = Proto::Tcp;
        self
    }

    /// Adds a line to the configuration.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Limits the server's open files.
    #[must_use]
    pub fn descriptor_limit(mut self, limit: u32) -> Self {
        self.descriptor_limit = Some(limit);
        self
    }

    /// The CA.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Writes certificates, keys and configuration, and starts the server.
    ///
    /// # Errors
    /// Fails when a file can't be made or the server doesn't come up.
    pub fn start(self) -> Result<StockServer> {
        let config = self.lab.write("stock.conf", &self.config()?)?;
        let leaf = self.pki.client("stock-client", KeyKind::P256)?;
        let limit = self.descriptor_limit.map(|n| format!("--nofile={n}:{n}"));
        let mut command = match &limit {
            None => self.lab.server.command("openvpn"),
            Some(limit) => {
                let mut command = self.lab.server.command("prlimit");
                command.args([limit, "openvpn"]);
                command
            }
        };
        command.arg("--config").arg(config);
        let mut process = Logged::start("the stock server", command, &self.lab.path("stock-server.log"))?;
        process.wait_for("Initialization Sequence Completed", Duration::from_secs(10))?;
        Ok(StockServer {
            process,
            pki: self.pki,
            leaf,
            proto: self.proto,
        })
    }

    fn config(&self) -> Result<String> {
        let server = self.pki.server("stock-server", KeyKind::P256)?;
        let proto = match self.proto {
            // Clients dial an address on the loopback; without this, answers would come from another.
            Proto::Udp => "proto udp\nmultihome",
            Proto::Tcp => "proto tcp-server",
        };
        let mut config = format!(
            "{proto}\ndev {STOCK_DEVICE}\nport 443\ntopology subnet\nserver 10.67.0.0 255.255.0.0\nkeepalive 10 60\n\
             push \"route 10.77.0.0 255.255.255.0\"\nca {}\ncert {}\nkey {}\ndh none\nverb 3\nduplicate-cn\n",
            self.pki.ca().display(),
            server.certificate.display(),
            server.key.display()
        );
        for line in &self.lines {
            config.push_str(line);
            config.push('\n');
        }
        Ok(config)
    }
}
