//! What rules together let a client do at one destination.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::filter::Range;
use crate::service::Service;

/// What is allowed. Grants only ever add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Nothing.
    #[default]
    Nothing,
    /// These services.
    Services(BTreeSet<Service>),
    /// Everything.
    Everything,
}

impl Grant {
    /// What one rule allows: its services, everything if it names none.
    pub(crate) fn of(services: &[Service]) -> Self {
        match services {
            [] => Self::Everything,
            services => Self::Services(services.iter().copied().collect()),
        }
    }

    /// Adds what another one allows.
    pub(crate) fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Everything, _) | (_, Self::Nothing) => {}
            (Self::Services(own), Self::Services(more)) => own.extend(more),
            (Self::Nothing | Self::Services(_), _) => *self = other.clone(),
        }
    }

    /// The services as sorted disjoint ranges of keys; `None` unless it is limited to some.
    pub(crate) fn keys(&self, v6: bool) -> Option<Arc<[Range<u32>]>> {
        let Self::Services(services) = self else {
            return None;
        };
        let mut keys: Vec<Range<u32>> = services.iter().map(|service| service.keys(v6)).collect();
        keys.sort_unstable();
        let mut out: Vec<Range<u32>> = Vec::with_capacity(keys.len());
        for (start, end) in keys {
            match out.last_mut() {
                // Keys have 24 bits, so there is always a next one.
                Some(last) if start <= last.1 + 1 => last.1 = last.1.max(end),
                _ => out.push((start, end)),
            }
        }
        Some(out.into())
    }
}
