//! The topology every test runs in.
//!
//! ```text
//! client i  10.9.i.2/24 ── 10.9.i.1/24  server  10.77.0.1/24 ── 10.77.0.2/24  host
//!           fd09:i::2/64   fd09:i::1/64         fd77::1/64      fd77::2/64
//!                          198.51.100.1 and 2001:db8::1 on the loopback: the address clients dial
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::netns::{Netns, run};

/// The address clients dial.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The IPv6 address clients dial.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The host behind the server.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The host behind the server, IPv6.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One test's namespaces and its directory of files. Everything goes when it is dropped.
#[derive(Debug)]
pub struct Lab {
    id: String,
    dir: tempfile::TempDir,
    /// Where `culvertd` runs.
    pub server: Netns,
    /// The host behind the server that clients want to reach.
    pub host: Netns,
    /// The client machines.
    pub clients: Vec<Netns>,
}

impl Lab {
    /// Builds a lab with this many client machines.
    ///
    /// # Errors
    /// Fails without root, or when `ip` can't make namespaces or veth pairs.
    pub fn new(clients: usize) -> Result<Self> {
        let id = format!(
            "cv{}x{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = tempfile::Builder::new().prefix("culvert-lab-").tempdir()?;
        let server = Netns::create(&format!("{id}s"))?;
        let host = Netns::create(&format!("{id}h"))?;
        let mut lab = Self {
            id,
            dir,
            server,
            host,
            clients: Vec::new(),
        };
        lab.wire_server()?;
        for _ in 0..clients {
            lab.add_client()?;
        }
        Ok(lab)
    }

    fn wire_server(&self) -> Result<()> {
        let server = &self.server;
        server.run("ip", &["addr", "add", &format!("{SERVER_V4}/32"), "dev", "lo"])?;
        server.run("ip", &["addr", "add", &format!("{SERVER_V6}/128"), "dev", "lo"])?;
        server.run(
            "sysctl",
            &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"],
        )?;
        self.veth(server, "lan0", &self.host, "lan0")?;
        address(server, "lan0", "10.77.0.1/24", "fd77::1/64")?;
        address(&self.host, "lan0", "10.77.0.2/24", "fd77::2/64")?;
        self.host
            .run("ip", &["route", "add", "default", "via", "10.77.0.1"])?;
        self.host
            .run("ip", &["-6", "route", "add", "default", "via", "fd77::1"])?;
        Ok(())
    }

    /// Adds one more client machine and returns its index.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn add_client(&mut self) -> Result<usize> {
        let index = self.clients.len();
        let client = Netns::create(&format!("{}c{index}", self.id))?;
        let outside = format!("wan{index}");
        self.veth(&self.server, &outside, &client, "wan0")?;
        address(
            &self.server,
            &outside,
            &format!("10.9.{index}.1/24"),
            &format!("fd09:{index:x}::1/64"),
        )?;
        address(
            &client,
            "wan0",
            &format!("10.9.{index}.2/24"),
            &format!("fd09:{index:x}::2/64"),
        )?;
        client.run(
            "ip",
            &[
                "route",
                "add",
                &format!("{SERVER_V4}/32"),
                "via",
                &format!("10.9.{index}.1"),
            ],
        )?;
        client.run(
            "ip",
            &[
                "-6",
                "route",
                "add",
                &format!("{SERVER_V6}/128"),
                "via",
                &format!("fd09:{index:x}::1"),
            ],
        )?;
        self.clients.push(client);
        Ok(index)
    }

    fn veth(&self, a: &Netns, a_dev: &str, b: &Netns, b_dev: &str) -> Result<()> {
        // Created under unique names in this namespace's peers directly, so parallel labs never collide.
        run(
            "ip",
            &[
                "-n",
                a.name(),
                "link",
                "add",
                a_dev,
                "type",
                "veth",
                "peer",
                "name",
                b_dev,
                "netns",
                b.name(),
            ],
        )
        .with_context(|| format!("Failed to join {} and {}", a.name(), b.name()))?;
        a.run("ip", &["link", "set", a_dev, "up"])?;
        b.run("ip", &["link", "set", b_dev, "up"])?;
        Ok(())
    }

    /// Lets every link carry packets of so many bytes.
    ///
    /// # Errors
    /// Fails when a link can't.
    pub fn set_link_mtu(&self, mtu: u16) -> Result<()> {
        let mtu = mtu.to_string();
        let set = |ns: &Netns, device: &str| ns.run("ip", &["link", "set", device, "mtu", &mtu]).map(drop);
        set(&self.server, "lan0")?;
        set(&self.host, "lan0")?;
        for (index, client) in self.clients.iter().enumerate() {
            set(&self.server, &format!("wan{index}"))?;
            set(client, "wan0")?;
        }
        Ok(())
    }

    /// Client `index` as the server sees it from outside the tunnel.
    #[must_use]
    pub fn client_real_address(&self, index: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 9, u8::try_from(index).unwrap_or(u8::MAX), 2))
    }

    /// The lab's directory for keys, configuration and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path inside [`Self::dir`].
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into [`Self::dir`] and returns its path.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("Failed to write {}", path.display()))?;
        Ok(path)
    }
}

fn address(ns: &Netns, device: &str, v4: &str, v6: &str) -> Result<()> {
    ns.run("ip", &["addr", "add", v4, "dev", device])?;
    ns.run("ip", &["addr", "add", v6, "dev", device, "nodad"])?;
    Ok(())
}
