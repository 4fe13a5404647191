from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.place import lines
from tests.support.processes import PATIENCE, eventually, without_progress, without_rows

SLOW = """
import time
from pathlib import Path
from psyflow import Param

pspace = Param(x=range(600))
HERE = Path(__file__).parent.parent

def execute(x, ctx):
    with (HERE / "started").open("a") as file:
        print(x, file=file)
    time.sleep(0.1)
    while x > 2 and not (ctx.should_stop() and (HERE / "may-end").exists()):
        time.sleep(0.01)
    return {"y": -x}
"""
QUICK = SLOW.replace("0.1", "0").replace("x > 2", "False")


@pytest.fixture
def slow(place):
    """A run in which three items are done; the fourth waits to be stopped, and for `let_end`."""
    place.task("slow", SLOW)
    process = place.start("run")
    started = place.folder / "started"
    eventually(lambda: started.exists() and len(started.read_text().split()) > 3)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def let_end(place) -> None:
    (place.folder / "may-end").touch()


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, without_rows(without_progress(err))


@pytest.mark.parametrize("whom", ["terminal", "psy alone", "psy alone, as an IDE does"])
def test_an_interrupted_run_says_how_to_continue_and_does(place, slow, whom):
    if whom == "terminal":
        os.killpg(slow.pid, signal.SIGINT)
    else:
        slow.send_signal(signal.SIGINT if "IDE" in whom else signal.SIGTERM)
    told = ""
    while not told:
        assert select.select([slow.stderr], [], [], PATIENCE)[0]
        line = slow.stderr.readline()
        assert line, "it has ended"
        told = without_progress(line)
    assert told == "slow: stops after the running items. Ctrl-C: at once.\n"
    let_end(place)
    status, out, err = end(slow)
    assert (status, out) == (130, ".  slow:split\n.  slow:process\n")
    done = len((place.folder / "started").read_text().split())
    assert err == f"slow: interrupted, {done} of 600 done. Continue with: psy run slow\n"
    assert 2 < done < 600
    assert f"slow:\n  {done} out of 600 rows completed.\n" in place.psy("status").stdout

    place.task("slow", QUICK)
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

    let_end(place)
    killed = place.psy("kill", "slow")
    assert killed.returncode == 0
    assert killed.stdout.startswith("slow: killed process ")
    status, _, err = end(slow)
    assert status == 130
    assert "Continue with: psy run slow" in err


def test_run_killed_outright_goes_on_where_it_was(place, slow):
    let_end(place)
    slow.kill()
    slow.communicate()
    place.task("slow", QUICK)
    shown = place.program("run", "-c")
    assert shown.returncode == 0, shown.stderr
    assert place.result("slow")["x"] == list(range(600))


def states_of_workers(psy: int) -> set[str]:
    """Return the states of the descendants of `psy` that lead process groups of their own."""
    found, families = set(), {psy}
    for _ in range(4):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, parent, group = stat.read_text().rpartition(")")[2].split()[:3]
                pid = int(stat.parent.name)
                if int(parent) in families:
                    families.add(pid)
                    if int(group) == pid:
                        found.add(state)
    return found


def test_ctrl_z_stops_the_workers_too_and_they_go_on(place, slow):
    os.killpg(slow.pid, signal.SIGTSTP)
    eventually(lambda: "T" in states_of_workers(slow.pid))
    os.killpg(slow.pid, signal.SIGCONT)
    eventually(lambda: "T" not in states_of_workers(slow.pid))
    slow.send_signal(signal.SIGINT)
    let_end(place)
    assert end(slow)[0] == 130
