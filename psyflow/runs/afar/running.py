"""Items that have been running for long on workers, and where they are: told, and asked about.

The job beside a worker tells of them in its private folder, as all jobs do beside their leases.
What it tells goes by the line to the driver, which tells it there, as if it were its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from psyflow.exceptions import PsyflowError
from psyflow.runs.afar.block import Reply
from psyflow.runs.afar.mailbox import Mailbox
from psyflow.runs.stack import ask_for_stack
from psyflow.work.asked import Question, Questions
from psyflow.work.longrunning import LongRunning, told_in
from psyflow.work.worker import Work

__all__ = ["Beside", "Runners"]


class Beside:
    """What the job beside a worker tells of the items that it is running.

    Parameters
    ----------
    leases : Path
        Where that job has its lease.
    """

    def __init__(self, leases: Path) -> None:
        self._leases = leases
        self._asked: set[int] = set()
        self._stacks: dict[int, str | None] = {}
        self._lock = threading.Lock()

    def running(self) -> list[tuple[int, float]]:
        """Return items that have been running for long, and for how many seconds."""
        return [(item, time.time() - since) for item, since, *_ in told_in(self._leases)]

    def ask(self, item: int) -> None:
        """Have the job say where an item is, which may take a while."""
        with self._lock:
            if item in self._asked:
                return
            self._asked.add(item)
        threading.Thread(target=self._ask, args=[item], daemon=True).start()

    def _ask(self, item: int) -> None:
        stack = None
        for running, _, _, job in told_in(self._leases):
            if running == item:
                try:
                    stack = ask_for_stack(self._leases, job, item)
                except PsyflowError:
                    stack = ""  # it does not answer
        with self._lock:
            self._stacks[item] = stack

    def stacks(self) -> dict[int, str | None]:
        """Return the answers that have come since the last call."""
        with self._lock:
            stacks, self._stacks = self._stacks, {}
            self._asked -= stacks.keys()
        return stacks


class Runners:
    """What all workers tell, for those who look at the run's folder.

    Parameters
    ----------
    work : Work
    name : str
        Of the driver's lease.
    mailbox : Mailbox
        By which workers are asked.
    """

    def __init__(self, work: Work, name: str, mailbox: Mailbox) -> None:
        self._long_running = LongRunning(work.leases, name)
        self._questions = Questions(work.leases, name)
        self._mailbox = mailbox
        self._of_block: dict[int, dict[int, float]] = {}
        self._open: list[Question] = []

    def take(self, number: int, reply: Reply) -> None:
        """Take what a worker tells of a block."""
        now, before = time.monotonic(), self._of_block.get(number, {})
        # As long as an item runs, nothing new is to be told of it.
        running = {item: before.get(item, now - seconds) for item, seconds in reply.running}
        self._of_block[number] = running
        for item, stack in reply.stacks.items():
            self._answer(item, stack)

    def forget(self, number: int) -> None:
        """Forget a block that has come back."""
        for item in self._of_block.pop(number, {}):
            self._answer(item, None)

    def heed(self) -> None:
        """Tell what is running, and pass on what somebody asks."""
        running = list(self._running())
        self._long_running.tell(running)
        oldest = min((start for _, start in running), default=float("inf"))
        if (question := self._questions.asked(oldest)) is not None:
            self._open.append(question)
            if question.item not in dict(running):
                self._answer(question.item, None)
        self._mailbox.asked = tuple(question.item for question in self._open)

    def _running(self) -> Iterator[tuple[int, float]]:
        for running in self._of_block.values():
            yield from running.items()

    def _answer(self, item: int, stack: str | None) -> None:
        for question in self._open:
            if question.item == item:
                self._questions.answer(question, stack)
        self._open = [question for question in self._open if question.item != item]

    def end(self) -> None:
        """Say that nothing is running."""
        self._long_running.end()
