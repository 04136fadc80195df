//! When a request was signed.

use time::OffsetDateTime;
use time::format_description::well_known::{Iso8601, Rfc2822};

/// The time of a signature and how it appears in what was signed: `20260101T000000Z`.
pub(super) struct Timestamp {
    pub(super) time: OffsetDateTime,
    pub(super) text: String,
}

impl Timestamp {
    /// Reads `20260101T000000Z`, the form of `X-Amz-Date`.
    pub(super) fn from_basic(text: &[u8]) -> Option<Self> {
        let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if text.len() != 16
            || !digits(&text[..8])
            || text[8] != b'T'
            || !digits(&text[9..15])
            || text[15] != b'Z'
        {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        Some(Self {
            time: OffsetDateTime::parse(text, &Iso8601::PARSING).ok()?,
            text: text.to_owned(),
        })
    }

    /// Reads a `Date` header field: HTTP's form, or that of `X-Amz-Date`.
    pub(super) fn from_date(text: &[u8]) -> Option<Self> {
        if let Some(basic) = Self::from_basic(text) {
            return Some(basic);
        }
        let time = OffsetDateTime::parse(std::str::from_utf8(text).ok()?, &Rfc2822)
            .ok()?
            .checked_to_offset(time::UtcOffset::UTC)?;
        let [year, month, day] = [time.year(), i32::from(u8::from(time.month())), time.day().into()];
        let (hour, minute, second) = time.to_hms();
        let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
        Some(Self { time, text })
    }

    /// The day, `20260101`.
    pub(super) fn date(&self) -> &str {
        self.text.get(..8).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_date_mean_the_same() {
        let basic = Timestamp::from_basic(b"20150830T123600Z").unwrap();
        let http = Timestamp::from_date(b"Sun, 30 Aug 2015 12:36:00 GMT").unwrap();
        assert_eq!(basic.time.unix_timestamp(), 1_440_938_160);
        assert_eq!((http.time, &http.text), (basic.time, &basic.text));
        assert_eq!(basic.date(), "20150830");
        assert!(Timestamp::from_date(b"20150830T123600Z").is_some());
    }

    #[test]
    fn other_forms_and_impossible_dates_are_refused() {
        let bad: [&[u8]; 7] = [
            b"",
            b"2015-08-30T12:36Z",
            b"20150830T1236+01",
            b"20151330T123600Z",
            b"20150830T126100Z",
            b"2015-242T123600Z",
            b"\xff0150830T123600Z",
        ];
        for text in bad {
            assert!(Timestamp::from_basic(text).is_none(), "{text:?}");
            assert!(Timestamp::from_date(text).is_none(), "{text:?}");
        }
    }
}
