//! The Client VPN server as a state machine without I/O: joins control channel, data channel, pool and policy.
