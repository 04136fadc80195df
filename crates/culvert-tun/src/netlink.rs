//! Links, addresses and routes through rtnetlink: the only module that names the netlink crates.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, OwnedFd},
};

use futures_util::stream::TryStreamExt;
use ipnetwork::IpNetwork;
use netlink_packet_route::{
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    },
    route::RouteMessage,
};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use rtnetlink::{LinkUnspec, RouteMessageBuilder};
use tokio::task::JoinHandle;

/// A request the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}{cure}")]
pub struct NetlinkError {
    /// What was asked for.
    pub step: String,
    /// The kernel's answer.
    pub reason: String,
    /// The error number, if the kernel gave one.
    pub code: Option<i32>,
    cure: &'static str,
}

impl NetlinkError {
    fn new(step: impl Into<String>, error: rtnetlink::Error) -> Self {
        let step = step.into();
        match error {
            rtnetlink::Error::NetlinkError(message) => {
                let code = message.code.map(|code| code.get().saturating_abs());
                let reason = code.map_or_else(
                    || "refused".to_owned(),
                    |code| io::Error::from_raw_os_error(code).to_string(),
                );
                let cure = match code {
                    Some(libc::EPERM) => "; the daemon needs root or CAP_NET_ADMIN",
                    Some(libc::EEXIST) => "; it exists already",
                    _ => "",
                };
                Self {
                    step,
                    reason,
                    code,
                    cure,
                }
            }
            other => Self {
                step,
                reason: other.to_string(),
                code: None,
                cure: "",
            },
        }
    }
}

/// What is known of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Interface index.
    pub index: u32,
    /// Whether it is a TUN or TAP device.
    pub tun: bool,
    /// Whether it has carrier; a TUN device has while a program holds a queue of it.
    pub carrier: bool,
    /// Whether it is up.
    pub up: bool,
    /// MTU in bytes.
    pub mtu: u32,
}

/// A connection to the kernel's routing tables, on the current tokio runtime.
#[derive(Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    task: JoinHandle<()>,
}

