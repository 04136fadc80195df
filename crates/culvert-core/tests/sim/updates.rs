//! Changed options of connected clients: who is told, when, and what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use culvert_client::Personality;
use culvert_core::{AuthDecision, EndpointSettings, Grant, PushSettings, RedirectGateway};
use culvert_wire::push::{PushOptions, UPDATABLE};

use crate::world::{Quality, World, accept_all, settings};

const SECOND: Duration = Duration::from_secs(1);

/// The settings of all simulations with other options.
fn with(change: impl FnOnce(&mut PushSettings)) -> EndpointSettings {
    let mut changed = settings();
    change(&mut changed.push);
    changed
}

fn routes(networks: &[&str]) -> EndpointSettings {
    with(|push| push.routes = networks.iter().map(|network| network.parse().unwrap()).collect())
}

fn put_in_force(world: &mut World, settings: EndpointSettings) {
    world.command(|server, now| server.replace_settings(now, settings).unwrap());
}

fn options(world: &World, host: usize) -> PushOptions {
    let client = world.hosts[host].client.as_ref().unwrap();
    client.options().unwrap().clone()
}

/// What can be updated, as lists by name; the client's own address apart.
fn updatable(options: &PushOptions) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let names = UPDATABLE.into_iter().filter(|name| !name.starts_with("ifconfig"));
    names
        .map(|name| (name, options.all(name).map(<[String]>::to_vec).collect()))
        .collect()
}

fn networks(options: &PushOptions) -> Vec<String> {
    options.routes().map(|(network, _)| network.to_string()).collect()
}

#[test]
fn who_can_be_told_is_told_at_once_and_nobody_else() {
    let mut world = World::new(1, settings());
    let new = world.add_host(Some(0), Personality::v2_7());
    let old = world.add_host(Some(1), Personality::v2_6());
    world.connect(new);
    world.connect(old);
    let heard = world.hosts[old].control_bytes;
    put_in_force(&mut world, routes(&["10.20.0.0/16", "10.30.0.0/16"]));
    world.run(SECOND);
    assert_eq!(networks(&options(&world, new)), ["10.20.0.0", "10.30.0.0"]);
    assert_eq!(networks(&options(&world, old)), ["10.20.0.0"]);
    assert_eq!(world.hosts[old].control_bytes, heard, "it is not disturbed");
    assert_eq!(world.server.counters().updates, 1);
    world.run(60 * SECOND);
    assert!(world.is_up(new) && world.is_up(old), "both stay connected");
    assert_eq!(world.hosts[new].updated.len(), 1);
    world.check_empty();
}

#[test]
fn a_change_that_concerns_no_option_that_can_be_updated_is_not_told() {
    let mut world = World::new(2, settings());
    let host = world.add_host(Some(0), Personality::v2_7());
    world.connect(host);
    let heard = world.hosts[host].control_bytes;
    put_in_force(&mut world, with(|push| push.banner = Some("Welcome".into())));
    put_in_force(&mut world, settings());
    world.run(5 * SECOND);
    assert_eq!(world.hosts[host].control_bytes, heard);
    world.check_empty();
}

#[test]
fn dns_is_changed_where_that_works() {
    let mut world = World::new(9, settings());
    let v2 = world.add_host(Some(0), Personality::v2_7());
    let v3 = world.add_host(Some(1), Personality::v3_11());
    world.connect(v2);
    world.connect(v3);
    let changed = with(|push| push.dns_servers = vec!["10.0.0.53".parse().unwrap()]);
    put_in_force(&mut world, changed);
    world.run(SECOND);
    assert!(!options(&world, v2).has("dns") && world.hosts[v2].updated.is_empty());
    assert_eq!(
        options(&world, v3).get("dns").unwrap(),
        ["server", "0", "address", "10.0.0.53"]
    );
    assert_eq!(
        options(&world, v3).get("dhcp-option").unwrap(),
        ["DNS", "10.0.0.53"]
    );
    put_in_force(&mut world, settings());
    world.run(3 * SECOND);
    assert!(!options(&world, v3).has("dns") && !options(&world, v3).has("dhcp-option"));
    world.check_empty();
}

