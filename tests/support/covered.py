"""Which lines and branches of psyflow the tests of the core rooms go through.

With ``PYTEST_PLUGINS=tests.support.covered`` it goes to ``.coverage.*``; ``.ci/coverage`` shows
it for each room. Counted is what happens in the process of the tests: to follow jobs and workers
would take longer than the tests themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import coverage
import pytest

COVERED = tuple(
    f"tests/{room}/" for room in ("outcomes", "pspace", "record", "runs", "store", "work")
)

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count what a test of a core room goes through."""
    if not item.nodeid.startswith(COVERED):
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
