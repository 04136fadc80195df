//! TLS control channel: reliability layer, TLS, key method 2 and renegotiation, for both roles, as a state machine without I/O.
