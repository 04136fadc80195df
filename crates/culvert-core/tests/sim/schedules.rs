//! Thousands of lives under random schedules: connecting, talking, renegotiating, restarting, floating, leaving,
//! vanishing, over networks from good to bad. Whatever happens, the books must balance.

use std::time::Duration;

use culvert_client::Personality;
use culvert_control::SessionConfig;
use culvert_control::tls::ClientCertificates;
use culvert_core::{DisconnectReason, EndpointSettings};

use crate::pki::pki;
use crate::world::{Quality, World, settings};

/// Schedules run; each has its own seed, network, and mix of clients.
const SCHEDULES: u64 = 3000;

#[test]
fn one() {
    schedule(12);
}

#[test]
fn thousands_of_random_schedules_keep_the_books_balanced() {
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..SCHEDULES).step_by(threads as usize) {
                    if std::panic::catch_unwind(|| schedule(seed)).is_err() {
                        panic!("schedule {seed} failed; run `schedule({seed})` alone to repeat it");
                    }
                }
            });
        }
    });
}

fn schedule(seed: u64) {
    let mut world = World::new(seed, schedule_settings(seed));
    let bad = world.below(4);
    world.quality = Quality {
        loss: bad * 40,
        duplication: bad * 20,
        jitter_ms: world.below(2) * bad * 60,
    };
    let count = 2 + world.below(3) as usize;
    for user in 0..count {
        let personality = match world.below(4) {
            0 => Personality::v2_4(),
            1 => Personality::v2_5(),
            2 => Personality::v2_6(),
            _ => Personality::v2_7(),
        };
        let link = if world.below(5) == 0 {
            world.fresh_tcp()
        } else {
            world.fresh_udp()
        };
        let host = world.add_host_at(link, Some(user), None, personality);
        world.start(host);
    }
    let steps = 12 + world.below(12);
    for _ in 0..steps {
        let wait = Duration::from_millis(world.below(8000));
        world.run(wait);
        let host = world.below(count as u64) as usize;
        act(&mut world, host);
        world.check();
    }
    nobody_is_lost(&mut world);
    for host in 0..count {
        if world.below(2) == 0 {
            world.with_host(host, |client, now| client.exit(now));
        }
    }
    world.run(Duration::from_secs(10));
    world.check_empty();
}

fn schedule_settings(seed: u64) -> EndpointSettings {
    let session = SessionConfig {
        reneg_interval: Some(Duration::from_secs(if seed.is_multiple_of(3) {
            40
        } else {
            3600
        })),
        ..pki().server_session(ClientCertificates::Required)
    };
    EndpointSettings {
        session: std::sync::Arc::new(session),
        duplicate_cn: !seed.is_multiple_of(2),
        ..settings()
    }
}

/// One thing that happens to a host.
fn act(world: &mut World, host: usize) {
    let udp = world.hosts[host].link.is_udp();
    match world.below(12) {
        0 | 1 => {
            world.with_host(host, |client, now| client.renegotiate(now));
        }
        2 => {
            world.with_host(host, |client, now| client.exit(now));
        }
        3 if udp => {
            // A crash and a new start, from the same port or another.
            if world.below(2) == 0 {
                world.hosts[host].link = world.fresh_udp();
            }
            world.start(host);
        }
        4 if udp => {
            world.hosts[host].link = world.fresh_udp();
            world.send_ip(host);
        }
        5 => {
            let victim = world.server.clients().next().map(|status| status.client);
            if let Some(client) = victim {
                world
                    .command(|server, now| server.disconnect(now, client, DisconnectReason::Restarted(None)));
            }
        }
        6 => {
            // Packets of old, sent again.
            world.record = true;
            let again: Vec<_> = world.recorded.drain(..).collect();
            for (from, packet) in again.into_iter().take(20) {
                let _dropped = world.inject(from, packet);
            }
        }
        7 if !udp => reconnect_tcp(world, host),
        8 => restart_if_ended(world, host),
        _ => {
            world.send_ip(host);
            if let Some(v4) = world.hosts[host].client.as_ref().and_then(|client| client.v4()) {
                world.reply_ip(v4);
            }
        }
    }
}

fn reconnect_tcp(world: &mut World, host: usize) {
    if let culvert_wire::LinkAddr::Tcp(tcp) = world.hosts[host].link {
        world.kill(host);
        world.command(|server, now| server.handle_link_closed(now, tcp));
        world.hosts[host].link = world.fresh_tcp();
        world.start(host);
    }
}

fn restart_if_ended(world: &mut World, host: usize) {
    if world.hosts[host]
        .client
        .as_ref()
        .is_none_or(|client| client.is_ended())
    {
        if world.hosts[host].link.is_udp() {
            world.start(host);
        } else {
            reconnect_tcp(world, host);
        }
    }
}

/// Whoever keeps trying gets in and can talk, whatever happened before.
fn nobody_is_lost(world: &mut World) {
    for round in 0..30 {
        for host in 0..world.hosts.len() {
            restart_if_ended(world, host);
        }
        world.run(Duration::from_secs(20));
        world.check();
        if (0..world.hosts.len()).all(|host| works(world, host)) {
            return;
        }
        assert!(round < 29, "somebody is locked out: {:?}", world.refused);
    }
}

/// A packet gets through to the server under the client's own identity.
fn works(world: &mut World, host: usize) -> bool {
    if !world.is_up(host) {
        return false;
    }
    let before = world.tun;
    for _ in 0..8 {
        world.send_ip(host);
    }
    world.run(Duration::from_secs(1));
    world.tun > before
}
