"""``psy watch``: how far tasks and their jobs are, until the jobs are over. Writes nothing."""

from __future__ import annotations

import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from psyflow.cli.fitting import fitted
from psyflow.cli.interruption import terminated_as_interrupted
from psyflow.cli.output import OK, say
from psyflow.cli.progress import is_terminal
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import load_tasks
from psyflow.cli.streams import drawing_board
from psyflow.exceptions import SchedulerError
from psyflow.messages import duration
from psyflow.outcomes.states import State, Tally
from psyflow.record.jobwords import in_words
from psyflow.record.remedies import told_remedies
from psyflow.report.asking import Asker, Members
from psyflow.report.status import Inquiry
from psyflow.tasks import TaskDef
from psyflow.texts import printable
from psyflow.widths import width_of

__all__ = ["execute"]

ASK_SECONDS = 10.0
LONGEST_ASK_SECONDS = 60.0
PROMPT_SECONDS = 3.0
"""How long the view is held up for an answer of the scheduler."""
SHARE = 5.0
"""How much longer than looking at results it is left alone afterwards."""
COUNTED = (State.FAILED, State.RUNNING, State.QUEUED, State.SKIPPED)
COLUMNS = ("task", "done", *COUNTED, "pace", "jobs")
_BY_WORTH = ("task", "done", State.FAILED, "pace", State.RUNNING, State.QUEUED, "jobs", "skipped")
_LEAST_NAME, _LEAST_LAST, _GAP = 8, 12, 2


