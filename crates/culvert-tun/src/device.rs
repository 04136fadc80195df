//! Creating a TUN device, configuring it and taking it away again.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ipnetwork::IpNetwork;

use crate::{
    error::TunError,
    netlink::{DeleteOnDrop, Netlink, NetlinkError},
    open::{Offload, open_queues},
    queue::TunQueue,
};

/// Queues a device can have (`MAX_TAP_QUEUES` of the kernel).
const MAX_QUEUES: usize = 256;
/// The smallest MTU IPv6 works with.
const MIN_MTU_V6: u16 = 1280;
/// The smallest MTU IPv4 is sure to work with.
const MIN_MTU_V4: u16 = 576;

/// How a [`TunDevice`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunOptions {
    /// Interface name, at most 15 characters.
    pub name: String,
    /// Number of queues: one per worker, 1 to 256. The kernel keeps a flow on one queue.
    pub queues: usize,
    /// MTU in bytes.
    pub mtu: u16,
    /// IPv4 address and prefix length.
    pub v4: Option<(Ipv4Addr, u8)>,
    /// IPv6 address and prefix length. Without it IPv6 is switched off on the device.
    pub v6: Option<(Ipv6Addr, u8)>,
    /// Exchange super-packets with the kernel where it can; see [`crate::SuperBuf`].
    pub offload: bool,
    /// Super-packets of UDP, too.
    pub offload_udp: bool,
    /// Write packets joined; see [`crate::JoinBatch`].
    pub join: bool,
    /// Packets that wait for a queue to be read before the kernel drops.
    pub tx_queue_len: u32,
}

impl TunOptions {
    /// One queue, MTU 1500, no address, all offload on, 1000 waiting packets.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queues: 1,
            mtu: 1500,
            v4: None,
            v6: None,
            offload: true,
            offload_udp: true,
            join: true,
            tx_queue_len: 1000,
        }
    }

    fn check(&self) -> Result<(), TunError> {
        let invalid = |what: String| TunError::InvalidOption {
            name: self.name.clone(),
            what,
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(1..libc::IFNAMSIZ).contains(&self.name.len())
            || !self.name.bytes().all(allowed)
            || matches!(self.name.as_str(), "." | "..")
        {
            return Err(TunError::InvalidName {
                name: self.name.clone(),
            });
        }
        if !(1..=MAX_QUEUES).contains(&self.queues) {
            return Err(invalid(format!(
                "{} queues asked for, 1 to {MAX_QUEUES} are possible",
                self.queues
            )));
        }
        let least = if self.v6.is_some() { MIN_MTU_V6 } else { MIN_MTU_V4 };
        if self.mtu < least {
            return Err(invalid(format!(
                "an MTU of {} is too small, the least is {least} ({MIN_MTU_V6} with IPv6)",
                self.mtu
            )));
        }
        Ok(())
    }
}

/// What the kernel does for a [`TunDevice`], as of the moment it is asked.
#[derive(Clone, Debug)]
pub struct TunOffloads {
    offload: Offload,
    /// Shared with the queues.
    join: Arc<AtomicBool>,
}

impl TunOffloads {
    /// Whether super-packets are exchanged.
    pub fn super_packets(&self) -> bool {
        self.offload != Offload::Off
    }

    /// Whether those of UDP are, too.
    pub fn udp(&self) -> bool {
        self.offload == Offload::TcpUdp
    }

    /// Whether packets are written joined: until the kernel shows that it cannot take them.
    pub fn join(&self) -> bool {
        self.join.load(Ordering::Relaxed)
    }
}

/// A TUN device: made by [`TunDevice::create`], removed when dropped, whoever holds its queues.
#[derive(Debug)]
pub struct TunDevice {
    name: Arc<str>,
    index: u32,
    mtu: u16,
    offloads: TunOffloads,
    queues: Vec<TunQueue>,
    /// After the queues, so that closing them does the work in the normal case.
    _delete: DeleteOnDrop,
}

impl TunDevice {
    /// Creates the device, gives it its addresses and takes it up.
    ///
    /// An unused leftover of the same name (a persistent TUN device no program holds) is replaced; any other
    /// interface of that name is left alone.
    ///
    /// # Errors
    ///
    /// [`TunError`], which names the device, the cause and the cure. Nothing is left behind.
    pub async fn create(options: &TunOptions) -> Result<Self, TunError> {
        options.check()?;
        let netlink = Netlink::open().map_err(|error| setup(options, error))?;
        clear_name(&netlink, options).await?;
        let (fds, offload) = open_queues(options)?;
        let name: Arc<str> = options.name.as_str().into();
        let join = Arc::new(AtomicBool::new(options.join && offload != Offload::Off));
        let queues = fds
            .into_iter()
            .map(|fd| TunQueue::new(fd, &name, options.mtu, offload, &join))
            .collect::<Result<Vec<_>, _>>()?;
        let found = netlink.link(&name).await.map_err(|error| setup(options, error))?;
        let index = found
            .ok_or_else(|| TunError::Gone {
                name: name.to_string(),
            })?
            .index;
        let delete = DeleteOnDrop::new(index)?;
        configure(&netlink, index, options).await?;
        tracing::debug!(device = %name, index, queues = queues.len(), ?offload, "TUN device is up");
        Ok(Self {
            name,
            index,
            mtu: options.mtu,
            offloads: TunOffloads { offload, join },
            queues,
            _delete: delete,
        })
    }

