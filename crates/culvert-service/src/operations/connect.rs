//! Who is asked about new connections, as `ClientConnectOptions` say.
//!
//! ```text
//! arn:aws:lambda:REGION:ACCOUNT:function:AWSClientVPN-NAME[:QUALIFIER]
//! ```
//!
//! The function is one of the operator's connect handlers. A qualifier, which chooses a version of it on AWS, chooses
//! nothing here: there is one version of each.
//!
//! Source: AWS Lambda API Reference, "Invoke", for the form of the ARN.

use culvert_query::ApiError;

use super::{invalid, missing};
use crate::endpoint::ClientConnect;
use crate::environment::Environment;
use crate::request::ConnectChange;

const PARAMETER: &str = "ClientConnectOptions.LambdaFunctionArn";

impl ClientConnect {
    /// Name of the connect handler; `None` if nobody is asked.
    pub fn handler(&self) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::On { function, .. } => Some(function_name(function)?.name),
        }
    }

    /// What it is after a change.
    pub(super) fn changed(
        &self,
        change: &ConnectChange,
        environment: &Environment,
    ) -> Result<Self, ApiError> {
        let (before, was_applied) = match self {
            Self::Off => (None, false),
            Self::On { function, applied } => (Some(function), *applied),
        };
        if !change.enabled.unwrap_or_else(|| before.is_some()) {
            return Ok(Self::Off);
        }
        let function = change.function.as_ref().filter(|arn| !arn.is_empty()).or(before);
        let function = function.ok_or_else(|| {
            missing("You must specify ClientConnectOptions.LambdaFunctionArn to enable the connect handler")
        })?;
        // One that is no longer declared stands in the way of no other change.
        if before != Some(function) {
            check(function, environment)?;
        }
        Ok(Self::On {
            applied: was_applied && before == Some(function),
            function: function.clone(),
        })
    }
}

struct FunctionName<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

/// What an ARN names; `None` if it is no ARN of a function.
fn function_name(arn: &str) -> Option<FunctionName<'_>> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", "aws", "lambda", region, account, "function", name]
        | ["arn", "aws", "lambda", region, account, "function", name, _] => Some(FunctionName {
            region,
            account,
            name,
        }),
        _ => None,
    }
}

fn check(arn: &str, environment: &Environment) -> Result<(), ApiError> {
    let Some(function) = function_name(arn) else {
        let wanted = "arn:aws:lambda:REGION:ACCOUNT:function:AWSClientVPN-NAME";
        return Err(invalid(PARAMETER, format!("{arn:?} is not of the form {wanted}")));
    };
    if (function.region, function.account) != (&environment.region, &environment.account_id) {
        let (region, account) = (&environment.region, &environment.account_id);
        let reason = format!("{arn} is not of this account and region, {account} and {region}");
        return Err(invalid(PARAMETER, reason));
    }
    if environment
        .connect_handlers
        .iter()
        .any(|known| known == function.name)
    {
        return Ok(());
    }
    let name = function.name;
    let reason =
        format!("there is no connect handler {name}; declare it with [[connect_handler]] and reload");
    Err(invalid(PARAMETER, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::samples::environment;

    const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:AWSClientVPN-posture";

    fn change(enabled: Option<bool>, function: Option<&str>) -> ConnectChange {
        ConnectChange {
            enabled,
            function: function.map(str::to_owned),
        }
    }

    fn here() -> Environment {
        Environment {
            account_id: "123456789012".into(),
            connect_handlers: vec!["AWSClientVPN-posture".into(), "AWSClientVPN-other".into()],
            ..environment()
        }
    }

    fn on(applied: bool) -> ClientConnect {
        ClientConnect::On {
            function: ARN.into(),
            applied,
        }
    }

    #[test]
    fn a_handler_is_named_by_the_arn_of_a_function() {
        let made = ClientConnect::Off.changed(&change(Some(true), Some(ARN)), &here());
        assert_eq!(made, Ok(on(false)));
        assert_eq!(on(false).handler(), Some("AWSClientVPN-posture"));
        let qualified = format!("{ARN}:live");
        let made = ClientConnect::Off.changed(&change(Some(true), Some(&qualified)), &here());
        assert_eq!(made.unwrap().handler(), Some("AWSClientVPN-posture"));
    }

    #[test]
    fn what_is_left_out_stays() {
        let unchanged = [
            change(None, None),
            change(Some(true), None),
            change(None, Some(ARN)),
        ];
        for change in unchanged {
            assert_eq!(on(true).changed(&change, &here()), Ok(on(true)));
        }
        let gone = environment();
        assert_eq!(on(true).changed(&change(None, None), &gone), Ok(on(true)));
        let other = ARN.replace("posture", "other");
        let changed = on(true).changed(&change(None, Some(&other)), &here()).unwrap();
        assert!(matches!(changed, ClientConnect::On { applied: false, .. }));
        for off in [on(true), ClientConnect::Off] {
            assert_eq!(
                off.changed(&change(Some(false), Some(ARN)), &here()),
                Ok(ClientConnect::Off)
            );
        }
        assert_eq!(
            ClientConnect::Off.changed(&change(None, None), &here()),
            Ok(ClientConnect::Off)
        );
    }

    #[test]
    fn a_function_that_could_not_be_asked_is_refused() {
        for (arn, part) in [
            ("AWSClientVPN-posture", "not of the form"),
            (
                "arn:aws:lambda:us-east-1:123456789012:layer:AWSClientVPN-posture",
                "not of the form",
            ),
            (&ARN.replace("us-east-1", "eu-west-1"), "not of this account"),
            (
                &ARN.replace("123456789012", "000000000001"),
                "not of this account",
            ),
            (&ARN.replace("posture", "unknown"), "[[connect_handler]]"),
            (&ARN.replace("AWSClientVPN-", ""), "[[connect_handler]]"),
        ] {
            let refused = ClientConnect::Off.changed(&change(Some(true), Some(arn)), &here());
            let error = refused.unwrap_err().message;
            assert!(error.contains(part), "{arn}: {error}");
        }
        let refused = ClientConnect::Off.changed(&change(Some(true), None), &here());
        assert_eq!(
            refused.unwrap_err().code,
            culvert_query::ErrorCode::MissingParameter
        );
    }
}
