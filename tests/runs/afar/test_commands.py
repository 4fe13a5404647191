"""What is typed while an engine evaluates, and what becomes of a run that loses its engine."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from psyflow.system.exits import STOPPED
from tests.runs.afar.studies import called, failures_of, gated, n_done, started, write
from tests.support.engines import DaskServers, Engine
from tests.support.processes import eventually, jobs_of
from tests.support.study import Study

STUBBORN = """
import os, time
from pathlib import Path

TRACE = Path({trace!r})
pspace = Param(x=range(8))

def execute(x):
    (TRACE / f"{{x}}.{{os.getpid()}}").touch()
    time.sleep(0.05)  # of what takes less, one worker may get all
    while x >= 4 and not (TRACE / "go").exists():
        time.sleep(0.01)
    return {{"y": helper.scaled(x)}}
"""


def stubborn(study: Study, engine: Engine, trace: Path) -> None:
    """Write a task whose items from 4 on heed nothing but the gate."""
    write(study, engine.scheduler, STUBBORN.format(trace=str(trace)))


def at_work(trace: Path) -> list[int]:
    """Return the processes that evaluate something, or have, and live."""
    pids = {int(path.suffix[1:]) for path in trace.glob("[4-7].*")}
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_kill_ends_what_runs_on_the_workers(study: Study, engine: Engine, trace: Path) -> None:
    stubborn(study, engine, trace)
    psy = study.start("run")
    eventually(lambda: n_done(study) == 4 and len(at_work(trace)) == 2)
    assert "t: killed process" in study.psy("kill", "t", "--yes").stdout
    psy.communicate()
    assert psy.returncode == STOPPED
    eventually(lambda: not at_work(trace))
    assert "has no jobs at work" in study.psy("kill", "t", "--yes").stderr
    assert not failures_of(study, "t")
    (trace / "go").touch()
    study.psy("run")
    assert study.rows() == [(x, 3 * x) for x in range(8)]
    assert all(len(list(trace.glob(f"{x}.*"))) == 1 for x in range(4))


def test_the_end_of_the_driver_ends_what_it_has_sent(
    study: Study, engine: Engine, trace: Path
) -> None:
    stubborn(study, engine, trace)
    psy = study.start("run")
    eventually(lambda: n_done(study) == 4 and len(at_work(trace)) == 2)
    (driver,) = jobs_of(psy.pid)
    os.kill(driver, signal.SIGKILL)
    _out, err = psy.communicate()
    assert psy.returncode == 3, err
    eventually(lambda: not at_work(trace))
    assert n_done(study) == 4
    study.wait_until_gone()
    (trace / "go").touch()
    study.psy("run")
    assert study.rows() == [(x, 3 * x) for x in range(8)]
    assert all(len(list(trace.glob(f"{x}.*"))) == 1 for x in range(4))


def test_whoever_looks_sees_what_is_done_and_what_runs(
    study: Study, engine: Engine, trace: Path
) -> None:
    gated(study, engine, trace)
    psy = study.start("run", "--wait")
    eventually(lambda: len(list(trace.glob("*.called"))) > 12)
    # Those of a block, too, whose others wait for what comes only after this.
    eventually(lambda: n_done(study) == 12)
    assert [*study.load()["x"]] == [*range(12)]
    watch = study.start("watch", "t")
    said = eventually(lambda: _line(study.psy("status", "t").stderr, "t: running: item"))
    assert re.search(r"item (1[2-9]|2\d) for ", said)
    item = re.search(r"item (\d+)", said)[1]  # type: ignore[index]
    assert "12 out of 24 rows" in study.psy("status", "t").stdout
    assert "at work: process" in study.psy("status", "t").stderr
    stack = eventually(lambda: study.program("log", "t", item, "--stack").stdout)
    assert "in execute" in stack
    assert f'File "{study.tasks}' in stack
    assert "psyflow/" not in stack.partition("in execute")[2]
    (trace / "go").touch()
    for process in (psy, watch):
        _out, err = process.communicate()
        assert process.returncode == 0, err
    assert study.rows() == [(x, 3 * x) for x in range(24)]
    assert "no item has been running" in study.psy("log", "t", "--stack").stderr


def _line(text: str, start: str) -> str:
    return next((line for line in text.splitlines() if line.startswith(start)), "")


RETRIED = """
import os, time
retries = 2
retry_on = ["error", "crash", "timeout"]
timeout = 1.0
pspace = Param(x=range(6))

def execute(x, ctx):
    if x == 1 and ctx.attempt < 3:
        raise ValueError("odd")
    if x == 2:
        time.sleep(60)
    if x == 3 and ctx.attempt == 1:
        os.abort()
    if x == 4:
        return {"y": lambda: 1}
    return {"y": helper.scaled(x)}
"""


def test_failures_are_tried_again_and_told_as_everywhere(study: Study, engine: Engine) -> None:
    write(study, engine.scheduler, RETRIED)
    study.psy("run", code=1)
    assert study.rows() == [(x, 3 * x) for x in (0, 1, 3, 5)]
    found = [(f.item, f.kind, f.attempt) for f in failures_of(study, "t")]
    assert found == [
        (1, "error", 1),
        (1, "error", 2),
        (2, "timeout", 1),
        (2, "timeout", 2),
        (2, "timeout", 3),
        (3, "crash", 1),
        (4, "result", 1),
    ]
    assert "in execute" in study.psy("log", "t", "2").stdout
    told = study.psy("failures", "t").stdout
    for word in ("timeout", "cannot"):
        assert word in told


def test_dask_that_is_restarted_gets_the_rest(study: Study, tmp_path: Path, trace: Path) -> None:
    servers = started("dask", tmp_path / "servers")
    assert isinstance(servers, DaskServers)
    try:
        gated(study, servers, trace)
        psy = study.start("run")
        eventually(lambda: n_done(study) == 12 and len(called(trace)) > 12)
        servers.lose_all()
        eventually(lambda: "does not answer any more" in study.logs())
        servers.come_back()
        (trace / "go").touch()
        _out, err = psy.communicate()
        assert psy.returncode == 0, f"{err}\n{study.logs()}"
    finally:
        servers.end()
    assert study.rows() == [(x, 3 * x) for x in range(24)]
    assert [called(trace)[x] for x in range(12)] == [1] * 12
