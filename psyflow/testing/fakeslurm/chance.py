"""What chance does to a job. It depends on the seed, the job and its start, never on timing."""

from __future__ import annotations

import random
from dataclasses import dataclass

from psyflow.testing.fakeslurm.settings import Settings

__all__ = ["AFTER", "BEFORE", "PREEMPT", "Fate", "failure_of", "fate_of", "start_delay"]

PREEMPT = "preempt"
DEATHS = ("F", "OOM", "NF")
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Fate:
    """What strikes a job.

    Attributes
    ----------
    after : float
        Seconds after its start.
    deed : str
        `PREEMPT`, or the state in which it is killed.
    """

    after: float
    deed: str


def start_delay(settings: Settings, jobid: int, restarts: int) -> float:
    """Return how many seconds a job waits although it could start."""
    return _dice(settings, "delay", jobid, restarts).uniform(0, settings.delay)


def fate_of(settings: Settings, jobid: int, restarts: int) -> Fate | None:
    """Return what strikes the start of a job; None if nothing does.

    Examples
    --------
    >>> settings = Settings(seed=1, kill=0.5)
    >>> fate_of(settings, 7, 0) == fate_of(settings, 7, 0)
    True
    >>> fate_of(Settings(), 7, 0) is None
    True
    """
    dice = _dice(settings, "fate", jobid, restarts)
    drawn = dice.random()
    if drawn >= settings.kill + settings.preempt:
        return None
    deed = dice.choice(DEATHS) if drawn < settings.kill else PREEMPT
    return Fate(dice.uniform(0, settings.within), deed)


def failure_of(settings: Settings, call: int) -> str | None:
    """Return whether a call of a program fails before or after it had its effect, if it does."""
    dice = _dice(settings, "call", call, 0)
    return dice.choice((BEFORE, AFTER)) if dice.random() < settings.flaky else None


def _dice(settings: Settings, purpose: str, number: int, restarts: int) -> random.Random:
    return random.Random(f"{settings.seed} {purpose} {number} {restarts}")
