//! A stock `openvpn` server in a lab's server namespace, to measure the same things as with `culvertd`.

use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;
use crate::openvpn::Profile;
use crate::pki::{KeyKind, Leaf, Pki};
use crate::process::Logged;

/// A running stock server on UDP port 443 without control-channel wrapping.
#[derive(Debug)]
pub struct StockServer {
    process: Logged,
    pki: Pki,
    leaf: Leaf,
}

impl StockServer {
    /// Starts the server with the defaults of the package.
    ///
    /// # Errors
    /// Fails when it doesn't come up.
    pub fn start(lab: &Lab) -> Result<Self> {
        let pki = Pki::create(lab.dir(), "stock-ca", KeyKind::P256)?;
        let server = pki.server("stock-server", KeyKind::P256)?;
        let leaf = pki.client("stock-client", KeyKind::P256)?;
        let config = lab.write(
            "stock.conf",
            &format!(
                "dev tun\nproto udp\nport 443\nmultihome\ntopology subnet\nserver 10.67.0.0 255.255.0.0\nkeepalive 10 60\n\
                 ca {}\ncert {}\nkey {}\ndh none\nverb 3\nduplicate-cn\n",
                pki.ca().display(),
                server.certificate.display(),
                server.key.display()
            ),
        )?;
        let mut command = lab.server.command("openvpn");
        command.arg("--config").arg(config);
        let mut process = Logged::start("the stock server", command, &lab.path("stock-server.log"))?;
        process.wait_for("Initialization Sequence Completed", Duration::from_secs(10))?;
        Ok(Self { process, pki, leaf })
    }

    /// A client profile for it.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::udp(&self.pki.ca(), &self.leaf.certificate, &self.leaf.key)
    }

    /// The process and its log.
    pub fn process(&mut self) -> &mut Logged {
        &mut self.process
    }
}
