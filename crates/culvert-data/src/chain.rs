//! A fixed-size hash index from keys to peer ids that readers walk without a lock.
//!
//! ```text
//! heads: bucket -> peer id -+      one entry per bucket
//! next:  peer id -> peer id -+     one entry per peer: a peer is in a chain at most once
//! ```
//!
//! The index stores no keys: the reader's closure says whether a peer is the one it looks for. Writers hold the
//! control-side lock. A reader that walks while a writer relinks may miss an entry or walk on along another chain; it
//! stops after [`MAX_STEPS`] and reports "not found", which costs one packet and nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

/// End of a chain, empty bucket. Peer ids have 24 bits.
const END: u32 = u32::MAX;

/// Longest walk. Chains hold one peer on average, so this is only reached by accident or by force.
const MAX_STEPS: usize = 256;

/// Hash index from some key to peer ids below a fixed bound.
#[derive(Debug)]
pub(crate) struct ChainIndex {
    heads: Box<[AtomicU32]>,
    next: Box<[AtomicU32]>,
}

impl ChainIndex {
    /// An empty index for peer ids `0..max_peers`.
    pub(crate) fn new(max_peers: u32) -> Self {
        let peers = max_peers.max(1) as usize;
        let empty = |len: usize| (0..len).map(|_| AtomicU32::new(END)).collect();
        Self {
            heads: empty(peers.next_power_of_two()),
            next: empty(peers),
        }
    }

    /// The first peer filed under `key` that `matches`; the most recently inserted comes first.
    pub(crate) fn find(&self, key: &impl Hash, mut matches: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.head(key).load(Ordering::Acquire);
        for _ in 0..MAX_STEPS {
            if at == END {
                return None;
            }
            if matches(at) {
                return Some(at);
            }
            at = self.next.get(at as usize)?.load(Ordering::Acquire);
        }
        None
    }

    /// Files `peer` under `key`. The caller holds the control lock and `peer` is in no chain of this index.
    pub(crate) fn insert(&self, key: &impl Hash, peer: u32) {
        let Some(next) = self.next.get(peer as usize) else {
            return;
        };
        let head = self.head(key);
        next.store(head.load(Ordering::Relaxed), Ordering::Relaxed);
        head.store(peer, Ordering::Release);
    }

    /// Takes `peer` out of the chain of `key`. The caller holds the control lock. Unknown entries are ignored.
    pub(crate) fn remove(&self, key: &impl Hash, peer: u32) {
        let mut link = self.head(key);
        loop {
            let at = link.load(Ordering::Relaxed);
            if at == END {
                return;
            }
            let Some(next) = self.next.get(at as usize) else {
                return;
            };
            if at == peer {
                link.store(next.load(Ordering::Relaxed), Ordering::Release);
                return;
            }
            link = next;
        }
    }

    fn head(&self, key: &impl Hash) -> &AtomicU32 {
        // Unkeyed hash: only authenticated clients are ever filed here, and a walk is bounded.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        // The number of buckets is a power of two, at least one.
        &self.heads[hasher.finish() as usize & (self.heads.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn the_newest_of_two_entries_with_one_key_is_found_first() {
        let index = ChainIndex::new(4);
        index.insert(&"a", 1);
        index.insert(&"a", 2);
        assert_eq!(index.find(&"a", |_| true), Some(2));
        index.remove(&"a", 2);
        assert_eq!(index.find(&"a", |_| true), Some(1));
    }

    #[test]
    fn peers_beyond_the_bound_are_ignored() {
        let index = ChainIndex::new(2);
        index.insert(&"a", 7);
        assert_eq!(index.find(&"a", |_| true), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(steps in prop::collection::vec((0u32..16, 0u32..64, any::<bool>()), 0..200)) {
            let index = ChainIndex::new(16);
            let mut model: HashMap<u32, u32> = HashMap::new();
            for (peer, key, insert) in steps {
                if let Some(old) = model.remove(&peer) {
                    index.remove(&old, peer);
                }
                if insert {
                    index.insert(&key, peer);
                    model.insert(peer, key);
                }
                for peer in 0..16u32 {
                    for key in 0..64u32 {
                        prop_assert_eq!(
                            index.find(&key, |at| at == peer && model.get(&at) == Some(&key)).is_some(),
                            model.get(&peer) == Some(&key)
                        );
                    }
                }
            }
        }
    }
}
