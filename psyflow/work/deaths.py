"""Items that took their worker along: what is recorded of them, and how often each was tried."""

from __future__ import annotations

import time

from psyflow.outcomes.records import Attempt, Failure
from psyflow.outcomes.shard import ShardWriter
from psyflow.outcomes.table import Items
from psyflow.system.processes import oom_kills
from psyflow.work.capture import say
from psyflow.work.crew import Claimant
from psyflow.work.settled import settled_in
from psyflow.work.worker import Work

__all__ = ["Deaths"]


class Deaths:
    """Records what a supervisor knows of items that their workers cannot tell of any more.

    Parameters
    ----------
    job : Work
    writer : ShardWriter
        The supervisor's own shard.

    Attributes
    ----------
    attempts : dict from int to int
        How often items have been tried in vain, by their numbers.
    n_failed : int
        How many items have a failure as their outcome.
    """

    def __init__(self, job: Work, writer: ShardWriter) -> None:
        self.attempts: dict[int, int] = {}
        self.n_failed = 0
        self._job = job
        self._writer = writer
        self._oom_kills = oom_kills()

    def settled(self, child: Claimant) -> Items:
        """Return the items of which a worker has written the outcome."""
        return settled_in(child.shard, self._job.retries, self.attempts)

    def kind(self, child: Claimant, cause: str) -> tuple[str, str]:
        """Return the kind of the failure of which a worker died, and say what happened."""
        if child.condemned is not None:
            return "timeout", f"It took longer than its timeout, {self._job.timeout} s."
        before, self._oom_kills = self._oom_kills, oom_kills()
        if cause.endswith("SIGKILL") and self._oom_kills > before:
            return "oom", "Its process was killed because the memory ran out."
        return "crash", f"Its process {cause}."

    def count(self, item: int, kind: str, what: str, *, is_last: bool) -> bool:
        """Count that an item ended its process, and return whether that is its outcome.

        Parameters
        ----------
        item : int
        kind, what : str
            As of `Failure.of_death`.
        is_last : bool
            Whether it is not tried again in any case.
        """
        attempt = self.attempts[item] = self.attempts.get(item, 0) + 1
        is_outcome = is_last or not self._job.retries.allow(kind, attempt)
        self.n_failed += is_outcome
        again = "" if is_outcome else f" (attempt {attempt}; it is tried again)"
        if self._job.tells:
            say(f"Item {item} failed{again}: {what}")
        return is_outcome

    def write(
        self, child: Claimant, item: int, start: float, kind: str, what: str, stack: str
    ) -> None:
        """Bring the failure of an item to the disk.

        Parameters
        ----------
        child : Claimant
            The worker that it took along.
        item : int
        start : float
            When it began (`time.monotonic`).
        kind, what, stack : str
            As of `Failure.of_death`.
        """
        tried = self._tried(child, item, start)
        self._writer.write_failure(Failure.of_death(tried, kind, what, stack))
        if stack and self._job.tells:
            say(stack)
        self._writer.sync()

    def _tried(self, child: Claimant, item: int, start: float) -> Attempt:
        duration = time.monotonic() - start
        return Attempt(
            item=item,
            # Whoever reads it has the space, and may have what its values are made with.
            pset={} if self._job.space is None else self._job.space[item],
            start=time.time() - duration,
            duration=duration,
            number=self.attempts[item],
            pid=child.pid,
            log=self._job.log(child.index).name if self._job.log else "",
        )
