"""What the user hears of a task on its way through ``psy run``."""

from __future__ import annotations

import functools
from argparse import Namespace
from typing import TYPE_CHECKING

from psyflow.cli.output import EMPTY_SPACE, FAILED, OK, say
from psyflow.cli.selection import suggestion
from psyflow.cli.wanted import about_unfulfilled, wanted_of
from psyflow.messages import shown_path
from psyflow.outcomes.states import WITHOUT_ROW, State, Tally
from psyflow.record import refusals
from psyflow.record.assess import Assessment
from psyflow.record.reads import note_told
from psyflow.report.undeclared import about_undeclared, undeclared
from psyflow.runs.observer import Observer
from psyflow.system.exits import ALL_WOULD_FAIL, TOO_MANY_FAILURES

if TYPE_CHECKING:
    from psyflow.cli.progress import Progress
    from psyflow.record.plan import Plan
    from psyflow.runs.merge import Merged
    from psyflow.runs.run import Run

__all__ = ["Telling", "tell_undeclared"]

_UNKNOWN = -1


class Telling(Observer):
    """Tells the user what becomes of a task.

    Parameters
    ----------
    run : Run
    arguments : Namespace
        The command line.

    Attributes
    ----------
    exit_code : int
        As far as items without a result are concerned.
    is_refused : bool
        Whether the run may not begin.
    """

    def __init__(self, run: Run, arguments: Namespace) -> None:
        self.exit_code = OK
        self.is_refused = False
        self._run = run
        self._name = run.task.name
        self._arguments = arguments
        self._wanted = wanted_of(arguments)
        self._n_left_out = 0
        self._plan: Plan | None = None
        self._has_told_alike = False
        self._n_rows = self._n_items = 0

    def looked(self, assessment: Assessment, reasons: list[str]) -> None:
        """Say what nobody would expect of the results that are there."""
        if not assessment.n_items:
            self._say(EMPTY_SPACE)
        if not reasons:
            self._tell_done(assessment)
        else:
            self._get_ready()
            self._about_results_elsewhere(assessment)
        if about_files := assessment.files.about_changed():
            self._say(about_files)
        if not reasons:
            return
        if unknown := assessment.about_unknown_files():
            self._say(unknown)
        if assessment.plan is not None and (self._arguments.keep or not assessment.dirt):
            from psyflow.record.nearmisses import near_misses  # only where a run goes on

            for hint in near_misses(assessment).sentences():
                self._say(hint)

    def _about_results_elsewhere(self, assessment: Assessment) -> None:
        if assessment.gone is not None:
            gone = shown_path(assessment.gone.result)
            self._say(
                f"{gone}, which had {assessment.gone.n_rows} rows, is gone. What is nowhere else "
                "is computed again; to keep it, stop this and put the file back."
            )
        elif assessment.left_behind:
            self._say(f"{assessment.left_behind}. Stop this before; it computes them anew.")

    def _tell_done(self, assessment: Assessment) -> None:
        self._there(assessment.n_done, assessment.n_items)
        if unfulfilled := about_unfulfilled(self._wanted, assessment):
            self._say(unfulfilled)
        if assessment.dirt:
            self._say(refusals.unknown_code(assessment.task, assessment.dirt))
        tell_undeclared(assessment)

    def _get_ready(self) -> None:
        """Have what forks the jobs import what they need, while the plan is made."""
        server = getattr(self._arguments, "server", None)
        if server is not None and self._run.task.scheduler.runs_here:
            server.get_ready()

    def nothing_wanted(self, assessment: Assessment) -> None:
        """Say that nothing is run."""
        n_missing = assessment.tally.n_missing
        self._there(assessment.n_done, assessment.n_items)
        command = suggestion(self._arguments, self._name)
        self._say(
            f"{self._wanted.about_nothing}, so nothing is run. "
            f"{n_missing} of {assessment.n_items} items have no result; run them: {command}"
        )

    def refused(self) -> None:
        """Take note that nothing is run; a warning says why."""
        self.is_refused = True

    def made_way(self, said: str) -> None:
        """Say it."""
        self._say(said)
        self._n_rows = _UNKNOWN

    def begun(self, plan: Plan, n_left_out: int) -> None:
        """Take note of what progress is shown of."""
        self._plan = plan
        self._n_left_out = n_left_out

    def evaluating(self, plan: Plan) -> Progress:
        """Show how far it is."""
        from psyflow.cli.progress import Progress

        heed = functools.partial(self.heed_alike, plan)
        return Progress(plan, n_left_out=self._n_left_out, heed=heed)

    def heed_alike(self, plan: Plan, *, is_running: bool = True) -> None:
        """Say, once, what all the first items fail with, if they do."""
        from psyflow.record.alike import alike

        if not self._has_told_alike and (found := alike(plan)):
            from psyflow.record.usersfiles import of_users_files
            from psyflow.report.alike import about_alike
            from psyflow.report.progress import n_left_of

            self._has_told_alike = True
            again = suggestion(self._arguments, self._name)
            n_left = n_left_of(plan)
            told = about_alike(found[0], again, is_running=is_running, n_left=n_left)
            self._say(of_users_files(told, plan.layout, self._run.task.path.parent))

    def stopped_early(self, plan: Plan, status: int) -> None:
        """Say why."""
        self.heed_alike(plan, is_running=False)
        if status == ALL_WOULD_FAIL:
            return
        if status == TOO_MANY_FAILURES:
            self._say("stopped early, because so many items failed")
        else:
            from psyflow.outcomes.records import OF_RESULT
            from psyflow.report.failures import failed_items  # as a rule, nobody needs it

            failures = (found.failure for found in failed_items(self._run.assess()))
            unfit = next((f.exception for f in failures if f.kind == OF_RESULT), "")
            self._say(f"stopped early, because none of the first results can be kept. {unfit}")

    def submitted(self, plan: Plan) -> None:
        """Say how many jobs there are, and how to follow them."""
        self._n_rows = 0  # for now
        n_jobs = plan.n_jobs + 2
        command = suggestion(self._arguments, self._name, command="status")
        self._say(f"{n_jobs} jobs are submitted; follow with: {command}")

    def merged(self, merged: Merged) -> None:
        """Say what is missing, and which files were read that do not count."""
        self._there(merged.tally[State.DONE], merged.tally.n_items)
        if merged.n_misfits:
            self.exit_code = max(self.exit_code, FAILED)
            self._say(merged.about_misfits)
        # Misfits are no rows, and have been told.
        tally = merged.tally
        if self._plan is not None and not tally[State.DONE]:
            self.heed_alike(self._plan, is_running=False)
        ended = {state: tally[state] for state in WITHOUT_ROW}
        missing = Tally(tally.n_missing - merged.n_misfits, ended)
        if missing.n_items:
            self.exit_code = max(self.exit_code, self._exit_code_of(tally))
            self._say(self._about_missing(missing, tally.n_items))
        tell_undeclared(self._run.assess())

    def tell_rows(self) -> None:
        """Say how many rows there are, where, and how to look at them; the last of all to say."""
        if self._n_rows == _UNKNOWN:
            assessment = self._run.assess()
            self._there(assessment.n_done, assessment.n_items)
        if not self._n_rows or not self._run.task.resultfile.exists():
            return
        self._tell_edited()
        is_whole = self._n_rows == self._n_items
        number = f"{self._n_rows}" if is_whole else f"{self._n_rows} of {self._n_items}"
        rows = "row" if self._n_items == 1 else "rows"
        file = shown_path(self._run.task.resultfile)
        command = suggestion(self._arguments, self._name, command="show")
        say(f"{number} {rows} in {file}; look at them: {command}")

    def _tell_edited(self) -> None:
        from psyflow.report.edited import edited_meanwhile  # only where something has run

        if self._plan is not None and (names := edited_meanwhile(self._plan)):
            were = "were" if len(names) > 1 else "was"
            command = suggestion(self._arguments, self._name, command="why")
            self._say(
                f"{', '.join(names)} {were} edited meanwhile, and the rows are of the code "
                f"before. Whether that matters: {command}"
            )

    def _there(self, n_rows: int, n_items: int) -> None:
        self._n_rows, self._n_items = n_rows, n_items

    def _say(self, text: str) -> None:
        say(f"{self._name}: {text}")

    def _exit_code_of(self, tally: Tally) -> int:
        if tally[State.FAILED]:
            return FAILED
        # Those that have not run were not to be run, unless all were.
        return FAILED if self._wanted.is_everything and not tally.is_settled else OK

    def _about_missing(self, missing: Tally, n_items: int) -> str:
        command = suggestion(self._arguments, self._name)
        told = missing.told(*WITHOUT_ROW, State.TODO)
        what = told.replace(" ", f" of {n_items} items ", 1)
        if not missing[State.FAILED]:
            again = "Run them again" if missing[State.SKIPPED] else "Run them"
            return f"{what}. {again}: {command}"
        see = suggestion(self._arguments, self._name, command="failures")
        return f"{what}; see them: {see}. Run them again: {command}"


def tell_undeclared(assessment: Assessment) -> None:
    """Say which files were read that do not count, once."""
    files = undeclared(assessment)
    for line in about_undeclared(assessment, files):
        say(line)
    if files:
        note_told(assessment.layout, files)
