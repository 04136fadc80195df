//! Tokens that come back, and those that shouldn't have.

use proptest::prelude::*;

use super::*;
use crate::params::{Limits, Params};
use crate::{Method, Request};

fn key() -> PageKey {
    PageKey::new(&[7; 32])
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_225_600 + seconds).expect("a time")
}

fn filter(name: &str, values: &[&str]) -> Filter {
    Filter {
        name: name.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    }
}

fn question<'a>(action: &'a str, scope: &'a [&'a str], filters: &'a [Filter]) -> Question<'a> {
    Question {
        action,
        scope,
        filters,
    }
}

#[test]
fn a_token_comes_back_with_the_same_question() {
    let filters = [filter("a", &["1", "2"]), filter("b", &["3"])];
    let reordered = [filter("b", &["3"]), filter("a", &["2", "1"])];
    let token = key().seal(&question("D", &["e"], &filters), "2026-01-01 cvpn-1", at(0));
    assert!(
        token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
    for filters in [&filters, &reordered] {
        let cursor = key().open(&question("D", &["e"], filters), &token, at(60));
        assert_eq!(cursor.as_deref(), Ok("2026-01-01 cvpn-1"));
    }
}

#[test]
fn a_token_is_good_for_one_question_only() {
    let filters = [filter("a", &["1"])];
    let token = key().seal(&question("Ab", &["c", "d"], &filters), "x", at(0));
    let others = [
        question("Abc", &["", "d"], &filters),
        question("Ab", &["cd"], &filters),
        question("Ab", &["c", "d", ""], &filters),
        question("Ab", &["c", "d"], &[]),
        question("Ab", &["c", "d"], &[filter("a", &["2"])]),
        question("Ab", &["c", "d"], &[filter("a", &["1", ""])]),
        question("Ab", &["c", "d"], &[filter("a", &["1"]), filter("a", &["1"])]),
    ]
    .map(|other| key().open(&other, &token, at(0)));
    assert!(
        others.iter().all(|result| *result == Err(PageError::Foreign)),
        "{others:?}"
    );
    let other_key = PageKey::new(&[8; 32]);
    assert_eq!(
        other_key.open(&question("Ab", &["c", "d"], &filters), &token, at(0)),
        Err(PageError::Foreign)
    );
}

#[test]
fn old_tokens_expire() {
    let question = question("D", &[], &[]);
    let token = key().seal(&question, "x", at(0));
    assert!(key().open(&question, &token, at(86_400)).is_ok());
    assert_eq!(key().open(&question, &token, at(86_401)), Err(PageError::Expired));
    // The clock of another node may be behind.
    assert!(key().open(&question, &token, at(-60)).is_ok());
}

#[test]
fn size_and_token_are_read_from_the_request() {
    let question = question("D", &[], &[]);
    let read = |body: &str| {
        let request = Request {
            method: Method::Get,
            path: "/",
            query: body,
            headers: &[],
            body: &[],
        };
        let params = Params::from_request(&request, &Limits::default()).expect("a form");
        let size = params.root().page_size(100).map_err(ApiError::from);
        let cursor = params
            .root()
            .cursor(&key(), &question, at(0))
            .map_err(ApiError::from);
        (size, cursor)
    };
    assert_eq!(read(""), (Ok(100), Ok(None)));
    assert_eq!(read("NextToken=").1, Ok(None));
    let token = key().seal(&question, "x", at(0));
    assert_eq!(
        read(&format!("MaxResults=5&NextToken={token}")),
        (Ok(5), Ok(Some("x".to_owned())))
    );
    let (size, cursor) = read("MaxResults=4&NextToken=abc");
    assert_eq!(
        size.map_err(|error| error.code),
        Err(ErrorCode::InvalidParameterValue)
    );
    assert_eq!(
        cursor.map_err(|error| error.code),
        Err(ErrorCode::InvalidPaginationToken)
    );
    assert!(read("MaxResults=1001").0.is_err());
}

proptest! {
    #[test]
    fn hostile_tokens_are_refused(token in "[A-Za-z0-9_-]{0,90}|\\PC{0,20}") {
        prop_assert_eq!(key().open(&question("D", &[], &[]), &token, at(0)), Err(PageError::Foreign));
    }

    #[test]
    fn any_changed_character_is_noticed(cursor in "\\PC{0,20}", at_index in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]") {
        let question = question("D", &["e"], &[]);
        let token = key().seal(&question, &cursor, at(0));
        prop_assert_eq!(key().open(&question, &token, at(0)), Ok(cursor));
        let index = at_index.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(index..=index, &other);
        prop_assume!(changed != token);
        prop_assert_eq!(key().open(&question, &changed, at(0)), Err(PageError::Foreign));
    }
}
