//! Filters of the describe calls: `Filter.1.Name`, `Filter.1.Value.1`.

use super::{Group, ParamError};

/// Filters in one request.
const MAX_FILTERS: usize = 50;
/// Values in one filter.
const MAX_VALUES: usize = 200;

/// Characters in one value: what it is compared with is shorter, and each comparison costs by its length.
const MAX_VALUE: usize = 1024;

/// One filter: it lets a resource pass if one of the values matches. Several filters must all let it pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    /// What is looked at, `endpoint-id` or `tag:Name` for instance.
    pub name: String,
    /// Patterns, at least one: `*` stands for any text, `?` for one character, a backslash makes the next character
    /// an ordinary one. Case matters.
    pub values: Vec<String>,
}

impl Filter {
    /// Whether one of the values matches `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.values.iter().any(|pattern| wildcard(pattern, text))
    }
}

impl Group<'_> {
    /// The filters of a describe call that knows those in `known`; a name that ends in a colon there stands for all
    /// that begin with it (`tag:`).
    ///
    /// # Errors
    /// [`ParamError::Filter`] without name or value, [`ParamError::Value`] for an unknown name,
    /// [`ParamError::FilterLimit`].
    pub fn filters(&self, known: &[&str]) -> Result<Vec<Filter>, ParamError> {
        let groups = self.groups("Filter");
        check_count(groups.len(), MAX_FILTERS, || self.full_name("Filter"))?;
        groups.iter().map(|group| filter(group, known)).collect()
    }
}

fn filter(group: &Group<'_>, known: &[&str]) -> Result<Filter, ParamError> {
    let incomplete = || ParamError::Filter(group.name().to_owned());
    let name = group
        .text("Name")
        .filter(|name| !name.is_empty())
        .ok_or_else(incomplete)?;
    let allowed = known.iter().any(|known| match known.strip_suffix(':') {
        Some(_) => name.len() > known.len() && name.starts_with(known),
        None => name == *known,
    });
    if !allowed {
        let reason = ["The filter is not known here. Known are: ", &known.join(", ")].concat();
        return Err(group.invalid("Name", reason));
    }
    let values = group.texts("Value");
    check_count(values.len(), MAX_VALUES, || group.full_name("Value"))?;
    if values.is_empty() {
        return Err(incomplete());
    }
    if values.iter().any(|value| value.chars().count() > MAX_VALUE) {
        let reason = format!("A value has more than {MAX_VALUE} characters");
        return Err(group.invalid("Value", reason));
    }
    Ok(Filter {
        name: name.to_owned(),
        values: values.into_iter().map(str::to_owned).collect(),
    })
}

fn check_count(count: usize, max: usize, name: impl FnOnce() -> String) -> Result<(), ParamError> {
    if count > max {
        return Err(ParamError::FilterLimit { name: name(), max });
    }
    Ok(())
}

/// What one character of a pattern stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Exactly(char),
}

/// Whether `pattern` matches all of `text`. Goes back to the last `*` only, so the work is bounded by the product of
/// both lengths whatever the pattern.
fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern = tokens(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    // Where to go on if it doesn't match: behind the last `*`, and the first character it hasn't eaten yet.
    let mut retry = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(Token::Any) => {
                at += 1;
                retry = Some((at, read));
                continue;
            }
            Some(&token) if token == Token::One || token == Token::Exactly(text[read]) => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            _ => {}
        }
        let Some((behind, eaten)) = retry else {
            return false;
        };
        (at, read) = (behind, eaten + 1);
        retry = Some((behind, read));
    }
    pattern[at..].iter().all(|&token| token == Token::Any)
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut characters = pattern.chars();
    let mut tokens = Vec::new();
    while let Some(c) = characters.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Exactly(characters.next().unwrap_or('\\')),
            c => Token::Exactly(c),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let good = [
            ("abc", "abc"),
            ("*", ""),
            ("a*c", "abbbc"),
            ("a*c", "acbc"),
            ("a?c", "a\u{1234}c"),
            ("*a*b*", "xxaxxbxx"),
            ("a\\*", "a*"),
            ("a\\\\", "a\\"),
            ("a\\", "a\\"),
            ("", ""),
        ];
        for (pattern, text) in good {
            assert!(wildcard(pattern, text), "{pattern} {text}");
        }
        let bad = [
            ("abc", "Abc"),
            ("a*c", "ab"),
            ("a?", "a"),
            ("a\\*", "ab"),
            ("", "a"),
            ("?", ""),
            ("a", "ab"),
        ];
        for (pattern, text) in bad {
            assert!(!wildcard(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "*a".repeat(500);
        assert!(!wildcard(
            &pattern,
            &["a".repeat(20_000), "b".to_owned()].concat()
        ));
    }
}
