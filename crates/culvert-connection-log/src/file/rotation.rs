//! When a file is full.

use std::time::Duration;

use time::OffsetDateTime;

/// When files are turned over, and how many old ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The size a file does not grow beyond, in bytes; a single line may.
    pub size: u64,
    /// The age of a file's first line at which a new file begins; `None`: any age.
    pub age: Option<Duration>,
    /// How many old files of a stream stay; the oldest is removed for a new one.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            size: 64 << 20,
            age: None,
            keep: 9,
        }
    }
}

impl Rotation {
    /// Whether a file with a content of this size that began then is to be turned over before so many bytes are added.
    /// An empty one never is.
    pub fn is_due(&self, size: u64, began: OffsetDateTime, adding: u64, now: OffsetDateTime) -> bool {
        let full = size.saturating_add(adding) > self.size;
        // A clock that was set back makes a file younger, not old.
        let old = self
            .age
            .is_some_and(|age| Duration::try_from(now - began).is_ok_and(|found| found >= age));
        size > 0 && (full || old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::utc;

    #[test]
    fn a_file_is_turned_over_before_it_grows_too_large_or_old() {
        let rotation = Rotation {
            size: 100,
            age: Some(Duration::from_secs(60)),
            keep: 2,
        };
        let began = utc((2026, 11, 22), (9, 0, 0));
        let due = |size, adding, seconds: i64| {
            rotation.is_due(size, began, adding, began + time::Duration::seconds(seconds))
        };
        assert!(!due(90, 10, 0));
        assert!(due(90, 11, 0));
        assert!(!due(1, 1, 59));
        assert!(due(1, 1, 60));
        assert!(!due(0, 1000, 1000), "an empty file has nothing to turn over");
        assert!(!due(1, 1, -3600), "the clock was set back");
        assert!(due(1, u64::MAX, 0), "no overflow");
    }
}
