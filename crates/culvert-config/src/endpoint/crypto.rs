//! Names of ciphers, digests and TLS versions.

use crate::error::Fault;

/// A data channel cipher, by OpenVPN's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataCipher {
    /// `AES-256-GCM`
    Aes256Gcm,
    /// `AES-192-GCM`
    Aes192Gcm,
    /// `AES-128-GCM`
    Aes128Gcm,
    /// `CHACHA20-POLY1305`
    ChaCha20Poly1305,
    /// `AES-256-CBC`, only with `legacy_cbc`
    Aes256Cbc,
    /// `AES-192-CBC`, only with `legacy_cbc`
    Aes192Cbc,
    /// `AES-128-CBC`, only with `legacy_cbc`
    Aes128Cbc,
}

impl DataCipher {
    /// What endpoints offer unless told otherwise.
    pub const DEFAULT: [Self; 3] = [Self::Aes256Gcm, Self::Aes128Gcm, Self::ChaCha20Poly1305];

    /// What `legacy_cbc` adds when no CBC cipher is listed.
    pub const LEGACY: [Self; 3] = [Self::Aes256Cbc, Self::Aes192Cbc, Self::Aes128Cbc];

    const ALL: [Self; 7] = [
        Self::Aes256Gcm,
        Self::Aes192Gcm,
        Self::Aes128Gcm,
        Self::ChaCha20Poly1305,
        Self::Aes256Cbc,
        Self::Aes192Cbc,
        Self::Aes128Cbc,
    ];

    /// OpenVPN's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::Aes192Gcm => "AES-192-GCM",
            Self::Aes128Gcm => "AES-128-GCM",
            Self::ChaCha20Poly1305 => "CHACHA20-POLY1305",
            Self::Aes256Cbc => "AES-256-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes128Cbc => "AES-128-CBC",
        }
    }

    /// True for the CBC ciphers of old clients.
    pub fn is_cbc(self) -> bool {
        matches!(self, Self::Aes256Cbc | Self::Aes192Cbc | Self::Aes128Cbc)
    }

    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        let known = Self::ALL
            .into_iter()
            .find(|cipher| cipher.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|cipher| cipher.name()).collect();
            let upper = name.to_ascii_uppercase();
            let message = if upper == "NONE" {
                "a data channel without encryption is never offered".to_owned()
            } else if ["BF-", "DES-", "CAST5-", "RC2-"]
                .iter()
                .any(|old| upper.starts_with(old))
            {
                format!("the cipher {name} has 64-bit blocks and is never offered")
            } else {
                format!("the cipher {name:?} is unknown")
            };
            Fault::new(message, format!("choose from {}", names.join(", ")))
        })
    }
}

/// A digest for `tls_auth` and for the CBC ciphers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// `SHA1`, OpenVPN's default.
    Sha1,
    /// `SHA256`
    Sha256,
    /// `SHA512`
    Sha512,
}

impl Digest {
    const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// OpenVPN's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        let plain = name.replace('-', "");
        let known = Self::ALL
            .into_iter()
            .find(|digest| digest.name().eq_ignore_ascii_case(&plain));
        known.ok_or_else(|| {
            Fault::new(
                format!("the digest {name:?} is not supported"),
                "choose SHA1, SHA256 or SHA512",
            )
        })
    }
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl TlsVersion {
    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        match name {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            "1.0" | "1.1" => Err(Fault::new(
                format!("TLS {name} is broken and never offered"),
                "use \"1.2\"; clients since OpenVPN 2.3.3 can speak it",
            )),
            _ => Err(Fault::new(
                format!("{name:?} is not a TLS version"),
                "use \"1.2\" or \"1.3\"",
            )),
        }
    }
}
