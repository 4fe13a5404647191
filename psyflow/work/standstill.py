"""Time in which this process could not run, so that it says nothing about others.

A batch system may stop all processes of a job, and continue them hours later; a machine may be so
busy that nothing gets on. Monotonic clocks go on meanwhile.
"""

from __future__ import annotations

import time

__all__ = ["Standstills"]

SLACK_SECONDS = 1.0
"""How much later than it wanted a process looks at its clock, on a busy machine."""


class Standstills:
    """The standstills of the process, as it notices them by looking often at its clock.

    Examples
    --------
    >>> standstills = Standstills(now=100.0)
    >>> standstills.look(0.5, now=100.6), standstills.look(0.5, now=111.1)
    (0.0, 10.0)
    >>> standstills.running(start=100.0, now=112.0)
    2.0
    """

    def __init__(self, now: float | None = None) -> None:
        self._looked = time.monotonic() if now is None else now
        self._seen: list[tuple[float, float]] = []

    def look(self, patience: float, now: float | None = None) -> float:
        """Return how many seconds the process stood still since the last look.

        Parameters
        ----------
        patience : float
            How many seconds may have passed since then.
        now : float, optional
            The time, of `time.monotonic`.
        """
        now = time.monotonic() if now is None else now
        begin, self._looked = self._looked + patience, now
        if now - begin <= SLACK_SECONDS:
            return 0.0
        self._seen.append((begin, now))
        return now - begin

    def running(self, start: float, now: float) -> float:
        """Return how many of the seconds from `start` to `now` were no standstill."""
        stood = (min(end, now) - max(begin, start) for begin, end in self._seen)
        return now - start - sum(seconds for seconds in stood if seconds > 0)

    def forget(self, before: float) -> None:
        """Forget the standstills that nobody asks about any more."""
        self._seen = [(begin, end) for begin, end in self._seen if end > before]
