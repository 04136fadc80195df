"""What a backup holds comes back, and a client with it."""

import pytest

from lab import BIN, IN_A, WORK, run
from manage import purge

CONFIG = ("--config", WORK / "culvert.toml")


def test_a_restored_backup_is_the_store_as_it_was(daemon, ec2, associated, connect, ana, tmp_path):
    endpoint = associated(Description="kept")
    before = ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]
    file = tmp_path / "backup"
    run(BIN / "culvert", "backup", file, *CONFIG)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list((WORK / "state").glob("backup-*")), "the daemon keeps none"
    purge(ec2)
    daemon.stop()
    run(BIN / "culvert", "restore", file, *CONFIG)
    daemon.start()
    assert ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"] == before
    assert connect(endpoint, ana).connected().pings(IN_A)


def test_nothing_is_overwritten_and_a_running_daemon_keeps_its_store(daemon, tmp_path):
    file = tmp_path / "backup"
    file.write_text("mine")
    with pytest.raises(AssertionError, match="File exists"):
        run(BIN / "culvert", "backup", file, *CONFIG)
    assert file.read_text() == "mine"
    run(BIN / "culvert", "backup", tmp_path / "good", *CONFIG)
    with pytest.raises(AssertionError, match="stop"):
        run(BIN / "culvert", "restore", tmp_path / "good", *CONFIG)
    daemon.stop()
    try:
        with pytest.raises(AssertionError, match="cannot restore"):
            run(BIN / "culvert", "restore", file, *CONFIG)
    finally:
        daemon.start()
