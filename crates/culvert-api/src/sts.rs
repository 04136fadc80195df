//! The Security Token Service: `GetCallerIdentity`, which tools call to test credentials.
//!
//! Source: AWS Security Token Service API Reference, API version 2011-06-15.

use culvert_query::ApiError;
use culvert_query::params::{ParamError, Params};
use culvert_query::response::{QueryService, query};

use crate::api::{Api, Caller};

const VERSION: &str = "2011-06-15";
pub(crate) const GET_CALLER_IDENTITY: &str = "GetCallerIdentity";

/// Carries out the action a form asks for and returns the XML of its answer.
pub(crate) fn answer(
    api: &Api,
    caller: &Caller,
    params: &Params,
    request_id: &str,
) -> Result<Vec<u8>, ApiError> {
    params.check_version(VERSION)?;
    let action = params.action()?;
    if action != GET_CALLER_IDENTITY {
        return Err(ParamError::InvalidAction(action.to_owned()).into());
    }
    params.finish()?;
    let account = api.ec2.environment.load().account_id.clone();
    // There are no users beside access keys; who is on the machine itself is the account.
    let (arn, user_id) = match caller {
        Caller::Key(id) => (format!("arn:aws:iam::{account}:user/{id}"), id.clone()),
        Caller::Local => (format!("arn:aws:iam::{account}:root"), account.clone()),
    };
    Ok(query(
        QueryService::STS,
        GET_CALLER_IDENTITY,
        request_id,
        |result| {
            result.text("Arn", &arn);
            result.text("UserId", &user_id);
            result.text("Account", &account);
        },
    ))
}
