"""The run of a task: who holds it, what there is, its jobs, and their end."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from psyflow.exceptions import SchedulerError
from psyflow.pspace import ParameterSpace
from psyflow.record.assess import Assessment
from psyflow.record.jobs import Jobs, Killed, note_ends
from psyflow.record.layout import Layout
from psyflow.record.ownership import check_folder, writable
from psyflow.system.hold import Hold
from psyflow.system.owner import Owner
from psyflow.system.reading import is_there
from psyflow.tasks import TaskDef

if TYPE_CHECKING:
    from psyflow.outcomes.table import Items
    from psyflow.runs.away import Away
    from psyflow.runs.here import Here

__all__ = ["Run"]


class Run:
    """One task's work directory.

    Parameters
    ----------
    task : TaskDef
    here : callable
        Makes what does steps in this process.

    Attributes
    ----------
    task : TaskDef
    layout : Layout
    jobs : Jobs
    hold : Hold
    """

    def __init__(self, task: TaskDef, here: Callable[..., Here] | None = None) -> None:
        self.task = task
        self.layout = Layout(task.folder, task.name, task.resultfile)
        self.jobs = Jobs(self.layout)
        self.hold = Hold(self.layout.hold, f'Task "{task.name}"')
        self._make_here = here

    @functools.cached_property
    def here(self) -> Here:
        """What does steps in this process."""
        from psyflow.runs.here import Here  # if nothing has to run, nobody needs it

        make = self._make_here or Here
        return make(self.task, self.layout, self.jobs, self.hold)

    @functools.cached_property
    def way(self) -> Here | Away:
        """How steps are done, as the task's scheduler has it."""
        from psyflow.runs.away import Away

        return self.here if self.task.scheduler.runs_here else Away(self.task, self.jobs)

    def assess(
        self,
        *,
        verify: bool = False,
        made: Collection[str] = (),
        again: Callable[[ParameterSpace], Items] | None = None,
    ) -> Assessment:
        """Look at what there is; see `Assessment`."""
        return Assessment(self.task, verify=verify, made=made, again=again)

    def holder(self) -> tuple[Owner, float] | None:
        """Return who holds the run, and since when (seconds since 1970); None if nobody does."""
        return self.hold.holder()

    def take_hold(self) -> None:
        """Keep everybody else from beginning or clearing this run, until `release`.

        Raises
        ------
        RunHeldError
            If somebody else does so.
        TaskFileError
            If the run's folder is that of another task file.
        PsyflowError
            If this user may not write there.
        """
        check_folder(self.layout, self.task.path)
        with writable(self.layout.root):
            self.hold.acquire()
        if is_there(self.layout.returning):
            from psyflow.runs.archive import finish_bringing_back  # seldom needed

            finish_bringing_back(self.layout)

    def release(self) -> None:
        """Give up the hold that was taken, if any was."""
        self.hold.release()

    def alive(self, assessment: Assessment | None = None) -> list[str]:
        """Return the jobs of this run that are queued or running, in words.

        Parameters
        ----------
        assessment : Assessment, optional
            Spares another look.
        """
        plan = (assessment or self.assess()).plan
        return self.jobs.alive(plan.run_id, self.task.scheduler) if plan is not None else []

    def kill(self) -> Killed:
        """End this run's recorded jobs, nobody else's."""
        plan = self.assess().plan
        return self.jobs.kill(plan.run_id, self.task.scheduler) if plan is not None else Killed()

    def lingering(self, *, left: bool = False, forget: bool = False) -> list[str]:
        """Return what is still at work after `kill`, in words; if nothing is, note that.

        Parameters
        ----------
        left : bool
            Whether `kill` had to leave jobs that may be at work all the same.
        forget : bool
            Whether these are taken for gone.
        """
        plan = self.assess().plan
        if plan is None:
            return []
        lingering = self.jobs.lingering(plan.run_id, self.task.scheduler)
        if not lingering and (forget or not left):
            self.jobs.record_over(plan.run_id)
            # Of what is only taken for gone, others may know better. So may whoever asks later.
            with contextlib.suppress(SchedulerError):
                if not left:
                    note_ends(self.jobs, plan.run_id, self.task.scheduler)
        return lingering
