"""One task on its way through ``psy run``."""

from __future__ import annotations

import errno
import os
import re
import warnings
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from psyflow.assess import Assessment, Choice
from psyflow.cli.output import (
    FAILED,
    INTERRUPTED,
    OK,
    describe,
    exit_code_of,
    say,
    shown_path,
)
from psyflow.cli.progress import Progress
from psyflow.cli.selection import suggestion
from psyflow.exceptions import JobsRunningWarning, PsyflowError
from psyflow.exits import DISK_FULL, TOO_MANY_FAILURES
from psyflow.files import is_full
from psyflow.layout import STEPS
from psyflow.run import Run

if TYPE_CHECKING:
    from psyflow.plan import Plan
    from psyflow.steps import Merged
    from psyflow.tasks import TaskDef

__all__ = ["TaskRun", "last_words"]

NOT_CHOSEN = {Choice.FAILED: "failed", Choice.MISSING: "is left that has not run"}
_GAVE_UP = re.compile(r"Worker \d+ gave up")
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*$", re.M)


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
    exit_code : int
        So far.
    """

    def __init__(self, task: TaskDef, arguments: Namespace) -> None:
        self.name = task.name
        self.exit_code = OK
        self._task = task
        self._arguments = arguments
        self._run = Run(task)
        self._choice = Choice(arguments.choice)
        self._n_left_out = 0
        self._needed: frozenset[str] | None = None
        self._is_done = False

    def is_up_to_date(self, step: str) -> bool:
        """Tell whether `step` need not be executed; the first time, plan what is missing."""
        if self._needed is None:
            self._needed = self._begin()
        return step not in self._needed

    def _begin(self) -> frozenset[str]:
        assessment = self._run.assess()
        reasons = assessment.reasons()
        if not reasons:
            self._run.finish_merge()
        if not reasons or self._is_nothing_chosen(assessment):
            self._is_done = True
            return frozenset()
        self._task.check_execute()
        if self._arguments.fail_fast:
            self._task.max_failures = 1
        with warnings.catch_warnings():
            if self._arguments.wait:
                # Then its jobs are no reason to do something else.
                warnings.simplefilter("ignore", JobsRunningWarning)
            plan = self._run.begin(
                keep=self._arguments.keep,
                pool_size=self._arguments.pool_size,
                choice=self._choice,
            )
        if plan is None:
            self._is_done = True
            self._run.release()
            return frozenset()
        # If only some items are chosen, nothing goes to the archive: what there was is there.
        self._n_left_out = len(assessment.pending()) - len(assessment.pending(self._choice))
        return frozenset(STEPS if plan.n_pending else STEPS[-1:])

    def _is_nothing_chosen(self, assessment: Assessment) -> bool:
        """Tell whether there is nothing to do because no item is chosen, and if so, say it."""
        if self._choice is Choice.ALL or (assessment.code_changes and not self._arguments.keep):
            return False
        if len(assessment.pending(self._choice)):
            return False
        n_missing = assessment.n_items - assessment.n_done
        command = suggestion(self._arguments, self.name)
        say(
            f"{self.name}: no item {NOT_CHOSEN[self._choice]}, so nothing is run. "
            f"{n_missing} of {assessment.n_items} items have no result; run them: {command}"
        )
        return True

    def execute(self, step: str) -> None:
        """Do a step here, or have it submitted."""
        if self._runs_here:
            {"split": self._run.split, "process": self._process, "merge": self._merge}[step]()
        elif step == "split":
            self._submit()
        if step == "merge":
            self._is_done = True
            self._run.release()

    def fail(self, error: Exception) -> None:
        """Report what stopped this task."""
        self._is_done = True
        self._run.release()
        self.exit_code = max(self.exit_code, exit_code_of(error))
        message = self._about_room(error) if is_full(error) else describe(error)
        say(f"{self.name}: {message}")

    def _about_room(self, error: Exception) -> str:
        folder = shown_path(self._run.layout.root)
        command = suggestion(self._arguments, self.name)
        return (
            f"there is no room for it in {folder} ({describe(error)}). What is done is safe. "
            f"Make room, and continue with: {command}"
        )

    def interrupt(self) -> None:
        """Say where to go on, if this task is not done; release what it holds."""
        if self._needed is not None and not self._is_done:
            assessment = self._run.assess()
            done = f"{assessment.n_done} of {assessment.n_items} done"
            option = [] if self._choice is Choice.ALL else [f"--{self._choice.value}"]
            command = suggestion(self._arguments, *option, self.name)
            say(f"{self.name}: interrupted, {done}. Continue with: {command}")
        self._run.release()

    @property
    def _plan(self) -> Plan:
        plan = self._run.plan
        assert plan is not None
        return plan

    @property
    def _runs_here(self) -> bool:
        # A merge alone is not worth a job.
        return self._task.scheduler.runs_here or not self._plan.n_pending

    def _submit(self) -> None:
        self._run.submit()
        n_jobs = self._plan.n_jobs + 2
        command = suggestion(self._arguments, self.name, command="status")
        say(f"{self.name}: {n_jobs} jobs are submitted; follow with: {command}")

    def _process(self) -> None:
        log = self._run.layout.log("process:0")
        start = log.stat().st_size if log.exists() else 0
        with Progress(self._plan, n_left_out=self._n_left_out):
            status = self._run.process()
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        if status == TOO_MANY_FAILURES:
            # What there is gets merged, and the merge says what is missing.
            say(f"{self.name}: stopped early, because so many items failed")
            return
        if status == DISK_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if status:
            raise PsyflowError(
                f"the workers gave up (exit status {status}); see {shown_path(log)}\n"
                f"{last_words(log, start)}"
            )

    def _merge(self) -> None:
        merged = self._run.merge()
        n_missing = merged.n_items - merged.n_rows
        if n_missing:
            self.exit_code = max(self.exit_code, self._exit_code_of(merged))
            say(self._about_missing(merged, n_missing))

    def _exit_code_of(self, merged: Merged) -> int:
        if merged.n_failed:
            return FAILED
        # Those that have not run were not to be run, unless all were.
        return FAILED if self._choice is Choice.ALL and not merged.is_settled else OK

    def _about_missing(self, merged: Merged, n_missing: int) -> str:
        command = suggestion(self._arguments, self.name)
        counts = {
            "failed": merged.n_failed,
            "were skipped": merged.n_skipped,
            "have not run": n_missing - merged.n_failed - merged.n_skipped,
        }
        first, *others = [f"{n} {what}" for what, n in counts.items() if n]
        first = first.replace(" ", f" of {merged.n_items} items ", 1)
        what = " and ".join([first, *others])
        if not merged.n_failed:
            again = "Run them again" if merged.n_skipped else "Run them"
            return f"{self.name}: {what}. {again}: {command}"
        see = suggestion(self._arguments, self.name, command="failures")
        return f"{self.name}: {what}; see them: {see}. Run them again: {command}"


def last_words(log: Path, start: int = 0) -> str:
    """Return the last traceback in `log` from byte `start` on, or else the last line.

    That a worker gave up is left out: it follows what it gave up for.
    """
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    tracebacks = _TRACEBACK.findall(text)
    if tracebacks:
        return str(tracebacks[-1])
    lines = [line for line in text.splitlines() if line and not _GAVE_UP.match(line)]
    return lines[-1] if lines else ""
