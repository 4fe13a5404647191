"""``psy watch``: how far tasks and their jobs are, until the jobs are over. Writes nothing."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from psyflow.cli.inquiry import Inquiry, Members
from psyflow.cli.output import OK, duration, say
from psyflow.cli.progress import is_terminal
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import load_tasks
from psyflow.exceptions import SchedulerError
from psyflow.jobs import in_words
from psyflow.tasks import TaskDef

__all__ = ["execute"]

ASK_SECONDS = 10.0
LONGEST_ASK_SECONDS = 60.0
COLUMNS = ("task", "done", "failed", "running", "queued", "pace", "jobs")


class _Show(Protocol):
    def __call__(self, rows: Sequence[Sequence[str]]) -> None: ...


def execute(arguments: Namespace) -> int:
    """Show how far the named tasks, or all, are."""
    with without_bytecode():
        return _look(arguments)


def _look(arguments: Namespace) -> int:
    tasks, status = load_tasks(arguments)
    watches = [_Watch(task) for task in tasks]
    try:
        with _table() if is_terminal() else _lines() as show:
            while True:
                show([watch.row() for watch in watches])
                if not any(watch.is_at_work for watch in watches):
                    break
                time.sleep(arguments.interval)
    except KeyboardInterrupt:
        # Closing the view is the way to end it.
        return status
    say("No job is at work.")
    return max(status, OK)


class _Watch:
    """What is seen of one task from look to look."""

    def __init__(self, task: TaskDef) -> None:
        self._task = task
        self._members: Members | SchedulerError | None = None
        self._asked = 0.0
        self._patience = ASK_SECONDS
        self._first: tuple[float, int] | None = None
        self.is_at_work = True

    def row(self) -> list[str]:
        """Look, and return the cells of `COLUMNS`."""
        now = time.monotonic()
        if self._members is not None and now - self._asked > self._patience:
            self._members = None
            self._patience = min(1.5 * self._patience, LONGEST_ASK_SECONDS)
        if self._members is None:
            self._asked = now
        inquiry = Inquiry(self._task, self._members)
        self._members = inquiry.members
        self.is_at_work = bool(inquiry.jobs)
        states = inquiry.states
        return [
            inquiry.name,
            f"{states['done']}/{inquiry.n_items}",
            *(str(states[name]) for name in ("failed", "running", "queued")),
            self._pace(now, states["done"], inquiry.n_items - states["failed"]),
            self._jobs(inquiry),
        ]

    def _pace(self, now: float, n_done: int, n_wanted: int) -> str:
        if self._first is None:
            self._first = now, n_done
        since, before = self._first
        if n_done == before or not self.is_at_work:
            return ""
        rate = (n_done - before) / (now - since)
        return f"{rate:.2g}/s, {duration((n_wanted - n_done) / rate)} left"

    def _jobs(self, inquiry: Inquiry) -> str:
        if isinstance(inquiry.members, SchedulerError):
            return f"unknown ({inquiry.members})"
        return in_words(inquiry.job_statuses, counts_one=True) or ", ".join(inquiry.jobs)


@contextmanager
def _table() -> Iterator[_Show]:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    with Live(console=Console(stderr=True), auto_refresh=False) as live:

        def show(rows: Sequence[Sequence[str]]) -> None:
            table = Table(*COLUMNS, box=None)
            for row in rows:
                # As text: what a scheduler says may look like markup.
                table.add_row(*map(Text, row))
            live.update(table, refresh=True)

        yield show


@contextmanager
def _lines() -> Iterator[_Show]:
    before: dict[str, str] = {}

    def show(rows: Sequence[Sequence[str]]) -> None:
        for name, done, *more, pace, jobs in rows:
            counts = (f"{n} {word}" for word, n in zip(COLUMNS[2:5], more, strict=True))
            told = f"{name}: {done} done, {', '.join(counts)}"
            if before.get(name) != told + jobs:
                before[name] = told + jobs
                say(", ".join(filter(None, (told, pace, jobs))))

    yield show
