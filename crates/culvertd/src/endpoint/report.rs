//! Turns what the server reports into log lines for operators: a client's life at `info`, refusals with their reason at
//! `warn`, so that "why can't I connect" is answered by the log.

use culvert_core::{ClientStatus, Event, RefusalKind, Refused};

/// Logs an event.
pub(crate) fn event(endpoint: &str, event: &Event) {
    match event {
        Event::Connected(status) => connected(endpoint, status),
        Event::Disconnected {
            client,
            reason,
            status,
        } => tracing::info!(
            endpoint,
            client = client.0,
            identity = status.identity().unwrap_or("-"),
            virtual_v4 = status.v4.map(tracing::field::display),
            virtual_v6 = status.v6.map(tracing::field::display),
            link_rx_bytes = status.stats.link_rx_bytes,
            link_tx_bytes = status.stats.link_tx_bytes,
            reason = reason.name(),
            "client disconnected: {reason}"
        ),
        Event::Refused(refused) => self::refused(endpoint, refused),
        Event::Floated { client, from, to } => {
            tracing::info!(endpoint, client = client.0, from = %from.remote(), to = %to.remote(), "client moved to another address");
        }
        Event::Renegotiated { client } => tracing::debug!(endpoint, client = client.0, "keys renegotiated"),
        Event::PoolExhausted { capacity } => tracing::warn!(
            endpoint,
            capacity,
            "the address pool is exhausted; choose a larger client_cidr_block or a shorter keepalive timeout"
        ),
        event => tracing::debug!(endpoint, ?event, "event"),
    }
}

fn connected(endpoint: &str, status: &ClientStatus) {
    tracing::info!(
        endpoint,
        client = status.client.0,
        identity = status.identity().unwrap_or("-"),
        real_address = %status.link.remote(),
        transport = ?status.link.transport(),
        virtual_v4 = status.v4.map(tracing::field::display),
        virtual_v6 = status.v6.map(tracing::field::display),
        cipher = status.cipher.name(),
        version = status.peer_info.iv_ver().unwrap_or("-"),
        platform = status.peer_info.iv_plat().unwrap_or("-"),
        "client connected"
    );
}

fn refused(endpoint: &str, refused: &Refused) {
    let identity = refused.presented.identity().unwrap_or("-");
    let (from, kind, reason) = (refused.link.remote(), refused.kind.name(), &refused.reason);
    match refused.kind {
        // Strangers cause these at will: they must not fill the log of an operator who didn't ask for them.
        RefusalKind::Evicted | RefusalKind::HandshakeTimeout | RefusalKind::Gone => {
            tracing::debug!(endpoint, %from, identity, kind, "client refused: {reason}");
        }
        _ => tracing::warn!(endpoint, %from, identity, kind, "client refused: {reason}"),
    }
}
