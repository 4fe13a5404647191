"""The jobs of a run: a record that is on disk before the next one is submitted."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from psyflow.exceptions import StoreError
from psyflow.record.answers import LOOK_SECONDS, Answers, Question
from psyflow.record.jobrecord import OVER_STEP, JobRecord
from psyflow.record.jobseen import Seen, far, is_forgotten, near
from psyflow.record.jobwords import in_words
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.scheduler.base import (
    DONE,
    OVER,
    JobStatus,
    Scheduler,
    combine,
)
from psyflow.system.files import append_line
from psyflow.system.lease import is_over, owner_of
from psyflow.system.orphans import wait_until_dead
from psyflow.system.owner import Owner
from psyflow.system.reading import ask_again

__all__ = ["JobRecord", "Jobs", "Killed", "note_ends"]


@dataclass(frozen=True)
class Killed:
    """What `Jobs.kill` has done, in words.

    Attributes
    ----------
    killed : list of str
        The jobs and processes that it has ended.
    others : list of str
        Jobs of somebody else that have the number of a recorded one, which is gone.
    left : list of str
        Jobs that cannot be ended here, and why.
    places : list of str
        Where those can be ended.
    """

    killed: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


class Jobs:
    """The record of a run's jobs, and what can be asked about them.

    Only recorded jobs are ever asked about or ended.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._own: dict[str, bool] = {}

    def record_intent(self, intent: JobRecord) -> None:
        """Note a job that is about to be submitted; whatever happens then, its name is known."""
        self._append(intent)

    def record_submitted(self, intent: JobRecord, jobid: str, cluster: str | None) -> None:
        """Note that the scheduler has accepted a job."""
        self._append(dataclasses.replace(intent, jobid=jobid, cluster=cluster, time=time.time()))

    def record_process(self, run_id: str, step: str) -> None:
        """Note the calling process as a job."""
        self._append(JobRecord(run_id, step, owner=Owner.here()))

    def records(self) -> list[JobRecord]:
        """Return every recorded job that may be at work here, oldest first."""
        return [record for record in self.history() if self.is_own(record.run_id)]

    def history(self) -> list[JobRecord]:
        """Return every recorded job, oldest first, also of the folder that this is a copy of.

        A line that was cut off is passed over.
        """
        file = self._layout.jobs_file
        try:
            text = ask_again(lambda: file.read_text(errors="replace"), file)
        except FileNotFoundError:
            return []
        lines = text.splitlines()
        return [record for line in lines if (record := JobRecord.from_line(line)) is not None]

    def is_own(self, run_id: str) -> bool:
        """Tell whether a plan's jobs are at work here, and not in a folder that this is a copy of.

        If the plan is gone, they ended long ago.
        """
        if run_id not in self._own:
            plan = None
            with contextlib.suppress(StoreError):
                plan = Plan.read(self._layout.plan(run_id).plan_file)
            self._own[run_id] = plan is None or plan.is_at_home
        return self._own[run_id]

    def host_of(self, run_id: str) -> str | None:
        """Return where the jobs of a plan were submitted; None if nobody noted it."""
        return next((r.host for r in self.records() if r.run_id == run_id and r.host), None)

    def record_over(self, run_id: str, ends: Iterable[JobStatus] | None = None) -> None:
        """Note that no job of a plan is at work any more, whatever the scheduler remembers.

        Parameters
        ----------
        run_id : str
        ends : iterable of JobStatus, optional
            How the jobs ended that did not end well, if that is known: nobody needs to ask then.
        """
        known = None if ends is None else {s.id: [s.status, s.name, s.reason] for s in ends}
        self._append(JobRecord(run_id, OVER_STEP, ends=known))

    def ends(self, run_id: str, answers: Answers, *, but: str = "") -> list[JobStatus] | None:
        """Return the jobs of a plan that did not end well; None if not all are said to be over.

        Parameters
        ----------
        run_id : str
        answers : Answers
            To the plan's `question`.
        but : str
            The step that asks, and so is not over.
        """
        seen = self._look(run_id, answers)
        statuses = [s for one in seen if one.record.step != but for s in one.members]
        if any(s.status not in OVER for s in statuses):
            return None
        return [s for s in statuses if s.status != DONE]

    def are_over(self, run_id: str) -> bool:
        """Tell whether it was noted that no job of a plan is at work any more."""
        return _over_record(self._of_plan(run_id)) is not None

    def members_as_noted(
        self, run_id: str, *, even_if_unknown: bool = False
    ) -> dict[str, list[JobStatus]] | None:
        """Return how the jobs of a plan ended that was noted to be over; nobody is asked.

        Parameters
        ----------
        run_id : str
        even_if_unknown : bool
            Whether jobs count as done of which nobody noted how they ended; otherwise, None is
            returned then.
        """
        of_plan = self._of_plan(run_id)
        over = _over_record(of_plan)
        if over is None or (over.ends is None and not even_if_unknown):
            return None
        records = [self._named(record) for record in of_plan if record.jobid is not None]
        return {str(r.jobid): _as_noted(r, over.ends or {}) for r in records}

    def members(self, run_id: str, scheduler: Scheduler | Answers) -> dict[str, list[JobStatus]]:
        """Ask `scheduler`, in one query, about the jobs of one plan, members of arrays one by one.

        A job that it has forgotten is unknown, and so is one whose id is somebody else's now, or
        that was submitted to another cluster. It counts as done if the plan's jobs are known to be
        over, because its merge job or `psy kill` noted so.

        Returns
        -------
        dict from str to list of JobStatus
            By the ids of jobs and of arrays, in the order of their submission.
        """
        return {seen.jobid: seen.members for seen in self._look(run_id, scheduler)}

    def question(self, run_id: str) -> Question:
        """Return what has to be asked to know of the jobs of one plan."""
        of_plan = self._of_plan(run_id)
        noted = [record for record in of_plan if record.jobid is not None]
        intents = {} if _over_record(of_plan) else _unnoted(of_plan)
        return Question([self._named(record) for record in noted], intents)

    def _of_plan(self, run_id: str) -> list[JobRecord]:
        return [record for record in self.records() if record.run_id == run_id]

    def _look(self, run_id: str, scheduler: Scheduler | Answers) -> list[Seen]:
        if (
            isinstance(scheduler, Scheduler)
            and (noted := self.members_as_noted(run_id)) is not None
        ):
            records = [self._named(r) for r in self._of_plan(run_id) if r.jobid is not None]
            return [Seen(record, noted[str(record.jobid)]) for record in records]
        is_over, question = self.are_over(run_id), self.question(run_id)
        answers = (
            scheduler if isinstance(scheduler, Answers) else Answers.of(scheduler, [question])
        )
        records = [*question.records, *map(self._named, question.accepted(answers.found))]
        return [
            far(record, answers.cluster, is_over=is_over)
            if record.is_elsewhere(answers.cluster)
            else near(record, answers, is_over=is_over)
            for record in records
        ]

    def _named(self, record: JobRecord) -> JobRecord:
        """Return a record with the name that its job must have, which records of old lack."""
        if record.name is not None:
            return record
        step = record.step.partition(":")[0] if "-" in record.step else record.step
        return dataclasses.replace(record, name=f"{self._layout.task}:{step}")

    def statuses(self, run_id: str, scheduler: Scheduler) -> dict[str, JobStatus]:
        """Ask `scheduler`, in one query, about the jobs of one plan; an array is one job."""
        members = self.members(run_id, scheduler)
        return {
            jobid: some[0] if some[0].id == jobid else combine(jobid, some)
            for jobid, some in members.items()
        }

    def processes(self) -> list[Owner]:
        """Return the recorded processes on this host that are alive."""
        owners = [r.owner for r in self.records() if r.owner is not None]
        return [owner for owner in owners if owner.is_dead() is False]

    def elsewhere(self) -> list[Owner]:
        """Return the processes on other hosts that renew their leases."""
        owners = [owner_of(lease) for lease in self.leases() if not is_over(lease, time.time())]
        return [owner for owner in owners if owner is not None and owner.is_dead() is None]

    def leases(self) -> list[Path]:
        """Return the leases of process jobs, of all plans, whether they have run out or not."""
        plans = [self._layout.plan(f.name) for f in self._layout.plan_folders()]
        own = [plan for plan in plans if self.is_own(plan.folder.name)]
        return [lease for plan in own for lease in plan.leases.glob("[!.]*")]

    def owners(self) -> list[Owner]:
        """Return the processes of the run's jobs that are seen to be alive, here or elsewhere."""
        return [*self.processes(), *self.elsewhere()]

    def alive(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """Return what is queued, running, or in a state that nobody knows, in words."""
        return self.alive_among(self.members(run_id, scheduler))

    def alive_among(self, members: Mapping[str, Sequence[JobStatus]]) -> list[str]:
        """Return the same as `alive`, if what the scheduler says is known."""
        # Where there are jobs of a scheduler, these are their processes.
        return _alive_jobs(members) or [str(owner) for owner in self.owners()]

    def are_forgotten(self, members: Mapping[str, Sequence[JobStatus]]) -> bool:
        """Tell whether the scheduler knows of no job that is alive, and no process shows one."""
        alive = [s for some in members.values() for s in some if s.status not in OVER]
        return bool(alive) and all(map(is_forgotten, alive)) and not self.owners()

    def kill(self, run_id: str, scheduler: Scheduler) -> Killed:
        """End the recorded jobs of a plan that are alive, and no other's that has an id of theirs.

        Raises
        ------
        SchedulerError
            If the scheduler does not answer. Nothing was ended then.
        """
        alive = [seen for seen in self._look(run_id, scheduler) if not seen.is_over]
        left = [seen for seen in alive if seen.out_of_reach]
        ours = [seen.jobid for seen in alive if not (seen.other or seen.out_of_reach)]
        # The last first: the merge job would start when those before it have ended.
        scheduler.kill_jobs(reversed(ours))
        # The processes of jobs that cannot be ended here are theirs to end.
        processes = [] if left else self._end_processes()
        return Killed(
            killed=[*(f"job {jobid}" for jobid in ours), *processes],
            others=[f'job {seen.jobid} ("{seen.other}")' for seen in alive if seen.other],
            left=[f"job {seen.jobid} {seen.out_of_reach}" for seen in left],
            places=list(dict.fromkeys(seen.record.place for seen in left)),
        )

    def _end_processes(self) -> list[str]:
        ended = []
        for owner in self.processes():
            # The first asks to end after the running items, the second to end at once.
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGTERM)
                if not wait_until_dead([owner], 0.2):
                    os.kill(owner.pid, signal.SIGTERM)
            ended.append(str(owner))
        return ended

    def lingering(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """Return what is still there after `kill`, in words, but for what that had to leave.

        A job that the scheduler, asked right after it was told to kill it, does not know is gone.
        """
        seen = self._look(run_id, scheduler)
        members = {
            one.jobid: [status for status in one.members if not is_forgotten(status)]
            for one in seen
            if not one.out_of_reach
        }
        if any(one.out_of_reach and not one.is_over for one in seen):
            return _alive_jobs(members)
        return self.alive_among(members)

    def _append(self, record: JobRecord) -> None:
        # Its folder is there, or is gone: the plan was in it.
        append_line(self._layout.jobs_file, record.to_line())


def note_ends(jobs: Jobs, run_id: str, scheduler: Scheduler, *, but: str = "") -> None:
    """Note how the jobs of a plan ended that was noted to be over: then nobody asks again.

    Parameters
    ----------
    jobs, run_id, scheduler
    but : str
        The step that does this.

    Raises
    ------
    SchedulerError
        If the scheduler does not answer soon. Whoever looks at what is missing asks then.
    """
    answers = Answers.within(LOOK_SECONDS, scheduler, lambda: [jobs.question(run_id)])
    ends = jobs.ends(run_id, answers, but=but)
    if ends is not None:
        jobs.record_over(run_id, ends)


def _unnoted(of_plan: Sequence[JobRecord]) -> dict[str, JobRecord]:
    """Return the jobs that were to be submitted, though nobody noted their ids, by their marks.

    Whoever submitted them may have died just then, or may be about to note it.
    """
    noted = {record.mark for record in of_plan if record.jobid is not None}
    return {
        record.mark: record
        for record in of_plan
        if record.jobid is None and record.mark is not None and record.mark not in noted
    }


def _over_record(of_plan: Sequence[JobRecord]) -> JobRecord | None:
    """Return the line that says most of how the jobs of a plan ended, if they are over."""
    found = [record for record in of_plan if record.step == OVER_STEP]
    return max(found, key=lambda record: record.ends is not None, default=None)


def _as_noted(record: JobRecord, ends: Mapping[str, Sequence[str]]) -> list[JobStatus]:
    """Return the members of a job as they ended."""
    done = {i: (DONE, record.name_of(i), "") for i in record.member_ids}
    return [JobStatus(i, *(ends.get(i) or as_done)) for i, as_done in done.items()]


def _alive_jobs(members: Mapping[str, Sequence[JobStatus]]) -> list[str]:
    alive = {
        jobid: [status for status in some if status.status not in OVER]
        for jobid, some in members.items()
    }
    return [f"job {jobid}: {in_words(some)}" for jobid, some in alive.items() if some]
