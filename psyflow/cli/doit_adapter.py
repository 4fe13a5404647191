"""doit, used as a library for the order of steps, up-to-date reporting and its ``.``/``--`` lines.

doit keeps no truth: whether a step is up to date is asked of the task itself, nothing is saved
between two runs, and neither doit's configuration files nor its plugins nor its command line are
read. Each psy task is three doit tasks; a task per item would cost seconds per ten thousand.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from doit.control import TaskControl
from doit.dependency import Dependency, DependencyStatus
from doit.exceptions import TaskError, TaskFailed
from doit.loader import generate_tasks
from doit.reporter import ConsoleReporter
from doit.runner import SUCCESS, Runner
from doit.task import Stream

from psyflow.cli.steps import Steps
from psyflow.record.layout import STEPS

__all__ = ["do_steps"]


def do_steps(tasks: Sequence[Steps]) -> bool:
    """Do what `run_steps` does, by doit, and return what that returns."""
    control = TaskControl(generate_tasks("psy", _doit_tasks(tasks)))
    control.process(None)
    runner = Runner(_Inquiry(_NoDatabase, ""), _Lines(sys.stdout, {}), True, False, Stream(2))
    return bool(runner.run_all(control.task_dispatcher()) == SUCCESS)


def _doit_tasks(tasks: Sequence[Steps]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        before: list[str] = []
        for step in STEPS:
            yield {
                "basename": task.name,
                "name": step,
                "actions": [(_attempt, [task, step])],
                "uptodate": [functools.partial(_inquire, task, step)],
                "task_dep": before,
                "meta": {"steps": task},
                # What steps print is for the terminal at once, not for doit's report.
                "io": {"capture": False},
            }
            before = [f"{task.name}:{step}"]


class _InquiryFailedError(Exception):
    """Whether a step is up to date could not be found out; the task has been told why."""


def _inquire(task: Steps, step: str) -> bool:
    try:
        return task.is_up_to_date(step)
    except Exception as error:
        task.fail(error)
        raise _InquiryFailedError from error


def _attempt(task: Steps, step: str) -> Any:
    try:
        task.execute(step)
    except Exception as error:
        task.fail(error)
        return TaskFailed(str(error), report=False)
    return None


class _NoDatabase:
    """A database of doit's that never holds anything."""

    def __init__(self, name: str, codec: object, module_name: str | None = None) -> None:
        self.name = name

    def get(self, task_id: str, dependency: str) -> None:
        """Know nothing."""

    def set(self, task_id: str, dependency: str, value: object) -> None:
        """Forget it."""

    def in_(self, task_id: str) -> bool:
        """Know no task."""
        return False

    def remove(self, task_id: str) -> None:
        """Have nothing to remove."""

    def remove_all(self) -> None:
        """Have nothing to remove."""

    def dump(self) -> None:
        """Write nothing."""


class _Inquiry(Dependency):  # type: ignore[misc]
    """Asks whether steps are up to date, and tells doit when that went wrong."""

    def get_status(
        self, task: Any, tasks_dict: dict[str, Any], get_log: bool = False
    ) -> DependencyStatus:
        try:
            return super().get_status(task, tasks_dict, get_log)
        except _InquiryFailedError as error:
            status = DependencyStatus(get_log)
            status.status, status.error_reason = "error", str(error)
            return status


class _Lines(ConsoleReporter):  # type: ignore[misc]
    """doit's lines, each visible at once; what went wrong is reported by the tasks themselves."""

    def write(self, text: str) -> None:
        self.outstream.write(text)
        self.outstream.flush()

    def execute_task(self, task: Any) -> None:
        # doit's own leaves out names with an underscore in front; a task file may have one.
        if task.actions:
            self.write(f".  {task.title()}\n")

    def skip_uptodate(self, task: Any) -> None:
        if not task.meta["steps"].is_refused:
            self.write(f"-- {task.title()}\n")

    def add_failure(self, task: Any, fail: Any) -> None:
        # What happens outside of our own steps, in doit or as a task is told of its failure.
        if type(fail) is TaskError:
            print(f"{task.title()}: {fail.get_msg()}", file=sys.stderr, flush=True)
