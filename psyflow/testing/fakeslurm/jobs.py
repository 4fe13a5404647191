"""Jobs, and their members: what is started, listed and killed one by one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psyflow.testing.fakeslurm.chance import Fate

__all__ = ["LONG_STATES", "OVER", "Condition", "Ending", "Job", "Member"]

LONG_STATES = {
    "PD": "PENDING",
    "R": "RUNNING",
    "CG": "COMPLETING",
    "CD": "COMPLETED",
    "F": "FAILED",
    "TO": "TIMEOUT",
    "NF": "NODE_FAIL",
    "OOM": "OUT_OF_MEMORY",
    "CA": "CANCELLED",
    "PR": "PREEMPTED",
}
OVER = frozenset({"CD", "F", "TO", "NF", "OOM", "CA", "PR"})


@dataclass(frozen=True)
class Condition:
    """A job that another one waits for, and in which way."""

    kind: str
    on: str


@dataclass(frozen=True)
class Ending:
    """How a running member is about to end.

    Attributes
    ----------
    state, reason : str
    kill_at : float
        When its processes are killed, if they have not ended by then; of `time.monotonic`.
    requeue : bool
        Whether it is queued again.
    exit_code : tuple of int, optional
        Exit status and signal, if they are not those of the script.
    """

    state: str
    reason: str
    kill_at: float
    requeue: bool = False
    exit_code: tuple[int, int] | None = None


@dataclass
class Job:
    """What one call of sbatch submitted.

    Attributes
    ----------
    id : int
    indices : list of int, optional
        Of the members; None if it is no array.
    throttle : int
        How many members may run at once; 0 if that is not limited.
    time_limit : float, optional
        Seconds.
    signal : tuple, optional
        Number of a signal for the script, and how many seconds before the time limit.
    options : mapping
        All options of sbatch as they were given, by their long names.
    """

    id: int
    name: str
    script: str
    arguments: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    output: str
    error: str
    input: str
    append: bool
    indices: list[int] | None
    throttle: int
    after: Sequence[Condition]
    time_limit: float | None
    signal: tuple[int, float] | None
    requeue: bool
    held: bool
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Member:
    """A plain job, or one member of an array.

    Attributes
    ----------
    raw_id : int
        ``SLURM_JOB_ID``: members of arrays have one of their own.
    not_before : float, optional
        When it may start, of `time.monotonic`; None until it could.
    started, ended : float
        Of `time.time`; 0 if that has not happened.
    """

    job: Job
    index: int | None
    raw_id: int
    held: bool
    state: str = "PD"
    reason: str = "None"
    restarts: int = 0
    not_before: float | None = None
    submitted: float = field(default_factory=time.time)
    started: float = 0.0
    ended: float = 0.0
    began: float = 0.0
    """When it started, of `time.monotonic`."""
    node: str = ""
    exit_code: tuple[int, int] = (0, 0)
    process: subprocess.Popen[bytes] | None = None
    fate: Fate | None = None
    is_warned: bool = False
    ending: Ending | None = None

    @property
    def id(self) -> str:
        """What users call it: ``12``, or ``12_3`` in an array."""
        return str(self.job.id) if self.index is None else f"{self.job.id}_{self.index}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended and will not run again by itself."""
        return self.state in OVER

    @property
    def seconds(self) -> float:
        """How long it has been running, or ran."""
        return (self.ended or time.time()) - self.started if self.started else 0.0
