//! TCP framing: each packet is preceded by a 2-byte length that does not count itself.

use std::ops::Range;

use crate::EncodeError;

/// Bytes of the length prefix.
pub const HEADER_LEN: usize = 2;

/// A stream that cannot be continued: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A packet of length 0.
    #[error("the peer announced an empty packet")]
    Zero,
    /// A packet longer than we accept; other protocols (TLS, HTTP, SSH) usually look like this.
    #[error(
        "the peer announced a packet of {len} bytes, at most {max} are accepted; it may not speak OpenVPN"
    )]
    Oversize {
        /// Announced length.
        len: usize,
        /// Accepted length.
        max: usize,
    },
}

/// Finds packet after packet in a buffer that the caller fills from a connection.
///
/// The decoder owns no memory: it remembers how far the front of the buffer is used up. Feed it the filled
/// part of the buffer as often as wanted; when it runs out of whole packets, move the unused tail to the front,
/// call [`Self::take_consumed`] and read on. A buffer of [`Self::buffer_len`] bytes always suffices.
///
/// ```
/// use culvert_wire::stream::FrameDecoder;
/// let mut decoder = FrameDecoder::new(1800);
/// let filled = [0, 3, b'a', b'b', b'c', 0];
/// assert_eq!(decoder.next_frame(&filled), Ok(Some(2..5)));
/// assert_eq!(decoder.next_frame(&filled), Ok(None));
/// assert_eq!(decoder.take_consumed(), 5);
/// ```
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    max: usize,
    position: usize,
    broken: Option<StreamError>,
}

impl FrameDecoder {
    /// A decoder that accepts packets of 1..=`max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            position: 0,
            broken: None,
        }
    }

    /// The smallest buffer that can hold any accepted packet with its prefix.
    pub fn buffer_len(&self) -> usize {
        self.max.saturating_add(HEADER_LEN)
    }

    /// The position of the next whole packet in `filled`, without its prefix; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`StreamError`]; from then on every call repeats it, because the packet boundary is lost.
    #[inline]
    pub fn next_frame(&mut self, filled: &[u8]) -> Result<Option<Range<usize>>, StreamError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let Some((header, body)) = filled.get(self.position..).and_then(<[u8]>::split_first_chunk) else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes(*header));
        let error = match len {
            0 => Some(StreamError::Zero),
            len if len > self.max => Some(StreamError::Oversize { len, max: self.max }),
            _ => None,
        };
        if let Some(error) = error {
            self.broken = Some(error);
            return Err(error);
        }
        if body.len() < len {
            return Ok(None);
        }
        let start = self.position + HEADER_LEN;
        self.position = start + len;
        Ok(Some(start..self.position))
    }

    /// How many bytes at the front of the buffer are used up.
    pub fn consumed(&self) -> usize {
        self.position
    }

    /// Like [`Self::consumed`], and the next packet is expected at the front of the buffer again.
    pub fn take_consumed(&mut self) -> usize {
        std::mem::take(&mut self.position)
    }
}

/// The length prefix of a packet of `len` bytes.
///
/// # Errors
/// [`EncodeError`] for 0 and for more than 65535 bytes.
pub fn write_header(len: usize) -> Result<[u8; HEADER_LEN], EncodeError> {
    const MAX: usize = u16::MAX as usize;
    match u16::try_from(len) {
        Ok(0) => Err(EncodeError::Empty("a packet")),
        Ok(len) => Ok(len.to_be_bytes()),
        Err(_) => Err(EncodeError::TooLong {
            what: "a packet",
            len,
            max: MAX,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_zero_length_ends_the_stream_for_good() {
        let mut decoder = FrameDecoder::new(100);
        assert_eq!(decoder.next_frame(&[0, 0]), Err(StreamError::Zero));
        assert_eq!(decoder.next_frame(&[0, 1, 7]), Err(StreamError::Zero));
    }

    #[test]
    fn a_tls_client_hello_is_reported_as_oversize() {
        let mut decoder = FrameDecoder::new(1800);
        assert_eq!(
            decoder.next_frame(&[0x16, 3, 1]),
            Err(StreamError::Oversize { len: 5635, max: 1800 })
        );
    }

    #[test]
    fn the_largest_accepted_packet_fits_the_advised_buffer() {
        let mut decoder = FrameDecoder::new(1800);
        let mut buffer = vec![0; decoder.buffer_len()];
        buffer[..2].copy_from_slice(&write_header(1800).unwrap());
        assert_eq!(decoder.next_frame(&buffer), Ok(Some(2..1802)));
    }

    #[test]
    fn headers_exist_for_one_to_65535_bytes() {
        assert_eq!(write_header(1), Ok([0, 1]));
        assert_eq!(write_header(65535), Ok([255, 255]));
        assert!(write_header(0).is_err());
        assert!(write_header(65536).is_err());
    }

    proptest! {
        /// However the bytes arrive, the packets come out whole and in order.
        #[test]
        fn packets_survive_any_segmentation(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..12),
            cut in 1usize..17,
        ) {
            let mut wire = Vec::new();
            for packet in &packets {
                wire.extend(write_header(packet.len()).unwrap());
                wire.extend(packet);
            }
            let (mut decoder, mut buffer, mut seen) = (FrameDecoder::new(40), Vec::new(), Vec::new());
            for segment in wire.chunks(cut) {
                buffer.extend_from_slice(segment);
                while let Some(range) = decoder.next_frame(&buffer).unwrap() {
                    seen.push(buffer[range].to_vec());
                }
                buffer.drain(..decoder.take_consumed());
            }
            prop_assert_eq!(seen, packets);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_stream_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), max in 0usize..64) {
            let mut decoder = FrameDecoder::new(max);
            while let Ok(Some(range)) = decoder.next_frame(&bytes) {
                prop_assert!(range.end <= bytes.len());
            }
        }
    }
}
