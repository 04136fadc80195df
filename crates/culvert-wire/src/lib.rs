//! OpenVPN wire formats: bytes to meaning and back. No keys, no sockets, no clock.
