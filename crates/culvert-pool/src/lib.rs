//! Client address pool: IPv4 and IPv6 allocation in constant time, sticky and static addresses.
