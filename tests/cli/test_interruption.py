from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.support.place import lines

SLOW = """
import time
from pathlib import Path
from psyflow import Param

pspace = Param(x=range(600))
STARTED = Path(__file__).parent.parent / "started"

def execute(x):
    with STARTED.open("a") as file:
        print(x, file=file)
    time.sleep(0.1)
    return {"y": -x}
"""


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slow(place):
    """A run of a minute, in which at least two items are done."""
    place.task("slow", SLOW)
    process = place.start("run")
    started = place.folder / "started"
    wait_for(lambda: started.exists() and len(started.read_text().split()) > 2)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("whom", ["terminal", "psy alone"])
def test_an_interrupted_run_says_how_to_continue_and_does(place, slow, whom):
    if whom == "terminal":
        os.killpg(slow.pid, signal.SIGINT)
    else:
        slow.send_signal(signal.SIGTERM)
    status, out, err = end(slow)
    assert (status, out) == (130, ".  slow:split\n.  slow:process\n")
    first, last = err.splitlines()
    assert first == "slow: stops after the running items. Ctrl-C: at once."
    done = len((place.folder / "started").read_text().split())
    assert last == f"slow: interrupted, {done} of 600 done. Continue with: psy run slow"
    assert 2 < done < 600
    assert f"slow:\n  {done} out of 600 rows completed.\n" in place.psy("status").stdout

    place.task("slow", SLOW.replace("0.1", "0"))
    continued = place.program("run", "-c")
    assert (continued.returncode, continued.stdout) == (0, lines("slow"))
    started = list(map(int, (place.folder / "started").read_text().split()))
    assert sorted(started) == list(range(600))
    assert place.result("slow") == {"x": list(range(600)), "y": [-x for x in range(600)]}


def test_while_it_runs(place, slow):
    """A second run is refused; status, merge and kill do what they say."""
    second = place.program("run")
    assert (second.returncode, second.stdout) == (3, "")
    assert second.stderr.startswith(f'slow: Task "slow" is held by process {slow.pid}')

    before = place.snapshot()
    status = place.psy("status")
    assert before.keys() <= place.snapshot().keys()
    assert " out of 600 rows completed.\n" in status.stdout
    assert "slow: not up to date: " in status.stderr
    assert "slow: at work: process " in status.stderr

    refused = place.psy("clean", "slow")
    assert refused.returncode == 2
    assert "has jobs at work" in refused.stderr

    merged = place.psy("merge", "psy-work/slow", "so-far.npz")
    assert merged.returncode == 0, merged.stderr
    from psyflow.store import NpzStore

    so_far = NpzStore().load(place.folder / "so-far.npz")
    assert 2 <= len(so_far["x"]) < 600
    assert list(so_far["y"]) == [-x for x in so_far["x"]]
    assert sorted(so_far["x"]) == list(so_far["x"])

    killed = place.psy("kill", "slow")
    assert killed.returncode == 0
    assert killed.stdout.startswith("slow: killed process ")
    status, _, err = end(slow)
    assert status == 130
    assert "Continue with: psy run slow" in err


def test_run_killed_outright_goes_on_where_it_was(place, slow):
    slow.kill()
    slow.communicate()
    place.task("slow", SLOW.replace("0.1", "0"))
    shown = place.program("run", "-c")
    assert shown.returncode == 0, shown.stderr
    assert place.result("slow")["x"] == list(range(600))
