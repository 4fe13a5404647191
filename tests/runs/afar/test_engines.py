"""Task files on engines, as they are: workers see neither the study's folder nor its modules."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import psyflow
from psyflow.system.exits import STOPPED
from tests.runs.afar.studies import Pool, called, failures_of, gated, n_done, write
from tests.support.engines import Engine
from tests.support.processes import eventually
from tests.support.study import Study

MIXED = """
import os, random
from pathlib import Path
import numpy as np
import psyflow

pspace = Param(x=range(60)) * Param(name=["a", "b"])
seed = 11
retries = 1
retry_on = ["error"]

def setup(proc_id):
    return {"offset": 100}

def execute(x, name, rng, offset, ctx):
    print("at", x, name)
    if x == 5:
        raise psyflow.Skip("dull")
    if x == 6 or (x == 7 and ctx.attempt == 1):
        raise ValueError("odd", x)
    if x == 8:
        os.abort()
    return {
        "y": helper.scaled(x) + offset,
        "random": rng.random(),
        "other": random.random() < 2,
        "array": np.arange(x),
        "text": name * x,
        "none": None,
    }
"""
HERE = "from psyflow import ImmediateRun\nscheduler = ImmediateRun()\npool_size = 2\n"


def test_results_are_those_of_a_run_here(study: Study, engine: Engine) -> None:
    write(study, HERE, MIXED, "here")
    write(study, engine.scheduler, MIXED, "there")
    for name in ("here", "there"):
        study.psy("run", name, code=1)
    here, there = (psyflow.load(n, study.tasks, study.work) for n in ("here", "there"))
    assert list(here) == list(there)
    for name in here:
        assert repr(list(here[name])) == repr(list(there[name])), name
    failed = [
        [(f.item, f.kind, f.attempt, f.exception) for f in found]
        for found in (failures_of(study, "here"), failures_of(study, "there"))
    ]
    assert failed[0] == failed[1]
    assert {kind for _, kind, *_ in failed[0]} == {"error", "crash"}
    assert "at 3 a\n" in study.psy("log", "there", "6").stdout
    assert "dull" in study.psy("log", "there", "10").stdout
    # Nobody can look at folders that are gone.
    traces = [failure.traceback for failure in failures_of(study, "there")]
    assert not any("/psyflow-" in trace for trace in traces)
    assert any(str(study.work) in trace for trace in traces)
    told = [study.psy("status", name).stdout for name in ("here", "there")]
    assert told[0].replace("here", "there") == told[1]


def test_a_run_that_is_killed_goes_on(study: Study, engine: Engine, trace: Path) -> None:
    gated(study, engine, trace)
    psy = study.start("run")
    # While others run, those that have ended are on the side of psy.
    eventually(lambda: n_done(study) == 12 and len(called(trace)) > 12)
    os.kill(psy.pid, signal.SIGKILL)
    psy.communicate()
    study.wait_until_gone()
    assert 12 <= n_done(study) <= len(called(trace))
    (trace / "go").touch()
    study.psy("run")
    assert study.rows() == [(x, 3 * x) for x in range(24)]
    assert [called(trace)[x] for x in range(12)] == [1] * 12


def test_ctrl_c_lets_the_running_items_end(study: Study, engine: Engine, trace: Path) -> None:
    gated(study, engine, trace)
    psy = study.start("run")
    eventually(lambda: n_done(study) == 12 and len(called(trace)) >= 14)
    os.killpg(psy.pid, signal.SIGINT)
    psy.communicate()
    assert psy.returncode == STOPPED
    done = n_done(study)
    assert 12 < done < 24
    (trace / "go").touch()
    study.psy("run")
    assert study.rows() == [(x, 3 * x) for x in range(24)]
    assert set(called(trace).values()) == {1}


def test_a_lost_node_costs_nothing(study: Study, engine: Engine, trace: Path) -> None:
    if isinstance(engine, Pool):
        pytest.skip("its processes are found below")
    gated(study, engine, trace)
    psy = study.start("run")
    eventually(lambda: n_done(study) == 12 and len(called(trace)) > 12)
    engine.lose_a_worker()
    (trace / "go").touch()
    _out, err = psy.communicate()
    assert psy.returncode == 0, f"{err}\n{study.logs()}"
    assert study.rows() == [(x, 3 * x) for x in range(24)]
    assert [called(trace)[x] for x in range(12)] == [1] * 12


def test_what_takes_too_long_is_ended(study: Study, engine: Engine, trace: Path) -> None:
    gated(study, engine, trace, "timeout = 0.5\nmax_failures = 3")
    study.psy("run", code=1)
    failures = failures_of(study, "t")
    assert {failure.kind for failure in failures} == {"timeout"}
    assert 3 <= len(failures) <= 6
    assert n_done(study) >= 12 + len(failures)
    assert "stopping early" in study.logs()
    # The space grows; what is there stays.
    (trace / "go").touch()
    gated(study, engine, trace, n=26)
    study.psy("run")
    assert study.rows() == [(x, 3 * x) for x in range(26)]
    assert [called(trace)[x] for x in range(12)] == [1] * 12


def test_an_edit_makes_results_old(study: Study, engine: Engine) -> None:
    write(study, engine.scheduler, "pspace = Param(x=[1])\ndef execute(x): return {'y': x}\n")
    study.psy("run")
    write(study, engine.scheduler, "pspace = Param(x=[1])\ndef execute(x): return {'y': 2 * x}\n")
    assert "execute" in study.psy("why").stdout
    study.psy("run")
    assert study.rows() == [(1, 2)]


DEADLY = """
import os, time
pspace = Param(x=range(6))

def execute(x):
    if x == 3:
        os.kill(os.getppid(), 9)
        time.sleep(600)
    return {"y": helper.scaled(x)}
"""


def test_what_kills_the_job_beside_a_worker_costs_itself(study: Study, engine: Engine) -> None:
    write(study, engine.scheduler, DEADLY)
    study.psy("run", code=1)
    assert study.rows() == [(x, 3 * x) for x in range(6) if x != 3]
    (failure,) = failures_of(study, "t")
    assert (failure.item, failure.kind) == (3, "crash")
    assert "killed by signal 9" in failure.exception


def test_a_setup_that_fails_is_said(study: Study, engine: Engine) -> None:
    body = "pspace = Param(x=[1])\ndef setup(n): raise OSError('no licence')\n"
    write(study, engine.scheduler, body + "def execute(x): return {}\n")
    said = study.psy("run", code=3).stderr
    assert "no licence" in said
    assert "/psyflow-" not in said
    assert "gave up" in said
