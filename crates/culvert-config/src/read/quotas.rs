//! `[quotas]`: what there may be at most of what is managed at run time.

use super::table::Table;
use super::values::number;
use crate::environment::Quotas;

/// Reads the section. The bounds keep an endpoint small enough to be kept in one piece.
pub(super) fn quotas(table: Table<'_, '_>) -> Quotas {
    let default = Quotas::default();
    let read = |key, most, default| table.read(key, |value| number(value, 1, most)).unwrap_or(default);
    let quotas = Quotas {
        endpoints: read("endpoints", 100, default.endpoints),
        authorization_rules: read("authorization_rules", 1000, default.authorization_rules),
        routes_per_association: read("routes_per_association", 250, default.routes_per_association),
        crl_entries: read("crl_entries", 20_000, default.crl_entries),
        security_groups: read("security_groups", 16, default.security_groups),
        terminate_connections: read("terminate_connections", 1000, default.terminate_connections),
    };
    table.finish();
    quotas
}
