"""The steps of tasks, in order: those of tasks that are up to date without asking doit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from psyflow.record.layout import STEPS

__all__ = ["Steps", "run_steps"]


class Steps(Protocol):
    """What is asked of a psy task.

    Attributes
    ----------
    name : str
    is_refused : bool
        Whether its steps are not done although they are needed, which the user has been told: they
        are not said to be up to date then.
    """

    name: str

    @property
    def is_refused(self) -> bool:
        """Tell whether that is so."""

    def is_up_to_date(self, step: str) -> bool:
        """Tell whether a step need not be executed."""

    def execute(self, step: str) -> None:
        """Do a step."""

    def fail(self, error: Exception) -> None:
        """Take note that one of the other methods raised `error`; later steps are not done."""


def run_steps(tasks: Sequence[Steps]) -> bool:
    """Do the steps of `tasks` that are not up to date, task by task, and print a line for each.

    A task that fails does not stop the others.

    Returns
    -------
    bool
        Whether all is done; if not, and the task was not told why, it was printed.
    """
    is_done = True
    for number, task in enumerate(tasks):
        try:
            if not all(task.is_up_to_date(step) for step in STEPS):
                from psyflow.cli.doit_adapter import do_steps  # doit takes long to import

                return do_steps(tasks[number:]) and is_done
        except Exception as error:
            task.fail(error)
            is_done = False
            continue
        for step in () if task.is_refused else STEPS:
            print(f"-- {task.name}:{step}", flush=True)
    return is_done