#[test]
fn nobody_is_told_where_updates_are_off() {
    let mut world = World::new(3, settings());
    let host = world.add_host(Some(0), Personality::v2_7());
    world.connect(host);
    let quiet = EndpointSettings {
        push: PushSettings {
            updates: false,
            ..routes(&["10.30.0.0/16"]).push
        },
        ..settings()
    };
    put_in_force(&mut world, quiet);
    world.run(5 * SECOND);
    assert_eq!(networks(&options(&world, host)), ["10.20.0.0"]);
    put_in_force(&mut world, routes(&["10.30.0.0/16"]));
    world.run(SECOND);
    assert_eq!(
        networks(&options(&world, host)),
        ["10.30.0.0"],
        "it is not forgotten"
    );
    world.check_empty();
}

#[test]
fn changes_in_quick_succession_become_two_updates() {
    let mut world = World::new(4, settings());
    let host = world.add_host(Some(0), Personality::v2_7());
    world.connect(host);
    let start = world.now.instant;
    let mut all = vec!["10.20.0.0/16".to_owned()];
    for network in 1..20 {
        all.push(format!("10.30.{network}.0/24"));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        put_in_force(&mut world, routes(&all));
        world.run(SECOND / 20);
    }
    assert_eq!(world.hosts[host].updated.len(), 1, "the first is told at once");
    world.run(3 * SECOND);
    let updated = &world.hosts[host].updated;
    assert_eq!(updated.len(), 2, "the others together");
    assert!(updated[1] - start < 3 * SECOND);
    assert_eq!(options(&world, host).routes().count(), 20);
    world.check_empty();
}

#[test]
fn updates_do_not_pile_up_where_a_client_can_not_be_reached_for_a_while() {
    let mut world = World::new(6, settings());
    let host = world.add_host(Some(0), Personality::v3_11());
    world.connect(host);
    world.run(SECOND);
    world.quality = Quality {
        loss: 1000,
        ..Quality::default()
    };
    // Some 10 KB each.
    let many = |change: u16| {
        let networks: Vec<String> = (0..300_u16)
            .map(|number| format!("10.{}.{}.0/24", 100 + change, number % 256))
            .chain((0..44_u16).map(|number| format!("10.99.{number}.0/24")))
            .collect();
        let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
        routes(&networks)
    };
    for change in 0..8 {
        put_in_force(&mut world, many(change));
        world.run(2 * SECOND);
    }
    world.quality = Quality::default();
    assert!(world.run_until(30 * SECOND, |world| {
        networks(&options(world, host)).first().map(String::as_str) == Some("10.107.0.0")
    }));
    assert!(world.is_up(host), "it was not thrown out");
    world.check_empty();
}

#[test]
fn a_change_taken_back_within_the_pause_is_taken_back_at_the_client() {
    let mut world = World::new(5, settings());
    let host = world.add_host(Some(0), Personality::v2_7());
    world.connect(host);
    put_in_force(&mut world, routes(&[]));
    world.run(SECOND);
    assert_eq!(options(&world, host).routes().count(), 0);
    put_in_force(&mut world, settings());
    world.run(3 * SECOND);
    assert_eq!(networks(&options(&world, host)), ["10.20.0.0"]);
    put_in_force(&mut world, routes(&[]));
    put_in_force(&mut world, settings());
    world.run(5 * SECOND);
    assert_eq!(networks(&options(&world, host)), ["10.20.0.0"]);
    world.check_empty();
}

