"""A submission, and the words that clusters have in common for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from psyflow.scheduler.base import JobId
from psyflow.scheduler.extras import joined

__all__ = ["SubmitRequest", "flags", "logged_command", "quoted"]


@dataclass(frozen=True)
class SubmitRequest:
    """A submission, ready to be put into a scheduler's words.

    Attributes
    ----------
    args : tuple of str
        The program and its arguments.
    output_filename : str
        The log, absolute.
    name : str
    depends_on : tuple of str
        Ids of the jobs that have to be over before this one starts.
    array_size : int, optional
        Number of members; None for a single job.
    options : mapping
        The scheduler arguments by their canonical names: no functions, no None.

    Examples
    --------
    >>> import shlex
    >>> request = SubmitRequest(("simulate", "a b"), "/tmp/log", depends_on=("17",))
    >>> shlex.join(["labsub", *(f"--after={job}" for job in request.depends_on), *request.args])
    "labsub --after=17 simulate 'a b'"
    """

    args: tuple[str, ...]
    output_filename: str
    name: str = "psyflow"
    depends_on: tuple[JobId, ...] = ()
    array_size: int | None = None
    options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


def quoted(arg: str, index: str | None = None) -> str:
    """Return an argument as a shell takes it, in which ``%a`` becomes the index in the array.

    Parameters
    ----------
    arg : str
    index : str, optional
        What the shell replaces by the index; None if the job is no array: ``%a`` means nothing.

    Examples
    --------
    >>> print(quoted("a b"), quoted("x %a", '"$INDEX"'))
    'a b' 'x '"$INDEX"
    """
    if index is None:
        return shlex.quote(arg)
    pieces = (shlex.quote(piece) if piece else "" for piece in arg.split("%a"))
    return index.join(pieces) or "''"


def flags(words: Mapping[str, str], options: Mapping[str, object]) -> list[str]:
    """Return the options that are given, each as a word and its value, or values.

    Examples
    --------
    >>> flags({"queue": "-q", "project": "-P"}, {"queue": "long", "n_cpus": 2})
    ['-q', 'long']
    """
    given = [name for name in words if name in options]
    return [word for name in given for word in (words[name], joined(options[name]))]


def logged_command(request: SubmitRequest, index: str | None, before: str = "exec ") -> str:
    """Return the end of a script: the command, with its output appended to the log.

    For clusters that would read things into the path of a log, or could not number it.

    Parameters
    ----------
    request : SubmitRequest
    index : str or None
        As for `quoted`.
    before : str
        What comes between.
    """
    log = quoted(request.output_filename, index)
    return f"exec >>{log} 2>&1\n{before}{' '.join(quoted(arg, index) for arg in request.args)}\n"
