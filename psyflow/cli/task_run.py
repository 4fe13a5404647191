"""One task on its way through ``psy run``."""

from __future__ import annotations

import errno
import re
import warnings
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from psyflow.cli.output import (
    FAILED,
    INTERRUPTED,
    OK,
    describe,
    exit_code_of,
    say,
)
from psyflow.cli.progress import Progress
from psyflow.cli.selection import suggestion
from psyflow.exceptions import JobsRunningWarning, NotWrittenError, PsyflowError
from psyflow.messages import shown_path
from psyflow.record import refusals
from psyflow.record.assess import Assessment, Choice
from psyflow.record.layout import STEPS
from psyflow.record.nearmisses import near_misses
from psyflow.record.reads import note_told
from psyflow.report.undeclared import about_undeclared, undeclared
from psyflow.run.run import Run
from psyflow.system.exits import DISK_FULL, NOTHING_HELD, TOO_MANY_FAILURES
from psyflow.system.files import is_failing, is_full

if TYPE_CHECKING:
    from psyflow.record.plan import Plan
    from psyflow.run.merge import Merged
    from psyflow.tasks import TaskDef

__all__ = ["TaskRun", "last_words", "tell_undeclared"]

NOT_CHOSEN = {Choice.FAILED: "failed", Choice.TODO: "is left that has not run"}
_LAST_BYTES = 1 << 20
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
        self._tell_what_is_odd(assessment, is_up_to_date=not reasons)
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

    def _tell_what_is_odd(self, assessment: Assessment, *, is_up_to_date: bool) -> None:
        """Say what nobody would expect of the results that are there."""
        if is_up_to_date and assessment.dirt:
            say(f"{self.name}: {refusals.unknown_code(self._task, assessment.dirt)}")
        if assessment.gone is not None and not is_up_to_date:
            gone = shown_path(assessment.gone.result)
            say(
                f"{self.name}: {gone}, which had {assessment.gone.n_rows} rows, is gone. What is "
                "nowhere else is computed again; to keep it, stop this and put the file back."
            )
        if is_up_to_date:
            tell_undeclared(assessment)
        if about_files := assessment.about_changed_files():
            say(f"{self.name}: {about_files}")
        if not is_up_to_date and (unknown := assessment.about_unknown_files()):
            say(f"{self.name}: {unknown}")
        if not is_up_to_date and (self._arguments.keep or not assessment.dirt):
            for hint in near_misses(assessment).sentences():
                say(f"{self.name}: {hint}")

    def _is_nothing_chosen(self, assessment: Assessment) -> bool:
        """Tell whether there is nothing to do because no item is chosen, and if so, say it."""
        if self._choice is Choice.ALL or (assessment.dirt and not self._arguments.keep):
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
        # First, for whatever follows may fail as well.
        self.exit_code = max(self.exit_code, exit_code_of(error))
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
        if self._needed is not None and not self._is_done:
            option = [] if self._choice is Choice.ALL else [f"--{self._choice.value}"]
            command = suggestion(self._arguments, *option, self.name)
            say(f"{self.name}: interrupted, {self._progress()}. Continue with: {command}")
        self._run.release()

    def _progress(self) -> str:
        try:
            assessment = self._run.assess()
            return f"{assessment.n_done} of {assessment.n_items} done"
        except (OSError, PsyflowError) as error:
            # The interruption goes on.
            return f"nobody can say how far it is ({describe(error)})"

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
        if status == NOTHING_HELD:
            say(
                f"{self.name}: stopped early, because the store can hold none of the first "
                "results; they are kept for another one"
            )
            return
        if status == DISK_FULL:
            raise OSError(errno.ENOSPC, "the disk is full, or a quota is used up")
        if status and not log.exists():
            raise PsyflowError(
                f"{shown_path(self._run.layout.root)} is gone. If it was moved, what is done is "
                f"where it is now; go on there with: psy run {self.name}"
            )
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
        tell_undeclared(self._run.assess())

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


def tell_undeclared(assessment: Assessment) -> None:
    """Say which files were read that do not count, once."""
    files = undeclared(assessment)
    for line in about_undeclared(assessment, files):
        say(line)
    if files:
        note_told(assessment.layout, files)


def last_words(log: Path, start: int = 0) -> str:
    """Return the last traceback in `log` from byte `start` on, or else the last line.

    That a worker gave up is left out: it follows what it gave up for.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"The log cannot be read: {error}"
    tracebacks = _TRACEBACK.findall(text)
    if tracebacks:
        return str(tracebacks[-1])
    lines = [line for line in text.splitlines() if line and not _GAVE_UP.match(line)]
    return lines[-1] if lines else ""
