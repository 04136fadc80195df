//! The database `index.txt`: one line per certificate, in the format of `openssl ca`.
//!
//! ```text
//! V⇥290225013020Z⇥⇥8F12C0…⇥unknown⇥/CN=carol
//! R⇥290225013020Z⇥261123013020Z,keyCompromise⇥F86540…⇥unknown⇥/CN=bob
//! ```
//!
//! Fields: state (`V`alid, `R`evoked, `E`xpired), end of validity, time and reason of revocation, serial
//! number in hex, file name (always `unknown`), subject. Times are UTC, `YYMMDDhhmmssZ` until 2049 and
//! `YYYYMMDDhhmmssZ` after. Lines that are not changed keep every byte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::error::PkiError;
use crate::files;

/// Why a certificate is revoked. Names as in OpenSSL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// No reason given.
    #[default]
    Unspecified,
    /// The private key may be known to others.
    KeyCompromise,
    /// The authority's key may be known to others.
    CaCompromise,
    /// The holder's name or affiliation changed.
    AffiliationChanged,
    /// Another certificate takes its place.
    Superseded,
    /// The holder is gone.
    CessationOfOperation,
    /// Suspended.
    CertificateHold,
}

impl RevocationReason {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Unspecified, "unspecified"),
        (Self::KeyCompromise, "keyCompromise"),
        (Self::CaCompromise, "CACompromise"),
        (Self::AffiliationChanged, "affiliationChanged"),
        (Self::Superseded, "superseded"),
        (Self::CessationOfOperation, "cessationOfOperation"),
        (Self::CertificateHold, "certificateHold"),
    ];

    /// OpenSSL's name of the reason.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(reason, _)| *reason == self)
            .map_or("unspecified", |(_, name)| name)
    }

    pub(crate) fn for_crl(self) -> Option<rcgen::RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(rcgen::RevocationReason::KeyCompromise),
            Self::CaCompromise => Some(rcgen::RevocationReason::CaCompromise),
            Self::AffiliationChanged => Some(rcgen::RevocationReason::AffiliationChanged),
            Self::Superseded => Some(rcgen::RevocationReason::Superseded),
            Self::CessationOfOperation => Some(rcgen::RevocationReason::CessationOfOperation),
            Self::CertificateHold => Some(rcgen::RevocationReason::CertificateHold),
        }
    }
}

impl FromStr for RevocationReason {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let found = Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(reason, _)| *reason).ok_or_else(|| PkiError::Name {
            name: text.into(),
            reason: "reasons are unspecified, keyCompromise, CACompromise, affiliationChanged, superseded, cessationOfOperation and certificateHold",
        })
    }
}

/// State of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In force.
    Valid,
    /// Past its end.
    Expired,
    /// Revoked.
    Revoked {
        /// When.
        at: OffsetDateTime,
        /// Why.
        reason: RevocationReason,
    },
}

/// One certificate of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Serial number: upper-case hex, an even number of digits.
    pub serial: String,
    /// Common name; empty if the subject has none.
    pub common_name: String,
    /// The whole subject, `/CN=…`.
    pub subject: String,
    /// End of validity.
    pub not_after: OffsetDateTime,
    /// State at the time of asking.
    pub status: Status,
}

impl Entry {
    /// The serial number's bytes.
    pub(crate) fn serial_bytes(&self) -> Vec<u8> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map_or(0, |digit| digit as u8);
        self.serial
            .as_bytes()
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |value, byte| value << 4 | digit(*byte)))
            .collect()
    }
}

#[derive(Clone, Debug)]
struct Line {
    entry: Entry,
    text: String,
}

