//! The ids of an endpoint's connections.

use culvert_core::ClientId;
use culvert_crypto::{Entropy, SystemEntropy};
use culvert_service::ConnectionId;

/// Gives each client of one run of an endpoint an id that no other connection has, always the same one, from the moment
/// it knocks: so that whoever is asked about it before it is let in, and whoever looks later, mean the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionIds {
    base: u64,
}

impl ConnectionIds {
    /// Ids of a run that begins.
    pub(crate) fn new() -> Self {
        let mut random = [0; 8];
        SystemEntropy::new().fill(&mut random);
        Self {
            base: u64::from_be_bytes(random),
        }
    }

    /// The id of a client's connection.
    pub(crate) fn of(self, client: ClientId) -> ConnectionId {
        // Clients are counted, so that a client of another run meets this number by a chance of one in billions.
        let number = self.base.wrapping_add(client.0).to_be_bytes();
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&number);
        ConnectionId::from_random(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_a_client_and_no_other() {
        let (one, other) = (ConnectionIds::new(), ConnectionIds::new());
        assert_eq!(one.of(ClientId(1)), one.of(ClientId(1)));
        assert_ne!(one.of(ClientId(1)), one.of(ClientId(2)));
        assert_ne!(one.of(ClientId(1)), other.of(ClientId(1)));
    }
}
