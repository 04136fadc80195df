//! Socket addresses in the form the kernel reads and writes, converted without allocation.
#![allow(unsafe_code)]

use std::{
    fmt,
    mem::size_of,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

/// An IPv4 or IPv6 socket address as the kernel lays it out (28 bytes instead of `sockaddr_storage`'s 128).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddress {
    /// Room the kernel may write to.
    pub(crate) const SIZE: libc::socklen_t = size_of::<Self>() as libc::socklen_t;

    /// All zero: no address.
    pub(crate) fn empty() -> Self {
        // SAFETY: both members are plain integers and arrays of them, for which all bytes zero is a value.
        unsafe { std::mem::zeroed() }
    }

    /// The kernel's form of `address` and how many bytes of it count.
    pub(crate) fn encode(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                // SAFETY: `empty` made every byte a valid integer; writing a whole member keeps it so.
                let out = unsafe { &mut raw.v4 };
                out.sin_family = libc::AF_INET as libc::sa_family_t;
                out.sin_port = v4.port().to_be();
                out.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                (raw, size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                // SAFETY: as above.
                let out = unsafe { &mut raw.v6 };
                out.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                out.sin6_port = v6.port().to_be();
                out.sin6_flowinfo = v6.flowinfo();
                out.sin6_addr.s6_addr = v6.ip().octets();
                out.sin6_scope_id = v6.scope_id();
                (raw, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
            }
        }
    }

    /// The address in `len` bytes the kernel wrote, if it is IPv4 or IPv6.
    pub(crate) fn decode(&self, len: libc::socklen_t) -> Option<SocketAddr> {
        let len = len as usize;
        if len < size_of::<libc::sa_family_t>() {
            return None;
        }
        // SAFETY: every byte is initialised (`empty`, then the kernel), any bits are valid integers, and the
        // family is the first field of both members.
        let family = i32::from(unsafe { self.v4.sin_family });
        if family == libc::AF_INET && len >= size_of::<libc::sockaddr_in>() {
            // SAFETY: as above; the family says which member the kernel wrote.
            let v4 = unsafe { &self.v4 };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        } else if family == libc::AF_INET6 && len >= size_of::<libc::sockaddr_in6>() {
            // SAFETY: as above.
            let v6 = unsafe { &self.v6 };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            // The flow label is not part of a peer's identity: it may differ from packet to packet.
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        } else {
            None
        }
    }
}

impl fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.decode(Self::SIZE), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_form() {
        for text in ["192.0.2.7:1194", "[2001:db8::7]:443", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let (raw, len) = RawAddress::encode(address);
            assert_eq!(raw.decode(len), Some(address));
        }
    }

    #[test]
    fn a_short_or_foreign_address_is_none() {
        let (raw, len) = RawAddress::encode("192.0.2.7:1194".parse().unwrap());
        assert_eq!(raw.decode(len - 1), None);
        assert_eq!(raw.decode(0), None);
        assert_eq!(RawAddress::empty().decode(RawAddress::SIZE), None);
    }
}
