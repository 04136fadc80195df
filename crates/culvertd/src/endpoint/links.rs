//! The live TCP connections of an endpoint: any thread that has a packet for one finds its queue here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use culvert_transport::OutQueue;

/// Connection id to queue. Written when connections come and go; packet paths read through a [`LinkCache`].
#[derive(Debug, Default)]
pub(crate) struct Links {
    queues: RwLock<HashMap<u64, Arc<OutQueue>>>,
    /// Grows with every removal, so that caches notice.
    removals: AtomicU64,
}

impl Links {
    pub(crate) fn insert(&self, id: u64, queue: Arc<OutQueue>) {
        self.queues
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, queue);
    }

    pub(crate) fn remove(&self, id: u64) {
        self.queues
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        self.removals.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<OutQueue>> {
        self.queues
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }
}

/// One worker's view of [`Links`]: no shared lock for a connection it has sent to before.
#[derive(Debug, Default)]
pub(crate) struct LinkCache {
    queues: HashMap<u64, Arc<OutQueue>>,
    removals: u64,
}

impl LinkCache {
    /// The queue of a connection, while it lives.
    pub(crate) fn queue(&mut self, links: &Links, id: u64) -> Option<&Arc<OutQueue>> {
        let removals = links.removals.load(Ordering::Acquire);
        if removals != self.removals {
            self.removals = removals;
            self.queues.retain(|_, queue| queue.is_open());
        }
        match self.queues.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => Some(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => Some(entry.insert(links.get(id)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_transport::OutQueueLimits;

    #[test]
    fn a_cache_forgets_connections_that_ended() {
        let links = Links::default();
        let queue = Arc::new(OutQueue::new(OutQueueLimits::default()));
        links.insert(7, Arc::clone(&queue));
        let mut cache = LinkCache::default();
        assert!(cache.queue(&links, 7).is_some());
        queue.abort();
        links.remove(7);
        assert!(cache.queue(&links, 7).is_none());
    }
}
