//! The addresses that connections come from, in turn.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Some addresses of this machine, or the kernel's choice.
pub(crate) struct Sources {
    addresses: Vec<IpAddr>,
    /// Stands for the kernel's choice.
    unspecified: IpAddr,
    /// Connections so far.
    turn: Cell<usize>,
}

impl Sources {
    /// `addresses` in turn; without any the kernel chooses one of the family of `server`.
    pub(crate) fn new(addresses: Vec<IpAddr>, server: SocketAddr) -> Self {
        let unspecified = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self {
            addresses,
            unspecified,
            turn: Cell::new(0),
        }
    }

    /// The address of the next connection; unspecified where the kernel chooses.
    pub(crate) fn next(&self) -> IpAddr {
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let place = turn.checked_rem(self.addresses.len());
        place
            .and_then(|place| self.addresses.get(place))
            .copied()
            .unwrap_or(self.unspecified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(addresses: &[&str], server: &str) -> Vec<String> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let sources = Sources::new(addresses.collect(), server.parse().unwrap());
        (0..3).map(|_| sources.next().to_string()).collect()
    }

    #[test]
    fn addresses_take_turns() {
        let taken = taken(&["10.9.0.10", "10.9.0.11"], "10.9.0.1:443");
        assert_eq!(taken, ["10.9.0.10", "10.9.0.11", "10.9.0.10"]);
    }

    #[test]
    fn without_addresses_the_kernel_chooses_one_of_the_servers_family() {
        assert_eq!(taken(&[], "10.9.0.1:443"), ["0.0.0.0"; 3]);
        assert_eq!(taken(&[], "[fd00::1]:443"), ["::"; 3]);
    }
}
