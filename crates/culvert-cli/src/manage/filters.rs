//! Filters of lists.

use clap::Args;

use super::api::ApiArguments;
use super::form::Form;
use super::model::Page;
use super::resolve;
use crate::output::Output;

/// Which items of a list are wanted.
#[derive(Args)]
pub(crate) struct Filters {
    /// Only what this filter of the API lets through, `status=active` for instance; several must all agree, of values
    /// split by commas one must. `*` and `?` stand for any letters
    #[arg(long = "filter", value_name = "NAME=VALUE[,VALUE...]", value_parser = parse)]
    filters: Vec<Filter>,
}

/// What belongs to an endpoint, as far as it is wanted.
#[derive(Args)]
pub(crate) struct OfEndpoint {
    /// The endpoint, by id or name
    endpoint: String,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    api: ApiArguments,
}

impl OfEndpoint {
    /// Everything an action of EC2 tells of it.
    pub(crate) fn fetch<P: Page>(&self, output: &Output, action: &str) -> anyhow::Result<Vec<P::Item>> {
        let api = self.api.open(output)?;
        let form = Form::of(&resolve::endpoint(&api, &self.endpoint)?);
        Ok(api.list::<P>(action, &self.filters.apply(form))?)
    }
}

/// One filter.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    name: String,
    values: Vec<String>,
}

fn parse(text: &str) -> Result<Filter, String> {
    match text.split_once('=') {
        Some((name, values)) if !name.is_empty() => Ok(Filter {
            name: name.to_owned(),
            values: values.split(',').map(str::to_owned).collect(),
        }),
        _ => Err("a filter is NAME=VALUE".to_owned()),
    }
}

impl Filters {
    /// The form with these filters.
    pub(crate) fn apply(&self, mut form: Form) -> Form {
        for (at, filter) in (1u32..).zip(&self.filters) {
            form.add(&format!("Filter.{at}.Name"), &filter.name);
            form.add_list(&format!("Filter.{at}.Value"), &filter.values);
        }
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_numbered_and_their_values_are_split() {
        let filters = ["status=active,terminated", "tag:Name=a=b"].map(|text| parse(text).unwrap());
        let form = Filters {
            filters: filters.into(),
        }
        .apply(Form::new());
        let body = form.encode("X", "1");
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "Action=X&Version=1&Filter.1.Name=status&Filter.1.Value.1=active&Filter.1.Value.2=terminated\
             &Filter.2.Name=tag%3AName&Filter.2.Value.1=a%3Db"
        );
    }

    #[test]
    fn a_filter_has_a_name_and_a_value() {
        for text in ["", "active", "=active"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
