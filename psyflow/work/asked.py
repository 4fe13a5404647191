"""Where a running item is, as whoever wants to know asks the job's supervisor, from any host.

The question is a file beside the lease of the job, and so is the answer.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psyflow.system.files import write_atomic
from psyflow.system.reading import read_whole, reopen
from psyflow.work.crowd import asking_pause, long_seconds

__all__ = ["ANSWER", "QUESTION", "Question", "Questions"]

QUESTION, ANSWER = ".stack-asked-", ".stack-"
FROM_SECONDS = 1.0
"""Nobody can have asked about an item that has not been running for so long."""


@dataclass(frozen=True)
class Question:
    """Where in the code is that item.

    Attributes
    ----------
    item : int
    token : str
        What tells the question from others.
    """

    item: int
    token: str


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
        if (question := self.asked(oldest)) is not None:
            self.answer(question, stack(question.item))

    def asked(self, oldest: float) -> Question | None:
        """Return a question if there is one, which is to be answered by `answer`."""
        now = time.monotonic()
        is_pointless = now - oldest < self._from or now - self._looked < self._pause
        if self._folder is None or is_pointless:
            return None
        self._looked = now
        # Whoever asks hears nothing, and says so.
        with contextlib.suppress(OSError, ValueError, KeyError):
            # Opening the folder has a file server asked, which a look for one name has not. To
            # list it would do as well, but there may be thousands of jobs.
            reopen(self._folder)
            if (file := self._folder / f"{QUESTION}{self._name}").exists():
                return self._taken(file)
        return None

    @staticmethod
    def _taken(file: Path) -> Question:
        asked = json.loads(read_whole(file))
        file.unlink()
        return Question(int(asked["item"]), str(asked["token"]))

    def answer(self, question: Question, stack: str | None) -> None:
        """Answer a question: the stack; empty if nobody can tell, None if it is not running."""
        if self._folder is not None:
            answer = json.dumps({"token": question.token, "stack": stack})
            # Whoever asks hears nothing, and says so.
            with contextlib.suppress(OSError):
                write_atomic(self._folder / f"{ANSWER}{self._name}", answer, durable=False)
