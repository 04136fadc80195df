//! Which user and group names are safe to hand to files, commands and logs.

/// Longest user or group name, in bytes. Stock clients without PKCS#11 cut names at 127.
pub const MAX_NAME_BYTES: usize = 256;

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsafeName {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Over [`MAX_NAME_BYTES`].
    #[error("it is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// Control characters, among them NUL and line ends.
    #[error("it contains a control character")]
    Control,
    /// Would leave a folder when a command uses it as a file name.
    #[error("it contains a slash")]
    Slash,
    /// Would be an option or a hidden file.
    #[error("it begins with {0:?}")]
    Start(char),
    /// Spaces at an end are a typing error that no log shows.
    #[error("it begins or ends with a space")]
    Space,
}

/// Checks a user name that a client sent or an operator gave.
///
/// Backends' commands use names as file names, arguments and log text, so what could change the meaning
/// there is refused: control characters, `/`, a leading `-` or `.`, spaces at the ends.
///
/// # Errors
/// The first rule the name breaks.
pub fn check_name(name: &str) -> Result<(), UnsafeName> {
    let Some(first) = name.chars().next() else {
        return Err(UnsafeName::Empty);
    };
    if name.len() > MAX_NAME_BYTES {
        return Err(UnsafeName::TooLong);
    }
    if name
        .chars()
        .any(|letter| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'))
    {
        return Err(UnsafeName::Control);
    }
    if name.contains('/') {
        return Err(UnsafeName::Slash);
    }
    if matches!(first, '-' | '.') {
        return Err(UnsafeName::Start(first));
    }
    if name.trim() != name {
        return Err(UnsafeName::Space);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_directories_and_people_pass() {
        for name in [
            "alice",
            "alice@example.com",
            "CORP\\alice",
            "Zoë Müller",
            "用户",
            "a+b",
            "x=y",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_change_meaning_elsewhere_are_refused() {
        for (name, reason) in [
            ("", UnsafeName::Empty),
            ("a\nb", UnsafeName::Control),
            ("a\0", UnsafeName::Control),
            ("a\u{2028}b", UnsafeName::Control),
            ("../etc", UnsafeName::Slash),
            ("-rf", UnsafeName::Start('-')),
            (".ssh", UnsafeName::Start('.')),
            ("alice ", UnsafeName::Space),
            ("x".repeat(257).as_str(), UnsafeName::TooLong),
        ] {
            assert_eq!(check_name(name), Err(reason), "{name:?}");
        }
    }
}
