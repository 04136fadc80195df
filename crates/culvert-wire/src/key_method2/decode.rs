//! Reading key method 2 messages, which may arrive in pieces.

use zeroize::Zeroizing;

use super::{CLIENT_FIXED, Dialect, KeyMethod2Client, KeyMethod2Server, MAX_LEN, MAX_OPTIONS};
use crate::ParseError;
use crate::peer_info::PeerInfo;
use crate::reader::Reader;
use crate::text::{printable_lossy, secret_lossy};

/// Room beyond the longest message for what a client may send right behind it: one TLS record.
const MAX_BUFFERED: usize = MAX_LEN + 16 * 1024;

/// Names of the four strings, in order.
const STRINGS: [&str; 4] = [
    "the options string",
    "the user name",
    "the password",
    "the peer info",
];

/// Where decoding stands.
#[derive(Clone, Debug)]
pub enum Decoded {
    /// The whole message was there. Bytes that followed it: [`KeyMethod2Decoder::take_rest`].
    Complete(Box<KeyMethod2Client>),
    /// The message continues in bytes not seen yet.
    NeedMore,
    /// The message is not one; the negotiation has failed.
    Malformed(ParseError),
}

/// Collects a client's message from plaintext as it comes out of TLS, in either dialect.
///
/// Stock clients send it in one piece, AWS clients in up to sixteen, very old ones leave out strings at the end.
/// Feed [`Self::push`] until it is no longer [`Decoded::NeedMore`]; if nothing arrives for a while (500 ms),
/// [`Self::finish_lenient`] accepts what is there. At most 272 KiB are held, wiped when dropped.
#[derive(Default)]
pub struct KeyMethod2Decoder {
    buffer: Zeroizing<Vec<u8>>,
}

impl KeyMethod2Decoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds plaintext and tries to read the message.
    pub fn push(&mut self, bytes: &[u8]) -> Decoded {
        if self.buffer.len().saturating_add(bytes.len()) > MAX_BUFFERED {
            return self.fail(too_long(self.buffer.len().saturating_add(bytes.len())));
        }
        self.append(bytes);
        match locate(&self.buffer, false) {
            Ok(Some(layout)) => self.complete(layout),
            Ok(None) => Decoded::NeedMore,
            Err(error) => self.fail(error),
        }
    }

    /// Reads a message whose strings are missing at the end, treating them as absent.
    ///
    /// # Errors
    /// [`ParseError`] if the message ends inside its fixed part or inside a string.
    pub fn finish_lenient(&mut self) -> Result<Box<KeyMethod2Client>, ParseError> {
        let outcome = match locate(&self.buffer, true) {
            Ok(Some(layout)) => self.complete(layout),
            Ok(None) => self.fail(ParseError::Truncated("the key exchange message")),
            Err(error) => self.fail(error),
        };
        match outcome {
            Decoded::Complete(message) => Ok(message),
            Decoded::Malformed(error) => Err(error),
            Decoded::NeedMore => Err(ParseError::Truncated("the key exchange message")),
        }
    }

    /// Bytes held at the moment.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// True if nothing of a message has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// After completion: what came behind the message, usually nothing. Leaves the decoder empty.
    pub fn take_rest(&mut self) -> Zeroizing<Vec<u8>> {
        std::mem::take(&mut self.buffer)
    }

    /// Appends without leaving unwiped copies behind: growing moves into a new buffer and wipes the old one.
    fn append(&mut self, bytes: &[u8]) {
        let need = self.buffer.len() + bytes.len();
        if need > self.buffer.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(need.max(self.buffer.capacity() * 2)));
            grown.extend_from_slice(&self.buffer);
            self.buffer = grown;
        }
        self.buffer.extend_from_slice(bytes);
    }

    fn complete(&mut self, layout: Layout) -> Decoded {
        let decoded = client_message(&self.buffer, layout);
        let rest = self.buffer.get(layout.end..).unwrap_or_default();
        self.buffer = Zeroizing::new(rest.to_vec());
        match decoded {
            Ok(message) => Decoded::Complete(Box::new(message)),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: ParseError) -> Decoded {
        self.buffer = Zeroizing::default();
        Decoded::Malformed(error)
    }
}

impl std::fmt::Debug for KeyMethod2Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyMethod2Decoder")
            .field("buffered", &self.buffer.len())
            .finish()
    }
}

impl KeyMethod2Server {
    /// Reads a server's message from one TLS record. The three empty strings at its end may be missing.
    ///
    /// # Errors
    /// [`ParseError`] if the message is too short or a string is malformed.
    pub fn parse(record: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(record);
        reader.u32("the leading zero")?;
        key_method(&mut reader)?;
        let random1 = Zeroizing::new(reader.array("server random 1")?);
        let random2 = Zeroizing::new(reader.array("server random 2")?);
        let len = reader.u16("the options string")?;
        let bytes = terminated(
            reader.take(usize::from(len), "the options string")?,
            "the options string",
        )?;
        Ok(Self {
            random1,
            random2,
            options: options(bytes)?,
        })
    }
}

/// Where the strings of a complete message lie, as start and end, NUL included; and where it ends.
#[derive(Clone, Copy)]
struct Layout {
    dialect: Dialect,
    strings: [(usize, usize); 4],
    end: usize,
}

/// Finds the parts of the message at the front of `bytes`; `None` if it is not complete.
///
/// Only lengths are read, so calling it for every arriving piece is cheap.
fn locate(bytes: &[u8], lenient: bool) -> Result<Option<Layout>, ParseError> {
    let mut reader = Reader::new(bytes);
    let Ok(head) = reader.array::<4>("the length") else {
        return Ok(None);
    };
    if bytes.len() > 4 {
        key_method(&mut reader)?;
    }
    if head == [0; 4] {
        locate_stock(bytes, lenient)
    } else {
        locate_aws(bytes, u32::from_le_bytes(head))
    }
}

