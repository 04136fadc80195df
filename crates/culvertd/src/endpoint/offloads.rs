//! What the kernel does for an endpoint, as of the moment it is asked: an offload may be refused at the start, and given
//! up later when the kernel shows that it can't.

use std::sync::{Arc, Weak};

use culvert_admin::{OffloadInfo, OffloadState};
use culvert_config::Offload;
use culvert_transport::AsyncUdpSocket;
use culvert_tun::TunOffloads;
use tokio::sync::watch;

/// What is asked for the state of the offloads.
pub(crate) struct Offloads {
    wanted: Offload,
    /// Those of all workers; theirs to keep open.
    sockets: Vec<Weak<AsyncUdpSocket>>,
    /// Those of the present device, which may be made anew.
    device: watch::Receiver<Option<TunOffloads>>,
}

impl Offloads {
    pub(crate) fn new(
        wanted: Offload,
        sockets: &[Arc<AsyncUdpSocket>],
        device: watch::Receiver<Option<TunOffloads>>,
    ) -> Self {
        Self {
            wanted,
            sockets: sockets.iter().map(Arc::downgrade).collect(),
            device,
        }
    }

    /// The state of each offload. What one socket of many was refused counts as refused.
    pub(crate) fn info(&self) -> OffloadInfo {
        let on_sockets = |wanted, works: fn(&AsyncUdpSocket) -> bool| {
            let mut works = self.sockets.iter().filter_map(Weak::upgrade).map(|s| works(&s));
            match works.next() {
                None => OffloadState::Unused,
                Some(first) => state(wanted, first && works.all(|works| works)),
            }
        };
        let device = self.device.borrow();
        let on_device = |wanted, works: fn(&TunOffloads) -> bool| {
            state(wanted && self.wanted.tun, device.as_ref().is_some_and(works))
        };
        OffloadInfo {
            udp_gro: on_sockets(self.wanted.udp_gro, |socket| socket.gro()),
            udp_gso: on_sockets(self.wanted.udp_gso, |socket| socket.gso()),
            tun: on_device(true, TunOffloads::super_packets),
            tun_udp: on_device(self.wanted.tun_udp, TunOffloads::udp),
            tun_join: on_device(self.wanted.tun_join, TunOffloads::join),
        }
    }
}

fn state(wanted: bool, works: bool) -> OffloadState {
    match (wanted, works) {
        (false, _) => OffloadState::Off,
        (true, true) => OffloadState::On,
        (true, false) => OffloadState::Refused,
    }
}

#[cfg(test)]
mod tests {
    use culvert_transport::{UdpOptions, UdpSocket};

    use super::*;

    fn socket(gso: bool) -> Arc<AsyncUdpSocket> {
        let options = UdpOptions {
            gso,
            ..UdpOptions::default()
        };
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        Arc::new(AsyncUdpSocket::new(socket).unwrap())
    }

    #[tokio::test]
    async fn each_offload_is_on_refused_off_or_unused() {
        let wanted = Offload {
            tun_join: false,
            ..Offload::default()
        };
        let (_keep, device) = watch::channel(None);
        let sockets = [socket(true), socket(true)];
        let all = Offloads::new(wanted, &sockets, device.clone()).info();
        assert_eq!((all.udp_gro, all.udp_gso), (OffloadState::On, OffloadState::On));
        assert_eq!(all.tun, OffloadState::Refused, "there is no device");
        assert_eq!(all.tun_join, OffloadState::Off);

        let mixed = [socket(true), socket(false)];
        let one_without = Offloads::new(wanted, &mixed, device.clone()).info();
        assert_eq!(one_without.udp_gso, OffloadState::Refused);

        let no_tun = Offload { tun: false, ..wanted };
        let none = Offloads::new(no_tun, &[], device).info();
        assert_eq!(
            (none.udp_gro, none.udp_gso),
            (OffloadState::Unused, OffloadState::Unused)
        );
        assert_eq!((none.tun, none.tun_udp), (OffloadState::Off, OffloadState::Off));
    }
}
