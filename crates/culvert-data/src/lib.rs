//! Data channel: peer table, key slots, replay windows, keepalive, MSS. Packet calls take &self and never block.