/// The database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Index {
    /// Reads the database; a missing file is an empty one.
    pub(crate) fn read(path: PathBuf) -> Result<Self, PkiError> {
        let text = files::read_if_there(&path)?;
        let mut index = Self {
            path,
            lines: Vec::new(),
        };
        for (number, line) in text.iter().flat_map(|text| text.lines()).enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let entry = parse_line(line).map_err(|reason| PkiError::Index {
                path: index.path.clone(),
                line: number + 1,
                reason,
            })?;
            index.lines.push(Line {
                entry,
                text: line.into(),
            });
        }
        Ok(index)
    }

    /// Writes the database.
    pub(crate) fn write(&self) -> Result<(), PkiError> {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        files::replace(&self.path, text.as_bytes(), files::PUBLIC)
    }

    /// All entries with their state at `now`, oldest first.
    pub(crate) fn entries(&self, now: OffsetDateTime) -> impl Iterator<Item = Entry> {
        self.lines.iter().map(move |line| {
            let mut entry = line.entry.clone();
            if entry.status == Status::Valid && entry.not_after <= now {
                entry.status = Status::Expired;
            }
            entry
        })
    }

    /// Adds a valid certificate.
    pub(crate) fn add(&mut self, serial: &[u8], common_name: &str, not_after: OffsetDateTime) {
        let mut hex = String::new();
        for byte in serial {
            let _ = write!(hex, "{byte:02X}");
        }
        let subject = format!("/CN={}", escape(common_name));
        let text = format!("V\t{}\t\t{hex}\tunknown\t{subject}", format_time(not_after));
        let entry = Entry {
            serial: hex,
            common_name: common_name.into(),
            subject,
            not_after,
            status: Status::Valid,
        };
        self.lines.push(Line { entry, text });
    }

    /// Marks a certificate revoked. Nothing happens if there is none with that serial number.
    pub(crate) fn revoke(&mut self, serial: &str, at: OffsetDateTime, reason: RevocationReason) {
        let Some(line) = self.lines.iter_mut().find(|line| line.entry.serial == serial) else {
            return;
        };
        line.entry.status = Status::Revoked { at, reason };
        let mut when = format_time(at);
        if reason != RevocationReason::Unspecified {
            when = format!("{when},{}", reason.name());
        }
        let entry = &line.entry;
        let end = format_time(entry.not_after);
        line.text = format!("R\t{end}\t{when}\t{}\tunknown\t{}", entry.serial, entry.subject);
    }
}

fn parse_line(line: &str) -> Result<Entry, &'static str> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[state, end, revoked, serial, _, subject] = fields.as_slice() else {
        return Err("a database line has six fields separated by tabs");
    };
    if serial.is_empty() || serial.len() > 80 || !serial.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("the serial number is no hex number");
    }
    let mut serial = serial.to_ascii_uppercase();
    if serial.len() % 2 == 1 {
        serial.insert(0, '0');
    }
    let not_after = parse_time(end).ok_or("the end of validity is no time (YYMMDDhhmmssZ)")?;
    let status = match state {
        "V" | "E" => Status::Valid,
        "R" => parse_revocation(revoked)?,
        _ => return Err("the first field is none of V, R and E"),
    };
    Ok(Entry {
        serial,
        common_name: common_name(subject),
        subject: subject.into(),
        not_after,
        status,
    })
}

/// `time[,reason[,detail]]`
fn parse_revocation(text: &str) -> Result<Status, &'static str> {
    let mut parts = text.split(',');
    let at = parts
        .next()
        .and_then(parse_time)
        .ok_or("the time of revocation is no time (YYMMDDhhmmssZ)")?;
    let reason = match parts.next() {
        None | Some("") => RevocationReason::Unspecified,
        // OpenSSL's forms that carry a detail.
        Some("keyTime") => RevocationReason::KeyCompromise,
        Some("CAkeyTime") => RevocationReason::CaCompromise,
        Some("holdInstruction") => RevocationReason::CertificateHold,
        Some(name) => name.parse().map_err(|_| "the reason of revocation is unknown")?,
    };
    Ok(Status::Revoked { at, reason })
}

/// The common name within `/C=US/CN=name/emailAddress=x`; a later one wins.
fn common_name(subject: &str) -> String {
    let Some((_, rest)) = subject.rsplit_once("/CN=") else {
        return String::new();
    };
    // The next attribute, if any, begins at a slash that an `=` follows.
    let end = rest.match_indices('/').find(|(at, _)| {
        rest.get(at + 1..)
            .and_then(|next| next.split_once('='))
            .is_some_and(|(name, _)| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            })
    });
    unescape(
        rest.get(..end.map_or(rest.len(), |(at, _)| at))
            .unwrap_or_default(),
    )
}

