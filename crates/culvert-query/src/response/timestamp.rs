//! The forms in which the API writes points in time.

use time::{OffsetDateTime, UtcOffset};

/// How a point in time is written. All are in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-01-31T23:59:58.120Z`, of members that the API declares as time stamps.
    Millis,
    /// `2026-01-31T23:59:58`, of an endpoint's creation time.
    Seconds,
    /// `2026-01-31 23:59:58`, of connections.
    Spaced,
}

impl TimeFormat {
    /// The text.
    pub fn format(self, time: OffsetDateTime) -> String {
        // A time that has no year in UTC any more stays in its own zone.
        let time = time.checked_to_offset(UtcOffset::UTC).unwrap_or(time);
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        let (hour, minute, second, milli) = time.to_hms_milli();
        let date = format!("{year:04}-{month:02}-{day:02}");
        let clock = format!("{hour:02}:{minute:02}:{second:02}");
        match self {
            Self::Millis => format!("{date}T{clock}.{milli:03}Z"),
            Self::Seconds => [&*date, &clock].join("T"),
            Self::Spaced => [&*date, &clock].join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_in_utc() {
        let east = UtcOffset::from_hms(9, 0, 0).expect("a zone");
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_769_903_998_120_999_999)
            .expect("a time")
            .to_offset(east);
        assert_eq!(TimeFormat::Millis.format(time), "2026-01-31T23:59:58.120Z");
        assert_eq!(TimeFormat::Seconds.format(time), "2026-01-31T23:59:58");
        assert_eq!(TimeFormat::Spaced.format(time), "2026-01-31 23:59:58");
    }
}