impl Netlink {
    /// Opens the connection.
    ///
    /// # Errors
    ///
    /// When the kernel gives no netlink socket.
    pub fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| NetlinkError {
            step: "opening a netlink socket".to_owned(),
            reason: error.to_string(),
            code: error.raw_os_error(),
            cure: "",
        })?;
        Ok(Self {
            handle,
            task: tokio::spawn(connection),
        })
    }

    /// Looks an interface up by name.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers, but "no such device", which is `None`.
    pub async fn link(&self, name: &str) -> Result<Option<LinkState>, NetlinkError> {
        let mut links = self.handle.link().get().match_name(name.to_owned()).execute();
        match links.try_next().await {
            Ok(found) => Ok(found.map(|link| state(&link))),
            Err(rtnetlink::Error::NetlinkError(message))
                if message.code.is_some_and(|code| code.get().abs() == libc::ENODEV) =>
            {
                Ok(None)
            }
            Err(error) => Err(NetlinkError::new(format!("looking for interface {name}"), error)),
        }
    }

    /// Deletes an interface.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers.
    pub async fn delete_link(&self, index: u32) -> Result<(), NetlinkError> {
        let deleted = self.handle.link().del(index).execute().await;
        deleted.map_err(|error| NetlinkError::new("deleting the interface", error))
    }

    /// Sets MTU and transmit queue, and keeps the kernel from sending packets of its own into the tunnel
    /// (multicast reports, IPv6 link-local addresses and the router solicitations that come with them).
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers.
    pub async fn prepare_link(&self, index: u32, mtu: u16, queue_len: u32) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index)
            .mtu(mtu.into())
            .txqueuelen(queue_len)
            .multicast(false);
        let changed = self.handle.link().change(link.build()).execute().await;
        changed.map_err(|error| NetlinkError::new(format!("setting the MTU to {mtu}"), error))?;
        let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let link = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![quiet]))
            .build();
        if let Err(error) = self.handle.link().set(link).execute().await {
            // A kernel without IPv6 has nothing to switch off.
            tracing::debug!(%error, "cannot switch off IPv6 address generation");
        }
        Ok(())
    }

    /// Sets the MTU of an interface.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers.
    pub async fn set_mtu(&self, index: u32, mtu: u16) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).mtu(mtu.into()).build();
        let changed = self.handle.link().change(link).execute().await;
        changed.map_err(|error| NetlinkError::new(format!("setting the MTU to {mtu}"), error))
    }

    /// Takes an interface up.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers.
    pub async fn up(&self, index: u32) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).up().build();
        let changed = self.handle.link().change(link).execute().await;
        changed.map_err(|error| NetlinkError::new("taking the interface up", error))
    }

    /// Gives an interface an address; the kernel adds the route to the prefix.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers; that the interface has the address already is none.
    pub async fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> Result<(), NetlinkError> {
        let request = self.handle.address().add(index, address, prefix).replace();
        let added = request.execute().await;
        added.map_err(|error| NetlinkError::new(format!("adding address {address}/{prefix}"), error))
    }

    /// Routes `destination` into an interface, replacing a route to it.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers.
    pub async fn add_route(&self, index: u32, destination: IpNetwork) -> Result<(), NetlinkError> {
        let request = self.handle.route().add(route(index, destination)).replace();
        let added = request.execute().await;
        added.map_err(|error| NetlinkError::new(format!("adding a route to {destination}"), error))
    }

    /// Removes a route made by [`Netlink::add_route`]; that there is none is no error.
    ///
    /// # Errors
    ///
    /// Whatever the kernel answers.
    pub async fn remove_route(&self, index: u32, destination: IpNetwork) -> Result<(), NetlinkError> {
        let removed = self.handle.route().del(route(index, destination)).execute().await;
        match removed
            .map_err(|error| NetlinkError::new(format!("removing the route to {destination}"), error))
        {
            Err(error) if error.code == Some(libc::ESRCH) => Ok(()),
            result => result,
        }
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn state(link: &LinkMessage) -> LinkState {
    let mut state = LinkState {
        index: link.header.index,
        tun: false,
        carrier: false,
        up: link.header.flags.contains(LinkFlags::Up),
        mtu: 0,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Carrier(carrier) => state.carrier = *carrier != 0,
            LinkAttribute::Mtu(mtu) => state.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                state.tun = infos
                    .iter()
                    .any(|info| matches!(info, LinkInfo::Kind(InfoKind::Tun)));
            }
            _ => {}
        }
    }
    state
}

fn route(index: u32, destination: IpNetwork) -> RouteMessage {
    match destination {
        IpNetwork::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(net.network(), net.prefix())
            .output_interface(index)
            .scope(netlink_packet_route::route::RouteScope::Link)
            .build(),
        IpNetwork::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(net.network(), net.prefix())
            .output_interface(index)
            .build(),
    }
}

/// Deletes one interface when dropped, without a runtime.
///
/// The socket is opened with the interface, so that it speaks to the same network namespace wherever it is
/// dropped: by index alone, another namespace might lose another interface.
#[derive(Debug)]
pub(crate) struct DeleteOnDrop {
    socket: OwnedFd,
    index: u32,
}

impl DeleteOnDrop {
    pub(crate) fn new(index: u32) -> io::Result<Self> {
        let socket = nix::sys::socket::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self { socket, index })
    }
}

impl Drop for DeleteOnDrop {
    fn drop(&mut self) {
        // nlmsghdr { length:32 type:16 flags:16 sequence:32 port:32 }, then
        // ifinfomsg { family:8 pad:8 type:16 index:32 flags:32 change:32 }, all native order.
        let mut message = [0u8; 32];
        message[0..4].copy_from_slice(&32u32.to_ne_bytes());
        message[4..6].copy_from_slice(&libc::RTM_DELLINK.to_ne_bytes());
        message[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
        message[20..24].copy_from_slice(&self.index.to_ne_bytes());
        // The kernel handles the request before the call returns. Gone already is as good.
        if let Err(error) = nix::sys::socket::send(self.socket.as_raw_fd(), &message, MsgFlags::empty()) {
            tracing::debug!(%error, "cannot ask for the deletion of a TUN device");
        }
    }
}
