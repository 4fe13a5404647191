"""Whatever a task is: an engine's results are those of a run on this machine."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import psyflow
from tests.runs.afar.studies import failures_of
from tests.support.engines import Engine, RayServers
from tests.support.study import Study

HERE = "from psyflow import ImmediateRun\nscheduler = ImmediateRun()\npool_size = 2\n"
BODY = """
import zlib
import numpy as np
import psyflow
from psyflow import Param

nan, inf = float("nan"), float("inf")
{settings}
pspace = {space}

def execute(rng, **pset):
    what = zlib.crc32(repr(sorted(pset.items())).encode())
    row = {{}}
    for name, kinds in {columns}:
        kind = kinds[what % len(kinds)]
        if kind == "error":
            raise ValueError(sorted(pset))
        if kind == "skip":
            raise psyflow.Skip("dull")
        row[name] = VALUES[kind](rng, what)
    return row

VALUES = {{
    "int": lambda rng, n: n,
    "float": lambda rng, n: n / 7,
    "bool": lambda rng, n: n % 2 == 0,
    "text": lambda rng, n: str(n) + "é",
    "none": lambda rng, n: None,
    "random": lambda rng, n: rng.random(),
    "array": lambda rng, n: np.arange(n % 3, dtype=np.float32),
    "matrix": lambda rng, n: rng.integers(9, size=(2, 2)),
    "short": lambda rng, n: np.int8(n % 100),
    "bytes": lambda rng, n: bytes([n % 256]),
    "list": lambda rng, n: [n, "a", None],
    "dict": lambda rng, n: {{"n": n}},
    "date": lambda rng, n: np.datetime64(n % 10**6, "s"),
    "big": lambda rng, n: 2**70 + n,
    "complex": lambda rng, n: 1j * n,
}}
"""
KINDS = [
    *("int", "float", "bool", "text", "none", "random", "array", "matrix", "short"),
    *("bytes", "list", "dict", "date", "big", "complex", "error", "skip"),
]
of_one_type: list[SearchStrategy[object]] = [
    st.integers(-(2**66), 2**66),
    st.floats(),
    st.text(max_size=3),
    st.booleans() | st.none(),
    st.tuples(st.integers(0, 3), st.text(max_size=1)),
]
parameters = st.sampled_from(of_one_type).flatmap(
    lambda values: st.lists(values, min_size=1, max_size=5, unique_by=repr)
)
columns = st.lists(
    st.tuples(
        st.sampled_from(["y", "z", "ü"]),
        st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda column: column[0],
)


@st.composite
def tasks(draw: DrawFn) -> str:
    """Return a task file, but for its scheduler."""
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    params = [f"Param({name}={draw(parameters)!r})" for name in names]
    space = draw(st.sampled_from([" * ", " + "])).join(params)
    lines = [f"seed = {draw(st.integers(0, 2**64))}", "retry_on = ['error']"]
    lines.append(f"retries = {draw(st.integers(0, 2))}")
    if draw(st.booleans()):
        lines.append("repeat = 2")
    return BODY.format(space=space, settings="\n".join(lines), columns=draw(columns))


EACH = BODY.format(
    space="Param(a=range(40))", settings="seed = 1\nretries = 1", columns=[("y", KINDS)]
)
_numbers = itertools.count()


@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(task=EACH)
@given(task=tasks())
def test_results_are_those_of_a_run_here(tmp_path: Path, engine: Engine, task: str) -> None:
    if isinstance(engine, RayServers):
        pytest.skip("what differs between engines is how calls go there")
    study = Study(tmp_path / str(next(_numbers)))
    study.tasks.mkdir(parents=True)
    codes = []
    for name, scheduler in (("here", HERE), ("there", engine.scheduler)):
        study.write(name, scheduler + task)
        done = study.call("run", name)
        codes.append(done.returncode)
        assert done.returncode in (0, 1), f"{task}\n{done.stderr}\n{study.logs()}"
    assert codes[0] == codes[1]
    assert told(study, "here") == told(study, "there"), task


def told(study: Study, name: str) -> object:
    """Return all that is to be the same, wherever the task has run."""
    table = psyflow.load(name, study.tasks, study.work)
    failures = [(f.item, f.kind, f.attempt, f.exception) for f in failures_of(study, name)]
    kept = {n: [(type(v), getattr(v, "dtype", None), repr(v)) for v in table[n]] for n in table}
    types = {n: (type(table[n]), getattr(table[n], "dtype", None)) for n in table}
    states = study.call("status", name).stdout.replace(name, "it")
    return list(table), kept, types, failures, states
