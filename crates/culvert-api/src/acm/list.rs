//! `ListCertificates`: filters, order and pages.

use culvert_query::page::Question;
use culvert_service::Certificate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::Facts;
use super::input::read;
use super::show::{Users, shared};
use super::{Call, Refusal};

/// Certificates of a page, unless the caller wants fewer.
const MAX_ITEMS: usize = 1000;
/// Alternative names in the answer; more are only announced.
const MAX_NAMES: usize = 100;

/// What is asked for. Written out, without the page, it is what a page token is bound to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(rename = "CertificateStatuses")]
    statuses: Option<Vec<Status>>,
    #[serde(rename = "Includes", default)]
    includes: Includes,
    #[serde(rename = "SortBy")]
    sort_by: Option<SortBy>,
    #[serde(rename = "SortOrder")]
    sort_order: Option<SortOrder>,
    #[serde(rename = "NextToken", skip_serializing)]
    next_token: Option<String>,
    #[serde(rename = "MaxItems", skip_serializing)]
    max_items: Option<u64>,
}

/// `Includes`. Unlike on AWS every kind of key is included unless some are named.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Includes {
    #[serde(rename = "extendedKeyUsage")]
    extended_key_usage: Option<Vec<String>>,
    #[serde(rename = "keyUsage")]
    key_usage: Option<Vec<String>>,
    #[serde(rename = "keyTypes")]
    key_types: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    PendingValidation,
    Issued,
    Inactive,
    Expired,
    ValidationTimedOut,
    Revoked,
    Failed,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum SortBy {
    #[serde(rename = "CREATED_AT")]
    CreatedAt,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SortOrder {
    Ascending,
    Descending,
}

impl Call<'_> {
    /// Lists certificates by creation.
    pub(super) fn list(&self) -> Result<Value, Refusal> {
        let wanted: Wanted = read(self.body)?;
        let size = page_size(wanted.max_items)?;
        if wanted.sort_by.is_some() != wanted.sort_order.is_some() {
            return Err(Refusal::validation(
                "SortBy and SortOrder come together or not at all",
            ));
        }
        let environment = self.api.ec2.environment.load_full();
        // Whoever asks otherwise gets no further with the token.
        let asked =
            serde_json::to_string(&wanted).map_err(|_| Refusal::validation("The filters can't be used"))?;
        let question = Question {
            action: "ListCertificates",
            scope: &[&environment.account_id, &environment.region, &asked],
            filters: &[],
        };
        let cursor = wanted
            .next_token
            .as_deref()
            .map(|token| self.api.ec2.page_key.open(&question, token, self.now))
            .transpose()
            .map_err(|error| Refusal::validation(error.to_string()))?;
        let mut found = self.found(&wanted)?;
        if let Some(cursor) = cursor {
            let behind = found
                .iter()
                .position(|(certificate, _)| cursor_of(certificate) == cursor);
            // One that was deleted meanwhile leaves its place to those created behind it.
            let behind = behind.map_or_else(|| place(&found, &wanted, &cursor), |at| at + 1);
            found.drain(..behind);
        }
        let next = found
            .get(size.saturating_sub(1))
            .filter(|_| found.len() > size)
            .map(|(last, _)| self.api.ec2.page_key.seal(&question, &cursor_of(last), self.now));
        let users = Users::of(&self.api.ec2.registry.endpoints()?);
        let page: Vec<Value> = found
            .iter()
            .take(size)
            .map(|(certificate, facts)| self.summary(certificate, facts, &users))
            .collect();
        let mut answer = json!({ "CertificateSummaryList": page });
        if let Some(next) = next {
            answer["NextToken"] = next.into();
        }
        Ok(answer)
    }

    /// What the filters let through, in order.
    fn found(&self, wanted: &Wanted) -> Result<Vec<(Certificate, Facts)>, Refusal> {
        let mut found = Vec::new();
        for certificate in self.api.ec2.certificates.list()? {
            let facts = Facts::of(&certificate)?;
            if wanted.lets_through(&facts, facts.status(self.now)) {
                found.push((certificate, facts));
            }
        }
        if wanted.is_descending() {
            found.reverse();
        }
        Ok(found)
    }

    fn summary(&self, certificate: &Certificate, facts: &Facts, users: &Users) -> Value {
        let mut members = shared(certificate, facts, self.now);
        let names: Vec<&String> = facts.alternatives.iter().take(MAX_NAMES).collect();
        let extended = facts.extended_key_usages.iter().map(|(name, _)| *name);
        let more = [
            ("SubjectAlternativeNameSummaries", json!(names)),
            (
                "HasAdditionalSubjectAlternativeNames",
                (facts.alternatives.len() > MAX_NAMES).into(),
            ),
            ("KeyUsages", json!(facts.key_usages)),
            ("ExtendedKeyUsages", extended.collect::<Vec<_>>().into()),
            (
                "InUse",
                (!users.of_certificate(&certificate.arn).is_empty()).into(),
            ),
        ];
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
        members.into()
    }
}

impl Wanted {
    fn is_descending(&self) -> bool {
        self.sort_order == Some(SortOrder::Descending)
    }

    fn lets_through(&self, facts: &Facts, status: &str) -> bool {
        // An empty list of values asks for nothing in particular.
        let has = |values: &Option<Vec<String>>, own: &[&str]| {
            let values = values.as_deref().unwrap_or_default();
            values.is_empty() || values.iter().any(|value| own.contains(&&**value))
        };
        let own = if status == "EXPIRED" {
            Status::Expired
        } else {
            Status::Issued
        };
        let statuses = self.statuses.as_deref().unwrap_or_default();
        let extended: Vec<&str> = facts.extended_key_usages.iter().map(|(name, _)| *name).collect();
        (statuses.is_empty() || statuses.contains(&own))
            && has(&self.includes.extended_key_usage, &extended)
            && has(&self.includes.key_usage, &facts.key_usages)
            && has(&self.includes.key_types, facts.key_algorithm.as_slice())
    }
}

/// How many come before the place a cursor stands for.
fn place(found: &[(Certificate, Facts)], wanted: &Wanted, cursor: &str) -> usize {
    found.partition_point(|(certificate, _)| {
        let own = cursor_of(certificate);
        if wanted.is_descending() {
            *own > *cursor
        } else {
            *own < *cursor
        }
    })
}

fn page_size(wanted: Option<u64>) -> Result<usize, Refusal> {
    match wanted.map(usize::try_from) {
        None => Ok(MAX_ITEMS),
        Some(Ok(size @ 1..=MAX_ITEMS)) => Ok(size),
        Some(_) => Err(Refusal::validation(format!("MaxItems must be 1 to {MAX_ITEMS}"))),
    }
}

/// Where a certificate stands in the order, so that it compares as text.
fn cursor_of(certificate: &Certificate) -> String {
    let created = certificate.created.unix_timestamp_nanos().max(0);
    format!("{created:030} {}", certificate.arn)
}