class _Show(Protocol):
    def __call__(self, rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None: ...


def execute(arguments: Namespace) -> int:
    """Show how far the named tasks, or all, are."""
    with without_bytecode():
        return _look(arguments)


def _look(arguments: Namespace) -> int:
    tasks, status = load_tasks(arguments)
    watches = [_Watch(task) for task in tasks]
    try:
        with terminated_as_interrupted(), _table() if is_terminal() else _lines() as show:
            while True:
                begin = time.monotonic()
                rows = [watch.row() for watch in watches]
                show(rows, [note for watch in watches for note in watch.notes])
                if not any(watch.is_at_work for watch in watches):
                    break
                # To look at very many results takes a while, and must not be all that it does.
                time.sleep(max(arguments.interval, SHARE * (time.monotonic() - begin)))
    except KeyboardInterrupt:
        # Closing the view is the way to end it, be it by a signal.
        return status
    say("No job is at work.")
    return max(status, OK)


class _Watch:
    """What is seen of one task from look to look.

    Attributes
    ----------
    is_at_work : bool
        Whether any of its jobs is.
    notes : list of str
        What else there is to say, for which no column has room.
    """

    def __init__(self, task: TaskDef) -> None:
        self._task = task
        self._asker = _Asker(task)
        self._first: tuple[float, int] | None = None
        self.is_at_work = True
        self.notes: list[str] = []

    def row(self) -> list[str]:
        """Look, and return the cells of `COLUMNS`."""
        now = time.monotonic()
        inquiry = Inquiry(self._task, self._asker.latest())
        self.is_at_work = bool(inquiry.jobs)
        states = inquiry.states
        self.notes = [f"{inquiry.name}: {note}" for note in self._notes(inquiry)]
        return [
            inquiry.name,
            f"{states[State.DONE]}/{states.n_items}",
            *(str(states[state]) for state in COUNTED),
            self._pace(now, states, inquiry),
            self._jobs(inquiry),
        ]

    def _pace(self, now: float, states: Tally, inquiry: Inquiry) -> str:
        n_done, n_left = states[State.DONE], states.n_items - states.n_ended
        if self._first is None:
            self._first = now, n_done
        if waiting := self._waiting(states, inquiry):
            return waiting
        since, before = self._first
        if n_done == before or not self.is_at_work:
            return ""
        rate = (n_done - before) / (now - since)
        return f"{rate:.2g}/s, {duration(n_left / rate)} left"

    def _waiting(self, states: Tally, inquiry: Inquiry) -> str:
        """Say for which item a task waits, if all that are left have been running for long."""
        runners = [runner for runner, _ in inquiry.long_runners]
        is_last = 0 < states.n_items - states.n_ended <= len(runners)
        return f"waiting for {runners[0]}" if is_last and self.is_at_work else ""

    def _jobs(self, inquiry: Inquiry) -> str:
        if isinstance(inquiry.members, SchedulerError):
            return "unknown"
        return in_words(inquiry.job_statuses, counts_one=True) or ", ".join(inquiry.jobs)

    def _notes(self, inquiry: Inquiry) -> list[str]:
        if isinstance(inquiry.members, SchedulerError):
            return [f"nobody knows what its jobs do: {inquiry.members}"]
        return told_remedies(inquiry.remedies, f"psy kill {inquiry.name}")


class _Asker:
    """Asks a scheduler now and then, in a thread of its own: some take long, or hang."""

    def __init__(self, task: TaskDef) -> None:
        self._task = task

        self._answer: Members | SchedulerError = SchedulerError("no answer yet")
        self._thread: threading.Thread | None = None
        self._asked = 0.0
        self._pause = ASK_SECONDS

    def latest(self) -> Members | SchedulerError:
        """Return what the scheduler said last, or why it says nothing."""
        now = time.monotonic()
        if self._thread is None or (
            not self._thread.is_alive() and now - self._asked > self._pause
        ):
            if self._thread is not None:
                self._pause = min(1.5 * self._pause, LONGEST_ASK_SECONDS)
            self._asked = now
            # A daemon, or the view could not be closed while a scheduler hangs.
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()
            self._thread.join(PROMPT_SECONDS)
        return self._answer

    def _ask(self) -> None:
        try:
            # Whether it is complete is looked up by whoever shows it, and how jobs ended, too.
            self._answer = Asker([self._task]).members(self._task, is_complete=False)
        except Exception as error:
            self._answer = SchedulerError(f"{type(error).__name__}: {error}")


def in_room(rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Return which columns there is room for, and how wide they are: the most important ones.

    Parameters
    ----------
    rows : sequence of sequence of str
        The cells of `COLUMNS`, with these as first row.
    width : int
        Of the terminal, in places.

    Examples
    --------
    >>> rows = [COLUMNS, ("lif", "5/9", "0", "2", "2", "0", "3/s, 1 s left", "job 7: running")]
    >>> [str(COLUMNS[column]) for column in in_room(rows, 40)]
    ['task', 'done', 'failed', 'pace']
    >>> len(in_room(rows, 80)) == len(COLUMNS)
    True
    """
    wanted = [max(width_of(row[column]) for row in rows) for column in range(len(COLUMNS))]
    # A name, and what is said of jobs, may be of any length.
    wanted[0] = min(wanted[0], max(_LEAST_NAME, width // 4))
    taken: dict[int, int] = {}
    room = width
    for column in (COLUMNS.index(name) for name in _BY_WORTH):
        least = min(wanted[column], _LEAST_LAST) if column == len(COLUMNS) - 1 else wanted[column]
        if least <= room:
            taken[column] = min(wanted[column], room)
            room -= taken[column] + _GAP
    return dict(sorted(taken.items()))


@contextmanager
def _table() -> Iterator[_Show]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    console = Console(file=drawing_board(sys.stderr))
    with Live(console=console, auto_refresh=False) as live:

        def show(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
            cells = [COLUMNS, *([printable(cell) for cell in row] for row in rows)]
            taken = in_room(cells, console.width)
            table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
            for column, width in taken.items():
                table.add_column(COLUMNS[column], width=width, no_wrap=True, overflow="ellipsis")
            for row in cells[1:]:
                # As text: what a scheduler says may look like markup.
                table.add_row(*(Text(row[column]) for column in taken))
            told = (Text(fitted(printable(note), console.width)) for note in notes)
            live.update(Group(table, *told), refresh=True)

        yield show


@contextmanager
def _lines() -> Iterator[_Show]:
    before: dict[str, str] = {}
    told_before: set[str] = set()

    def show(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
        for name, done, *more, pace, jobs in rows:
            counts = [f"{n} {word}" for word, n in zip(COUNTED, more, strict=True)]
            if counts[-1].startswith("0 "):
                del counts[-1]  # few tasks skip anything
            told = f"{name}: {done} done, {', '.join(counts)}"
            if before.get(name) != told + jobs:
                before[name] = told + jobs
                # Jobs have states of the same names.
                say("; jobs: ".join(filter(None, (f"{told}{', ' * bool(pace)}{pace}", jobs))))
        for note in notes:
            if note not in told_before:
                say(note)
        told_before.clear()
        told_before.update(notes)

    yield show
