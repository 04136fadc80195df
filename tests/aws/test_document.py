"""docs/client-vpn.md says what is true: every row is there, and every test it names."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "client-vpn.md").read_text()


def test_every_row_is_there_once_and_in_order():
    assert re.findall(r"^\| S(\d+) \|", TEXT, re.MULTILINE) == [str(number) for number in range(1, 93)]


def test_every_row_that_is_served_names_its_proof_and_every_proof_exists():
    wrong = []
    for line in re.findall(r"^\| S\d+ \|.*$", TEXT, re.MULTILINE):
        proofs = re.findall(r"`([\w/.-]+)::(\w+)`", line)
        if not proofs and "doesn't apply" not in line:
            wrong.append(line)
        for file, name in proofs:
            path = ROOT / file if "/" in file else ROOT / "tests" / "aws" / file
            if not path.exists() or not re.search(rf"^\s*(?:def|fn) {name}\(", path.read_text(), re.MULTILINE):
                wrong.append(f"{file}::{name}")
    assert wrong == []
