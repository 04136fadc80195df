//! Endpoints in a store of their own, on disk.

use std::time::Instant;

use culvert_query::idempotency::Fingerprint;
use culvert_query::params::{Limits, Params};
use culvert_store::{EmbeddedStore, Options};
use tempfile::TempDir;

use super::*;
use crate::endpoint::EndpointState;
use crate::operations::samples::{NOW, endpoint, environment, id};
use crate::request::Repeat;

fn open(folder: &TempDir) -> Registry {
    let path = folder.path().join("store.redb");
    Registry::new(Arc::new(
        EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap(),
    ))
}

/// A request that is never repeated.
const NEVER: Once<'static> = Once {
    action: "Test",
    repeat: None,
};

/// An endpoint whose port is its own only if nobody has it.
fn make(number: u8) -> impl Fn(&[Endpoint]) -> Result<Endpoint, ApiError> {
    move |others| {
        let mut made = endpoint();
        made.id = EndpointId::from_random([number; 9]);
        made.vpn_port = 1000 + others.len() as u16;
        Ok(made)
    }
}

fn associate(registry: &Registry, id_text: &str, subnet: &str, number: u8) -> Result<(), ServiceError> {
    registry.change(NEVER, id_text, |endpoint, _| {
        endpoint
            .associate(&environment(), subnet, id(number), NOW)
            .map(drop)
    })
}

#[test]
fn what_was_acknowledged_is_there_after_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(1)).unwrap();
    associate(&registry, made.id.as_str(), "subnet-0000000a", 1).unwrap();
    let before = registry.snapshot().unwrap();
    drop(registry);
    let after = open(&folder).snapshot().unwrap();
    assert_eq!(after.endpoints, before.endpoints);
    assert_eq!(after.endpoints[0].endpoint.associations.len(), 1);
}

#[test]
fn a_refused_change_and_an_unknown_endpoint_leave_everything_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(1)).unwrap();
    let before = registry.snapshot().unwrap();
    let refused = associate(&registry, made.id.as_str(), "subnet-00000099", 1).unwrap_err();
    assert_eq!(refused.to_api().code, ErrorCode::SubnetIdNotFound);
    for unknown in ["cvpn-endpoint-0123456789abcdef0", "x", ""] {
        let refused = associate(&registry, unknown, "subnet-0000000a", 1).unwrap_err();
        assert_eq!(refused.to_api().code, ErrorCode::EndpointIdNotFound);
    }
    assert_eq!(registry.snapshot().unwrap().revision, before.revision);
}

#[test]
fn only_what_was_seen_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(1)).unwrap();
    associate(&registry, made.id.as_str(), "subnet-0000000a", 1).unwrap();
    let seen = registry.snapshot().unwrap().endpoints[0].revision;
    associate(&registry, made.id.as_str(), "subnet-0000000b", 2).unwrap();
    let state = || registry.snapshot().unwrap().endpoints[0].endpoint.state;
    registry.settle(&made.id, seen, Ok(()), false, NOW).unwrap();
    assert_eq!(
        state(),
        EndpointState::PendingAssociate,
        "the second change came in between"
    );
    let seen = registry.snapshot().unwrap().endpoints[0].revision;
    registry.settle(&made.id, seen, Ok(()), false, NOW).unwrap();
    assert_eq!(state(), EndpointState::Available);
    let settled = registry.snapshot().unwrap();
    let later = NOW + time::Duration::hours(1);
    registry
        .settle(&made.id, settled.endpoints[0].revision, Ok(()), false, later)
        .unwrap();
    assert_eq!(
        registry.snapshot().unwrap().revision,
        settled.revision,
        "nothing new to say"
    );
}

#[test]
fn an_endpoint_tells_when_what_is_stored_came_into_force() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(1)).unwrap();
    let stored = || registry.snapshot().unwrap().endpoints.remove(0);
    let settle = |outcome, changed, minutes| {
        let now = NOW + time::Duration::minutes(minutes);
        registry
            .settle(&made.id, stored().revision, outcome, changed, now)
            .unwrap();
    };
    let applied = || {
        let applied = stored().endpoint.applied;
        applied.map(|at| (at - NOW).whole_minutes())
    };
    settle(Ok(()), true, 1);
    assert_eq!(applied(), Some(1));
    settle(Ok(()), false, 2);
    assert_eq!(applied(), Some(1), "nothing was changed");
    settle(Ok(()), true, 3);
    assert_eq!(applied(), Some(3), "what it refers to was changed");
    associate(&registry, made.id.as_str(), "subnet-0000000a", 1).unwrap();
    assert_eq!(applied(), None, "that is yet to be put in force");
    settle(Err("the port is taken"), false, 4);
    assert_eq!(applied(), None);
    settle(Ok(()), true, 5);
    assert_eq!(applied(), Some(5));
    registry
        .change(NEVER, made.id.as_str(), |endpoint, _| {
            endpoint.description = Some("other".into());
            Ok::<_, ServiceError>(())
        })
        .unwrap();
    settle(Ok(()), false, 6);
    assert_eq!(applied(), Some(6), "even if what runs need not change for it");
    settle(Err("busy"), true, 7);
    assert_eq!(applied(), None, "what it refers to could not be put in force");
    let before = stored().revision;
    settle(Err("busy"), true, 8);
    assert_eq!(stored().revision, before, "that is no news a second time");
    settle(Ok(()), false, 9);
    assert_eq!(applied(), Some(9));
}

