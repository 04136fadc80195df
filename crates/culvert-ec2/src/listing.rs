//! What all describe calls do alike: filters, and pages in an order that stays.
//!
//! Each item has a position: a text by which the list is sorted. A page begins behind the position that its token
//! names, so it begins at the right place even if items came or went since.

use culvert_query::page::Question;
use culvert_query::params::Filter;
use culvert_query::{ApiError, params::ParamError};
use culvert_service::ServiceError;
use time::OffsetDateTime;

use crate::task::Task;

/// Items in a page unless the caller wants fewer.
const PAGE: usize = 1000;

/// What a describe call asks for.
pub(crate) struct Listing {
    filters: Vec<Filter>,
    scope: Vec<String>,
    size: usize,
    behind: Option<String>,
}

/// Some items, and the token that asks for those behind them.
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// `nextToken`.
    pub(crate) next: Option<String>,
}

impl Listing {
    /// Filters among those that are `known`, and the page. `scope` is what else the list depends on: the endpoint, or
    /// the ids that were asked for.
    pub(crate) fn read(task: &Task<'_>, known: &[&str], scope: &[&str]) -> Result<Self, ServiceError> {
        let environment = &task.environment;
        let own = [environment.account_id.as_str(), environment.region.as_str()];
        let mut listing = Self {
            filters: task.form.filters(known)?,
            scope: own.iter().chain(scope).map(|&part| part.to_owned()).collect(),
            size: task.form.page_size(PAGE)?,
            behind: None,
        };
        listing.behind = listing.with_question(task, |question| {
            let cursor = task.form.cursor(&task.ec2.page_key, question, task.call.now);
            cursor.map_err(ApiError::from)
        })?;
        Ok(listing)
    }

    /// A listing of an action that knows filters, but no pages.
    pub(crate) fn whole(task: &Task<'_>, known: &[&str]) -> Result<Self, ParamError> {
        Ok(Self {
            filters: task.form.filters(known)?,
            scope: Vec::new(),
            size: usize::MAX,
            behind: None,
        })
    }

    /// The page of those `items` that pass: `value` tells what a filter of this name looks at.
    pub(crate) fn page<T>(
        &self,
        task: &Task<'_>,
        items: impl IntoIterator<Item = T>,
        position: impl Fn(&T) -> String,
        matches: impl Fn(&T, &Filter) -> bool,
    ) -> Page<T> {
        let passes = |item: &T| self.filters.iter().all(|filter| matches(item, filter));
        let mut found: Vec<(String, T)> = items
            .into_iter()
            .filter(passes)
            .map(|item| (position(&item), item))
            .filter(|(position, _)| self.behind.as_ref().is_none_or(|behind| position > behind))
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let more = found.len() > self.size;
        found.truncate(self.size);
        let last = found.last().filter(|_| more).map(|(position, _)| position);
        let next = last.map(|position| {
            self.with_question(task, |question| {
                task.ec2.page_key.seal(question, position, task.call.now)
            })
        });
        Page {
            items: found.into_iter().map(|(_, item)| item).collect(),
            next,
        }
    }

    fn with_question<R>(&self, task: &Task<'_>, ask: impl FnOnce(&Question<'_>) -> R) -> R {
        let scope: Vec<&str> = self.scope.iter().map(String::as_str).collect();
        ask(&Question {
            action: task.action,
            scope: &scope,
            filters: &self.filters,
        })
    }
}

/// The position of something that was made at `created`: older things come first, those of the same age by `id`.
pub(crate) fn position(created: OffsetDateTime, id: &str) -> String {
    // Nothing was made before 1970, and twenty digits last for three thousand years.
    let age = created.unix_timestamp_nanos().max(0);
    format!("{age:020} {id}")
}

/// Whether a filter that looks at an optional text lets it pass.
pub(crate) fn optional(filter: &Filter, text: Option<&str>) -> bool {
    text.is_some_and(|text| filter.matches(text))
}

/// Whether a filter lets one of several texts pass.
pub(crate) fn any<S: AsRef<str>>(filter: &Filter, texts: impl IntoIterator<Item = S>) -> bool {
    texts.into_iter().any(|text| filter.matches(text.as_ref()))
}

/// `true` or `false`, as filters see it.
pub(crate) const fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
