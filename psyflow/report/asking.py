"""One question to each scheduler about the jobs of many tasks, of what may be alive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from psyflow.exceptions import SchedulerError
from psyflow.record.answers import LOOK_SECONDS, Answers, Question
from psyflow.record.jobs import Jobs
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.scheduler.base import JobStatus, Scheduler
from psyflow.tasks import TaskDef

__all__ = ["Asker", "Members"]

Members: TypeAlias = Mapping[str, Sequence[JobStatus]]


class Asker:
    """Asks the schedulers of some tasks when the first of them is asked about.

    Parameters
    ----------
    tasks : iterable of TaskDef
        Those about which may be asked.
    """

    def __init__(self, tasks: Iterable[TaskDef]) -> None:
        self._groups: list[_Group] = []
        for task in tasks:
            self._group_of(task.scheduler).tasks.append(task)

    def _group_of(self, scheduler: Scheduler) -> _Group:
        for group in self._groups:
            if _are_alike(group.scheduler, scheduler):
                return group
        self._groups.append(_Group(scheduler))
        return self._groups[-1]

    def members(self, task: TaskDef, *, is_complete: bool) -> Members | SchedulerError:
        """Return what is known of the jobs of a task's plan, or why the scheduler does not say.

        Parameters
        ----------
        task : TaskDef
        is_complete : bool
            Whether it is up to date. If its jobs are over, it makes no difference then how.
        """
        layout = Layout(task.folder, task.name, task.resultfile)
        jobs, plan = Jobs(layout), Plan.present(layout)
        if plan is None:
            return {}
        if jobs.are_over(plan.run_id):
            told = jobs.members_as_noted(plan.run_id, even_if_unknown=is_complete)
            if told is not None:
                return told
            # An older psyflow has noted that they are over, and not how.
            return _Group(task.scheduler, [task]).members(jobs, plan, also_over=True)
        return self._group_of(task.scheduler).members(jobs, plan)


class _Group:
    """Tasks whose jobs one scheduler knows."""

    def __init__(self, scheduler: Scheduler, tasks: Iterable[TaskDef] = ()) -> None:
        self.scheduler = scheduler
        self.tasks = list(tasks)
        self._answers: Answers | SchedulerError | None = None

    def members(
        self, jobs: Jobs, plan: Plan, *, also_over: bool = False
    ) -> Members | SchedulerError:
        if self._answers is None:
            self._answers = self._ask(also_over=also_over)
        if isinstance(self._answers, SchedulerError):
            return self._answers
        return jobs.members(plan.run_id, self._answers)

    def _ask(self, *, also_over: bool) -> Answers | SchedulerError:
        try:
            return Answers.within(
                LOOK_SECONDS, self.scheduler, lambda: self._questions(also_over=also_over)
            )
        except SchedulerError as error:
            return error

    def _questions(self, *, also_over: bool) -> list[Question]:
        questions = []
        for task in self.tasks:
            layout = Layout(task.folder, task.name, task.resultfile)
            jobs, plan = Jobs(layout), Plan.present(layout)
            if plan is not None and (also_over or not jobs.are_over(plan.run_id)):
                questions.append(jobs.question(plan.run_id))
        return questions


def _are_alike(one: Scheduler, other: Scheduler) -> bool:
    """Tell whether two tasks have the same scheduler: each file makes one of its own."""
    if one is other:
        return True
    return type(one) is type(other) and vars(one) == vars(other)
