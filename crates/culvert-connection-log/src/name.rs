//! What log groups and streams may be called.
//!
//! Groups have the characters of CloudWatch Logs. Streams have the same ones, fewer than there: a stream may become the
//! name of a file.

use time::OffsetDateTime;

/// Longest name of a group, as on AWS.
pub const MAX_GROUP: usize = 512;
/// Longest name of a stream. With what rotation adds it still is the name of a file.
pub const MAX_STREAM: usize = 200;
/// Longest part of a group's name between two slashes: each becomes a folder.
const MAX_PART: usize = 200;
/// Random characters at the end of an automatic name.
const RANDOM: usize = 12;

/// A name that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name of a log {what}: {reason}")]
pub struct BadName {
    /// What was given.
    pub name: String,
    /// `group` or `stream`.
    pub what: &'static str,
    /// Why it can't be used.
    pub reason: String,
}

/// Checks the name of a group.
///
/// # Errors
/// Fails for a name that is empty or too long, has other characters than letters, digits and `_ - / . #`, or parts that
/// can't be folders.
pub fn check_group(name: &str) -> Result<(), BadName> {
    let refuse = |reason: String| bad("group", name, reason);
    check(name, MAX_GROUP).map_err(refuse)?;
    let mut parts = name.strip_prefix('/').unwrap_or(name).split('/');
    match parts.find(|part| matches!(*part, "" | "." | "..") || part.len() > MAX_PART) {
        Some(part) => Err(refuse(format!(
            "its part {part:?} can't be a folder; write 1 to {MAX_PART} characters between two slashes"
        ))),
        None => Ok(()),
    }
}

/// Checks the name of a stream.
///
/// # Errors
/// Fails for a name that is empty or too long, or has other characters than letters, digits and `_ - / . #`.
pub fn check_stream(name: &str) -> Result<(), BadName> {
    check(name, MAX_STREAM).map_err(|reason| bad("stream", name, reason))
}

fn check(name: &str, most: usize) -> Result<(), String> {
    let known = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    if name.is_empty() || name.len() > most {
        return Err(format!("use 1 to {most} characters"));
    }
    match name.chars().find(|c| !known(*c)) {
        Some(other) => Err(format!(
            "{other:?} can't be in it; use letters, digits and _ - / . #"
        )),
        None => Ok(()),
    }
}

fn bad(what: &'static str, name: &str, reason: String) -> BadName {
    BadName {
        // A message is read by people.
        name: name.chars().take(64).collect(),
        what,
        reason,
    }
}

/// The name of a stream where none is chosen: `ENDPOINT-REGION-YYYY/MM/DD-` and 12 random letters and digits.
pub fn automatic_stream(endpoint: &str, region: &str, now: OffsetDateTime, random: [u8; RANDOM]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let random: String = random
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .map(|letter| char::from(*letter))
        .collect();
    format!("{endpoint}-{region}-{year:04}/{month:02}/{day:02}-{random}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::utc;

    #[test]
    fn an_automatic_name_tells_endpoint_region_and_day_and_can_be_used() {
        let random = [0, 1, 9, 10, 35, 36, 61, 62, 63, 123, 124, 255];
        let name = automatic_stream(
            "cvpn-endpoint-0f0e0d0c0b0a09080",
            "us-east-1",
            utc((2026, 3, 7), (23, 59, 59)),
            random,
        );
        assert_eq!(
            name,
            "cvpn-endpoint-0f0e0d0c0b0a09080-us-east-1-2026/03/07-019AZaz01z07"
        );
        assert_eq!(check_stream(&name), Ok(()));
    }

    #[test]
    fn groups_that_would_leave_their_folder_are_refused() {
        for good in ["/vpn/office", "office", "a/b_c-d.e#f", "...", "/..a"] {
            assert_eq!(check_group(good), Ok(()), "{good}");
        }
        let long = "a".repeat(MAX_PART + 1);
        for bad in [
            "", "/", "//a", "a//b", "a/", "/a/../b", "..", ".", "a b", "a:b", "a\0", "é", &long,
        ] {
            assert!(check_group(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn streams_have_the_same_characters_and_a_length() {
        for good in ["office", "/", "..", &"s".repeat(MAX_STREAM)] {
            assert_eq!(check_stream(good), Ok(()), "{good}");
        }
        for bad in ["", "a:b", "a*", "a\n", &"s".repeat(MAX_STREAM + 1)] {
            assert!(check_stream(bad).is_err(), "{bad}");
        }
    }
}
