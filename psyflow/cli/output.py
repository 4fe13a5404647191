"""What `psy` says: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import TextIO

from psyflow.cli.fitting import columns_of, fitted
from psyflow.exceptions import (
    AmbiguousOperationError,
    PsyflowError,
    PsyflowWarning,
    TaskFileError,
)
from psyflow.messages import shown_path
from psyflow.texts import printable, traceback_text

__all__ = [
    "EMPTY_SPACE",
    "FAILED",
    "INTERRUPTED",
    "MOST_LINES",
    "OK",
    "REFUSED",
    "TROUBLE",
    "Notices",
    "describe",
    "exit_code_of",
    "first_lines",
    "is_confirmed",
    "say",
    "tell",
]

OK, FAILED, REFUSED, TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: done; items failed; a wrong command line; another error; interrupted."""

EMPTY_SPACE = "the parameter space is empty, so there is nothing to compute."
MOST_LINES = 100


def say(message: str) -> None:
    """Print a message for the user on stderr, if anybody listens there."""
    sys.stdout.flush()
    text = message
    if sys.stderr.isatty():
        text = fitted(printable(message), columns_of(sys.stderr))
    # A message is no reason for what it is about to end.
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def tell(line: str) -> None:
    """Print a line on stdout, continued below if it is longer than the terminal is wide."""
    if sys.stdout.isatty():
        line = fitted(printable(line), columns_of(sys.stdout), quotes=False)
    print(line)


def is_confirmed(question: str, arguments: Namespace) -> bool:
    """Ask whether to do what cannot be undone; where nobody can answer, it was meant."""
    if arguments.yes or not sys.stdin.isatty():
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Notices:
    """The warnings of one command: a clean line each on stderr, none twice.

    Attributes
    ----------
    categories : set of type
        Of the warnings that were shown.
    """

    def __init__(self) -> None:
        self.categories: set[type[Warning]] = set()
        self._shown: set[str] = set()

    @contextlib.contextmanager
    def shown(self) -> Iterator[Notices]:
        """Show warnings this way for a while."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", PsyflowWarning)
            warnings.showwarning = self._show
            yield self

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self.categories.add(category)
        is_ours = issubclass(category, PsyflowWarning)
        place = "" if is_ours else f" ({category.__name__} at {shown_path(filename)}:{lineno})"
        text = f"{message}{place}"
        if text not in self._shown:
            self._shown.add(text)
            say(f"Warning: {text}")


def first_lines(lines: Iterable[str], n_lines: int) -> Iterator[str]:
    """Yield the first `MOST_LINES` of `n_lines` lines, and how many were left out.

    Examples
    --------
    >>> *_, last = first_lines(map(str, range(250)), 250)
    >>> last
    '… and 150 more'
    """
    for _, line in zip(range(MOST_LINES), lines, strict=False):
        yield line
    if n_lines > MOST_LINES:
        yield f"… and {n_lines - MOST_LINES} more"


def exit_code_of(error: BaseException) -> int:
    """Return what `psy` ends with when `error` gets that far."""
    return error.exit_code if isinstance(error, PsyflowError) else TROUBLE


def describe(error: BaseException) -> str:
    """Return what to tell the user about an error: a message if it is expected, else a traceback.

    Examples
    --------
    >>> describe(PermissionError(13, "Permission denied", "/root/psy-work"))
    '/root/psy-work: Permission denied'
    """
    if isinstance(error, TaskFileError):
        return error.report
    if isinstance(error, PsyflowError | AmbiguousOperationError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        names = [shown_path(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([" and ".join(names), error.strerror] if names else [error.strerror])
    return traceback_text(error, error.__traceback__).rstrip()
