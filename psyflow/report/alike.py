"""Failures of one kind with which a run begins, in words."""

from __future__ import annotations

from psyflow.texts import MESSAGE_LIMIT, cut
from psyflow.work.alike import Alike

__all__ = ["about_alike"]

_SHOWN_TRACEBACK = 4000
_INSTALL = (
    "Install it for the Python of the jobs, or name one that has it as `python` in the task file"
)
_REMEDIES = {
    "ModuleNotFoundError": _INSTALL,
    "ImportError": _INSTALL,
    "FileNotFoundError": "Have the program on the PATH of the jobs",
}


def about_alike(found: Alike, again: str, *, is_running: bool) -> str:
    """Say what all items fail with, in full, and what to do.

    Parameters
    ----------
    found : Alike
    again : str
        What to type to go on.
    is_running : bool
        Whether other items are evaluated all the same.

    Examples
    --------
    >>> found = Alike(20, 3, "error", "NameError: name 'pi' is not defined", "", stops=True)
    >>> print(about_alike(found, "psy run a", is_running=False))
    20 items have failed, none is done, and all for one reason:
    NameError: name 'pi' is not defined
    Every other item would fail there, too: the run stops. Correct the code, and go on: psy run a
    To evaluate all the same, set max_failures = "100%" in the task file.
    """
    text, exception = cut(found.traceback.strip(), _SHOWN_TRACEBACK), found.exception
    lines = [f"{found.n_failed} items have failed, none is done, and all for one reason:"]
    # A traceback ends with its exception, and a stack does not say what happened.
    lines += [] if exception.partition(":")[0] in text else [cut(exception, MESSAGE_LIMIT)]
    lines += [text] if text else []
    if found.stops:
        kind = found.exception.partition(":")[0]
        remedy = _REMEDIES.get(kind, "Correct the code")
        lines += [
            f"Every other item would fail there, too: the run stops. {remedy}, and go on: {again}",
            'To evaluate all the same, set max_failures = "100%" in the task file.',
        ]
    elif is_running:
        lines.append("Others may do better, so the run goes on; Ctrl-C ends it.")
    return "\n".join(lines)
