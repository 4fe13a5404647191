"""The processes of the workers of a job."""

from __future__ import annotations

import os
import signal

import pytest

from psyflow.work.crew import Child, Crew
from psyflow.work.slot import Slot
from tests.support.processes import children_of


def be_quick(slot: Slot) -> int:
    return 0


def test_a_guard_that_was_killed_is_no_worker_that_has_ended() -> None:
    before = children_of(os.getpid())
    with Crew[Child](1) as crew:
        (guard,) = set(children_of(os.getpid())) - set(before)
        os.kill(guard, signal.SIGKILL)
        os.waitid(os.P_PID, guard, os.WEXITED | os.WNOWAIT)
        assert not crew.has_ended()
        worker = Child(0)
        crew.start(worker, be_quick)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        assert crew.has_ended()
        assert list(crew.reap()) == [(worker, 0)]
        assert not crew.has_ended()
        # It stands before no orphan any more that is to be buried.
        with pytest.raises(ChildProcessError):
            os.waitid(os.P_PID, guard, os.WEXITED | os.WNOHANG)
