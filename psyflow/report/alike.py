"""Failures of one kind with which a run begins, in words."""

from __future__ import annotations

from dataclasses import dataclass

from psyflow.texts import MESSAGE_LIMIT, cut
from psyflow.work.alike import Alike

__all__ = ["OF_MAPS", "Words", "about_alike"]

_SHOWN_TRACEBACK = 4000


@dataclass(frozen=True)
class Words:
    """What is said of a run, or of something like it.

    Attributes
    ----------
    one, whole : str
        What fails, and what it is of.
    otherwise : str
        How to go on all the same.
    install : str
        Where a module has to be.
    path : str
        Whose PATH a program has to be on.
    """

    one: str
    whole: str
    otherwise: str
    install: str
    path: str

    def remedy(self, exception: str) -> str:
        """Return what to do about an exception, given the name of its class."""
        if exception in ("ModuleNotFoundError", "ImportError"):
            return self.install
        if exception == "FileNotFoundError":
            return f"Have the program on the PATH of {self.path}"
        return "Correct the code"


_OF_RUNS = Words(
    "item",
    "run",
    'set max_failures = "100%" in the task file',
    "Install it for the Python of the jobs, or name one that has it as `python` in the task file",
    "the jobs",
)
OF_MAPS = Words(
    "item",
    "map",
    'give max_failures=float("inf")',
    "Install it for the Python of the workers",
    "the workers",
)


def about_alike(
    found: Alike,
    again: str,
    *,
    is_running: bool,
    n_left: int | None = None,
    words: Words = _OF_RUNS,
) -> str:
    """Say what all items fail with, in full, and what to do.

    Parameters
    ----------
    found : Alike
    again : str
        What to type to go on.
    is_running : bool
        Whether other items are evaluated all the same.
    n_left : int, optional
        How many items have not ended, if that is known.
    words : Words
        Of runs, or of maps.

    Examples
    --------
    >>> found = Alike(20, 3, "error", "NameError: name 'pi' is not defined", "", stops=True)
    >>> print(about_alike(found, "psy run a", is_running=False))
    20 items have failed, none is done, and all for one reason:
    NameError: name 'pi' is not defined
    Every other item would fail there, too: the run stops. Correct the code, and go on: psy run a
    To evaluate all the same, set max_failures = "100%" in the task file.
    >>> print(about_alike(found, "psy run a", is_running=False, n_left=0).splitlines()[-1])
    No other item was to run. Correct the code, and go on: psy run a
    """
    text, exception = cut(found.traceback.strip(), _SHOWN_TRACEBACK), found.exception
    lines = [f"{found.n_failed} {words.one}s have failed, none is done, and all for one reason:"]
    # A traceback ends with its exception, and a stack does not say what happened.
    lines += [] if exception.partition(":")[0] in text else [cut(exception, MESSAGE_LIMIT)]
    lines += [text] if text else []
    remedy = words.remedy(found.exception.partition(":")[0])
    if n_left == 0:
        lines.append(f"No other {words.one} was to run. {remedy}, and go on: {again}")
    elif found.stops:
        lines += [
            f"Every other {words.one} would fail there, too: the {words.whole} stops. "
            f"{remedy}, and go on: {again}",
            f"To evaluate all the same, {words.otherwise}.",
        ]
    elif is_running:
        lines.append(f"Others may do better, so the {words.whole} goes on; Ctrl-C ends it.")
    return "\n".join(lines)
