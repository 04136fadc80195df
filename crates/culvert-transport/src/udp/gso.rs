//! Memory of segment sizes a path refused, of fixed size.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
};

use culvert_wire::UdpPath;

/// Entries; a collision only costs one more refused send.
const ENTRIES: usize = 256;

/// Which segment sizes are too large to be sent as a train, by remote address.
///
/// The kernel refuses a train whose datagrams do not fit the device's MTU, while it fragments the same
/// datagrams when they come singly. Asking again for each train would cost a failed call each time.
#[derive(Debug)]
pub(super) struct RefusedSizes {
    /// Empty until the first refusal, which most servers never see.
    entries: Vec<Option<(IpAddr, usize)>>,
    hasher: RandomState,
}

impl RefusedSizes {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// Whether trains of `segment` bytes to `path` are known to fail.
    pub(super) fn contains(&self, path: &UdpPath, segment: usize) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let ip = path.remote.ip();
        matches!(self.entries.get(self.slot(ip)), Some(Some((known, size))) if *known == ip && segment >= *size)
    }

    /// Remembers that a train of `segment` bytes to `path` failed.
    pub(super) fn insert(&mut self, path: &UdpPath, segment: usize) {
        if self.entries.is_empty() {
            self.entries = vec![None; ENTRIES];
        }
        let ip = path.remote.ip();
        let slot = self.slot(ip);
        if let Some(entry) = self.entries.get_mut(slot) {
            let smallest = match entry {
                Some((known, size)) if *known == ip => segment.min(*size),
                _ => segment,
            };
            *entry = Some((ip, smallest));
        }
    }

    fn slot(&self, ip: IpAddr) -> usize {
        let mut hasher = self.hasher.build_hasher();
        ip.hash(&mut hasher);
        (std::hash::Hasher::finish(&hasher) as usize) % ENTRIES
    }
}
