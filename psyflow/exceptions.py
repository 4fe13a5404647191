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
    ├── ParseError                    what a program left behind is not what `parse` says
    ├── CommandFailedError            a program of a `Command` failed, or could not be started
    ├── SchedulerError                a scheduler's program failed or answered nonsense
    └── RunHeldError                  somebody else is working on this run

    AmbiguousOperationError           (a RuntimeError) names of two spaces do not fit together
    MapInterrupted                    (a KeyboardInterrupt) it has what a map had done
    Skip                              raised by ``execute``, to leave a pset out

    PsyflowWarning                    (a UserWarning)
    ├── IneffectiveExcludeWarning     a name to exclude that is not in any result
    ├── RaggedColumnWarning           arrays of different shapes were padded
    ├── DamagedShardWarning           part of a shard could not be read; its items run again
    ├── HostWarning                   a host takes no jobs; others do its work
    └── TaskWarning                   carries ``task_name``
        ├── TaskLoadWarning           a task file could not be loaded
        ├── UnknownSettingWarning     a variable that looks like a misspelt setting
        ├── CommandWarning            a `Command` that is hardly what was meant
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
    "CommandFailedError",
    "CommandWarning",
    "DamagedFileError",
    "DamagedShardWarning",
    "DrawnAnewWarning",
    "HostWarning",
    "IneffectiveExcludeWarning",
    "ItemsFailedError",
    "JobsRunningWarning",
    "LaterFormatError",
    "MapInterrupted",
    "MissingFileError",
    "NotWrittenError",
    "ParseError",
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


MOST_KNOWN = 50
_MOST_MEANT = 3
_AS_GOOD = 0.05
_FEW_KNOWN = 10
"""So many names are told of those that exist; a table may have thousands."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """Return ``' Did you mean "…"?'`` with the names close to `name`, three at most, or ``''``.

    Parameters
    ----------
    name : str
    known : iterable of str
    cutoff : float
        How alike two names have to be, from 0 (anything goes) to 1 (they are equal).

    Examples
    --------
    >>> did_you_mean("schedular", ["scheduler", "store"])
    ' Did you mean "scheduler"?'
    >>> did_you_mean("run_1", ["run_11", "run_12", "run_13", "walk"])
    ' Did you mean "run_11", "run_12" or "run_13"?'
    >>> did_you_mean("xyz", ["scheduler", "store"])
    ''
    """
    alike = sorted((-difflib.SequenceMatcher(None, one, name).ratio(), one) for one in known)
    best = -alike[0][0] if alike else 0.0
    # Two names that are much alike each other are no question if one is much closer.
    least = max(cutoff, best - _AS_GOOD)
    close = [one for ratio, one in alike if -ratio >= least][:_MOST_MEANT]
    *others, last = (f'"{one}"' for one in close or [""])
    meant = f"{', '.join(others)} or {last}" if others else last
    return f" Did you mean {meant}?" if close else ""


class PsyflowError(Exception):
    """Base of psyflow's errors; `exit_code` is what `psy` ends with when one gets that far.

    Catch it for whatever psyflow itself refuses; the message says what to do.
    """

    exit_code = 3


class Skip(Exception):
    """Raised by ``execute`` to leave a pset out: it gets no result, and has not failed.

    The next `psy run` evaluates it again. What never makes sense is better left out of the space,
    with ``.where(…)``.

    Examples
    --------
    >>> from psyflow import Param, map_pspace
    >>> def period(length):
    ...     if length < 0.1:
    ...         raise Skip("too short for a pendulum")
    ...     return {"seconds": round(2 * 3.14159 * (length / 9.81) ** 0.5, 2)}
    >>> map_pspace(period, Param(length=[0.01, 1.0]))
    {'length': [1.0], 'seconds': [2.01]}
    """


class ItemsFailedError(PsyflowError):
    """Some psets of a space failed, all having been evaluated.

    Raised by the maps of `psyflow.mapper`, at their end. See ``failures`` for what went wrong, and
    ``columns``, or the file, for the rows of the others.

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


class MapInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a `psyflow.map` of a program; nothing that was done is lost.

    See ``results`` for it; its ``missing`` has the psets that are left. In a notebook, or an
    interactive Python, `psyflow.map` returns these results instead.

    Parameters
    ----------
    results : Results
    """

    exit_code = 130

    def __init__(self, results: Any) -> None:
        super().__init__(f"{results.n_done} of {results.n_items} items are done.")
        self.results = results


class CommandFailedError(PsyflowError):
    """A program that a `psyflow.Command` runs failed, or could not be started.

    Look at what it wrote, in the folder of the pset; exit codes other than 0 that mean success are
    told by ``ok_codes``.

    Parameters
    ----------
    message : str
        Ends with the last lines that the program wrote to its standard error.
    kind : str
        Of the failure: ``error``; ``crash`` if a signal ended it; ``oom`` if the memory ran out.
    status : int or None
        The exit code of the program; None if it did not end by itself.

    Attributes
    ----------
    kind : str
    status : int or None
    """

    exit_code = 1

    def __init__(self, message: str, kind: str = "error", status: int | None = None) -> None:
        super().__init__(message, kind, status)
        self.kind = kind
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class UsageError(PsyflowError):
    """What was asked for cannot be done as it was said.

    Raised for command lines, names and arguments that make no sense. Say it as the message says.
    """

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that does not exist.

    Raised for tasks, parameters, settings, schedulers and their arguments. Choose a known one.

    Parameters
    ----------
    kind : str
        What was named: ``"task"``, ``"scheduler"``, ….
    name : str
    known : iterable of str
        The names that exist.

    Examples
    --------
    >>> print(UnknownNameError("task", "crcle", ["circle", "digits"]))
    There is no task "crcle". Did you mean "circle"? Known: circle, digits.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        more = f", … and {len(names) - MOST_KNOWN} more" if len(names) > MOST_KNOWN else ""
        meant = did_you_mean(name, names)
        is_listed = names and not (meant and len(names) > _FEW_KNOWN)
        listing = f" Known: {', '.join(names[:MOST_KNOWN])}{more}." if is_listed else ""
        super().__init__(f'There is no {kind} "{name}".{meant}{listing}')


class UnknownColumnError(UnknownNameError, KeyError):
    """A name that no column of a table has.

    Raised by `Results`, also as a KeyError. Choose a known one.

    Parameters
    ----------
    name : str
    known : iterable of str

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

    Raised when it is loaded, and before a run. Correct what the message names.

    Parameters
    ----------
    message : str
    traceback : str
        Of the exception that the task file raised, from its own lines on; empty if it raised none.
    report : str
        What to tell the user, nothing of it twice. If empty, it is the message and the traceback.
    """

    def __init__(self, message: str, traceback: str = "", report: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback
        whole = f"{message}\n\n{traceback.rstrip()}" if traceback else message
        self.report = report or whole


class UnstableValueError(PsyflowError, TypeError):
    """A parameter value without content that is the same in every process.

    Raised when keys are needed, as for a run: nobody could tell whether such a pset is done. Use a
    name for the value, or what it is made from, and make it in ``execute``.
    """


class StoreError(PsyflowError):
    """A store could not save or load.

    Raised for what is no table, and for a plugin that does not load; base of more exact errors. A
    file that was there before is as it was.
    """


class UnsupportedDataError(StoreError, NotImplementedError):
    """A value that the store's format cannot hold exactly.

    Raised when a table is saved or a row kept, and before a run for parameters. Use `PickleStore`,
    leave the column out with ``exclude_from_result``, or return something simpler.

    Parameters
    ----------
    message : str
    column : str
        Name of the column that it is in; empty if it is in none.
    """

    def __init__(self, message: str, column: str = "") -> None:
        super().__init__(message)
        self.column = column


class DamagedFileError(StoreError):
    """A file that is cut short, was altered, or is not of the expected format.

    Raised when it is loaded. Restore it from a copy, or remove it and run the task again.
    """


class LaterFormatError(StoreError):
    """A file that a later psyflow wrote, and this one does not know how to read.

    Raised when the folder of a run is looked at. Use the psyflow that wrote it.
    """


class UnreadableError(StoreError):
    """Outcomes that cannot be read here: damaged, or of a class that is gone, for example.

    Raised when rows are gathered. Have the class where it can be imported, or type `psy run`.
    """


class UntrustedFileError(StoreError):
    """A file that could run code if it were loaded, and that this user's `psy` has not written.

    Raised when somebody else's run, or a copy, holds more than plain values. If you trust it, add
    ``--trust`` to the command, or ``trust=True`` to `psyflow.load`.
    """


class UnmakeableValuesError(StoreError):
    """A file that is whole, but holds values that cannot be made here: their class is missing.

    Raised when it is loaded. Have their module where it can be imported, with the class as it was.
    """


class MissingFileError(StoreError, FileNotFoundError):
    """A file to load, or the folder to save to, that does not exist.

    Raised by stores, also as a FileNotFoundError. Correct the path, or make the folder.
    """


class NotWrittenError(StoreError):
    """A new file does not hold what was written to it, as on a full disk; the old one is kept.

    Raised by stores, which read back what they write. Make room, and save, or `psy run`, again.
    """


class ParseError(PsyflowError):
    """What a program left behind is not what `parse` says: damaged, of another kind, or missing.

    Raised when the outputs of a program are parsed; the pset fails. Look at what the program wrote
    with `psy log`, or change the pattern: parsing again runs nothing.
    """


class SchedulerError(PsyflowError):
    """A scheduler's program is missing, failed, or gave an answer that makes no sense.

    Raised when jobs are submitted, asked about or killed. See what `psy doctor` says.
    """


class RunHeldError(PsyflowError):
    """Somebody else is working on this run.

    Raised by what would change it. Wait for the process that the message names, or end it.
    """


class AmbiguousOperationError(RuntimeError):
    """The parameter names of two spaces do not fit the operation.

    Raised by products whose factors share a name, and by differences where one side lacks a name.
    Rename a parameter, or use the operation that the message proposes.
    """


class PsyflowWarning(UserWarning):
    """Base of psyflow's warnings.

    Filter by it, as in ``warnings.simplefilter("error", PsyflowWarning)``.
    """


class IneffectiveExcludeWarning(PsyflowWarning):
    """A name to exclude from the result is not in it.

    Given when the result is made. Correct it in ``exclude_from_result`` or ``exclude``.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        super().__init__(f'"{name}" is to be excluded from the result, but is not in it.')


