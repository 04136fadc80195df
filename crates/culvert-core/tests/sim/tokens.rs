//! Auth tokens: pushed after a login, renewed, accepted again, and not accepted from others.

use std::sync::Arc;
use std::time::Duration;

use culvert_client::{End, Personality};
use culvert_core::{AuthDecision, AuthTokenSettings, DisconnectReason, EndpointSettings, Grant, Rejection};
use culvert_crypto::SeededEntropy;
use culvert_crypto::auth_token::TokenKey;
use culvert_wire::message::AuthFailed;

use crate::world::{World, password_settings};

const SECOND: Duration = Duration::from_secs(1);

fn token_settings() -> EndpointSettings {
    let auth_token = AuthTokenSettings {
        key: Arc::new(TokenKey::generate(&mut SeededEntropy::new(3))),
        lifetime: None,
        renewal: 600 * SECOND,
    };
    EndpointSettings {
        auth_token: Some(auth_token),
        ..password_settings()
    }
}

/// Knows one password, and has to be asked only once per login.
fn ask_once(world: &mut World) {
    world.backend = Box::new(|request| {
        let known = request
            .password
            .as_ref()
            .is_some_and(|password| password.expose() == "secret");
        let decision = if known || request.token.is_some() {
            AuthDecision::Accept(Grant::default())
        } else {
            AuthDecision::Reject(Rejection::said("wrong password"))
        };
        vec![(Duration::ZERO, decision)]
    });
}

fn pushed_token(world: &World, host: usize) -> String {
    let client = world.hosts[host].client.as_ref().unwrap();
    client.options().unwrap().auth_token().unwrap().to_owned()
}

#[test]
fn a_login_earns_a_token_that_carries_the_client_through_renegotiations() {
    let mut world = World::new(1, token_settings());
    ask_once(&mut world);
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    assert!(pushed_token(&world, host).starts_with("SESS_ID_AT_"));
    for _ in 0..3 {
        world.run(1000 * SECOND);
        world.with_host(host, |client, now| assert!(client.renegotiate(now)));
        world.run(10 * SECOND);
        assert!(
            world.is_up(host),
            "{:?} {:?}",
            world.hosts[host].ends,
            world.disconnected
        );
    }
    assert_eq!(world.requests.len(), 1, "the password was checked once");
    assert_eq!(world.server.counters().renegotiations, 3);
    world.check_empty();
}

#[test]
fn a_token_opens_a_new_connection_without_the_password() {
    let mut world = World::new(2, token_settings());
    ask_once(&mut world);
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    let token = pushed_token(&world, host);
    world.kill(host);
    let back = world.add_login("ana", &token, Personality::v2_6());
    world.connect(back);
    // The session part stays the same from token to token.
    assert_eq!(pushed_token(&world, back)[..27], token[..27]);
    // Another name does not go with it.
    let eve = world.add_login("eve", &token, Personality::v2_6());
    world.start(eve);
    world.run(5 * SECOND);
    assert_eq!(
        world.hosts[eve].ends,
        [End::AuthFailed(AuthFailed::Session("token expired".into()))]
    );
    world.check_empty();
}

#[test]
fn a_token_expires() {
    let mut world = World::new(3, token_settings());
    ask_once(&mut world);
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    let token = pushed_token(&world, host);
    world.kill(host);
    world.run(1300 * SECOND);
    let back = world.add_login("ana", &token, Personality::v2_6());
    world.start(back);
    world.run(5 * SECOND);
    assert_eq!(
        world.hosts[back].ends,
        [End::AuthFailed(AuthFailed::Session("token expired".into()))]
    );
    world.check_empty();
}

#[test]
fn damaged_tokens_are_refused_and_harm_nobody() {
    let mut world = World::new(4, token_settings());
    ask_once(&mut world);
    for password in [
        "SESS_ID_AT_",
        "SESS_ID_AT_====",
        "SESS_ID_AT_ä",
        &format!("SESS_ID_AT_{}", "A".repeat(80)),
    ] {
        let host = world.add_login("ana", password, Personality::v2_6());
        world.start(host);
        world.run(5 * SECOND);
        assert!(matches!(
            world.hosts[host].ends[0],
            End::AuthFailed(AuthFailed::Session(_))
        ));
    }
    assert!(world.requests.is_empty());
    world.check_empty();
}

#[test]
fn a_token_of_another_session_does_not_renegotiate_this_one() {
    let mut world = World::new(5, token_settings());
    ask_once(&mut world);
    let one = world.add_login("ana", "secret", Personality::v2_6());
    let two = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(one);
    world.connect(two);
    let foreign = pushed_token(&world, two);
    world.with_host(one, |client, now| {
        client.set_password(&foreign);
        assert!(client.renegotiate(now));
    });
    world.run(10 * SECOND);
    assert!(
        matches!(world.disconnected[0].1, DisconnectReason::Reauthentication(_)),
        "{:?}",
        world.disconnected
    );
    assert!(world.is_up(two));
    world.check_empty();
}

#[test]
fn a_client_that_was_given_another_name_uses_it_with_its_token() {
    for personality in [Personality::v2_4(), Personality::v2_6()] {
        let mut world = World::new(6, token_settings());
        world.backend = Box::new(|_| {
            let grant = Grant {
                username: Some("Ana Example".into()),
                ..Grant::default()
            };
            vec![(Duration::ZERO, AuthDecision::Accept(grant))]
        });
        let host = world.add_login("ana", "secret", personality.clone());
        world.connect(host);
        let (name, token) = world.hosts[host].client.as_ref().unwrap().login().unwrap();
        let (name, token) = (name.to_owned(), token.to_owned());
        // 2.4 does not know how to be told.
        assert_eq!(name == "Ana Example", personality != Personality::v2_4());
        world.with_host(host, |client, now| assert!(client.renegotiate(now)));
        world.run(10 * SECOND);
        assert_eq!(
            world.server.counters().renegotiations,
            1,
            "{:?}",
            world.disconnected
        );
        assert_eq!(world.requests.len(), 1);
        let back = world.add_login(&name, &token, personality);
        world.connect(back);
        world.check_empty();
    }
}
