//! Connection logs of Client VPN endpoints: who connected, who wasn't let in, how much was carried, and when it ended.
//!
//! A [`Record`] is one entry, plain data; [`Record::line`] writes it as AWS Client VPN does. It goes to a stream of a
//! group, as in CloudWatch Logs: [`name`] says what those may be called. [`FileLog`] keeps a group in files, one for
//! each stream, which are turned over when [`Rotation`] says so: it is told the time and does nothing itself.
//! [`FileLogReader`] reads such a group. [`JournalLog`] keeps a group in the systemd journal.
//!
//! Source: AWS Client VPN Administrator Guide, "Connection logging".

#![forbid(unsafe_code)]

mod file;
mod journal;
pub mod name;
mod record;

pub use file::{FileLog, FileLogError, FileLogFollower, FileLogReader, Rotation, StreamFiles};
pub use journal::{JOURNAL_SOCKET, JournalError, JournalLog};
pub use record::{Attempt, Client, Counters, Record, Session, Transport};

/// A moment, UTC.
#[cfg(test)]
fn utc(date: (i32, u8, u8), time: (u8, u8, u8)) -> time::OffsetDateTime {
    let month = time::Month::try_from(date.1).unwrap();
    let day = time::Date::from_calendar_date(date.0, month, date.2).unwrap();
    day.with_hms(time.0, time.1, time.2).unwrap().assume_utc()
}
