"""Which lines and branches of psyflow the tests of the core rooms go through.

With ``PYTEST_PLUGINS=tests.support.covered`` it goes to ``.coverage.*``; ``.ci/coverage`` shows
it for each room. Counted is what happens in the process of the tests: to follow jobs and workers
would take longer than the tests themselves. Where there is most of hypothesis, its tests are left
out: a hundred times they go through the same lines, which take half as long again if they count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import coverage
import pytest
from hypothesis import is_hypothesis_test

COVERED = tuple(
    f"tests/{room}/" for room in ("outcomes", "pspace", "record", "runs", "store", "work")
)
MOST_OF_HYPOTHESIS = ("tests/outcomes/", "tests/pspace/")

if "PYTEST_XDIST_WORKER" in os.environ:
    del os.environ["PYTEST_PLUGINS"]  # what tests start is none of this

# Before psyflow is imported, since importing goes through lines, too.
_counting = coverage.Coverage(data_suffix=True)
_counting.start()
# What a fork goes through, nobody gets to know.
os.register_at_fork(after_in_child=_counting.stop)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Count what importing goes through."""
    try:
        return (yield)
    finally:
        _counting.stop()


def _is_counted(item: pytest.Item) -> bool:
    if item.nodeid.startswith(MOST_OF_HYPOTHESIS):
        return not is_hypothesis_test(getattr(item, "obj", None))
    return item.nodeid.startswith(COVERED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count what a test of a core room goes through."""
    if not _is_counted(item):
        return (yield)
    _counting.start()
    try:
        return (yield)
    finally:
        _counting.stop()


def pytest_unconfigure() -> None:
    """Write it."""
    _counting.stop()
    _counting.save()
