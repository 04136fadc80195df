//! What a daemon that was killed leaves on the machine, and what the next one makes of it.
#![cfg(feature = "netns")]

use anyhow::{Result, ensure};
use culvert_tests::{Culvertd, Lab};

#[test]
fn firewall_rules_of_devices_that_are_gone_are_removed_and_no_others() -> Result<()> {
    let lab = Lab::new(0)?;
    // A killed run's, one of a device that is there and so may be another daemon's, and two of other programs.
    for table in [
        "inet culvert_cvpn7",
        "inet culvert_lan0",
        "ip culvert_cvpn7",
        "inet other",
    ] {
        let words: Vec<&str> = table.split(' ').collect();
        lab.server.run("nft", &[&["add", "table"][..], &words].concat())?;
    }
    let mut server = Culvertd::plan(&lab).start()?;
    let tables = lab.server.run("nft", &["list", "tables"])?;
    ensure!(
        tables.lines().collect::<Vec<_>>()
            == [
                "table inet culvert_lan0",
                "table ip culvert_cvpn7",
                "table inet other"
            ],
        "{tables}"
    );
    let log = server.process().log();
    ensure!(
        log.matches("removed the firewall rules a former run left")
            .count()
            == 1,
        "{log}"
    );
    server.stop()
}
