from __future__ import annotations

import os
import pty
import re
import select
import subprocess

import numpy as np
import pytest

from psyflow.cli.progress import Progress
from psyflow.outcomes.records import Failure, Rows
from psyflow.outcomes.shard import ShardWriter
from psyflow.outcomes.states import State, Tally
from psyflow.record.layout import Layout
from psyflow.report.progress import Counts, Follower
from tests.support.place import SQUARE, lines
from tests.support.processes import PATIENCE, eventually


class SmallPlan:
    """As much of a plan as followers of its shards ask for."""

    def __init__(self, folder, n_items=10, n_pending=8):
        self.task, self.run_id = "small", "r1"
        self.n_items, self.n_pending = n_items, n_pending
        self.layout = Layout(folder, "small", folder / "result.npz")
        self.frozen = self.layout.plan(self.run_id)

    def writer(self, run_id="r1", worker=0):
        return ShardWriter(self.layout.out / f"{run_id}.{worker}.rows")


def rows(*items: int) -> Rows:
    n = len(items)
    return Rows(
        np.array(items), {"y": list(items)}, np.zeros(n), np.zeros(n), np.ones(n, "i2"), "h", 1
    )


def numbers(counts: Counts) -> tuple[int, int, int]:
    return counts.tally.n_items, counts.tally[State.DONE], counts.tally[State.FAILED]


def test_a_follower_counts_what_is_in_the_shards_of_its_plan(tmp_path):
    plan = SmallPlan(tmp_path)
    follower = Follower(plan)
    assert numbers(follower.counts()) == (10, 2, 0)
    with plan.writer() as one, plan.writer(worker=1) as two, plan.writer("r0") as other:
        other.write_rows(rows(1, 2, 3))
        one.write_rows(rows(4, 5))
        two.write_failure(Failure(6, "error", "ValueError"))
        assert numbers(follower.counts()) == (10, 4, 1)
        two.write_rows(rows(6))
        assert numbers(follower.counts()) == (10, 5, 0)
        one.write_rows(rows(4))
        assert numbers(follower.counts()) == (10, 5, 0)


def test_counts_in_words():
    tally = Tally(1000, {State.DONE: 400, State.FAILED: 100})
    counts = Counts(tally, rate=2.5, elapsed=200.0)
    assert str(counts) == "400 of 1000 done, 100 failed, 2.5/s, 3 min 20 s left"
    assert "time left unknown" in str(Counts(Tally(10), 0.0, 1.0))


def test_without_a_terminal_a_line_is_printed_now_and_then(tmp_path, capfd):
    plan = SmallPlan(tmp_path)
    with plan.writer() as writer:
        writer.write_rows(rows(1, 2, 3))
        with Progress(plan, line_seconds=0.1):
            printed = lambda: "".join(iter(lambda: capfd.readouterr().err, ""))  # noqa: E731
            err = eventually(printed) + eventually(printed)
    assert capfd.readouterr().out == ""
    assert all(line.startswith("small: 5 of 10 done, 0 failed, ") for line in err.splitlines())


def test_short_runs_print_nothing(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("psyflow.cli.progress.PATIENCE", 3600.0)
    with Progress(SmallPlan(tmp_path), line_seconds=0.0):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_damaged_shard_does_not_stop_the_run(tmp_path, capfd):
    plan = SmallPlan(tmp_path)
    plan.layout.out.mkdir()
    (plan.layout.out / "r1.0.rows").mkdir()
    with Progress(plan, line_seconds=0.01):
        err = eventually(lambda: capfd.readouterr().err)
    assert err.startswith("small: progress cannot be shown: ")


def on_terminal(place, stdout=None, **env: str) -> tuple[str, str]:
    """Run ``psy run`` with stderr (and stdout, unless given) on a terminal.

    Once there is a bar, the items may go on.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(
        place.command("run"),
        cwd=place.folder,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **env},
        stdin=slave,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    while select.select([master], [], [], PATIENCE)[0]:
        try:
            shown += os.read(master, 4096)
        except OSError:  # all have closed it
            break
        if b"/11 done" in shown:
            (place.folder / "go-on").touch()
    os.close(master)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    return shown.decode(), (out or b"").decode()


@pytest.fixture
def slow(place):
    """A task that takes longer than it takes to show a bar, and that waits for one."""
    source = SQUARE.replace("range(4)", "range(-8, 3)").replace("x**2", "1 / x")
    waits = f"""
    time.sleep(0.12)
    end = time.monotonic() + {PATIENCE}
    while not Path({str(place.folder / "go-on")!r}).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return"""
    place.task(
        "slow", "import time\nfrom pathlib import Path\n" + source.replace("    return", waits)
    )
    return place


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


def test_a_bar_on_a_terminal(slow):
    shown, _ = on_terminal(slow)
    assert "\x1b[" in shown
    text = plain(shown)
    assert "\x1b[31m" not in shown and "\x1b[91m" not in shown
    elapsed = r"(\d+ min )?\d+ s elapsed"
    assert re.search(rf"slow 10/11 done, 1 failed, 0 s left ━+ .*/s, {elapsed}", text)
    assert [line for line in text.splitlines() if line.startswith(".  ")] == lines(
        "slow"
    ).splitlines()
    assert text.splitlines()[-2].startswith("slow: 1 of 11 items failed")


def test_stdout_has_only_the_lines_and_no_color_is_respected(slow):
    shown, out = on_terminal(slow, stdout=subprocess.PIPE, NO_COLOR="1")
    assert out == lines("slow")
    assert "10/11 done, 1 failed" in shown
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9]*(;[0-9]+)*m", shown)


def test_no_bar_on_a_dumb_terminal(slow):
    (slow.folder / "go-on").touch()
    shown, _ = on_terminal(slow, TERM="dumb")
    assert "\x1b" not in shown
    assert "━" not in shown
