//! Cryptography of the OpenVPN protocol: control-channel wrapping, key derivation, data-channel ciphers, cookies and tokens.
