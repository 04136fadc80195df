//! TCP: a session per connection, created at once and ended with it.

use std::time::Duration;

use culvert_client::Personality;
use culvert_core::{DisconnectReason, DropReason, Event, RefusalKind};
use culvert_wire::LinkAddr;

use crate::world::{World, settings};

const SECOND: Duration = Duration::from_secs(1);

fn tcp(link: LinkAddr) -> culvert_wire::TcpLink {
    match link {
        LinkAddr::Tcp(tcp) => tcp,
        LinkAddr::Udp(_) => panic!("not TCP"),
    }
}

fn connected(world: &mut World) -> usize {
    let link = world.fresh_tcp();
    let host = world.add_host_at(link, Some(0), None, Personality::v2_6());
    world.connect(host);
    host
}

#[test]
fn closing_the_connection_ends_the_client_at_once() {
    let mut world = World::new(1, settings());
    let host = connected(&mut world);
    world.kill(host);
    let link = tcp(world.hosts[host].link);
    world.command(|server, now| server.handle_link_closed(now, link));
    assert_eq!(world.disconnected[0].1, DisconnectReason::LinkClosed);
    assert_eq!(world.server.counters().sessions, 0);
    world.check_empty();
}

#[test]
fn closing_during_the_handshake_leaves_nothing() {
    let mut world = World::new(2, settings());
    let link = world.fresh_tcp();
    let host = world.add_host_at(link, Some(0), None, Personality::v2_6());
    world.start(host);
    world.run(Duration::from_millis(25));
    assert_eq!(world.server.counters().half_open, 1);
    world.kill(host);
    world.command(|server, now| server.handle_link_closed(now, tcp(link)));
    assert_eq!(world.refused[0].kind, RefusalKind::Gone);
    assert_eq!(world.server.counters().sessions, 0);
    world.check_empty();
}

#[test]
fn a_packet_that_can_not_be_believed_ends_the_connection() {
    let mut world = World::new(3, settings());
    let link = world.fresh_tcp();
    let mut packet = vec![0x20; 30];
    let mut server_events = || {
        let result = world.server.handle_link_input(world.now, link, &mut packet);
        (result, world.server.poll_event())
    };
    let (result, event) = server_events();
    assert_eq!(result, Err(DropReason::NoCookie));
    assert!(matches!(event, Some(Event::CloseLink(closed)) if closed == tcp(link)));
}

#[test]
fn a_second_session_on_one_connection_is_ignored() {
    let mut world = World::new(4, settings());
    let host = connected(&mut world);
    let link = world.hosts[host].link;
    let reset = [&[0x38][..], &77u64.to_be_bytes(), &[0; 5]].concat();
    assert_eq!(world.inject(link, reset), Err(DropReason::SecondSession));
    assert!(world.is_up(host));
    world.check();
    world.check_empty();
}

#[test]
fn a_refused_client_reads_the_reason_before_the_connection_closes() {
    let mut world = World::new(
        5,
        culvert_core::EndpointSettings {
            max_clients: 1,
            ..settings()
        },
    );
    let _first = connected(&mut world);
    let link = world.fresh_tcp();
    let host = world.add_host_at(link, Some(1), None, Personality::v2_5());
    world.start(host);
    world.run(3 * SECOND);
    assert_eq!(world.hosts[host].ends.len(), 1, "{:?}", world.hosts[host].ends);
    assert!(world.hosts[host].client.is_some(), "still open");
    world.run(5 * SECOND);
    assert!(world.hosts[host].client.is_none(), "closed");
    world.check_empty();
}