/// OpenSSL's one-line form: bytes outside printable ASCII as `\xHH`.
fn escape(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if (b' '..=b'~').contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let code = rest
            .strip_prefix("\\x")
            .and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        let used = match code {
            Some(byte) => {
                bytes.push(byte);
                4
            }
            None => {
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                letter.len_utf8()
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn format_time(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let year = if at.year() < 2050 {
        format!("{:02}", at.year().rem_euclid(100))
    } else {
        format!("{:04}", at.year())
    };
    let (month, day) = (u8::from(at.month()), at.day());
    format!(
        "{year}{month:02}{day:02}{:02}{:02}{:02}Z",
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn parse_time(text: &str) -> Option<OffsetDateTime> {
    let digits = text
        .strip_suffix('Z')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match digits.len() {
        12 => {
            let year: i32 = digits.get(..2)?.parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                digits.get(2..)?,
            )
        }
        14 => (digits.get(..4)?.parse().ok()?, digits.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

/// The file's path within a PKI folder.
pub(crate) fn path_in(folder: &Path) -> PathBuf {
    folder.join("index.txt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(unix: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(unix).unwrap()
    }

    #[test]
    fn lines_of_easy_rsa_are_understood_and_kept_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        let text = "R\t290225013020Z\t261123013020Z,keyCompromise\tF8654042F8B5DA21E83846C386428B49\tunknown\t/CN=bob\n\
                    V\t290225013020Z\t\t8F12C058F8799D13D0B329D6FF6064C6\tunknown\t/C=US/CN=carol/emailAddress=c@x\n\
                    E\t050101000000Z\t\t1\tunknown\t/CN=old\n";
        std::fs::write(&path, text).unwrap();
        let index = Index::read(path.clone()).unwrap();
        let entries: Vec<_> = index.entries(at(1_800_000_000)).collect();
        let Status::Revoked { at: revoked, reason } = entries[0].status else {
            panic!()
        };
        assert_eq!(
            (revoked.unix_timestamp(), reason),
            (1_795_397_420, RevocationReason::KeyCompromise)
        );
        assert_eq!(
            (entries[1].common_name.as_str(), entries[1].status),
            ("carol", Status::Valid)
        );
        assert_eq!(
            (entries[2].serial.as_str(), entries[2].status),
            ("01", Status::Expired)
        );
        assert_eq!(entries[0].serial_bytes()[..2], [0xf8, 0x65]);
        index.write().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_is_added_and_revoked_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        let mut index = Index::read(path.clone()).unwrap();
        index.add(&[0x40, 1], "Zoë", at(4_000_000_000));
        index.add(&[0x40, 2], "a=b", at(1_900_000_000));
        index.revoke("4002", at(1_800_000_000), RevocationReason::Superseded);
        index.write().unwrap();
        let back = Index::read(path).unwrap();
        assert_eq!(
            back.entries(at(0)).collect::<Vec<_>>(),
            index.entries(at(0)).collect::<Vec<_>>()
        );
        let first = back.entries(at(0)).next().unwrap();
        assert_eq!(
            (first.common_name.as_str(), first.subject.as_str()),
            ("Zoë", "/CN=Zo\\xC3\\xAB")
        );
    }

    #[test]
    fn broken_lines_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        for line in [
            "hello",
            "V\tx\t\t01\tunknown\t/CN=a",
            "X\t290225013020Z\t\t01\tu\t/CN=a",
            "V\t290225013020Z\t\tzz\tu\t/CN=a",
        ] {
            std::fs::write(&path, format!("\n{line}\n")).unwrap();
            let error = Index::read(path.clone()).unwrap_err().to_string();
            assert!(error.contains("index.txt:2: "), "{error}");
        }
    }

    #[test]
    fn reasons_have_openssls_names() {
        for (reason, name) in RevocationReason::ALL {
            assert_eq!(name.parse::<RevocationReason>().unwrap(), reason);
            assert_eq!(reason.name(), name);
        }
        assert!("because".parse::<RevocationReason>().is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_or_refused_without_a_panic(line in "\\PC{0,80}", tabs in "[VRE]\t[0-9Z,a-z]{0,20}\t[0-9Z,a-z]{0,20}\t[0-9A-F]{0,9}\tx\t\\PC{0,30}") {
            let _ = parse_line(&line);
            let _ = parse_line(&tabs);
        }

        #[test]
        fn names_survive_escaping(name in "[^/\\p{Cc}\\\\]{1,64}") {
            prop_assert_eq!(common_name(&format!("/CN={}", escape(&name))), name);
        }

        #[test]
        fn times_survive_from_1950_to_9999(unix in -631_152_000_i64..253_402_300_799) {
            prop_assert_eq!(parse_time(&format_time(at(unix))), Some(at(unix)));
        }
    }
}