class RaggedColumnWarning(PsyflowWarning):
    """Arrays of different shapes were padded to one shape.

    Given when a column is saved. Load them as they were with ``load(filename, ragged=True)``.
    """


class DamagedShardWarning(PsyflowWarning):
    """Part of a shard could not be read; its items will run again.

    Given when rows of workers are gathered. Type `psy run`, and look after the disk.
    """


class HostWarning(PsyflowWarning):
    """A host takes no jobs; others do its work.

    Given by `Ssh` when jobs are submitted. See to the host, or leave it out of ``hosts``.
    """


class TaskWarning(PsyflowWarning):
    """A warning about one task; base of more exact ones.

    Filter by it, or by one of those.

    Parameters
    ----------
    task_name : str
    message : str
    """

    def __init__(self, task_name: str, message: str) -> None:
        super().__init__(message)
        self.task_name = task_name


class TaskLoadWarning(TaskWarning):
    """A task file could not be loaded.

    Given where there are other tasks to go on with. Correct it: the message has the traceback.
    """


class UnknownSettingWarning(TaskWarning):
    """A variable of a task file looks like a misspelt setting.

    Given when the file is loaded. Spell it as the message proposes, or give it another name.
    """


class CommandWarning(TaskWarning):
    """A `psyflow.Command` is hardly what was meant: it leaves a parameter out, for example.

    Given before a run. The message says what to write instead.
    """


class SeededOnceWarning(TaskWarning):
    """A generator that `execute` draws from begins with the same numbers in every process.

    Given before a run: psets would share random numbers. Set ``seed``, and take ``rng``.
    """


class DrawnAnewWarning(TaskWarning):
    """What `execute` goes by is drawn at random, without a seed, whenever the file is loaded.

    Given before a run: each job would draw other values. Draw them from a generator with a seed.
    """


class JobsRunningWarning(TaskWarning):
    """A task is not up to date, but jobs of it are queued or running.

    Given in place of a run. Wait for the jobs, or end them with `psy kill`.
    """


class TaskWorkdirDirtyWarning(TaskWarning):
    """A result would have to be replaced, and ``overwrite_dirty`` is False.

    Given in place of a run. Keep the result with `psy run -c`, or remove it with `psy clean`.
    """