    /// Interface name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Interface index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// MTU in bytes.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Whether the kernel accepted the offload.
    pub fn offload(&self) -> bool {
        self.offloads.super_packets()
    }

    /// What the kernel does for the device; stays true when it changes, and outlives the device.
    pub fn offloads(&self) -> TunOffloads {
        self.offloads.clone()
    }

    /// Gives the queues away, one for each worker. Empty the second time.
    pub fn take_queues(&mut self) -> Vec<TunQueue> {
        std::mem::take(&mut self.queues)
    }

    /// Routes `destination` into the device, replacing a route to it.
    ///
    /// # Errors
    ///
    /// [`TunError::Setup`] with the kernel's answer.
    pub async fn add_route(&self, destination: IpNetwork) -> Result<(), TunError> {
        let result = async { Netlink::open()?.add_route(self.index, destination).await }.await;
        result.map_err(|error| self.setup(error))
    }

    /// Removes a route made by [`TunDevice::add_route`].
    ///
    /// # Errors
    ///
    /// [`TunError::Setup`] with the kernel's answer.
    pub async fn remove_route(&self, destination: IpNetwork) -> Result<(), TunError> {
        let result = async { Netlink::open()?.remove_route(self.index, destination).await }.await;
        result.map_err(|error| self.setup(error))
    }

    fn setup(&self, error: NetlinkError) -> TunError {
        match error.code {
            Some(libc::ENODEV) => TunError::Gone {
                name: self.name.to_string(),
            },
            _ => refused(&self.name, error),
        }
    }
}

/// Makes sure that no interface has the name.
async fn clear_name(netlink: &Netlink, options: &TunOptions) -> Result<(), TunError> {
    let found = netlink
        .link(&options.name)
        .await
        .map_err(|error| setup(options, error))?;
    let Some(link) = found else { return Ok(()) };
    let taken = |found| TunError::NameTaken {
        name: options.name.clone(),
        found,
    };
    if !link.tun {
        return Err(taken("not a TUN device"));
    }
    if link.carrier {
        return Err(taken("a TUN device another program uses"));
    }
    tracing::info!(
        device = options.name,
        "removing a TUN device that no program uses"
    );
    netlink
        .delete_link(link.index)
        .await
        .map_err(|error| setup(options, error))
}

async fn configure(netlink: &Netlink, index: u32, options: &TunOptions) -> Result<(), TunError> {
    let fail = |error| setup(options, error);
    netlink
        .prepare_link(index, options.mtu, options.tx_queue_len)
        .await
        .map_err(fail)?;
    if options.v6.is_none() {
        switch_ipv6_off(&options.name);
    }
    if let Some((address, prefix)) = options.v4 {
        netlink
            .add_address(index, IpAddr::V4(address), prefix)
            .await
            .map_err(fail)?;
    }
    netlink.up(index).await.map_err(fail)?;
    if let Some((address, prefix)) = options.v6 {
        // After taking it up: the kernel drops IPv6 addresses and their routes of a device that is down.
        netlink
            .add_address(index, IpAddr::V6(address), prefix)
            .await
            .map_err(fail)?;
        until_usable(address).await;
    }
    Ok(())
}

/// Waits until the kernel has made an IPv6 address usable, which it does in the background; a second at most.
async fn until_usable(address: Ipv6Addr) {
    for _ in 0..200 {
        if std::net::UdpSocket::bind((address, 0)).is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tracing::debug!(%address, "the address of the TUN device is still not usable");
}

/// Keeps IPv6 off a device without IPv6 address. Where /proc cannot be written (some containers), the kernel
/// still has no address to send from.
fn switch_ipv6_off(name: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    if let Err(error) = std::fs::write(&path, "1") {
        tracing::debug!(%error, path, "cannot switch IPv6 off on the TUN device");
    }
}

fn setup(options: &TunOptions, error: NetlinkError) -> TunError {
    refused(&options.name, error)
}

fn refused(name: &str, error: NetlinkError) -> TunError {
    match error.code {
        Some(libc::EPERM | libc::EACCES) => TunError::PermissionDenied {
            action: format!("configure the TUN device {name} ({})", error.step),
        },
        _ => TunError::Setup {
            name: name.to_owned(),
            reason: error.reason.clone(),
            step: error.step,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_refused_with_the_limits() {
        let check = |change: &dyn Fn(&mut TunOptions)| {
            let mut options = TunOptions::new("cvpn0");
            change(&mut options);
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(&|_| {}), Ok(()));
        for name in ["", "sixteen-letters-", "a/b", "..", "a b", "ä"] {
            assert!(
                check(&|options| options.name = name.into())
                    .unwrap_err()
                    .contains("1 to 15"),
                "{name}"
            );
        }
        assert!(
            check(&|options| options.queues = 0)
                .unwrap_err()
                .contains("1 to 256")
        );
        assert!(check(&|options| options.queues = 257).is_err());
        assert!(check(&|options| options.mtu = 575).is_err());
        assert_eq!(check(&|options| options.mtu = 576), Ok(()));
        assert!(
            check(&|options| {
                options.mtu = 1279;
                options.v6 = Some((Ipv6Addr::LOCALHOST, 64));
            })
            .unwrap_err()
            .contains("1280")
        );
    }
}
