//! Many seeds over bad links: every run must end in equal keys, with bounded memory.

use std::time::Duration;

use crate::net::Quality;
use crate::pair::{MODES, Pair, Setup};

/// Runs per test. Raise with `CULVERT_SCHEDULES` for a long soak.
fn runs(default: u64) -> u64 {
    std::env::var("CULVERT_SCHEDULES")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(default)
}

fn setup(seed: u64) -> Setup {
    let quality = Quality {
        loss: [0, 20, 100, 200][(seed % 4) as usize],
        duplication: [0, 100, 300][(seed % 3) as usize],
        jitter_ms: [0, 5, 50, 3000][(seed / 4 % 4) as usize],
    };
    Setup {
        seed,
        mode: MODES[(seed / 2 % 4) as usize],
        cookie: !seed.is_multiple_of(5),
        tls12: seed.is_multiple_of(2),
        ekm: seed.is_multiple_of(3),
        dynamic: seed % 7 < 3,
        quality,
        ..Setup::default()
    }
}

#[test]
fn handshakes_survive_loss_reordering_and_duplication() {
    let mut slow = 0;
    for seed in 0..runs(2000) {
        let mut pair = Pair::new(setup(seed));
        pair.run_until(60, Pair::is_up);
        // One in five packets lost may take longer than the hand-window; that is counted, not asserted.
        if !pair.is_up() {
            slow += 1;
            continue;
        }
        pair.assert_equal_keys(0);
        assert!(
            pair.most_buffered < 32 * 1024,
            "seed {seed}: {}",
            pair.most_buffered
        );
    }
    assert!(slow * 50 <= runs(2000), "{slow} runs did not finish in time");
}

#[test]
fn renegotiations_survive_the_same() {
    let mut failed = 0;
    for seed in 0..runs(1000) {
        let mut pair = Pair::new(setup(seed));
        pair.run_until(60, Pair::is_up);
        if !pair.is_up() {
            continue;
        }
        let now = pair.now;
        if !seed.is_multiple_of(3) {
            pair.client.soft_reset(now).unwrap();
        }
        if seed % 3 != 1 {
            pair.server().soft_reset(now).unwrap();
        }
        pair.client.send_message(b"from the client\0").unwrap();
        pair.server().send_message(b"from the server\0").unwrap();
        pair.run_until(60, |pair| pair.both_active(1));
        if !pair.both_active(1) {
            failed += 1;
            continue;
        }
        pair.assert_equal_keys(1);
        pair.run_for(90);
        let (server, client) = (
            Pair::messages(&pair.server_events),
            Pair::messages(&pair.client_events),
        );
        assert_eq!(server, ["from the client\0"], "seed {seed}");
        assert_eq!(
            client,
            ["PUSH_REPLY,ping 10\0", "from the server\0"],
            "seed {seed}"
        );
    }
    assert!(
        failed * 50 <= runs(1000),
        "{failed} renegotiations did not finish in time"
    );
}

#[test]
fn a_quiet_link_wakes_nobody_up() {
    let mut pair = Pair::connected(Setup::default());
    pair.run_for(1);
    let before = pair.wire.len();
    pair.run_for(3000);
    assert_eq!(pair.wire.len(), before, "an idle control channel sends nothing");
    assert!(pair.elapsed() >= Duration::from_secs(3000));
    assert_eq!(pair.server().buffered_bytes(), 0);
}
