"""`psy exec` on machines that are reached by SSH."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.programs import SIM

from .private_sshd import PrivateSshd, end_runners


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    path = tmp_path / "sim"
    path.write_text(SIM)
    path.chmod(0o755)
    yield Place(tmp_path)
    end_runners(tmp_path / "out" / "psy-nodes")


def test_runs_on_two_nodes_of_which_one_does_not_answer(sshd: PrivateSshd, place: Place) -> None:
    (place.folder / "cluster.yaml").write_text(
        "name: lab\nnodes:\n"
        "  - {name: fast, hostname: node1, workers: 2, tags: [gpu]}\n"
        "  - {name: old, hostname: node2, workers: 1}\n"
        f"ssh: {shlex.join(sshd.ssh)}\n"
    )
    words = ["exec", "grid", "-o", "out", "--cluster", "cluster.yaml", "--node", "closed*4"]
    shown = place.psy(*words, "--va", "n", "0", "12", "1", "--", "./sim", "{n}")
    assert shown.returncode == 0, shown.stderr
    assert "closed takes no jobs" in shown.stderr
    assert "quick_experiment: 12 of 12 runs done, none given up" in shown.stderr
    calls = (place.folder / "calls.log").read_text().split()
    assert sorted(map(int, calls)) == list(range(12))
    shown = place.psy("parse", "-e", "out", "-p", "N", r"^(@int@)$", "-o", "-")
    rows = list(csv.DictReader(shown.stdout.splitlines()))
    assert [row["OUT_N"] for row in rows] == [str(n) for n in range(12)]
    assert {row["CLUSTER_NAME"] for row in rows} == {"lab"}