fn locate_stock(bytes: &[u8], lenient: bool) -> Result<Option<Layout>, ParseError> {
    let mut layout = Layout {
        dialect: Dialect::Stock,
        strings: [(0, 0); 4],
        end: CLIENT_FIXED,
    };
    if bytes.len() < CLIENT_FIXED {
        return Ok(None);
    }
    for (string, what) in layout.strings.iter_mut().zip(STRINGS) {
        let rest = bytes.get(layout.end..).unwrap_or_default();
        let Ok(len) = Reader::new(rest).u16(what) else {
            return Ok((lenient && rest.is_empty()).then_some(layout));
        };
        let start = layout.end + 2;
        let end = start + usize::from(len);
        if end > MAX_LEN {
            return Err(too_long(end));
        }
        if end > bytes.len() {
            return Ok(None);
        }
        *string = (start, end);
        layout.end = end;
    }
    Ok(Some(layout))
}

fn locate_aws(bytes: &[u8], total: u32) -> Result<Option<Layout>, ParseError> {
    let total = total as usize;
    if total > MAX_LEN {
        return Err(too_long(total));
    }
    if total < CLIENT_FIXED {
        return Err(ParseError::LengthMismatch("the key exchange message"));
    }
    let Some(message) = bytes.get(..total) else {
        return Ok(None);
    };
    let mut layout = Layout {
        dialect: Dialect::Aws,
        strings: [(0, 0); 4],
        end: total,
    };
    let mismatch = ParseError::LengthMismatch("the key exchange message");
    let found = [Walk::Whole, Walk::ShortEmpty, Walk::Missing]
        .into_iter()
        .any(|walk| walk_aws(message, CLIENT_FIXED, &mut layout.strings, walk));
    if found { Ok(Some(layout)) } else { Err(mismatch) }
}

/// How to read the strings of an AWS message. The readings can fit the same bytes, so they are tried in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Four strings with u32 lengths.
    Whole,
    /// Four strings, of which empty ones may be a u16 0: an older revision of the client.
    ShortEmpty,
    /// Strings with u32 lengths, some absent at the end.
    Missing,
}

/// Fills in strings so that they end exactly where `message` does.
///
/// Lengths below 65536 start with the same two bytes as a short empty string, so both are tried: at most 16 paths.
fn walk_aws(message: &[u8], at: usize, strings: &mut [(usize, usize)], walk: Walk) -> bool {
    let at_end = at == message.len();
    let Some((first, others)) = strings.split_first_mut() else {
        return at_end;
    };
    if at_end && walk == Walk::Missing {
        *first = (0, 0);
        return walk_aws(message, at, others, walk);
    }
    let mut reader = Reader::new(message.get(at..).unwrap_or_default());
    if let Ok(len) = reader.u32("a length")
        && let Ok(text) = reader.take(len as usize, "a string")
    {
        let end = at + 4 + text.len();
        if matches!(text.last(), None | Some(0)) && walk_aws(message, end, others, walk) {
            *first = (at + 4, end);
            return true;
        }
    }
    if walk == Walk::ShortEmpty
        && message.get(at..at + 2) == Some(&[0, 0])
        && walk_aws(message, at + 2, others, walk)
    {
        *first = (at + 2, at + 2);
        return true;
    }
    false
}

fn client_message(bytes: &[u8], layout: Layout) -> Result<KeyMethod2Client, ParseError> {
    let mut reader = Reader::new(bytes);
    reader.u32("the length")?;
    key_method(&mut reader)?;
    let pre_master = Zeroizing::new(reader.array("the pre-master secret")?);
    let random1 = Zeroizing::new(reader.array("client random 1")?);
    let random2 = Zeroizing::new(reader.array("client random 2")?);
    let mut strings = [None; 4];
    for ((slot, (start, end)), what) in strings.iter_mut().zip(layout.strings).zip(STRINGS) {
        *slot = terminated(bytes.get(start..end).unwrap_or_default(), what)?;
    }
    let [options_bytes, username, password, peer_info] = strings;
    Ok(KeyMethod2Client {
        dialect: layout.dialect,
        pre_master,
        random1,
        random2,
        options: options(options_bytes)?,
        username: username.map(printable_lossy),
        password: password.map(secret_lossy),
        peer_info: PeerInfo::parse(&String::from_utf8_lossy(peer_info.unwrap_or_default())),
    })
}

fn key_method(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    match reader.u8("the key method")? & 0x0f {
        2 => Ok(()),
        other => Err(ParseError::KeyMethod(other)),
    }
}

/// The text of a string: nothing for length 0, else everything before the first NUL.
fn terminated<'a>(bytes: &'a [u8], what: &'static str) -> Result<Option<&'a [u8]>, ParseError> {
    match bytes.split_last() {
        None => Ok(None),
        Some((0, text)) => Ok(text.split(|byte| *byte == 0).next()),
        Some(_) => Err(ParseError::Unterminated(what)),
    }
}

/// The options string in its clean form, which can be longer than what was sent: a bad byte becomes U+FFFD.
/// It is the clean form that must keep to the limit, so that everything accepted can be written again.
fn options(bytes: Option<&[u8]>) -> Result<String, ParseError> {
    let options = printable_lossy(bytes.unwrap_or_default());
    if options.len() > MAX_OPTIONS {
        return Err(ParseError::TooLong {
            what: "the options string",
            len: options.len(),
            max: MAX_OPTIONS,
        });
    }
    Ok(options)
}

fn too_long(len: usize) -> ParseError {
    ParseError::TooLong {
        what: "the key exchange message",
        len,
        max: MAX_LEN,
    }
}
