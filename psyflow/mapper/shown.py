"""Showing how far a map, or a run, is: on a terminal, in a notebook, or in lines elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from psyflow.messages import duration
from psyflow.results.performance import Progress
from psyflow.texts import printable
from psyflow.widths import cut_to, width_of

__all__ = ["following", "in_notebook", "is_interactive", "say", "shown"]

PATIENCE = 0.5
"""Seconds before anything is shown: short maps need no progress."""
DRAW_SECONDS = 0.2
LINE_SECONDS = 30.0
HEED_SECONDS = 1.0
_LEAST_NAME = 4


def say(text: str) -> None:
    """Print a line to where messages go; what keeps it from that is no reason to end."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def shown(name: str, progress: Callable[[], Progress]) -> contextlib.AbstractContextManager[None]:
    """Show how far a map is while the block is executed, if that takes a while.

    Parameters
    ----------
    name : str
        Of the function.
    progress : callable
        Tells how many psets have ended.
    """
    return following(lambda elapsed: _told(name, progress(), elapsed))


@contextlib.contextmanager
def following(
    tell: Callable[[float], str], heed: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Show what is told while the block is executed, if that takes a while.

    Parameters
    ----------
    tell : callable
        Given the seconds since the beginning, returns a line.
    heed : callable
        Called about once a second, to say what else there is to say.
    """
    is_over = threading.Event()
    drawing = _NotebookLine() if in_notebook() else _TerminalLine() if _is_terminal() else None
    begin = time.monotonic()

    def has_ended_after(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if is_over.wait(min(left, HEED_SECONDS)):
                return True
            heed()
        return False

    def show() -> None:
        if has_ended_after(PATIENCE if drawing else LINE_SECONDS):
            return
        while True:
            (drawing or say)(tell(time.monotonic() - begin))
            if has_ended_after(DRAW_SECONDS if drawing else LINE_SECONDS):
                break
        if drawing is not None:
            drawing.end(tell(time.monotonic() - begin))

    thread = threading.Thread(target=show, name="psyflow-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _told(name: str, progress: Progress, elapsed: float) -> str:
    left, rate = "", progress.finished / elapsed if elapsed else 0.0
    if rate and progress.total > progress.finished:
        left = f", {duration((progress.total - progress.finished) / rate)} left"
    speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
    all_raised = progress.exceptions == progress.failures
    raised = "" if all_raised else f" ({progress.exceptions} with an exception)"
    told = f"{progress.ended}{left}"
    return f"{_name_beside(told, name)}{told}, {speed}{raised}"


def _name_beside(said: str, name: str) -> str:
    """Return as much of a name as there is room for on the terminal beside what is said."""
    room = _width() - 2 - len(f": {said}")  # one for the sign that something is cut off
    if not _is_terminal() or width_of(name) <= room:
        return f"{name}: "
    return f"{cut_to(name, room)}: " if room >= _LEAST_NAME else ""


class _TerminalLine:
    """A line that is drawn again and again in its place."""

    def __call__(self, text: str) -> None:
        line = cut_to(printable(text), _width() - 1)
        with contextlib.suppress(OSError, ValueError):
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def end(self, text: str) -> None:
        self(text)
        say("")


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


class _NotebookLine:
    """A line of a notebook's cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, text: str) -> None:
        display = importlib.import_module("IPython.display").display
        shown = {"text/plain": printable(text)}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def end(self, text: str) -> None:
        self(text)


def in_notebook() -> bool:
    """Tell whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def is_interactive() -> bool:
    """Tell whether somebody types what this process does: in a notebook, or a console."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or in_notebook()


def _is_terminal() -> bool:
    with contextlib.suppress(ValueError, AttributeError):
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return False
