"""Which jobs wait for a person, in words, each with what to type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from psyflow.scheduler.base import JobStatus, Scheduler, array_of
from psyflow.scheduler.remedies import Remedy

__all__ = ["remedies_of", "told_remedies"]


def remedies_of(
    scheduler: Scheduler, members: Mapping[str, Sequence[JobStatus]]
) -> dict[str, Remedy]:
    """Return what somebody has to do, by the ids of jobs and members.

    An array of which all members have the same trouble is one.
    """
    found: dict[str, Remedy] = {}
    for jobid, some in members.items():
        troubles = {s.id: remedy for s in some if (remedy := scheduler.remedy(s)) is not None}
        whys = {remedy.why for remedy in troubles.values()}
        if len(some) > 1 and len(troubles) == len(some) and len(whys) == 1:
            one = some[0]
            whole = scheduler.remedy(JobStatus(array_of(one.id), one.status, one.name, one.reason))
            found |= {jobid: whole} if whole is not None else troubles
        else:
            found |= troubles
    return found


def told_remedies(remedies: Mapping[str, Remedy], kill: str) -> list[str]:
    """Return what to say, with one line for each trouble.

    Parameters
    ----------
    remedies : mapping from str to Remedy
    kill : str
        The command that ends the jobs of the task.

    Examples
    --------
    >>> told_remedies({"7": Remedy("is held", "release 7")}, "psy kill t")
    ['job 7 waits for somebody: it is held. Type: release 7']
    >>> told_remedies(dict.fromkeys("78", Remedy("was cancelled by root")), "psy kill t")
    ['job 7 and 1 more job: each was cancelled by root. Type: psy kill t']
    """
    by_why: dict[str, list[str]] = {}
    for jobid, remedy in remedies.items():
        by_why.setdefault(remedy.why, []).append(jobid)
    lines = []
    for why, jobids in by_why.items():
        commands = list(dict.fromkeys(remedies[jobid].command or kill for jobid in jobids))
        n_more = len(jobids) - 1
        more = f" and {n_more} more job{'s' * (n_more > 1)}" if n_more else ""
        if why.startswith("was cancelled"):
            what = f": each {why}" if more else f" {why}"
        else:
            what = f"{' wait' if more else ' waits'} for somebody: it {why}"
        lines.append(f"job {jobids[0]}{more}{what}. Type: {_some(commands)}")
    return lines


def _some(commands: Iterable[str]) -> str:
    shown = list(commands)
    return "; ".join(shown[:3]) + ("; …" if len(shown) > 3 else "")
