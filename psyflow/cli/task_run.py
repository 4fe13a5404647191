"""One task on its way through ``psy run``, for doit, which asks for its steps one by one."""

from __future__ import annotations

import warnings
from argparse import Namespace

from psyflow.cli.output import OK, describe, exit_code_of, say
from psyflow.cli.selection import suggestion
from psyflow.cli.telling import Telling
from psyflow.cli.wanted import wanted_of
from psyflow.exceptions import JobsRunningWarning, NotWrittenError, PsyflowError
from psyflow.messages import shown_path
from psyflow.runs.bring import bringing
from psyflow.runs.run import Run
from psyflow.system.oserrors import is_failing, is_full
from psyflow.tasks import TaskDef

__all__ = ["TaskRun"]


class TaskRun:
    """Brings one task up to date, step by step.

    Parameters
    ----------
    task : TaskDef
    arguments : Namespace
        The command line.

    Attributes
    ----------
    name : str
    """

    def __init__(self, task: TaskDef, arguments: Namespace) -> None:
        self.name = task.name
        if arguments.fail_fast:
            task.max_failures = 1
        self._arguments = arguments
        self._wanted = wanted_of(arguments)
        self._run = Run(task)
        self._telling = Telling(self._run, arguments)
        self._steps = bringing(
            self._run,
            self._telling,
            keep=arguments.keep,
            pool_size=arguments.pool_size,
            wanted=self._wanted,
        )
        self._has_begun = False
        self._step: str | None = None
        self._error_code = OK

    @property
    def is_refused(self) -> bool:
        """Whether the run may not begin although it is needed, which a warning has said."""
        return self._telling.is_refused

    @property
    def exit_code(self) -> int:
        """The exit code so far."""
        return max(self._error_code, self._telling.exit_code)

    def tell_rows(self) -> None:
        """Say what there is to look at, unless something went wrong on the way."""
        if self._error_code == OK:
            self._telling.tell_rows()

    def is_up_to_date(self, step: str) -> bool:
        """Tell whether `step` need not be executed; the first time, plan what is missing."""
        if not self._has_begun:
            self._has_begun = True
            with warnings.catch_warnings():
                if self._arguments.wait:
                    # Then its jobs are no reason to do something else.
                    warnings.simplefilter("ignore", JobsRunningWarning)
                self._go_on()
        return step != self._step

    def execute(self, step: str) -> None:
        """Do the step that is next."""
        self._go_on()

    def _go_on(self) -> None:
        """Do what there is to do up to the next step that is needed."""
        self._step = next(self._steps, None)
        if self._step is None:
            self._run.release()

    def fail(self, error: Exception) -> None:
        """Report what stopped this task."""
        self._step = None
        # First, for whatever follows may fail as well.
        self._error_code = max(self._error_code, exit_code_of(error))
        say(f"{self.name}: {self._about(error)}")
        self._run.release()

    def _about(self, error: Exception) -> str:
        folder, message = shown_path(self._run.layout.root), describe(error)
        if is_full(error):
            message = f"there is no room for it in {folder} ({message})."
        elif is_failing(error):
            message = f"the disk of {folder} fails ({message})."
        elif not isinstance(error, NotWrittenError):
            return message
        mend = "Have it mended" if is_failing(error) else "Make room"
        command = suggestion(self._arguments, self.name)
        return f"{message} What is done is safe. {mend}, and continue with: {command}"

    def interrupt(self) -> None:
        """Say where to go on, if this task is not done; release what it holds."""
        if self._step is not None:
            command = suggestion(self._arguments, self.name, *self._wanted.options())
            say(f"{self.name}: interrupted, {self._progress()}. Continue with: {command}")
        self._run.release()

    def _progress(self) -> str:
        try:
            assessment = self._run.assess()
            return f"{assessment.n_done} of {assessment.n_items} done"
        except (OSError, PsyflowError) as error:
            # The interruption goes on.
            return f"nobody can say how far it is ({describe(error)})"
