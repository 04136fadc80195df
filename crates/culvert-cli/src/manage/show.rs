//! Printing what the API answers.

use serde::Serialize;
use serde_json::json;

use super::model::Status;
use crate::output::{Output, clean};

/// Prints a list: `{"NAME": [...]}`, or a table, or that there are no `things`.
pub(crate) fn list<T: Serialize>(
    output: &Output,
    name: &str,
    things: &str,
    items: &[T],
    table: impl FnOnce(&[T]) -> String,
) -> anyhow::Result<()> {
    output.emit(&json!({ name: items }), || {
        if items.is_empty() {
            return format!("no {things}");
        }
        table(items)
    })
}

/// Prints what became of a change: the answer as it is, or a sentence.
pub(crate) fn done<T: Serialize>(
    output: &Output,
    answer: &T,
    sentence: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    output.emit(&json!(answer), || clean(&sentence()))
}

/// Prints that something goes away, or is gone if that was waited for.
pub(crate) fn going<T: Serialize>(
    output: &Output,
    answer: &T,
    what: &str,
    status: &Status,
    is_gone: bool,
) -> anyhow::Result<()> {
    done(output, answer, || {
        if is_gone {
            format!("{what} is gone")
        } else {
            format!("{what} is {status}")
        }
    })
}

/// A state in a cell of a table.
pub(crate) fn state(status: &Status) -> String {
    status.to_string()
}

/// An optional text in a cell of a table.
pub(crate) fn cell(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// Lines of names and values, aligned, without those that have none.
pub(crate) fn facts(facts: &[(&str, Option<String>)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in facts {
        if let Some(value) = value {
            text.push_str(&format!("{name:width$}  {}\n", clean(value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_aligned_and_carry_no_terminal_commands() {
        let text = facts(&[
            ("a", Some("1".into())),
            ("long", Some("x\u{1b}[31m".into())),
            ("none", None),
        ]);
        assert_eq!(text, "a     1\nlong  x?[31m\n");
    }
}
