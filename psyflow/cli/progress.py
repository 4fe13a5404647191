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

if TYPE_CHECKING:
    from psyflow.record.plan import Plan

__all__ = ["Progress", "is_terminal"]

PATIENCE = 0.5
"""Seconds before anything is shown: short runs need no progress bar."""

BAR_SECONDS = 0.2
LINE_SECONDS = 30.0
HEED_SECONDS = 1.0
LEAST_WIDTHS = (0, 0, 80, 100)
"""How wide a terminal has to be, in columns, for a task's name, its state, a bar and the pace."""


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


class _Bar(Protocol):
    def __call__(self, counts: Counts) -> None: ...


@contextmanager
def _bar(task: str) -> Iterator[_Bar]:
    # Importing rich takes longer than many a run.
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    console = Console(file=drawing_board(sys.stderr))
    columns = [
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[state]}", markup=False),
        # Not rich's own colour for what is going on, which is red.
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TextColumn("{task.fields[pace]}", markup=False),
    ]
    # What is worth most comes first, and what has no room is left out.
    n_columns = sum(console.width >= least for least in LEAST_WIDTHS)
    bar = RichProgress(
        *columns[:n_columns],
        console=console,
        auto_refresh=False,
        # doit's lines go to stdout as they are.
        redirect_stdout=False,
    )
    with bar:
        row = bar.add_task(printable(task), state="", pace="")

        def show(counts: Counts) -> None:
            done, total = counts.tally[State.DONE], counts.tally.n_items
            bar.update(
                row,
                total=total,
                completed=counts.tally.n_ended,
                state=f"{done}/{total} done, {counts.other}, {counts.left}",
                pace=f"{counts.speed}, {duration(counts.elapsed)} elapsed",
                refresh=True,
            )

        yield show
