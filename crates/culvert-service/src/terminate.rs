//! Ending connections on somebody's word.

use culvert_query::{ApiError, ErrorCode};

use crate::environment::Quotas;
use crate::error::ServiceError;
use crate::id::{ConnectionId, EndpointId};
use crate::tunnels::{Connection, ConnectionState, Termination, Tunnels};

/// Which connections are to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminateWhat {
    /// The one with this id, as it was given.
    Connection(String),
    /// All of this user.
    User(String),
}

/// Ends connections of an endpoint. One that has ended already is answered for, too, as long as it is remembered.
///
/// # Errors
/// `InvalidClientVpnConnection.IdNotFound`, `InvalidClientVpnConnection.UserNotFound`,
/// `ClientVpnTerminateConnectionsLimitExceeded` if the user has more than one call may end, and
/// [`ServiceError::Tunnels`]. No connection has been ended then.
pub fn terminate(
    tunnels: &dyn Tunnels,
    endpoint: &EndpointId,
    what: TerminateWhat,
    quotas: &Quotas,
) -> Result<Vec<Termination>, ServiceError> {
    match what {
        TerminateWhat::Connection(id) => terminate_one(tunnels, endpoint, &id),
        TerminateWhat::User(name) => terminate_user(tunnels, endpoint, &name, quotas),
    }
}

fn terminate_one(
    tunnels: &dyn Tunnels,
    endpoint: &EndpointId,
    id: &str,
) -> Result<Vec<Termination>, ServiceError> {
    let unknown = || {
        let message = format!("The endpoint {endpoint} has no connection {id:?}");
        ApiError::new(ErrorCode::ConnectionIdNotFound, message)
    };
    let connections = tunnels.connections(endpoint)?;
    let mut found = connections.iter();
    let found = found
        .find(|connection| connection.id.as_str() == id)
        .ok_or_else(unknown)?;
    if !lives(found) {
        return Ok(vec![Termination {
            id: found.id.clone(),
            previous: ConnectionState::Terminated,
            current: ConnectionState::Terminated,
        }]);
    }
    let ended = tunnels.terminate(endpoint, std::slice::from_ref(&found.id))?;
    // It may have ended, and been forgotten, in between.
    if ended.is_empty() {
        return Err(unknown().into());
    }
    Ok(ended)
}

fn terminate_user(
    tunnels: &dyn Tunnels,
    endpoint: &EndpointId,
    name: &str,
    quotas: &Quotas,
) -> Result<Vec<Termination>, ServiceError> {
    let unknown = || {
        let message = format!("The user {name:?} has no active connection to the endpoint {endpoint}");
        ApiError::new(ErrorCode::ConnectionUserNotFound, message)
    };
    let connections = tunnels.connections(endpoint)?;
    let own = |connection: &&Connection| lives(connection) && connection.username.as_deref() == Some(name);
    let ids: Vec<ConnectionId> = connections
        .iter()
        .filter(own)
        .map(|connection| connection.id.clone())
        .collect();
    if ids.is_empty() {
        return Err(unknown().into());
    }
    let most = quotas.terminate_connections;
    if ids.len() > most {
        let message = format!(
            "The user {name:?} has {} connections, and one call ends at most {most}; end them by ConnectionId",
            ids.len()
        );
        return Err(ApiError::new(ErrorCode::TerminateConnectionsLimitExceeded, message).into());
    }
    let ended = tunnels.terminate(endpoint, &ids)?;
    // They may have ended, and been forgotten, in between.
    if ended.is_empty() {
        return Err(unknown().into());
    }
    Ok(ended)
}

