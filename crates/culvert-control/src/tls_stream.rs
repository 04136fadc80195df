//! One TLS connection in memory: bytes of control packets in, bytes for control packets and whole records out.

use std::io::{BufRead, Write};

use rustls::{ClientConnection, Connection, ServerConnection};
use rustls_pki_types::CertificateDer;

use crate::config::TlsSide;
use crate::tls_failure::{Peer, TlsFailure};

/// Most TLS bytes taken from a peer until its handshake is complete. A chain of three RSA 4096 certificates
/// needs 6 KiB; this bounds what a stranger can make us keep.
pub(crate) const HANDSHAKE_LIMIT: usize = 24 * 1024;

/// Most TLS bytes without a complete record afterwards: the largest legal record with room to spare.
const RECORD_LIMIT: usize = 20 * 1024;

/// Plaintext of one TLS record.
pub(crate) const MAX_RECORD: usize = 16 * 1024;

/// A TLS connection that reads and writes memory.
pub(crate) struct TlsStream {
    connection: Connection,
    peer: Peer,
    /// Bytes taken in since the start of the handshake, or since the last complete record.
    unsettled: usize,
    closed: bool,
}

impl TlsStream {
    /// Starts a connection. On the client's side the first flight is ready at once, see
    /// [`TlsStream::take_output`].
    pub(crate) fn new(side: &TlsSide) -> Result<Self, TlsFailure> {
        let peer = Peer::of(side.role());
        let connection = match side {
            TlsSide::Server(config) => ServerConnection::new(config.clone()).map(Connection::Server),
            TlsSide::Client(config, name) => {
                ClientConnection::new(config.clone(), name.clone()).map(Connection::Client)
            }
        };
        let mut connection = connection.map_err(|error| TlsFailure::translate(&error, peer))?;
        // Everything is drained after each call, so this only bounds a single write.
        connection.set_buffer_limit(Some(2 * MAX_RECORD));
        Ok(Self {
            connection,
            peer,
            unsettled: 0,
            closed: false,
        })
    }

    /// Takes in the next bytes of the stream and hands each complete record of application data to `record`.
    ///
    /// # Errors
    /// The failure of the handshake or connection. An alert for the peer may be in the output then.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut record: impl FnMut(&[u8])) -> Result<(), TlsFailure> {
        while !bytes.is_empty() && !self.closed {
            let limit = if self.connection.is_handshaking() {
                HANDSHAKE_LIMIT
            } else {
                RECORD_LIMIT
            };
            let taken = self
                .connection
                .read_tls(&mut bytes)
                .map_err(|error| TlsFailure::Protocol {
                    peer: self.peer,
                    reason: error.to_string(),
                })?;
            if taken == 0 {
                break;
            }
            self.unsettled += taken;
            if self.unsettled > limit {
                return Err(TlsFailure::TooLong {
                    peer: self.peer,
                    limit,
                });
            }
            let was_handshaking = self.connection.is_handshaking();
            let state = self
                .connection
                .process_new_packets()
                .map_err(|error| TlsFailure::translate(&error, self.peer))?;
            self.closed = state.peer_has_closed();
            if was_handshaking && !self.connection.is_handshaking() {
                self.unsettled = 0;
            }
            self.drain_records(&mut record);
        }
        Ok(())
    }

    /// rustls keeps each record as one chunk, which is how message borders survive.
    fn drain_records(&mut self, record: &mut impl FnMut(&[u8])) {
        loop {
            let len = match self.connection.reader().into_first_chunk() {
                Ok(chunk) if !chunk.is_empty() => {
                    record(chunk);
                    chunk.len()
                }
                _ => return,
            };
            self.connection.reader().consume(len);
            self.unsettled = 0;
        }
    }

    /// Moves everything TLS wants to send to the end of `out`.
    pub(crate) fn take_output(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            match self.connection.write_tls(out) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
    }

    /// Encrypts `data` and appends the records to `out`: one record per [`MAX_RECORD`] bytes.
    ///
    /// # Errors
    /// [`TlsFailure::Internal`] if TLS takes no more data, which it does after it failed.
    pub(crate) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFailure> {
        for chunk in data.chunks(MAX_RECORD) {
            self.connection
                .writer()
                .write_all(chunk)
                .map_err(|error| TlsFailure::Internal {
                    reason: error.to_string(),
                })?;
            self.take_output(out);
        }
        Ok(())
    }

    /// True until both sides' Finished have been exchanged.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// True once the peer has announced that it sends no more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The peer's own certificate, if it showed one.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }

    /// Exported key material without context, as OpenVPN uses it.
    pub(crate) fn export(&self, label: &[u8], out: &mut [u8; 256]) -> Result<(), TlsFailure> {
        self.connection
            .export_keying_material(&mut out[..], label, None)
            .map(|_| ())
            .map_err(|error| TlsFailure::Internal {
                reason: error.to_string(),
            })
    }

    /// Upper bound of the bytes of an incomplete handshake message or record.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.unsettled
    }
}
