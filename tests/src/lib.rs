//! Interoperability tests against the stock `openvpn` client in network namespaces.
