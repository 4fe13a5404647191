"""`psy exec` on machines that are reached by SSH."""

from __future__ import annotations

import contextlib
import csv
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.processes import PATIENCE, children_of, eventually
from tests.support.programs import SIM

from .private_sshd import PrivateSshd, end_runners, runners, running_sshd


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


WAITS = """#!/bin/sh
echo $1 >> calls.log
[ $1 -lt 2 ] || until [ -e go ]; do sleep 0.1; done
"""


def started(place: Place) -> int:
    log = place.folder / "calls.log"
    return len(log.read_text().split()) if log.exists() else 0


def all_below(pid: int) -> list[int]:
    return [pid, *(inner for child in children_of(pid) for inner in all_below(child))]


def test_one_of_two_servers_dies_midway(sshd: PrivateSshd, place: Place) -> None:
    (place.folder / "sim").write_text(WAITS)
    with running_sshd() as other:
        sshd.know(sshd.host("node1") + other.host("node2"))
        words = ["exec", "grid", "-o", "out", "--ssh", f"ssh -F {sshd.folder}/ssh_config"]
        words += ["--node", "node1*1", "--node", "node2*1", "--va", "n", "0", "8", "1"]
        process = place.start(*words, "--", "./sim", "{n}")
        try:
            # Two have run, and one runs on each node.
            eventually(lambda: started(place) == 4)
            spool = place.folder / "out" / "psy-nodes"
            victim = next(p for p in runners(spool) if b"node2" in command_line(p))
            for pid in [other.process.pid, *all_below(victim)]:
                # Some end with others.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            (place.folder / "go").touch()
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            sshd.know(sshd.host("node1 node2"))
    assert process.returncode == 0, err
    assert "8 of 8 runs done, none given up" in err


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
