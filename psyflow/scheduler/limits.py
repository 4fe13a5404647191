"""What a cluster tells of its limits, in a form that a run can be held against.

Clusters refuse what is over some of them, and let other jobs wait for ever. Which of them concern
a job is for each scheduler to say, in `Scheduler.limits_of`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psyflow.scheduler.timelimit import duration_text

__all__ = ["JOBS", "MEMBERS", "AT_ONCE", "SECONDS", "Limit", "least"]

JOBS, AT_ONCE, MEMBERS, SECONDS = "jobs submitted", "jobs running", "members", "seconds"
"""What a limit may be of: jobs, queued or not; those that run; members of an array; time."""


@dataclass(frozen=True)
class Limit:
    """A limit of a cluster.

    Attributes
    ----------
    name : str
        As the cluster calls it.
    amount : float
    of : str
        `JOBS`, `AT_ONCE`, `MEMBERS` or `SECONDS`.
    whose : str
        Whom or what it concerns, such as ``partition short``; empty if everybody.
    is_certain : bool
        Whether the cluster refuses what is over it, or never starts it. Some only note limits.
    taken : int
        How many of them there are already, as far as the cluster tells.

    Examples
    --------
    >>> print(Limit("MaxTime", 600, SECONDS, "partition short"))
    MaxTime = 10 minutes (partition short)
    >>> print(Limit("MaxSubmit", 10, JOBS, "account physics"))
    MaxSubmit = 10 jobs submitted (account physics)
    >>> print(Limit("MaxArraySize", 1001, MEMBERS))
    MaxArraySize = 1001
    >>> print(Limit("GrpSubmit", 10, JOBS, "account physics", taken=4))
    GrpSubmit = 10 jobs submitted (account physics), 4 of them taken
    """

    name: str
    amount: float
    of: str
    whose: str = ""
    is_certain: bool = True
    taken: int = 0

    @property
    def left(self) -> float:
        """How much of it is left now."""
        return max(0, self.amount - self.taken)

    def __str__(self) -> str:
        amount = duration_text(self.amount) if self.of == SECONDS else f"{self.amount:g}"
        unit = f" {self.of}" if self.of in (JOBS, AT_ONCE) else ""
        whose = f" ({self.whose})" if self.whose else ""
        taken = f", {self.taken} of them taken" if self.taken else ""
        return f"{self.name} = {amount}{unit}{whose}{taken}"


def least(limits: Iterable[Limit], of: str) -> Limit | None:
    """Return the least of the limits of one kind that are certain; None if there is none.

    That is the one of which the least is left.

    Examples
    --------
    >>> print(least([Limit("a", 3, JOBS), Limit("b", 9, JOBS, taken=8)], JOBS))
    b = 9 jobs submitted, 8 of them taken
    """
    some = [limit for limit in limits if limit.of == of and limit.is_certain]
    return min(some, key=lambda limit: (limit.left, limit.amount), default=None)
