//! Keys, values and ranges of keys: bytes, ordered.

use std::fmt;
use std::ops::Bound;

use zeroize::Zeroize;

/// A key: bytes, ordered as bytes. By convention a path, e.g. `/endpoints/cvpn-endpoint-1/rules/3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Key {
    fn from(bytes: &T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A value: bytes, which may be a secret. Wiped when dropped; `Debug` tells its length only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Value(Vec<u8>);

impl Value {
    /// The value's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value's bytes, without a copy. From now on they are the caller's to wipe.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Value {
    fn from(bytes: &T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// Bounds for an ordered table of bytes.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys from `start` up to and without `end`; without an `end`, all keys from `start` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Key,
    end: Option<Key>,
}

impl KeyRange {
    /// The keys from `start` up to and without `end`.
    pub fn new(start: impl Into<Key>, end: impl Into<Key>) -> Self {
        Self {
            start: start.into(),
            end: Some(end.into()),
        }
    }

    /// One key.
    pub fn single(key: impl Into<Key>) -> Self {
        let start = key.into();
        let mut end = start.clone();
        end.0.push(0);
        Self {
            start,
            end: Some(end),
        }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Key>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        while end.0.last() == Some(&u8::MAX) {
            end.0.pop();
        }
        // The last byte that can grow does; if none can, nothing comes after the prefix.
        let end = end.0.last_mut().map(|last| *last += 1).map(|()| end);
        Self { start, end }
    }

    /// Every key.
    pub fn all() -> Self {
        Self {
            start: Key(Vec::new()),
            end: None,
        }
    }

    /// The first key that may be in the range.
    pub fn start(&self) -> &Key {
        &self.start
    }

    /// The first key behind the range.
    pub fn end(&self) -> Option<&Key> {
        self.end.as_ref()
    }

    /// Whether the key is in the range.
    pub fn contains(&self, key: &Key) -> bool {
        self.contains_bytes(key.as_bytes())
    }

    pub(crate) fn contains_bytes(&self, key: &[u8]) -> bool {
        key >= self.start.as_bytes() && self.end.as_ref().is_none_or(|end| key < end.as_bytes())
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// The bounds for an ordered table of bytes; `None` if the range is empty.
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        let end = self
            .end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_bytes()));
        (!self.is_empty()).then(|| (Bound::Included(self.start.as_bytes()), end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_that_does_not_share_it() {
        let range = KeyRange::prefix("/a");
        assert!(range.contains(&"/a".into()) && range.contains(&"/a/b".into()));
        assert!(range.contains(&Key::from(b"/a\xff\xff")));
        assert!(!range.contains(&"/b".into()) && !range.contains(&"/".into()));
    }

    #[test]
    fn a_prefix_of_highest_bytes_has_no_end_or_an_earlier_one() {
        assert_eq!(KeyRange::prefix(b"\xff\xff").end(), None);
        assert_eq!(KeyRange::prefix(b"a\xff").end(), Some(&Key::from("b")));
        assert_eq!(KeyRange::prefix(""), KeyRange::all());
    }

    #[test]
    fn a_single_key_is_alone_in_its_range() {
        let range = KeyRange::single("k");
        assert!(range.contains(&"k".into()));
        assert!(!range.contains(&Key::from(b"k\0")) && !range.contains(&"j".into()));
    }

    #[test]
    fn an_inverted_range_is_empty() {
        assert!(KeyRange::new("b", "a").is_empty() && KeyRange::new("a", "a").is_empty());
        assert!(KeyRange::new("b", "a").bounds().is_none());
    }

    #[test]
    fn debug_never_shows_a_value() {
        assert_eq!(format!("{:?}", Value::from("hunter2")), "<7 bytes>");
    }
}
