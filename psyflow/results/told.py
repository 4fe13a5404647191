"""What is known of the columns of a run: what its task file says, today's or the recorded one."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from psyflow.exceptions import (
    PsyflowError,
    PsyflowWarning,
    TaskLoadWarning,
    UntrustedFileError,
)
from psyflow.fingerprint import CONF_FILE
from psyflow.record.layout import home_of
from psyflow.record.meaning import Said, code_with_derived, is_edited, may_say_something
from psyflow.record.plan import Plan
from psyflow.results.meaning import Meaning
from psyflow.system.reading import is_there
from psyflow.system.trust import HOW_TO_TRUST, is_own, is_trusting, require_own
from psyflow.tasks import Config, TaskDef
from psyflow.tasks.run_file import is_running
from psyflow.tasks.surroundings import have_been_entered, undisturbed

__all__ = ["Told", "told_by", "told_of"]

Functions: TypeAlias = Mapping[str, Callable[..., Any]]


@contextlib.contextmanager
def _no_functions() -> Iterator[Functions]:
    yield {}


@dataclass(frozen=True)
class Told:
    """What is known of the columns of a run.

    Attributes
    ----------
    said : Said
    functions : callable
        Returns a context in which the functions of derived columns can be called; entering it may
        run the user's code.
    """

    said: Said = field(default_factory=Said)
    functions: Callable[[], contextlib.AbstractContextManager[Functions]] = _no_functions

    @property
    def meaning(self) -> Meaning:
        """What the table is to know of it."""
        said = self.said
        return Meaning(said.dims, said.coords, said.units, said.labels)


def told_by(task: TaskDef) -> Told:
    """Return what a task that was loaded says."""
    return Told(Said.of(task), lambda: _functions_of(lambda: task))


def told_of(plan: Plan) -> Told:
    """Return what is known of the columns of a run.

    In the study, that is what the task file says today. It is run only if it is another than the
    recorded one, and the user's own. Everywhere else, and in the archive, the record counts.

    Warns
    -----
    PsyflowWarning
        If today's file cannot be gone by.
    """
    recorded = Said.read(plan)
    try:
        if not _is_of_today(plan, recorded):
            return _recorded(plan, recorded or Said())
        if not may_say_something(plan):
            return Told()
        _require_own_task(plan)
        with _running_code():
            return told_by(_task_of_today(plan))
    except UntrustedFileError as error:
        warnings.warn(PsyflowWarning(str(error)), stacklevel=2)
    except (PsyflowError, OSError) as error:
        message = f"{error} So columns mean what was recorded when the run began."
        warnings.warn(TaskLoadWarning(plan.task, message), stacklevel=2)
    return _recorded(plan, recorded or Said())


def _is_of_today(plan: Plan, recorded: Said | None) -> bool:
    """Tell whether today's task file is there, counts, and may say what the record does not."""
    root = plan.layout.root
    # A task that loads another one's results depends on these, not on what that file says today;
    # and if it loads its own, it would never come to an end.
    is_in_task = is_running() or have_been_entered()
    if home_of(root) != root or is_in_task or not Path(plan.task_file).is_file():
        return False
    code = code_with_derived(plan)
    if not is_there(code):
        return True
    # An earlier psyflow has noted nothing, whatever the file said.
    return is_edited(plan, code) or (recorded is None and may_say_something(plan))


def _require_own_task(plan: Plan) -> None:
    task_file, origin = Path(plan.task_file), plan.layout.origin(plan.run_id)
    if not (is_trusting() or is_own(task_file, origin)):
        raise UntrustedFileError(
            f"{task_file} is another than when the run began. It is not known that your own psy "
            "has run it here, so it is not run, and columns mean what was recorded then. "
            f"{HOW_TO_TRUST}"
        )


def _task_of_today(plan: Plan) -> TaskDef:
    return TaskDef(plan.task_file, base=plan.base)


def _recorded(plan: Plan, said: Said) -> Told:
    return Told(said, lambda: _functions_of(lambda: _frozen_task(plan)))


def _frozen_task(plan: Plan) -> TaskDef:
    """Return the task as it was recorded; of a folder that was sent alone, too."""
    code = code_with_derived(plan)
    require_own(code, plan.layout.origin(plan.run_id))
    task_file = Path(plan.task_file)
    if not task_file.parent.is_dir():
        task_file = code / task_file.name
    conf = task_file.with_name(CONF_FILE) if (code / CONF_FILE).is_file() else Config()
    return TaskDef.load_frozen(code, task_file, conf, plan.base)


@contextlib.contextmanager
def _functions_of(load: Callable[[], TaskDef]) -> Iterator[Functions]:
    with _running_code():
        task = load()
        with task.importable(), task.inside():
            yield task.derive


@contextlib.contextmanager
def _running_code() -> Iterator[None]:
    """Run files of the user's: what they print is no data, and modules stay what they were."""
    with undisturbed(), contextlib.redirect_stdout(sys.stderr):
        yield
