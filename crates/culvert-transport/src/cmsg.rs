//! Control messages of `sendmmsg` and `recvmmsg`: local address (packet info), UDP_SEGMENT and UDP_GRO.
//!
//! A control message is `length:usize level:i32 type:i32 data`, padded to the size of `usize`, native order
//! (`cmsg(3)`).

use std::{
    mem::size_of,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const HEADER: usize = size_of::<libc::cmsghdr>();
const fn align(len: usize) -> usize {
    (len + size_of::<usize>() - 1) & !(size_of::<usize>() - 1)
}

/// Control data of one message, aligned as `cmsghdr` must be.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Control {
    bytes: [u8; Self::SIZE],
}

impl Control {
    /// Room for one packet info (at most 40 bytes) and one UDP_SEGMENT or UDP_GRO (24), and some to spare.
    pub(crate) const SIZE: usize = 96;

    pub(crate) fn empty() -> Self {
        Self {
            bytes: [0; Self::SIZE],
        }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// Writes the wish for a source address and a segment size; the result is the number of bytes used.
    ///
    /// A source address of the other family than `remote_is_v6` says is left out: the kernel would refuse it.
    pub(crate) fn encode(
        &mut self,
        remote_is_v6: bool,
        local: Option<IpAddr>,
        segment: Option<u16>,
    ) -> usize {
        let mut used = 0;
        match local {
            Some(IpAddr::V4(ip)) if !remote_is_v6 && !ip.is_unspecified() => {
                // in_pktinfo: ifindex:i32 spec_dst:4 addr:4
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                used = self.put(used, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(ip)) if remote_is_v6 && !ip.is_unspecified() => {
                // in6_pktinfo: addr:16 ifindex:u32
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                used = self.put(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            _ => {}
        }
        if let Some(segment) = segment {
            used = self.put(used, libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        used
    }

    fn put(&mut self, at: usize, level: i32, kind: i32, data: &[u8]) -> usize {
        let end = at + align(HEADER + data.len());
        let Some(out) = self.bytes.get_mut(at..end) else {
            return at;
        };
        out.fill(0);
        out[..size_of::<usize>()].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        out[HEADER - 8..HEADER - 4].copy_from_slice(&level.to_ne_bytes());
        out[HEADER - 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        out[HEADER..HEADER + data.len()].copy_from_slice(data);
        end
    }

    /// Reads what the kernel told about a received datagram in the first `len` bytes.
    pub(crate) fn decode(&self, len: usize) -> Received {
        let mut found = Received::default();
        let mut rest = self.bytes.get(..len).unwrap_or(&self.bytes);
        while let Some((header, _)) = rest.split_at_checked(HEADER) {
            let mut size = [0; size_of::<usize>()];
            size.copy_from_slice(&header[..size_of::<usize>()]);
            let size = usize::from_ne_bytes(size);
            let Some(data) = rest.get(HEADER..size) else { break };
            match (int(&header[HEADER - 8..]), int(&header[HEADER - 4..])) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // `spec_dst`, not `addr`: for a broadcast that is the address a reply can leave from.
                    if let Some(octets) = data.get(4..8).and_then(|ip| <[u8; 4]>::try_from(ip).ok()) {
                        found.local = Some(Ipv4Addr::from(octets).into());
                    }
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    if let Some(octets) = data.get(..16).and_then(|ip| <[u8; 16]>::try_from(ip).ok()) {
                        found.local = Some(Ipv6Addr::from(octets).into());
                    }
                }
                (libc::SOL_UDP, libc::UDP_GRO) if data.len() >= 4 => {
                    found.segment = usize::try_from(int(data)).ok().filter(|&size| size > 0);
                }
                _ => {}
            }
            rest = rest.get(align(size)..).unwrap_or_default();
        }
        found
    }
}

/// What control messages tell about a received message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Our address the datagram was sent to.
    pub(crate) local: Option<IpAddr>,
    /// Size of each datagram but the last, when the kernel joined several.
    pub(crate) segment: Option<usize>,
}

/// The first four bytes as a native integer; the callers checked that they are there.
fn int(bytes: &[u8]) -> i32 {
    bytes.first_chunk().map_or(0, |four| i32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_info_and_gro_are_read_back() {
        let mut control = Control::empty();
        let local: IpAddr = "192.0.2.1".parse().unwrap();
        let used = control.encode(false, Some(local), None);
        let used = control.put(used, libc::SOL_UDP, libc::UDP_GRO, &1400i32.to_ne_bytes());
        assert_eq!(
            control.decode(used),
            Received {
                local: Some(local),
                segment: Some(1400)
            }
        );

        let local: IpAddr = "2001:db8::1".parse().unwrap();
        let used = control.encode(true, Some(local), Some(1200));
        assert_eq!(used, 40 + 24);
        assert_eq!(control.decode(used).local, Some(local));
    }

    #[test]
    fn a_source_of_the_other_family_is_left_out() {
        let mut control = Control::empty();
        assert_eq!(control.encode(true, Some("192.0.2.1".parse().unwrap()), None), 0);
        assert_eq!(control.encode(false, Some("::1".parse().unwrap()), None), 0);
        assert_eq!(control.encode(false, Some("0.0.0.0".parse().unwrap()), None), 0);
    }

    #[test]
    fn broken_lengths_end_the_walk() {
        let mut control = Control::empty();
        assert_eq!(control.decode(Control::SIZE), Received::default());
        control.bytes[..8].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(control.decode(Control::SIZE), Received::default());
        assert_eq!(control.decode(usize::MAX), Received::default());
    }
}
