//! The format of a backup: our own, because redb's changes with its major versions.
//!
//! ```text
//! magic:16  format:4  revision:8  last lease:8  leases:8  keys:8
//! each lease   id:8  ttl in ms:8
//! each key     create revision:8  mod revision:8  version:8  lease:8  key length:4  value length:4  key  value
//! SHA-256 of all this:32
//! ```
//!
//! Lengths in bytes, numbers in network order, leases and keys in ascending order.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use crate::record::Revision;

pub(super) const MAGIC: [u8; 16] = *b"culvert-backup\r\n";

/// The format this program writes and reads.
pub(super) const FORMAT: u32 = 1;

pub(super) const DIGEST: usize = 32;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The store's revision when it was made.
    pub revision: Revision,
    /// How many keys.
    pub keys: u64,
    /// How many leases.
    pub leases: u64,
}

/// Passes bytes on and adds them to a checksum.
pub(super) struct Checksummed<T> {
    inner: T,
    digest: Sha256,
}

impl<T> Checksummed<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
        }
    }

    /// What lies below, and the checksum of what passed.
    pub(super) fn finish(self) -> (T, [u8; DIGEST]) {
        (self.inner, self.digest.finalize().into())
    }
}

impl<W: Write> Checksummed<W> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.inner.write_all(bytes)
    }

    pub(super) fn put_number(&mut self, number: u64) -> io::Result<()> {
        self.put(&number.to_be_bytes())
    }
}

impl<R: Read> Checksummed<R> {
    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.digest.update(bytes);
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Grows with what is there, not with what a damaged length claims.
    pub(super) fn take(&mut self, len: u32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.inner).take(len.into()).read_to_end(&mut bytes)?;
        if bytes.len() < len as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }
}
