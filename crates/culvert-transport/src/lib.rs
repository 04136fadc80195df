//! UDP and TCP packet transport: batched datagram sockets and framed TCP connections.
