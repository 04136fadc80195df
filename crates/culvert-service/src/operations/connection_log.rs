//! Where an endpoint's connection log goes, as `ConnectionLogOptions` say.
//!
//! The group is one of the operator's log groups. A stream that is not named gets the name AWS would give it.

use culvert_connection_log::name::{automatic_stream, check_stream};
use culvert_query::ApiError;

use super::{invalid, missing};
use crate::endpoint::ConnectionLog;
use crate::environment::Environment;
use crate::id::EndpointId;
use crate::request::LogChange;

const GROUP: &str = "ConnectionLogOptions.CloudwatchLogGroup";
const STREAM: &str = "ConnectionLogOptions.CloudwatchLogStream";

impl ConnectionLog {
    /// What it is after a change.
    pub(super) fn changed(
        &self,
        change: &LogChange,
        endpoint: &EndpointId,
        environment: &Environment,
    ) -> Result<Self, ApiError> {
        let before = match self {
            Self::Off => None,
            Self::On { group, stream } => Some((group, stream)),
        };
        if !change.enabled.unwrap_or_else(|| before.is_some()) {
            return Ok(Self::Off);
        }
        let given = change.group.as_ref().filter(|group| !group.is_empty());
        let group = given
            .or_else(|| before.map(|(group, _)| group))
            .ok_or_else(|| missing(format!("You must specify {GROUP} to enable the connection log")))?;
        let same_group = before.is_some_and(|(before, _)| before == group);
        // One that is no longer declared stands in the way of no other change.
        if !same_group {
            check_group(group, environment)?;
        }
        let given = change.stream.as_ref().filter(|stream| !stream.is_empty());
        let stream = match (given, before) {
            (Some(stream), _) => {
                check_stream(stream).map_err(|error| invalid(STREAM, error))?;
                stream.clone()
            }
            (None, Some((_, stream))) if same_group => stream.clone(),
            (None, _) => {
                let naming = &change.naming;
                automatic_stream(endpoint.as_str(), &environment.region, naming.now, naming.random)
            }
        };
        Ok(Self::On {
            group: group.clone(),
            stream,
        })
    }
}

fn check_group(group: &str, environment: &Environment) -> Result<(), ApiError> {
    if environment.log_groups.iter().any(|known| known == group) {
        return Ok(());
    }
    let reason = format!("The log group {group:?} does not exist; declare it with [[log_group]] and reload");
    Err(invalid(GROUP, reason))
}

#[cfg(test)]
mod tests {
    use culvert_query::ErrorCode;

    use super::*;
    use crate::operations::samples::{NOW, environment};
    use crate::request::StreamNaming;

    fn here() -> Environment {
        Environment {
            log_groups: vec!["/vpn/office".into(), "/vpn/other".into()],
            ..environment()
        }
    }

    fn change(enabled: Option<bool>, group: Option<&str>, stream: Option<&str>) -> LogChange {
        LogChange {
            enabled,
            group: group.map(str::to_owned),
            stream: stream.map(str::to_owned),
            naming: StreamNaming {
                now: NOW,
                random: [7; 12],
            },
        }
    }

    fn on(group: &str, stream: &str) -> ConnectionLog {
        ConnectionLog::On {
            group: group.into(),
            stream: stream.into(),
        }
    }

    fn changed(before: &ConnectionLog, change: &LogChange) -> Result<ConnectionLog, ApiError> {
        before.changed(change, &EndpointId::from_random([1; 9]), &here())
    }

    #[test]
    fn a_stream_is_named_by_the_caller_or_after_the_endpoint() {
        let off = ConnectionLog::Off;
        let named = changed(&off, &change(Some(true), Some("/vpn/office"), Some("a/b")));
        assert_eq!(named, Ok(on("/vpn/office", "a/b")));
        let made = changed(&off, &change(Some(true), Some("/vpn/office"), Some(""))).unwrap();
        let ConnectionLog::On { stream, .. } = made else {
            panic!("it is on");
        };
        let start = format!("{}-us-east-1-{:04}/", EndpointId::from_random([1; 9]), NOW.year());
        assert!(
            stream.starts_with(&start) && stream.ends_with("-777777777777"),
            "{stream}"
        );
    }

    #[test]
    fn what_is_left_out_stays() {
        let before = on("/vpn/office", "a");
        for same in [
            change(None, None, None),
            change(Some(true), None, None),
            change(Some(true), Some("/vpn/office"), None),
        ] {
            assert_eq!(changed(&before, &same), Ok(before.clone()));
        }
        let gone = before.changed(
            &change(None, None, None),
            &EndpointId::from_random([1; 9]),
            &environment(),
        );
        assert_eq!(gone, Ok(before.clone()), "a group that is no longer declared");
        assert_eq!(
            changed(&before, &change(None, None, Some("b"))),
            Ok(on("/vpn/office", "b"))
        );
        let other = changed(&before, &change(None, Some("/vpn/other"), None)).unwrap();
        assert!(
            matches!(&other, ConnectionLog::On { group, stream } if group == "/vpn/other" && stream != "a"),
            "{other:?}"
        );
        assert_eq!(
            changed(&before, &change(Some(false), Some("/vpn/other"), None)),
            Ok(ConnectionLog::Off)
        );
        assert_eq!(
            changed(&ConnectionLog::Off, &change(None, None, None)),
            Ok(ConnectionLog::Off)
        );
    }

    #[test]
    fn a_group_that_is_not_there_is_refused() {
        let refuse = |change: LogChange| changed(&ConnectionLog::Off, &change).unwrap_err();
        assert_eq!(
            refuse(change(Some(true), None, None)).code,
            ErrorCode::MissingParameter
        );
        let unknown = refuse(change(Some(true), Some("/vpn/none"), None));
        assert_eq!(unknown.code, ErrorCode::InvalidParameterValue);
        assert!(unknown.message.contains("does not exist"), "{}", unknown.message);
        let stream = refuse(change(Some(true), Some("/vpn/office"), Some("a:b")));
        assert_eq!(stream.code, ErrorCode::InvalidParameterValue);
        assert!(
            stream.message.contains("CloudwatchLogStream"),
            "{}",
            stream.message
        );
    }
}