#[test]
fn a_deleted_endpoint_is_gone_once_that_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(1)).unwrap();
    let mut watch = registry.watch(registry.snapshot().unwrap().revision).unwrap();
    registry
        .change(NEVER, made.id.as_str(), |endpoint, _| endpoint.delete())
        .unwrap();
    let seen = registry.snapshot().unwrap().endpoints[0].revision;
    registry.settle(&made.id, seen, Ok(()), false, NOW).unwrap();
    assert!(registry.snapshot().unwrap().endpoints.is_empty());
    let changed = watch.try_next().unwrap().unwrap();
    assert!(changed.changes[0].current.is_some());
    let gone = watch.try_next().unwrap().unwrap();
    assert!(gone.changes[0].current.is_none());
}

#[test]
fn changes_at_once_all_count_and_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(100)).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (registry, id) = (registry.clone(), made.id.clone());
            scope.spawn(move || {
                for step in 0..5 {
                    let tag = format!("{number}-{step}");
                    let change = |endpoint: &mut Endpoint, _: &[Endpoint]| {
                        endpoint.tags.insert(tag.clone(), String::new());
                        Ok::<_, ServiceError>(())
                    };
                    registry.change(NEVER, id.as_str(), change).unwrap();
                }
                registry.add(NEVER, make(number)).unwrap();
            });
        }
    });
    let endpoints = registry.snapshot().unwrap().endpoints;
    let tags = endpoints.iter().map(|stored| stored.endpoint.tags.len()).max();
    assert_eq!(tags, Some(20));
    let mut ports: Vec<u16> = endpoints.iter().map(|stored| stored.endpoint.vpn_port).collect();
    ports.sort_unstable();
    assert_eq!(
        ports,
        [1000, 1001, 1002, 1003, 1004],
        "each was made in view of those before"
    );
}

/// The token `t`, for a request with this one parameter.
fn repeat(parameter: &str) -> Repeat {
    let query = format!("Action=Test&Version=2016-11-15&ClientToken=t&{parameter}");
    let request = culvert_query::Request {
        method: culvert_query::Method::Get,
        path: "/",
        query: &query,
        headers: &[],
        body: &[],
    };
    let params = Params::from_request(&request, &Limits::default()).unwrap();
    Repeat {
        token: params.root().client_token().unwrap().unwrap(),
        fingerprint: Fingerprint::of(&params),
    }
}

#[test]
fn a_repetition_gets_the_first_answer_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let asked = repeat("A=1");
    let once = |action| Once {
        action,
        repeat: Some(&asked),
    };
    let made = registry.add(once("Create"), make(1)).unwrap();
    registry
        .change(NEVER, made.id.as_str(), |endpoint, _| {
            endpoint.split_tunnel = true;
            Ok::<_, ServiceError>(())
        })
        .unwrap();
    let before = registry.snapshot().unwrap();
    assert_eq!(
        registry.add(once("Create"), make(2)).unwrap(),
        made,
        "as it was answered first"
    );
    assert_eq!(registry.snapshot().unwrap().revision, before.revision);
    let change = |endpoint: &mut Endpoint, _: &[Endpoint]| {
        endpoint.associate(&environment(), "subnet-0000000a", id(1), NOW)
    };
    let first = registry
        .change(once("Associate"), made.id.as_str(), change)
        .unwrap();
    let again = registry
        .change(once("Associate"), made.id.as_str(), change)
        .unwrap();
    assert_eq!(first, again, "another action has tokens of its own");
    drop(registry);
    let registry = open(&folder);
    assert_eq!(
        registry.add(once("Create"), make(3)).unwrap(),
        made,
        "even after a restart"
    );
}

#[test]
fn a_request_that_changes_nothing_uses_its_token_up_too() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let made = registry.add(NEVER, make(1)).unwrap();
    let (asked, other) = (repeat("A=1"), repeat("A=2"));
    let nothing = |_: &mut Endpoint, _: &[Endpoint]| Ok::<_, ServiceError>(());
    let ask = |repeat| {
        let once = Once {
            action: "Nothing",
            repeat: Some(repeat),
        };
        registry.change(once, made.id.as_str(), nothing)
    };
    ask(&asked).unwrap();
    let mismatch = ask(&other).unwrap_err();
    assert_eq!(mismatch.to_api().code, ErrorCode::IdempotentParameterMismatch);
}

#[test]
fn a_token_is_good_for_one_request_and_free_again_if_that_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder);
    let (asked, other) = (repeat("A=1"), repeat("A=2"));
    let once = |repeat| Once {
        action: "Create",
        repeat: Some(repeat),
    };
    let refuse = |_: &[Endpoint]| {
        Err(ApiError::new(
            ErrorCode::MissingParameter,
            "something is missing here",
        ))
    };
    registry.add(once(&asked), refuse).unwrap_err();
    registry.add(once(&other), make(1)).unwrap();
    let mismatch = registry.add(once(&asked), make(2)).unwrap_err();
    assert_eq!(mismatch.to_api().code, ErrorCode::IdempotentParameterMismatch);
}
