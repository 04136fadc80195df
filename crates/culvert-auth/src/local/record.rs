//! The users file as text and as records; comments and order survive a change.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use argon2::password_hash::phc::PasswordHash;

use super::password;
use crate::backend::place_address;
use crate::name::{UnsafeName, check_name};

/// What can be wrong with the users file or a change to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersError {
    /// The file cannot be read, locked or replaced.
    #[error("cannot {action} the users file {}: {source}", path.display())]
    Io {
        /// `read`, `lock` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is no text or larger than a users file can be.
    #[error("{} is no users file: {reason}", path.display())]
    NotUsers {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// A name that may not be used.
    #[error("the name {name:?} cannot be used: {reason}")]
    Name {
        /// The name.
        name: String,
        /// The rule it breaks.
        reason: String,
    },
    /// The password cannot be used.
    #[error("{0}")]
    Password(&'static str),
    /// The user is there already.
    #[error("user {0:?} exists already; change the password with `culvert user passwd`")]
    Exists(String),
    /// There is no such user.
    #[error("there is no user {0:?}; `culvert user list` shows who there is")]
    Unknown(String),
    /// A second static address of a family, or two users with one address.
    #[error("address {0} is given already")]
    Address(IpAddr),
}

/// One user.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    name: String,
    pub(super) hash: PasswordHash,
    groups: Vec<String>,
    static_v4: Option<Ipv4Addr>,
    static_v6: Option<Ipv6Addr>,
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .field("static_v4", &self.static_v4)
            .field("static_v6", &self.static_v6)
            .finish_non_exhaustive()
    }
}

impl UserRecord {
    /// A user with a password hash that [`super::hash_password`] made, groups, and at most one address of
    /// each family.
    ///
    /// # Errors
    /// [`UsersError::Name`], [`UsersError::Password`] or [`UsersError::Address`].
    pub fn new(name: &str, hash: &str, groups: &[String], addresses: &[IpAddr]) -> Result<Self, UsersError> {
        check_local_name(name)?;
        groups.iter().try_for_each(|group| check_group(group))?;
        let hash = password::parse(hash).map_err(UsersError::Password)?;
        let mut user = Self {
            name: name.into(),
            hash,
            groups: groups.to_vec(),
            static_v4: None,
            static_v6: None,
        };
        for address in addresses {
            if !place_address(*address, &mut user.static_v4, &mut user.static_v6) {
                return Err(UsersError::Address(*address));
            }
        }
        Ok(user)
    }

    /// User name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Groups, for authorization rules.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Address reserved for the user.
    pub fn static_v4(&self) -> Option<Ipv4Addr> {
        self.static_v4
    }

    /// Address reserved for the user.
    pub fn static_v6(&self) -> Option<Ipv6Addr> {
        self.static_v6
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.static_v4
            .map(IpAddr::V4)
            .into_iter()
            .chain(self.static_v6.map(IpAddr::V6))
    }

    fn parse(line: &str) -> Result<Self, String> {
        let mut fields = line.split_ascii_whitespace();
        let (Some(name), Some(hash)) = (fields.next(), fields.next()) else {
            return Err("a user needs a name and a password hash".into());
        };
        let (mut groups, mut addresses) = (Vec::new(), Vec::new());
        for field in fields {
            match field.split_once('=') {
                Some(("groups", list)) => groups.extend(list.split(',').map(str::to_owned)),
                Some(("address", address)) => addresses.push(
                    address
                        .parse()
                        .map_err(|_| format!("{address:?} is no IP address"))?,
                ),
                _ => {
                    return Err(format!(
                        "unknown field {field:?}; known are groups=A,B and address=IP"
                    ));
                }
            }
        }
        Self::new(name, hash, &groups, &addresses).map_err(|error| error.to_string())
    }
}

impl fmt::Display for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.hash)?;
        if !self.groups.is_empty() {
            write!(f, " groups={}", self.groups.join(","))?;
        }
        self.addresses()
            .try_for_each(|address| write!(f, " address={address}"))
    }
}

