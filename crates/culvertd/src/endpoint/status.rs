//! What an endpoint and its clients look like in status reports.

use std::collections::BTreeMap;

use culvert_admin::{ClientInfo, EndpointInfo, EndpointState, ListenerInfo, OffloadInfo, Transport};
use culvert_config::EndpointConfig;
use culvert_core::ClientStatus;
use culvert_service::ConnectionId;
use culvert_wire::Transport as LinkTransport;

use super::control::Counters;
use super::shared::Shared;

/// An endpoint, as of now.
pub(crate) fn endpoint(
    config: &EndpointConfig,
    applied_unix: u64,
    shared: &Shared,
    counters: Counters,
    listeners: &[ListenerInfo],
    workers: usize,
    offload: OffloadInfo,
) -> EndpointInfo {
    EndpointInfo {
        name: config.name.clone(),
        state: EndpointState::Available,
        applied_at_unix: Some(applied_unix),
        listeners: listeners.to_vec(),
        device: config.device.clone(),
        client_cidr: config.client_blocks().map(|block| block.to_string()).collect(),
        clients: counters.clients,
        max_clients: config.effective_max_clients(),
        pool_in_use: u64::from(counters.pool_in_use),
        pool_capacity: u64::from(config.pool_config().capacity()),
        drops: drops(shared, &counters),
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        offload,
    }
}

/// Every drop counter that is not zero, prefixed by where it was counted.
fn drops(shared: &Shared, counters: &Counters) -> BTreeMap<String, u64> {
    let data = shared
        .data
        .counters()
        .iter()
        .map(|(reason, n)| (format!("data.{}", reason.name()), n));
    let edge = shared.drops.iter().map(|(name, n)| (format!("edge.{name}"), n));
    let control = counters
        .drops
        .iter()
        .map(|(name, n)| (format!("control.{name}"), *n));
    let inbox = std::iter::once(("control.inbox_full".to_owned(), shared.inbox.dropped()));
    data.chain(edge)
        .chain(control)
        .chain(inbox)
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// A client, as of now.
pub(crate) fn client(endpoint: &str, connection: &ConnectionId, status: &ClientStatus) -> ClientInfo {
    ClientInfo {
        client_id: status.client.0,
        endpoint: endpoint.to_owned(),
        connection_id: Some(connection.to_string()),
        groups: status.groups.clone(),
        common_name: status
            .certificate
            .as_ref()
            .map(|certificate| certificate.common_name.clone()),
        username: status.username.clone(),
        real_address: status.link.remote(),
        transport: match status.link.transport() {
            LinkTransport::Udp => Transport::Udp,
            LinkTransport::Tcp => Transport::Tcp,
        },
        virtual_v4: status.v4,
        virtual_v6: status.v6,
        connected_since_unix: status.connected_unix,
        cipher: status.cipher.name().to_owned(),
        link_rx_bytes: status.stats.link_rx_bytes,
        link_tx_bytes: status.stats.link_tx_bytes,
        tunnel_rx_bytes: status.stats.tun_rx_bytes,
        tunnel_tx_bytes: status.stats.tun_tx_bytes,
        iv_ver: status.peer_info.iv_ver().map(str::to_owned),
        iv_plat: status.peer_info.iv_plat().map(str::to_owned),
    }
}