fn lives(connection: &Connection) -> bool {
    connection.state != ConnectionState::Terminated
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::operations::samples::{NOW, endpoint};
    use crate::tunnels::TunnelsError;

    /// Connections that end when they are told to.
    struct Fake {
        connections: Vec<Connection>,
        asked: Mutex<Vec<ConnectionId>>,
        forgotten: bool,
        answers: bool,
    }

    fn connection(number: u8, user: Option<&str>, state: ConnectionState) -> Connection {
        Connection {
            id: ConnectionId::from_random([number; 9]),
            endpoint: endpoint().id,
            timestamp: NOW,
            username: user.map(str::to_owned),
            common_name: Some("alice".into()),
            established: NOW,
            ingress_bytes: 0,
            egress_bytes: 0,
            ingress_packets: 0,
            egress_packets: 0,
            client_ip: None,
            client_ipv6: None,
            state,
            ended: None,
            posture: Vec::new(),
        }
    }

    fn fake(connections: Vec<Connection>) -> Fake {
        Fake {
            connections,
            asked: Mutex::default(),
            forgotten: false,
            answers: true,
        }
    }

    impl Tunnels for Fake {
        fn connections(&self, of: &EndpointId) -> Result<Vec<Connection>, TunnelsError> {
            if !self.answers {
                return Err(TunnelsError("socket /run/secret is closed".into()));
            }
            let own = self
                .connections
                .iter()
                .filter(|connection| connection.endpoint == *of);
            Ok(own.cloned().collect())
        }

        fn terminate(
            &self,
            _: &EndpointId,
            connections: &[ConnectionId],
        ) -> Result<Vec<Termination>, TunnelsError> {
            self.note(connections);
            if self.forgotten {
                return Ok(Vec::new());
            }
            let ended = connections.iter().map(|id| Termination {
                id: id.clone(),
                previous: ConnectionState::Active,
                current: ConnectionState::Terminating,
            });
            Ok(ended.collect())
        }
    }

    impl Fake {
        fn end(&self, what: TerminateWhat) -> Result<Vec<u8>, ErrorCode> {
            let outcome = terminate(self, &endpoint().id, what, &Quotas::default());
            outcome
                .map(|ended| {
                    let numbers = ended.iter().map(|ended| {
                        let digits = &ended.id.as_str()[ConnectionId::PREFIX.len()..][..2];
                        u8::from_str_radix(digits, 16).unwrap()
                    });
                    numbers.collect()
                })
                .map_err(|error| error.to_api().code)
        }

        fn user(&self, name: &str) -> Result<Vec<u8>, ErrorCode> {
            self.end(TerminateWhat::User(name.into()))
        }

        fn connection(&self, id: &str) -> Result<Vec<u8>, ErrorCode> {
            self.end(TerminateWhat::Connection(id.into()))
        }

        fn note(&self, ids: &[ConnectionId]) {
            self.asked.lock().unwrap().extend_from_slice(ids);
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    #[test]
    fn a_user_loses_what_lives_of_hers_and_nobody_else_anything() {
        use ConnectionState::{Active, FailedToTerminate, Terminated};
        let fake = fake(vec![
            connection(1, Some("alice"), Active),
            connection(2, Some("bob"), Active),
            connection(3, Some("alice"), Terminated),
            connection(4, Some("alice"), FailedToTerminate),
            connection(5, None, Active),
        ]);
        assert_eq!(fake.user("alice"), Ok(vec![1, 4]));
        for unknown in ["Alice", "", "carol"] {
            assert_eq!(fake.user(unknown), Err(ErrorCode::ConnectionUserNotFound));
        }
        assert_eq!(fake.asked(), 2);
    }

    #[test]
    fn a_user_with_more_than_one_call_may_end_keeps_them_all() {
        let with = |count: u8| {
            let mut connections: Vec<Connection> = (0..count)
                .map(|number| connection(number, Some("alice"), ConnectionState::Active))
                .collect();
            connections.push(connection(99, Some("alice"), ConnectionState::Terminated));
            fake(connections)
        };
        assert_eq!(with(5).user("alice"), Ok(vec![0, 1, 2, 3, 4]));
        let six = with(6);
        assert_eq!(
            six.user("alice"),
            Err(ErrorCode::TerminateConnectionsLimitExceeded)
        );
        assert_eq!(six.asked(), 0);
    }

    #[test]
    fn one_connection_is_named_by_its_id_and_only_at_its_own_endpoint() {
        let mut foreign = connection(3, None, ConnectionState::Active);
        foreign.endpoint = EndpointId::from_random([9; 9]);
        let fake = fake(vec![
            connection(1, None, ConnectionState::Active),
            connection(2, None, ConnectionState::Terminated),
            foreign.clone(),
        ]);
        let id = |number| ConnectionId::from_random([number; 9]);
        assert_eq!(fake.connection(id(1).as_str()), Ok(vec![1]));
        assert_eq!(
            fake.connection(id(2).as_str()),
            Ok(vec![2]),
            "it has ended already"
        );
        assert_eq!(fake.asked(), 1);
        for unknown in [id(4).as_str(), foreign.id.as_str(), "cvpn-connection-", ""] {
            assert_eq!(fake.connection(unknown), Err(ErrorCode::ConnectionIdNotFound));
        }
    }

    #[test]
    fn what_ended_meanwhile_is_not_found_and_silence_is_to_be_retried() {
        let mut fake = fake(vec![connection(1, Some("alice"), ConnectionState::Active)]);
        fake.forgotten = true;
        assert_eq!(fake.user("alice"), Err(ErrorCode::ConnectionUserNotFound));
        let id = ConnectionId::from_random([1; 9]);
        assert_eq!(fake.connection(id.as_str()), Err(ErrorCode::ConnectionIdNotFound));
        fake.answers = false;
        let what = TerminateWhat::User("alice".into());
        let silent = terminate(&fake, &endpoint().id, what, &Quotas::default()).unwrap_err();
        assert!(silent.to_string().contains("/run/secret"), "{silent}");
        let told = silent.to_api();
        assert_eq!(told.code, ErrorCode::Unavailable);
        assert!(!told.message.contains("secret"), "{told}");
    }
}
