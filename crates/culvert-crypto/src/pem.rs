//! The text frames around key material: `-----BEGIN name-----`, a body, `-----END name-----`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::KeyError;

/// A body between its BEGIN and END lines.
pub(crate) struct Body<'a> {
    /// The text between the two lines.
    pub(crate) text: &'a str,
    /// Line number of its first line in the file, from 1.
    pub(crate) first_line: usize,
}

/// Finds the frame called `name`; whatever stands before and after it is ignored.
///
/// # Errors
/// [`KeyError::NoKey`], [`KeyError::WrongKind`] if there is only another frame, [`KeyError::NoEnd`].
pub(crate) fn find<'a>(text: &'a str, name: &'static str) -> Result<Body<'a>, KeyError> {
    let mut other = None;
    let mut start = None;
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let next = at + line.len();
        let trimmed = line.trim();
        if let Some((body, first_line)) = start {
            if label(trimmed, "-----END ") == Some(name) {
                return Ok(Body {
                    text: text.get(body..at).unwrap_or_default(),
                    first_line,
                });
            }
        } else if let Some(found) = label(trimmed, "-----BEGIN ") {
            if found == name {
                start = Some((next, index + 2));
            } else if other.is_none() {
                other = Some(found);
            }
        }
        at = next;
    }
    Err(match (start, other) {
        (Some(_), _) => KeyError::NoEnd { wanted: name },
        // The name is quoted back: only a short, printable one, it comes from a file that may be anything.
        (None, Some(found)) => KeyError::WrongKind {
            wanted: name,
            found: found.chars().take(64).collect(),
        },
        (None, None) => KeyError::NoKey { wanted: name },
    })
}

fn label<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.strip_prefix(prefix)?.strip_suffix("-----")
}

/// Reads a frame whose body is base64; blanks and line ends in it are ignored.
///
/// # Errors
/// Those of [`find`], and [`KeyError::NotBase64`].
pub(crate) fn decode(text: &str, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let body = find(text, name)?;
    // Sized once: growing would leave copies of the key behind.
    let mut packed = Zeroizing::new(Vec::with_capacity(body.text.len()));
    packed.extend(body.text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(packed.len())]);
    let len = STANDARD
        .decode_slice(&packed[..], &mut bytes)
        .map_err(|_| KeyError::NotBase64)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Writes a frame whose body is base64 in lines of 64 characters.
pub(crate) fn encode(name: &str, bytes: &[u8]) -> Zeroizing<String> {
    let packed = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = Zeroizing::new(String::with_capacity(
        packed.len() + packed.len() / 64 + 2 * name.len() + 64,
    ));
    begin(&mut text, name);
    let mut rest = packed.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    end(&mut text, name);
    text
}

/// Appends the BEGIN line.
pub(crate) fn begin(text: &mut String, name: &str) {
    text.extend(["-----BEGIN ", name, "-----\n"]);
}

/// Appends the END line.
pub(crate) fn end(text: &mut String, name: &str) {
    text.extend(["-----END ", name, "-----\n"]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_64_characters_long() {
        let text = encode("X", &[7; 100]);
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [17, 64, 64, 8, 15]);
    }

    #[test]
    fn comments_blank_lines_and_windows_line_ends_do_not_matter() {
        let text = "# a comment\r\n\r\n-----BEGIN X-----\r\n QUJD \r\n\r\n-----END X-----\r\ntrailing";
        assert_eq!(decode(text, "X").unwrap().as_slice(), b"ABC");
    }

    #[test]
    fn the_wanted_frame_is_found_behind_another_one() {
        let text = "-----BEGIN Y-----\nAAAA\n-----END Y-----\n-----BEGIN X-----\nQUJD\n-----END X-----";
        assert_eq!(decode(text, "X").unwrap().as_slice(), b"ABC");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_apart() {
        assert_eq!(decode("", "X").unwrap_err(), KeyError::NoKey { wanted: "X" });
        let wrong = KeyError::WrongKind {
            wanted: "X",
            found: "Y".into(),
        };
        assert_eq!(
            decode("-----BEGIN Y-----\n-----END Y-----", "X").unwrap_err(),
            wrong
        );
        assert_eq!(
            decode("-----BEGIN X-----\nQUJD", "X").unwrap_err(),
            KeyError::NoEnd { wanted: "X" }
        );
        assert_eq!(
            decode("-----BEGIN X-----\n!!\n-----END X-----", "X").unwrap_err(),
            KeyError::NotBase64
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_back(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let text = encode("OpenVPN test", &bytes);
            let decoded = decode(&text, "OpenVPN test").unwrap();
            prop_assert_eq!(&decoded[..], &bytes[..]);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(-----(BEGIN|END) X-----|\\PC|\n){0,30}") {
            let _ = decode(&text, "X");
        }
    }
}
