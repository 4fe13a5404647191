"""Studies on engines, and the engines that they are tried on."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import FAILURE, ShardReader
from tests.support.engines import DaskServers, Engine, RayServers
from tests.support.study import Study

HELPER = "FACTOR = 3\n\n\ndef scaled(x):\n    return FACTOR * x\n"


class Pool:
    """Processes of a pool that each run makes."""

    scheduler = """
from concurrent.futures import ProcessPoolExecutor
from psyflow.scheduler import Executor

def make_executor():
    return ProcessPoolExecutor(2)

scheduler = Executor(make_executor)
"""

    def lose_a_worker(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Do nothing: nothing was started."""


def require(module: str) -> None:
    if os.environ.get("PSYFLOW_REQUIRE_SERVERS") == "1":
        importlib.import_module(module)
    else:
        pytest.importorskip(module)


def started(name: str, folder: Path) -> Engine:
    if name == "dask":
        require("distributed")
        return DaskServers(folder / "dask")
    if name == "ray":
        require("ray")
        return RayServers(folder / "ray")
    return Pool()


def write(study: Study, scheduler: str, body: str, name: str = "t") -> None:
    (study.tasks / "helper.py").write_text(HELPER)
    study.write(name, "import helper\nfrom psyflow import Param\n" + scheduler + body)


GATED = """
import time
from pathlib import Path

TRACE = Path({trace!r})
pspace = Param(x=range({n}))
{more}

def execute(x, ctx):
    with open(TRACE / f"{{x}}.called", "a") as file:
        file.write(".")
    while x >= {gate} and not (ctx.should_stop() or (TRACE / "go").exists()):
        time.sleep(0.01)
    return {{"y": helper.scaled(x)}}
"""


def called(trace: Path) -> dict[int, int]:
    return {int(path.stem): path.stat().st_size for path in trace.glob("*.called")}


def n_done(study: Study) -> int:
    readers = map(ShardReader, (study.work / "t" / "out").glob("*.rows"))
    return sum(len(frame.items) for reader in readers for frame in reader.new_frames())


def gated(study: Study, engine: Engine, trace: Path, more: str = "", n: int = 24) -> None:
    body = GATED.format(trace=str(trace), n=n, gate=12, more=more)
    write(study, engine.scheduler, body)


def failures_of(study: Study, name: str) -> list[Failure]:
    readers = map(ShardReader, sorted((study.work / name / "out").glob("*.rows")))
    frames = ((r, f) for r in readers for f in r.new_frames() if f.kind == FAILURE)
    found = [failure for reader, frame in frames for failure in reader.failures(frame)]
    return sorted(found, key=lambda failure: (failure.item, failure.attempt))
