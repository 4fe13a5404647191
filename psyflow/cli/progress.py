"""Showing how far the workers are, on a terminal or in lines."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from psyflow.cli.output import say
from psyflow.cli.streams import drawing_board
from psyflow.messages import duration
from psyflow.outcomes.states import State
from psyflow.report.progress import Counts, Follower
from psyflow.texts import printable
from psyflow.widths import cut_to, width_of

if TYPE_CHECKING:
    from psyflow.record.plan import Plan

__all__ = ["Progress", "is_terminal"]

PATIENCE = 0.5
"""Seconds before anything is shown: short runs need no progress bar."""

BAR_SECONDS = 0.2
LINE_SECONDS = 30.0
HEED_SECONDS = 1.0
_LEAST_NAME, _LEAST_BAR, _ROOM_FOR_PACE = 8, 10, 30
"""Places on the terminal that a task's name gets, the bar, and how fast it is."""


class Progress(AbstractContextManager["Progress"]):
    """Shows how far a run is while the block is executed: in a bar on a terminal, else in lines.

    Parameters
    ----------
    plan : Plan
    line_seconds : float
        How often a line is printed where there is no terminal.
    n_left_out : int
        As for `Follower`.
    only_looks : bool
        Whether the workers are others' children, which a Ctrl-C here does not stop.
    heed : callable
        Called now and then, to say what else there is to say.
    """

    def __init__(
        self,
        plan: Plan,
        line_seconds: float = LINE_SECONDS,
        *,
        n_left_out: int = 0,
        only_looks: bool = False,
        heed: Callable[[], object] = lambda: None,
    ) -> None:
        self._plan = plan
        self._heed = heed
        self._n_left_out = n_left_out
        self._line_seconds = line_seconds
        self._joins = only_looks
        # Whether there is nothing more to say about stopping.
        self._is_stopping = only_looks
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        # Python writes the numbers of signals here; 0 tells the thread that all is over.
        self._news, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._in_main = threading.current_thread() is threading.main_thread()
        if self._in_main:
            fd = self._writer.fileno()
            self._old_fd = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._in_main:
            signal.set_wakeup_fd(self._old_fd)
        self._writer.setblocking(True)
        self._writer.send(b"\0")
        self._thread.join()
        self._writer.close()
        self._news.close()

    def _follow(self) -> None:
        follower = Follower(self._plan, self._n_left_out, joins=self._joins)
        if self._joins:
            follower.counts()
        if self._wait(PATIENCE):
            return
        try:
            self._show(follower)
        except Exception as error:
            # A run must not suffer from being watched.
            say(f"{self._plan.task}: progress cannot be shown: {error}")

    def _wait(self, seconds: float) -> bool:
        """Wait at most so long for the end, and tell whether it came; answer to Ctrl-C."""
        end = time.monotonic() + seconds
        while (patience := end - time.monotonic()) > 0:
            if select.select([self._news], [], [], patience)[0]:
                news = self._news.recv(64)
                if 0 in news:
                    return True
                if not self._is_stopping and (signal.SIGINT in news or signal.SIGTERM in news):
                    self._is_stopping = True
                    say(f"{self._plan.task}: stops after the running items. Ctrl-C: at once.")
        return False

    def _wait_and_heed(self, seconds: float) -> bool:
        """Do what `_wait` does, and meanwhile look whether there is something to say."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._heed()
            if self._wait(min(left, HEED_SECONDS)):
                return True
        return False

    def _show(self, follower: Follower) -> None:
        if not is_terminal():
            while not self._wait_and_heed(self._line_seconds):
                say(f"{self._plan.task}: {follower.counts()}")
            return
        with _bar(self._plan.task) as bar:
            is_over = False
            while not is_over:
                bar(follower.counts())
                self._heed()
                is_over = self._wait(BAR_SECONDS)
            bar(follower.counts())


def is_terminal() -> bool:
    """Tell whether the standard error is a terminal on which lines can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def in_room(name: str, counts: Counts, width: int) -> tuple[str, str, int]:
    """Return what there is room for: what is worth most comes first.

    Parameters
    ----------
    name : str
        Of the task.
    counts : Counts
    width : int
        Of the terminal, in places.

    Returns
    -------
    name, state : str
        The name is cut if need be, and may be empty.
    n_columns : int
        2 for these, 3 for a bar as well, 4 for the pace, too.

    Examples
    --------
    >>> from psyflow.outcomes.states import Tally
    >>> counts = Counts(Tally(1_000_000, {State.DONE: 400_000, State.FAILED: 7}), 50.0, 8000.0)
    >>> in_room("a_task_with_a_long_name", counts, 60)
    ('a_task_with_…', '400000/1000000 done, 7 failed, 3 h 20 min left', 2)
    >>> in_room("a_task_with_a_long_name", counts, 40)
    ('', '400000/1000000, 7 failed, 3 h 20 min le…', 2)
    """
    state = _state_in(width, counts, min(width_of(name), _LEAST_NAME) + 1)
    room = width - width_of(state) - 1
    name = cut_to(name, min(room, max(_LEAST_NAME, width // 3))) if room >= _LEAST_NAME else ""
    room -= width_of(name)
    has_bar, has_pace = (room > n for n in (_LEAST_BAR, _LEAST_BAR + _ROOM_FOR_PACE))
    return name, state, 2 + has_bar + has_pace


def _state_in(width: int, counts: Counts, n_for_name: int) -> str:
    done = f"{counts.tally[State.DONE]}/{counts.tally.n_items}"
    failed = f"{counts.tally[State.FAILED]} failed"
    states = (
        f"{done} done, {counts.other}, {counts.left}",
        f"{done} done, {failed}, {counts.left}",
    )
    short = f"{done}, {failed}, {counts.left}"
    fitting = (state for state in states if width_of(state) + n_for_name <= width)
    return next(fitting, cut_to(short, width))


class _Bar(Protocol):
    def __call__(self, counts: Counts) -> None: ...


@contextmanager
def _bar(task: str) -> Iterator[_Bar]:
    # Importing rich takes longer than many a run.
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    console = Console(file=drawing_board(sys.stderr))
    columns = (
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[state]}", markup=False),
        # Not rich's own colour for what is going on, which is red.
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TextColumn("{task.fields[pace]}", markup=False),
    )
    bar = RichProgress(
        *columns,
        console=console,
        auto_refresh=False,
        # doit's lines go to stdout as they are.
        redirect_stdout=False,
    )
    with bar:
        row = bar.add_task(printable(task), state="", pace="")

        def show(counts: Counts) -> None:
            # The terminal may have another size by now.
            name, state, n_columns = in_room(printable(task), counts, console.width)
            bar.columns = columns[:n_columns] if name else columns[1:2]
            bar.update(
                row,
                description=name,
                total=counts.tally.n_items,
                completed=counts.tally.n_ended,
                state=state,
                pace=f"{counts.speed}, {duration(counts.elapsed)} elapsed",
                refresh=True,
            )

        yield show