#[test]
fn options_granted_to_one_client_survive_an_update() {
    let mut world = World::new(6, settings());
    let plain = [0, 1].map(|user| world.add_host(Some(user), Personality::v2_7()));
    world.connect(plain[0]);
    world.backend = Box::new(|_| {
        let grant = Grant {
            push: vec!["route 10.99.0.0 255.255.0.0".into()],
            ..Grant::default()
        };
        vec![(Duration::ZERO, AuthDecision::Accept(grant))]
    });
    let host = world.add_host(Some(2), Personality::v2_7());
    world.connect(host);
    world.backend = accept_all();
    world.connect(plain[1]);
    put_in_force(&mut world, routes(&["10.30.0.0/16"]));
    world.run(SECOND);
    assert_eq!(networks(&options(&world, host)), ["10.30.0.0", "10.99.0.0"]);
    for host in plain {
        assert_eq!(
            networks(&options(&world, host)),
            ["10.30.0.0"],
            "they are not its own"
        );
    }
    world.check_empty();
}

#[test]
fn a_client_that_has_yet_to_ask_for_its_options_gets_the_new_ones() {
    let mut world = World::new(7, settings());
    let host = world.add_host(Some(0), Personality::v2_4());
    world.start(host);
    assert!(world.run_until(10 * SECOND, |world| !world.connected.is_empty()));
    assert!(!world.is_up(host));
    put_in_force(&mut world, routes(&["10.30.0.0/16"]));
    assert!(world.run_until(10 * SECOND, |world| world.is_up(host)));
    assert_eq!(networks(&options(&world, host)), ["10.30.0.0"]);
    world.check_empty();
}

#[test]
fn an_update_lost_with_its_key_is_repeated_with_the_next() {
    let mut world = World::new(8, settings());
    let host = world.add_host(Some(0), Personality::v2_7());
    world.connect(host);
    world.run(10 * SECOND);
    world.quality.loss = 1000;
    put_in_force(&mut world, routes(&["10.30.0.0/16"]));
    world.quality.loss = 0;
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    world.run(20 * SECOND);
    assert_eq!(networks(&options(&world, host)), ["10.30.0.0"]);
    assert!(world.server.counters().updates >= 2, "it was told again");
    assert_eq!(world.server.counters().renegotiations, 1);
    world.check_empty();
}

/// Some options, the same for the same number.
fn variant(number: u64) -> EndpointSettings {
    with(|push| {
        let full = number.is_multiple_of(3);
        push.routes = (0..number % 70)
            .filter(|_| !full || number.is_multiple_of(2))
            .map(|net| format!("10.{net}.0.0/16").parse().unwrap())
            .collect();
        if number % 5 == 1 {
            push.routes.push("fd00:20::/48".parse().unwrap());
        }
        push.redirect_gateway = full.then(|| RedirectGateway {
            ipv4: true,
            ipv6: number.is_multiple_of(2),
            ..RedirectGateway::default()
        });
        push.block_ipv6 = full;
        push.dns_servers = (0..number % 4)
            .map(|host| format!("10.0.0.{host}").parse().unwrap())
            .collect();
        if number.is_multiple_of(7) {
            push.search_domains = vec!["corp.example".into()];
        }
        if number.is_multiple_of(11) {
            push.extra = vec!["dhcp-option NTP 10.0.0.9".into(), "route-metric 7".into()];
        }
    })
}

#[test]
fn whatever_changes_when_a_client_ends_with_what_a_newcomer_gets() {
    for seed in 0..40 {
        let mut world = World::new(seed, variant(seed));
        let host = world.add_host(Some(0), Personality::v3_11());
        world.connect(host);
        world.quality = Quality {
            loss: 150,
            duplication: 100,
            jitter_ms: 300,
        };
        for _ in 0..8 {
            let number = world.below(1000);
            put_in_force(&mut world, variant(number));
            if world.below(4) == 0 {
                let _ = world.with_host(host, |client, now| client.renegotiate(now));
            }
            let pause = Duration::from_millis(world.below(4000));
            world.run(pause);
        }
        world.quality = Quality::default();
        world.run(120 * SECOND);
        assert!(world.is_up(host), "seed {seed}: {:?}", world.hosts[host].ends);
        let newcomer = world.add_host(Some(1), Personality::v3_11());
        world.connect(newcomer);
        assert_eq!(
            updatable(&options(&world, host)),
            updatable(&options(&world, newcomer)),
            "seed {seed}"
        );
        world.check_empty();
    }
}
