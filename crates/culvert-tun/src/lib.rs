//! TUN bridge: multi-queue TUN device, addresses, routes and NAT.
