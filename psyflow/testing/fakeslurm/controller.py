"""The controller: the table of jobs, and what becomes of them as time goes by."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

from psyflow.testing.fakeslurm.chance import PREEMPT, fate_of, start_delay
from psyflow.testing.fakeslurm.jobs import OVER, Condition, Ending, Job, Member
from psyflow.testing.fakeslurm.launch import launch, mark_of, write_script
from psyflow.testing.fakeslurm.processes import marked, signal_all
from psyflow.testing.fakeslurm.settings import Settings

__all__ = ["Controller"]

# Reason and exit code of members that are killed, by their state.
_DEATHS = {
    "F": ("JobLaunchFailure", (0, int(signal.SIGKILL))),
    "OOM": ("OutOfMemory", (0, 125)),
    "NF": ("NodeDown", (0, 0)),
}
_MEETS: dict[str, Callable[[Member], bool]] = {
    "after": lambda member: member.started > 0 or member.state in OVER,
    "afterany": lambda member: member.state in OVER,
    "afterok": lambda member: member.state == "CD",
    "afternotok": lambda member: member.state in OVER - {"CD"},
}
_BY_TERM = (0, int(signal.SIGTERM))
_SECONDS_TO_STOP = 5.0

_Meets = Callable[[Condition], "bool | None"]


class Controller:
    """Knows all jobs, and starts, watches and ends them.

    Parameters
    ----------
    folder : str
        Where scripts are kept; its name is part of the marks of processes.
    settings : Settings

    Attributes
    ----------
    n_calls : int
        How often somebody has asked for something.
    members : list of Member
    """

    def __init__(self, folder: str, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.n_calls = 0
        self.members: list[Member] = []
        self._by_id: dict[str, list[Member]] = {}
        self._next_id = 1

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes."""
        return [f"n{number}" for number in range(1, self.settings.nodes + 1)]

    def submit(self, job: Job) -> None:
        """Take a job, whose `id` is decided here, into the table."""
        job.id = self._next_id
        write_script(self.folder, job)
        indices: Sequence[int | None] = [None] if job.indices is None else job.indices
        for index in indices:
            self._enter(Member(job, index, self._next_id, held=job.held))
            self._next_id += 1

    def _enter(self, member: Member) -> None:
        self.members.append(member)
        for jobid in {member.id, str(member.job.id), str(member.raw_id)}:
            self._by_id.setdefault(jobid, []).append(member)

    def find(self, jobid: str) -> list[Member]:
        """Return the members that an id means: of a job, an array, or one of its members."""
        return self._by_id.get(jobid, [])

    def is_remembered(self, member: Member) -> bool:
        """Tell whether it is not over for longer than `min_job_age`."""
        return not member.is_over or time.time() - member.ended < self.settings.min_job_age

    def is_idle(self) -> bool:
        """Tell whether nothing will happen unless somebody asks for something."""
        return all(m.is_over or (m.held and m.process is None) for m in self.members)

    # -- what users ask for -----------------------------------------------------------------------

    def cancel(self, member: Member) -> None:
        """End a member; one that is over stays what it is."""
        if member.process is not None:
            self._end(member, "CA", member.reason, exit_code=_BY_TERM)
        elif not member.is_over:
            self._settle(member, "CA", member.reason)

    def requeue(self, member: Member) -> None:
        """Queue a member again, ending it first if it runs."""
        if member.process is not None:
            self._end(member, "PD", "BeginTime", requeue=True)
        else:
            self._queue_again(member)

    def send(self, member: Member, number: int, *, to_all: bool) -> None:
        """Signal the processes of a running member, or its script alone."""
        process = member.process
        assert process is not None
        if not to_all:
            process.send_signal(number)
            return
        signalled = signal_all(mark_of(self.folder, member), number)
        # What shows no mark is at least in the group of its script. A script that has been waited
        # for is none any more: its number may be somebody else's.
        if process.returncode is None and process.pid not in signalled:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    # -- what time does ---------------------------------------------------------------------------

    def advance(self) -> None:
        """Do what is due: watch what runs, then start what can be started."""
        for member in self.members:
            if member.process is not None:
                self._watch(member)
        # The end of a job may let another one start, and the table says why each of them waits.
        if pending := [member for member in self.members if member.state == "PD"]:
            self._schedule(pending)

    def _schedule(self, pending: Sequence[Member]) -> None:
        free = self._free_slots()
        running = Counter(m.job.id for m in self.members if m.process is not None)
        meets: _Meets = functools.cache(self._meets)
        for member in pending:
            member.reason = self._hindrance(member, meets)
            if member.reason != "None":
                continue
            if 0 < member.job.throttle <= running[member.job.id]:
                member.reason = "JobArrayTaskLimit"
            elif not free:
                member.reason = "Resources"
            else:
                running[member.job.id] += 1
                self._start(member, free.pop())

    def _free_slots(self) -> list[str]:
        """Return a node's name for each of its free slots."""
        taken = Counter(m.node for m in self.members if m.process is not None)
        return [node for node in self.nodes for _ in range(self.settings.slots - taken[node])]

    def _hindrance(self, member: Member, meets: _Meets) -> str:
        """Return why a pending member may not start now, even if there is room; else ``None``."""
        if member.held:
            return "JobHeldUser"
        answers = {meets(condition) for condition in member.job.after}
        if answers - {True}:
            return "DependencyNeverSatisfied" if False in answers else "Dependency"
        now = time.monotonic()
        if member.not_before is None:
            member.not_before = now + start_delay(self.settings, member.raw_id, member.restarts)
        if now < member.not_before:
            return "BeginTime" if member.restarts else "Priority"
        return "None"

    def _meets(self, condition: Condition) -> bool | None:
        """Say whether a condition is met: True, None for not yet, False for never."""
        is_met = _MEETS[condition.kind]
        members = self.find(condition.on)
        if all(map(is_met, members)):
            return True  # also if there is no such job, as with the real one
        return False if any(m.is_over and not is_met(m) for m in members) else None

    def _start(self, member: Member, node: str) -> None:
        member.node = node
        member.started, member.ended, member.began = time.time(), 0.0, time.monotonic()
        member.is_warned = False
        member.fate = fate_of(self.settings, member.raw_id, member.restarts)
        try:
            member.process = launch(self.folder, member, self.settings)
        except OSError:
            self._settle(member, "F", "JobLaunchFailure", (0, 53))
        else:
            member.state = "R"

    def _watch(self, member: Member) -> None:
        assert member.process is not None
        code = member.process.poll()
        if member.ending is None and code is None:
            self._see_what_is_due(member)
        elif member.ending is None:
            self._end_of_itself(member, code or 0)
        if member.ending is None:
            return
        if code is not None or time.monotonic() >= member.ending.kill_at:
            # Nothing of a job outlives its script.
            self.send(member, signal.SIGKILL, to_all=True)
        if code is not None and not marked(mark_of(self.folder, member)):
            self._ended(member, code, member.ending)

    def _see_what_is_due(self, member: Member) -> None:
        job, age = member.job, time.monotonic() - member.began
        if member.fate is not None and age >= member.fate.after:
            self._strike(member, member.fate.deed)
        elif job.time_limit is not None and age >= job.time_limit:
            self._end(member, "TO", "TimeLimit", exit_code=_BY_TERM)
        elif job.signal and job.time_limit is not None and not member.is_warned:
            number, before = job.signal
            if age >= job.time_limit - before:
                member.is_warned = True
                self.send(member, number, to_all=False)

    def _strike(self, member: Member, deed: str) -> None:
        member.fate = None
        if deed == PREEMPT and member.job.requeue:
            self._end(member, "PD", "BeginTime", requeue=True)
        elif deed == PREEMPT:
            self._end(member, "PR", "None", exit_code=_BY_TERM)
        else:
            reason, exit_code = _DEATHS[deed]
            member.state = "CG"
            member.ending = Ending(deed, reason, time.monotonic(), exit_code=exit_code)

    def _end(
        self,
        member: Member,
        state: str,
        reason: str,
        *,
        requeue: bool = False,
        exit_code: tuple[int, int] | None = None,
    ) -> None:
        """Ask a running member to end; it has `kill_wait` seconds for that."""
        kill_at = time.monotonic() + self.settings.kill_wait
        member.state = "CG"
        member.ending = Ending(state, reason, kill_at, requeue, exit_code)
        self.send(member, signal.SIGTERM, to_all=True)

    @staticmethod
    def _end_of_itself(member: Member, code: int) -> None:
        state, reason = "CD", "None"
        if code:
            state, reason = "F", "NonZeroExitCode" if code > 0 else "JobLaunchFailure"
        member.ending = Ending(state, reason, time.monotonic())

    def _ended(self, member: Member, code: int, ending: Ending) -> None:
        member.process = member.ending = None
        if ending.requeue:
            self._queue_again(member)
            return
        exit_code = ending.exit_code or (max(code, 0), max(-code, 0))
        self._settle(member, ending.state, ending.reason, exit_code)

    @staticmethod
    def _queue_again(member: Member) -> None:
        member.state, member.reason = "PD", "BeginTime"
        member.restarts += 1
        member.not_before, member.node = None, ""
        member.started = member.ended = 0.0

    @staticmethod
    def _settle(
        member: Member, state: str, reason: str, exit_code: tuple[int, int] = (0, 0)
    ) -> None:
        member.state, member.reason, member.exit_code = state, reason, exit_code
        member.ended = time.time()

    # -- the end ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """End all jobs at once."""
        deadline = time.monotonic() + _SECONDS_TO_STOP
        everything = f"{self.folder}#"
        while marked(everything) and time.monotonic() < deadline:
            signal_all(everything, signal.SIGKILL)
            time.sleep(0.02)
        for member in self.members:
            if member.process is not None:
                self.send(member, signal.SIGKILL, to_all=True)
                member.process.wait()
