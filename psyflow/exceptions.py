"""Every error and every warning of psyflow.

::

    PsyflowError
    ├── UsageError                    what was asked for cannot be: exit code 2
    │   └── UnknownNameError          a task, setting, option … that does not exist
    │       └── UnknownColumnError    a column that does not exist (also a KeyError)
    ├── TaskFileError                 a task file that does not load or contradicts itself
    ├── UnstableValueError            a parameter value that nothing tells from others
    ├── StoreError
    │   ├── UnsupportedDataError      a value the store's format cannot hold exactly
    │   ├── DamagedFileError          a file that is cut short, altered, or not of this format
    │   ├── LaterFormatError          a file that a later psyflow wrote
    │   ├── UnreadableError           outcomes whose values cannot be made here
    │   ├── UntrustedFileError        could run code, and is not of this user's own making
    │   ├── UnmakeableValuesError     a whole file with values that cannot be made here
    │   ├── MissingFileError          a file, or the folder for it, that does not exist
    │   └── NotWrittenError           what was read back is not what was written, as on a full disk
    ├── ItemsFailedError              some psets failed; it has the rows of the others
    ├── SchedulerError                a scheduler's program failed or answered nonsense
    └── RunHeldError                  somebody else is working on this run

    AmbiguousOperationError           (a RuntimeError) names of two spaces do not fit together
    Skip                              raised by ``execute``, to leave a pset out

    PsyflowWarning                    (a UserWarning)
    ├── IneffectiveExcludeWarning     a name to exclude that is not in any result
    ├── RaggedColumnWarning           arrays of different shapes were padded
    ├── DamagedShardWarning           part of a shard could not be read; its items run again
    ├── HostWarning                   a host takes no jobs; others do its work
    └── TaskWarning                   carries ``task_name``
        ├── TaskLoadWarning           a task file could not be loaded
        ├── UnknownSettingWarning     a variable that looks like a misspelt setting
        ├── SeededOnceWarning         random numbers that psets would share
        ├── DrawnAnewWarning          random numbers that differ between jobs
        ├── JobsRunningWarning        not up to date, but its jobs are still at work
        └── TaskWorkdirDirtyWarning   would replace a result, and may not
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "AmbiguousOperationError",
    "DamagedFileError",
    "DamagedShardWarning",
    "DrawnAnewWarning",
    "HostWarning",
    "IneffectiveExcludeWarning",
    "ItemsFailedError",
    "JobsRunningWarning",
    "LaterFormatError",
    "MissingFileError",
    "NotWrittenError",
    "PsyflowError",
    "PsyflowWarning",
    "RaggedColumnWarning",
    "RunHeldError",
    "SchedulerError",
    "SeededOnceWarning",
    "Skip",
    "StoreError",
    "TaskFileError",
    "TaskLoadWarning",
    "TaskWarning",
    "TaskWorkdirDirtyWarning",
    "UnknownColumnError",
    "UnknownNameError",
    "UnknownSettingWarning",
    "UnmakeableValuesError",
    "UnreadableError",
    "UnstableValueError",
    "UnsupportedDataError",
    "UntrustedFileError",
    "UsageError",
    "did_you_mean",
]


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """Return ``' Did you mean "…"?'`` if `known` has a name close to `name`, else ``''``.

    Examples
    --------
    >>> did_you_mean("schedular", ["scheduler", "store"])
    ' Did you mean "scheduler"?'
    >>> did_you_mean("xyz", ["scheduler", "store"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f' Did you mean "{close[0]}"?' if close else ""


class PsyflowError(Exception):
    """Base of psyflow's errors; `exit_code` is what `psy` ends with when one gets that far."""

    exit_code = 3


class Skip(Exception):
    """Raise this in ``execute`` to leave a pset out: it gets no result, and has not failed.

    The next `psy run` evaluates it again. What never makes sense is better left out of the space,
    with ``.where(…)``.

    Examples
    --------
    A part of the space that turns out to be of no interest::

        def execute(n, seed):
            network = build(n, seed)
            if not network.is_connected():
                raise psyflow.Skip("not connected")
            return {"path_length": network.mean_path_length()}
    """


class ItemsFailedError(PsyflowError):
    """Some psets of a space failed, all having been evaluated.

    Parameters
    ----------
    message : str
    columns : dict or None
        The rows of the others, as columns; None if they are in a file.
    failures : sequence of psyflow.outcomes.records.Failure
        Each with ``item``, ``exception``, ``traceback``, ``pset``, ``host`` and more.
    """

    exit_code = 1

    def __init__(
        self, message: str, columns: dict[str, list[Any]] | None, failures: Sequence[Any]
    ) -> None:
        super().__init__(message)
        self.columns = columns
        self.failures = list(failures)


class UsageError(PsyflowError):
    """What was asked for cannot be done as it was said."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that does not exist.

    Parameters
    ----------
    kind : str
        What was named: ``"task"``, ``"scheduler"``, ….
    name : str
        The name that does not exist.
    known : iterable of str
        The names that do.

    Examples
    --------
    >>> print(UnknownNameError("task", "crcle", ["circle", "digits"]))
    There is no task "crcle". Did you mean "circle"? Known: circle, digits.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        listing = f" Known: {', '.join(names)}." if names else ""
        super().__init__(f'There is no {kind} "{name}".{did_you_mean(name, names)}{listing}')


class UnknownColumnError(UnknownNameError, KeyError):
    """A name that no column of a table has.

    Examples
    --------
    >>> print(UnknownColumnError("energie", ["x", "energy"]))
    There is no column "energie". Did you mean "energy"? Known: energy, x.
    """

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__("column", name, known)

    __str__ = Exception.__str__


class TaskFileError(PsyflowError):
    """A task file that does not load or contradicts itself.

    Attributes
    ----------
    traceback : str
        Of the exception that the task file raised, from its own lines on; empty if it raised none.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class UnstableValueError(PsyflowError, TypeError):
    """A parameter value without content that is the same in every process."""


class StoreError(PsyflowError):
    """A store could not save or load."""


class UnsupportedDataError(StoreError, NotImplementedError):
    """A value that the store's format cannot hold exactly."""


class DamagedFileError(StoreError):
    """A file that is cut short, was altered, or is not of the expected format."""


class LaterFormatError(StoreError):
    """A file that a later psyflow wrote, and this one does not know how to read."""


class UnreadableError(StoreError):
    """Outcomes that cannot be read here: damaged, or of a class that is gone, for example."""


class UntrustedFileError(StoreError):
    """A file that could run code if it were loaded, and that this user's `psy` has not written."""


class UnmakeableValuesError(StoreError):
    """A file that is whole, but holds values that cannot be made here: their class is missing."""


class MissingFileError(StoreError, FileNotFoundError):
    """A file to load, or the folder to save to, that does not exist."""


class NotWrittenError(StoreError):
    """A new file does not hold what was written to it, as on a full disk; the old one is kept."""


class SchedulerError(PsyflowError):
    """A scheduler's program is missing, failed, or gave an answer that makes no sense."""


class RunHeldError(PsyflowError):
    """Somebody else is working on this run."""


class AmbiguousOperationError(RuntimeError):
    """The parameter names of two spaces do not fit the operation."""


class PsyflowWarning(UserWarning):
    """Base of psyflow's warnings."""


class IneffectiveExcludeWarning(PsyflowWarning):
    """A name to exclude from the result is not in it."""

    def __init__(self, name: str) -> None:
        super().__init__(f'"{name}" is to be excluded from the result, but is not in it.')


class RaggedColumnWarning(PsyflowWarning):
    """Arrays of different shapes were padded to one shape."""


class DamagedShardWarning(PsyflowWarning):
    """Part of a shard could not be read; its items will run again."""


class HostWarning(PsyflowWarning):
    """A host takes no jobs; others do its work."""


class TaskWarning(PsyflowWarning):
    """A warning about one task.

    Attributes
    ----------
    task_name : str
    """

    def __init__(self, task_name: str, message: str) -> None:
        super().__init__(message)
        self.task_name = task_name


class TaskLoadWarning(TaskWarning):
    """A task file could not be loaded."""


class UnknownSettingWarning(TaskWarning):
    """A variable of a task file looks like a misspelt setting."""


class SeededOnceWarning(TaskWarning):
    """A generator that `execute` draws from begins with the same numbers in every process."""


class DrawnAnewWarning(TaskWarning):
    """What `execute` goes by is drawn at random, without a seed, whenever the file is loaded."""


class JobsRunningWarning(TaskWarning):
    """A task is not up to date, but jobs of it are queued or running."""


class TaskWorkdirDirtyWarning(TaskWarning):
    """A result would have to be replaced, and ``overwrite_dirty`` is False."""
