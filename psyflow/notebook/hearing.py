"""What is said in a notebook of a task on its way through `psyflow.run`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from psyflow.mapper.shown import following, say
from psyflow.messages import shown_path
from psyflow.record.alike import alike
from psyflow.record.usersfiles import of_users_files
from psyflow.report.alike import about_alike
from psyflow.report.progress import Follower, n_left_of
from psyflow.runs.observer import Observer
from psyflow.system.exits import ALL_WOULD_FAIL, TOO_MANY_FAILURES

if TYPE_CHECKING:
    from psyflow.record.assess import Assessment
    from psyflow.record.plan import Plan
    from psyflow.record.wanted import Wanted
    from psyflow.results import Results
    from psyflow.runs.merge import Merged
    from psyflow.tasks import TaskDef

__all__ = ["Hearing"]


class Hearing(Observer):
    """Says what becomes of a task, and shows how far it is.

    Parameters
    ----------
    task : TaskDef
    wanted : Wanted
        Which items were asked for.
    is_shown : bool
        Whether anything is shown but what nobody would expect.

    Attributes
    ----------
    nothing : str
        Why nothing was run, if no item was wanted.
    """

    def __init__(self, task: TaskDef, wanted: Wanted, *, is_shown: bool) -> None:
        self.nothing = ""
        self._task = task
        self._wanted = wanted
        self._is_shown = is_shown
        self._n_left_out = 0
        self._has_told_alike = False
        self._has_told_stop = False

    @property
    def again(self) -> str:
        """What to type to go on."""
        return f'psyflow.run("{self._task.name}")'

    def looked(self, assessment: Assessment, reasons: list[str]) -> None:
        """Say what nobody would expect of the results that are there."""
        if not assessment.n_items:
            self.say("its parameter space is empty, so there is nothing to compute.")
        if reasons and assessment.gone is not None:
            gone, n_rows = shown_path(assessment.gone.result), assessment.gone.n_rows
            self.say(f"{gone}, which had {n_rows} rows, is gone, and is made again.")
        if about_files := assessment.files.about_changed():
            self.say(about_files)

    def nothing_wanted(self, assessment: Assessment) -> None:
        """Note that nothing is run."""
        n_missing = assessment.tally.n_missing
        self.nothing = (
            f"{self._wanted.about_nothing}, so nothing is run. "
            f"{n_missing} of {assessment.n_items} items have no result; run them: {self.again}"
        )

    def made_way(self, said: str) -> None:
        """Say it."""
        self.say(said)

    def begun(self, plan: Plan, n_left_out: int) -> None:
        """Take note of what progress is shown of."""
        self._n_left_out = n_left_out

    @contextlib.contextmanager
    def evaluating(self, plan: Plan) -> Iterator[None]:
        """Show how far it is."""
        with self.following(plan, self._n_left_out):
            yield
        self._heed_alike(plan, is_running=False)

    @contextlib.contextmanager
    def following(self, plan: Plan, n_left_out: int = 0, *, joins: bool = False) -> Iterator[None]:
        """Show how far the jobs of a plan are while the block is executed."""
        if not self._is_shown:
            yield
            return
        follower = Follower(plan, n_left_out, joins=joins)
        with following(
            lambda elapsed: f"{plan.task}: {follower.counts()}",
            lambda: self._heed_alike(plan, is_running=True),
        ):
            yield

    def _heed_alike(self, plan: Plan, *, is_running: bool) -> None:
        """Say, once, what all the first items fail with, if they do."""
        if not self._has_told_alike and (found := alike(plan)):
            self._has_told_alike = True
            n_left = n_left_of(plan)
            told = about_alike(found[0], self.again, is_running=is_running, n_left=n_left)
            self.say(of_users_files(told, plan.layout, self._task.path.parent))

    def stopping(self) -> None:
        """Say what an interruption does, once."""
        if not self._has_told_stop:
            self._has_told_stop = True
            self.say("stops after the running items. Interrupt once more: at once.")

    def stopped_early(self, plan: Plan, status: int) -> None:
        """Say why."""
        if status == TOO_MANY_FAILURES:
            self.say("stopped early, because so many items failed.")
        elif status != ALL_WOULD_FAIL:
            self.say("stopped early, because none of the first results can be kept.")

    def submitted(self, plan: Plan) -> None:
        """Say how many jobs there are, and how to see what is done."""
        self.say(
            f"{plan.n_jobs + 2} jobs are submitted. What is done by now is returned; "
            f'psyflow.load("{self._task.name}") has more as they go on.'
        )

    def merged(self, merged: Merged) -> None:
        """Say what cannot be in the result."""
        if merged.n_misfits:
            self.say(merged.about_misfits)

    def tell_of(self, results: Results) -> None:
        """Say how many items failed, and how the first of them did."""
        failures = results.failures
        if not (self._is_shown and failures.n_rows):
            return
        n_failed, n_items = failures.n_rows, results.n_items
        exception = str(failures["exception"][0])
        told = f"{n_failed} of {n_items} items failed, and are in `failures`"
        if self._has_told_alike:
            self.say(f"{told}.")
            return
        pset = ", ".join(f"{name}={failures[name][0]}" for name in failures.parameters)
        self.say(f"{told}; the first, {pset}, with {exception}")
        if traceback := str(failures["traceback"][0]).rstrip():
            say(traceback)

    def say(self, text: str) -> None:
        """Say something of the task."""
        say(f"{self._task.name}: {text}")
