"""Bringing a task up to date from Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from psyflow.exceptions import PsyflowError
from psyflow.outcomes.states import State, Tally
from psyflow.record.assess import Assessment
from psyflow.record.plan import Plan
from psyflow.runs.bring import bring
from psyflow.runs.merge import Merged
from psyflow.runs.observer import Observer
from psyflow.runs.run import Run
from psyflow.scheduler.base import JobId, JobStatus, Scheduler
from psyflow.system.exits import TOO_MANY_FAILURES
from psyflow.tasks import TaskDef
from tests.support.study import Study

SQUARES = """
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    assert x != 3, "three"
    return {{"y": x**2}}
"""


class Hearing(Observer):
    def __init__(self) -> None:
        self.heard: list[object] = []

    def looked(self, assessment: Assessment, reasons: list[str]) -> None:
        self.heard.append("to do" if reasons else "up to date")

    def made_way(self, said: str) -> None:
        self.heard.append(said.partition(" ")[0])

    def begun(self, plan: Plan, n_left_out: int) -> None:
        self.heard.append((plan.n_pending, n_left_out))

    @contextlib.contextmanager
    def evaluating(self, plan: Plan) -> Iterator[None]:
        self.heard.append("from")
        yield
        self.heard.append("to")

    def stopped_early(self, plan: Plan, status: int) -> None:
        self.heard.append(status)

    def submitted(self, plan: Plan) -> None:
        self.heard.append("submitted")

    def merged(self, merged: Merged) -> None:
        self.heard.append(merged)


class Elsewhere(Scheduler):
    """Takes jobs, and does none of them."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def submit(
        self,
        args: Sequence[object],
        output_filename: object,
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        self.names.append(str(name))
        return str(len(self.names))

    def kill(self, jobid: JobId) -> None:
        """Have nothing to kill."""

    def get_status(self, jobid: JobId) -> JobStatus | None:
        return None

    def get_jobs(self) -> Sequence[JobId]:
        return []


def merged(n_rows: int, n_failed: int = 0) -> Merged:
    counts = {State.DONE: n_rows, State.FAILED: n_failed, State.SKIPPED: 0}
    return Merged(Tally(n_rows + n_failed, counts))


def task_of(study: Study) -> TaskDef:
    return TaskDef(study.tasks / "task_t.py", base=study.folder)


def test_what_is_missing_is_evaluated_and_merged_and_then_nothing_is(study: Study) -> None:
    study.task(SQUARES.format(n=3))
    hearing = Hearing()
    bring(task_of(study), hearing)
    assert hearing.heard == ["to do", (3, 0), "from", "to", merged(3)]
    assert study.rows() == [(0, 0), (1, 1), (2, 4)]
    study.calls()
    bring(task_of(study), hearing)
    assert hearing.heard[5:] == ["up to date"]
    assert study.calls() == []
    assert Run(task_of(study)).holder() is None


def test_a_merge_alone_is_no_job(study: Study) -> None:
    study.task(SQUARES.format(n=3))
    bring(task_of(study))
    study.task(SQUARES.format(n=2))
    task, hearing = task_of(study), Hearing()
    task.scheduler = scheduler = Elsewhere()
    bring(task, hearing)
    assert hearing.heard == ["to do", (0, 0), merged(2)]
    assert scheduler.names == []


def test_jobs_elsewhere_are_submitted_and_nobody_waits(study: Study) -> None:
    study.task(SQUARES.format(n=3))
    task, hearing = task_of(study), Hearing()
    task.scheduler = scheduler = Elsewhere()
    bring(task, hearing)
    assert hearing.heard == ["to do", (3, 0), "submitted"]
    process = [f"t:process:{number}" for number in range(3)]
    assert scheduler.names == ["t:split", *process, "t:merge"]
    assert Run(task).holder() is None


def test_what_becomes_of_results_of_other_code_is_heard(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.task(SQUARES.format(n=3))
    bring(task_of(study))
    study.task(SQUARES.format(n=3).replace("x**2", "x**3"))
    hearing = Hearing()
    bring(task_of(study), hearing)
    assert hearing.heard[:3] == ["to do", "execute:", (3, 0)]
    assert capsys.readouterr().err == ""


def test_items_that_fail_raise_nothing(study: Study) -> None:
    study.task(SQUARES.format(n=4) + "max_failures = 1\n")
    hearing = Hearing()
    bring(task_of(study), hearing)
    assert hearing.heard[4:] == [TOO_MANY_FAILURES, merged(3, n_failed=1)]


def test_what_ends_the_workers_is_raised_and_the_run_is_free(study: Study) -> None:
    setup = "def setup(proc_id):\n    raise ValueError('no such device')\n"
    study.task(SQUARES.format(n=3) + setup)
    with pytest.raises(PsyflowError, match=r"the workers gave up(.|\n)*no such device"):
        bring(task_of(study))
    assert Run(task_of(study)).holder() is None