/// Names in the file stand between spaces, so they may hold none.
fn check_local_name(name: &str) -> Result<(), UsersError> {
    let refuse = |reason: String| {
        Err(UsersError::Name {
            name: name.into(),
            reason,
        })
    };
    match check_name(name) {
        Err(reason) => refuse(reason.to_string()),
        Ok(()) if name.contains(char::is_whitespace) => refuse("it contains a space".into()),
        Ok(()) if name.starts_with('#') => refuse(UnsafeName::Start('#').to_string()),
        Ok(()) => Ok(()),
    }
}

fn check_group(name: &str) -> Result<(), UsersError> {
    if name.contains(',') {
        return Err(UsersError::Name {
            name: name.into(),
            reason: "it contains a comma".into(),
        });
    }
    check_local_name(name)
}

#[derive(Clone, Debug)]
enum Line {
    User(Box<UserRecord>),
    /// Comment or blank, kept as it is.
    Other(String),
}

/// The content of a users file.
#[derive(Clone, Debug, Default)]
pub struct UserFile {
    lines: Vec<Line>,
    /// Name to line.
    index: HashMap<String, usize>,
}

impl UserFile {
    /// Parses the file's text; `path` is for error messages.
    ///
    /// # Errors
    /// [`UsersError::Line`] for the first line that is wrong.
    pub fn parse(text: &str, path: &std::path::Path) -> Result<Self, UsersError> {
        let mut file = Self::default();
        for (number, line) in text.lines().enumerate() {
            let wrong = |reason| UsersError::Line {
                path: path.into(),
                line: number + 1,
                reason,
            };
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                file.lines.push(Line::Other(line.into()));
                continue;
            }
            let user = UserRecord::parse(trimmed).map_err(wrong)?;
            if file.index.insert(user.name.clone(), number).is_some() {
                return Err(wrong(format!(
                    "user {:?} is there twice; remove one line",
                    user.name
                )));
            }
            file.lines.push(Line::User(Box::new(user)));
        }
        Ok(file)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::User(user) => text.push_str(&user.to_string()),
                Line::Other(other) => text.push_str(other),
            }
            text.push('\n');
        }
        text
    }

    /// All users, in the file's order.
    pub fn users(&self) -> impl Iterator<Item = &UserRecord> {
        self.lines.iter().filter_map(|line| match line {
            Line::User(user) => Some(&**user),
            Line::Other(_) => None,
        })
    }

    /// The user of that exact name.
    pub fn find(&self, name: &str) -> Option<&UserRecord> {
        match self.lines.get(*self.index.get(name)?) {
            Some(Line::User(user)) => Some(user),
            _ => None,
        }
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`UsersError::Exists`]; [`UsersError::Address`] if another user has one of the addresses.
    pub fn add(&mut self, user: UserRecord) -> Result<(), UsersError> {
        if self.index.contains_key(&user.name) {
            return Err(UsersError::Exists(user.name));
        }
        for address in user.addresses() {
            if self
                .users()
                .any(|other| other.addresses().any(|taken| taken == address))
            {
                return Err(UsersError::Address(address));
            }
        }
        self.index.insert(user.name.clone(), self.lines.len());
        self.lines.push(Line::User(Box::new(user)));
        Ok(())
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], [`UsersError::Password`].
    pub fn set_password(&mut self, name: &str, hash: &str) -> Result<(), UsersError> {
        let hash = password::parse(hash).map_err(UsersError::Password)?;
        match self.index.get(name).and_then(|line| self.lines.get_mut(*line)) {
            Some(Line::User(user)) => {
                user.hash = hash;
                Ok(())
            }
            _ => Err(UsersError::Unknown(name.into())),
        }
    }

    /// Removes a user.
    ///
    /// # Errors
    /// [`UsersError::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        let line = self
            .index
            .remove(name)
            .ok_or_else(|| UsersError::Unknown(name.into()))?;
        self.lines.remove(line);
        self.index
            .values_mut()
            .filter(|other| **other > line)
            .for_each(|other| *other -= 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const HASH: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    fn parse(text: &str) -> Result<UserFile, String> {
        UserFile::parse(text, Path::new("users")).map_err(|error| error.to_string())
    }

    #[test]
    fn groups_addresses_comments_and_blanks_survive_a_round_trip() {
        let text = format!(
            "# staff\n\nalice {HASH} groups=dev,ops address=10.8.0.9 address=fd00::9\n  # guests\nbob {HASH}\n"
        );
        let file = parse(&text).unwrap();
        assert_eq!(file.to_text(), text);
        let alice = file.find("alice").unwrap();
        assert_eq!(alice.groups(), ["dev", "ops"]);
        assert_eq!(alice.static_v4(), Some("10.8.0.9".parse().unwrap()));
        assert_eq!(alice.static_v6(), Some("fd00::9".parse().unwrap()));
        assert_eq!(
            file.users().map(UserRecord::name).collect::<Vec<_>>(),
            ["alice", "bob"]
        );
    }

    #[test]
    fn changes_keep_the_other_lines_and_the_index() {
        let mut file = parse(&format!("# c\na {HASH}\nb {HASH}\nc {HASH}\n")).unwrap();
        file.remove("a").unwrap();
        file.set_password("c", HASH).unwrap();
        file.add(UserRecord::new("d", HASH, &["g".into()], &[]).unwrap())
            .unwrap();
        assert_eq!(
            file.to_text(),
            format!("# c\nb {HASH}\nc {HASH}\nd {HASH} groups=g\n")
        );
        assert_eq!(file.find("d").unwrap().name(), "d");
        assert!(matches!(file.remove("a"), Err(UsersError::Unknown(_))));
        assert!(matches!(
            file.set_password("a", HASH),
            Err(UsersError::Unknown(_))
        ));
        let again = UserRecord::new("b", HASH, &[], &[]).unwrap();
        assert!(matches!(file.add(again), Err(UsersError::Exists(_))));
        assert_eq!(file.len(), 3);
    }

    #[test]
    fn one_address_belongs_to_one_user() {
        let address: IpAddr = "10.8.0.9".parse().unwrap();
        let mut file = UserFile::default();
        file.add(UserRecord::new("a", HASH, &[], &[address]).unwrap())
            .unwrap();
        let second = UserRecord::new("b", HASH, &[], &[address]).unwrap();
        assert!(matches!(file.add(second), Err(UsersError::Address(_))));
        assert!(UserRecord::new("b", HASH, &[], &[address, "10.8.0.10".parse().unwrap()]).is_err());
    }

    #[test]
    fn errors_name_the_line_and_the_cause() {
        for (text, expected) in [
            ("alice", "users:1: a user needs a name and a password hash"),
            (
                "# x\nalice secret",
                "users:2: the password field is no PHC string",
            ),
            (
                &format!("a {HASH} shell=/bin/sh"),
                "users:1: unknown field \"shell=/bin/sh\"",
            ),
            (
                &format!("a {HASH} address=10.0.0"),
                "users:1: \"10.0.0\" is no IP address",
            ),
            (
                &format!("a {HASH}\na {HASH}"),
                "users:2: user \"a\" is there twice",
            ),
            (
                &format!("../a {HASH}"),
                "users:1: the name \"../a\" cannot be used: it contains a slash",
            ),
            (
                &format!("a {HASH} groups=x,,y"),
                "users:1: the name \"\" cannot be used: it is empty",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn whatever_can_be_built_reads_back(
            name in "[a-z@=:$][a-z0-9@=:$#,\\\\]{0,20}",
            groups in proptest::collection::vec("[a-z=][a-z0-9=]{0,8}", 0..4),
            v4 in any::<Option<u32>>(),
            v6 in any::<Option<u128>>(),
        ) {
            let addresses: Vec<IpAddr> = v4
                .map(|bits| IpAddr::from(Ipv4Addr::from(bits)))
                .into_iter()
                .chain(v6.map(|bits| IpAddr::from(Ipv6Addr::from(bits))))
                .collect();
            let user = UserRecord::new(&name, HASH, &groups, &addresses).unwrap();
            let mut file = UserFile::default();
            file.add(user.clone()).unwrap();
            let back = parse(&file.to_text()).unwrap();
            prop_assert_eq!(back.find(&name), Some(&user));
        }
    }
}
