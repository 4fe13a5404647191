"""Where a running item is, as whoever wants to know asks the job's supervisor, from any host.

The question is a file beside the lease of the job, and so is the answer.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from psyflow.system.files import reopen, write_atomic
from psyflow.work.crowd import asking_pause, long_seconds

__all__ = ["ANSWER", "QUESTION", "Questions"]

QUESTION, ANSWER = ".stack-asked-", ".stack-"
FROM_SECONDS = 1.0
"""Nobody can have asked about an item that has not been running for so long."""


class Questions:
    """Answers questions about the running items of a job.

    Parameters
    ----------
    leases : Path or None
        Where the jobs of the run have their leases.
    name : str
        Of the job's lease.
    n_jobs : int
        All jobs of the run, which look into the same folder.
    """

    def __init__(self, leases: Path | None, name: str, n_jobs: int = 1) -> None:
        self._pause = asking_pause(n_jobs)
        # Whoever asks has been told of the item; of few jobs, that is soon.
        self._from = FROM_SECONDS if self._pause == asking_pause(1) else long_seconds(n_jobs)
        self._folder = leases
        self._name = name
        self._looked = float("-inf")

    def heed(self, oldest: float, stack: Callable[[int], str | None]) -> None:
        """Answer, if there is a question.

        Parameters
        ----------
        oldest : float
            Since when the item has been running that began first (`time.monotonic`).
        stack : callable
            Given an item, returns its stack; None if it is not running.
        """
        now = time.monotonic()
        is_pointless = now - oldest < self._from or now - self._looked < self._pause
        if self._folder is None or is_pointless:
            return
        self._looked = now
        # Whoever asks hears nothing, and says so.
        with contextlib.suppress(OSError, ValueError, KeyError):
            # Opening the folder has a file server asked, which a look for one name has not. To
            # list it would do as well, but there may be thousands of jobs.
            reopen(self._folder)
            if (self._folder / f"{QUESTION}{self._name}").exists():
                self._answer(self._folder, stack)

    def _answer(self, folder: Path, stack: Callable[[int], str | None]) -> None:
        question = folder / f"{QUESTION}{self._name}"
        asked = json.loads(question.read_bytes())
        question.unlink()
        answer = {"token": str(asked["token"]), "stack": stack(int(asked["item"]))}
        write_atomic(folder / f"{ANSWER}{self._name}", json.dumps(answer), durable=False)
