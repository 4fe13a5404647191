"""The studies that tests begin with, and how pytest-xdist deals out the tests to its processes."""

from __future__ import annotations

import compileall
import gc
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

import psyflow
from psyflow.scheduler import ImmediateRun
from psyflow.tasks import surroundings
from tests.support.jobserver import JobServers
from tests.support.place import Place
from tests.support.study import Study

# A plugin: to import it is to count.
collect_ignore = ["support/covered.py"]
# The machine may be busy. What is decorated takes the profile that there is at that moment.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
# The site profile of whoever runs the tests is none of theirs.
os.environ["PSYFLOW_SITE"] = ""
os.environ.pop("VIRTUAL_ENV", None)  # `psy` is to run in the Python of the tests


def pytest_configure(config: pytest.Config) -> None:
    """Have all processes of the tests use a key that is not that of whoever runs them.

    Jobs that they start on this machine are forks of another one.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # Else, where PYTHONDONTWRITEBYTECODE is set, each of thousands of processes does that.
        compileall.compile_dir(Path(psyflow.__file__).parent, quiet=2)
        folder = tempfile.TemporaryDirectory(prefix="psyflow-state-")
        config.add_cleanup(folder.cleanup)
        os.environ["XDG_STATE_HOME"] = folder.name
    servers = JobServers()
    config.add_cleanup(servers.end)
    ImmediateRun.start = staticmethod(servers.start)


@pytest.fixture(autouse=True)
def in_no_task() -> Iterator[None]:
    """Leave the surroundings of a task, which `psy debug` enters for the rest of its process."""
    yield
    surroundings._entered.clear()


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study whose evaluations leave a trace; its `psy` has to succeed."""
    study = Study(tmp_path)
    study.tasks.mkdir()
    yield study
    study.end()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A study as the tests of the command line have it."""
    place = Place(tmp_path)
    yield place
    place.end()


# Tests that share something slow to start, or that there can be only one of on a machine.
TOGETHER = re.compile(
    r"tests/(scheduler/test_gridengine|(scheduler|mapper|examples|runs/afar)/\w+\.py)"
)
# What takes longest begins first: at the end, all other processes would wait for it.
LONGEST = (
    "tests/scheduler/test_fakeslurm_runs",
    "tests/scheduler/test_gridengine",
    "tests/scheduler/test_slurm_deaths",
    "tests/scheduler/test_slurm_runs",
    "tests/durability/test_chaos",
    "tests/docs/test_pages.py::test_code_does_what_the_page_says[docs/guide.md]",
    "tests/durability/test_two",
    "tests/durability/",
)


def scope_of(nodeid: str) -> str:
    """Return what all tests have in common that one process has to run, one after the other."""
    together = TOGETHER.match(nodeid)
    return together[0] if together else nodeid


def _place_of(scope: str) -> int:
    return next((n for n, long in enumerate(LONGEST) if scope.startswith(long)), len(LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests of servers first, which mostly wait, and one that computes after each of them.

    So there is something to compute from the beginning, and nothing long is left for the end.
    """
    scopes: dict[str, list[pytest.Item]] = {}
    for item in items:
        scopes.setdefault(scope_of(item.nodeid), []).append(item)
    longest = sorted(scopes, key=_place_of)
    waiting = [scopes[scope] for scope in longest if TOGETHER.match(scope)]
    others = [scopes[scope] for scope in longest if not TOGETHER.match(scope)]
    ordered = itertools.chain.from_iterable(itertools.zip_longest(waiting, others, fillvalue=[]))
    items[:] = itertools.chain.from_iterable(ordered)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what the process has until its end.

    Half a million objects; each collection that a test asks for would look at all of them, and
    each fork would copy what that touches.
    """
    gc.collect()
    gc.freeze()


class ServersApart(LoadScopeScheduling):
    """Keep the tests of a server together, deal out the others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ServersApart:
    vars(config.option)["loadscopereorder"] = False  # they are in order
    return ServersApart(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes make the best of waiting and computing."""
    return max(4, 2 * len(os.sched_getaffinity(0)))
