"""What is asked of `psyflow.run`: which task, and which of its items."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from psyflow.conventions import MAP_FILE, default_taskdir, study_of
from psyflow.exceptions import TaskFileError, UnknownNameError, UsageError
from psyflow.record.assess import Choice
from psyflow.record.plan import Plan
from psyflow.record.wanted import Wanted
from psyflow.reprs import safe_repr
from psyflow.system.allotted import AsManyAsCpus, usable_cpus
from psyflow.system.place import absolute
from psyflow.tasks import TASK_PREFIX, Config, PackageLoader, TaskDef

__all__ = ["max_failures_of", "pool_size_of", "task_of", "wanted_of"]

_CHOICES = {None: Choice.ALL, "failed": Choice.FAILED, "todo": Choice.TODO}


def task_of(task: Any, taskdir: Any) -> TaskDef:
    """Load the task that is meant.

    Parameters
    ----------
    task : str or path
        Name of a task, its task file, or the folder of its run.
    taskdir : str or path, optional
        Where task files are: where `task` points to, or else the nearest task folder, if None.

    Raises
    ------
    TaskFileError
        If it does not load, with the traceback in its message.
    UnknownNameError, UsageError
        If there is no such task.
    """
    path = _path("task", task)
    if (path / MAP_FILE).is_file():
        raise UsageError(f"{path} is the folder of a map. Call that again: psyflow.map(…).")
    file = _file_of(path)
    nearest = default_taskdir() if file is None else file.parent
    tasks = absolute(nearest if taskdir is None else _path("taskdir", taskdir))
    loader = PackageLoader(tasks, study_of(tasks))
    name = str(path) if file is None else loader.name_of(file)
    if name not in (names := loader.names()):
        # No patterns here: what comes back is one table.
        name = loader.select([name])[0] if path.exists() else _unknown(name, names)
    found, failures = loader.load([name])
    for failure in failures:
        raise TaskFileError(str(failure))
    return found[0]


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise UsageError(f"`{name}` is a name or a path, and one; not {safe_repr(value, 60)}.")
    return Path(value)


def _file_of(task: Path) -> Path | None:
    """Return the task file that a path points to, wherever that is; None for a mere name."""
    if task.is_file() and task.match(f"{TASK_PREFIX}*.py"):
        return absolute(task)
    plan = Plan.read(task / "plan.json")
    return Path(plan.task_file) if plan is not None else None


def _unknown(name: str, names: Iterable[str]) -> str:
    raise UnknownNameError("task", name, names)


def wanted_of(where: Any, limit: Any, again: Any, only: Any) -> Wanted:
    """Return which items are asked for, in Python's words.

    Raises
    ------
    UsageError
        If one of these is of no kind that it may be.

    Examples
    --------
    >>> wanted_of("a=2", None, [3, 7, 8], None)
    Wanted(which=<Choice.ALL: 'all'>, where=('a=2',), limit=None, again=(range(3, 4), range(7, 9)))
    """
    if only is not None and (not isinstance(only, str) or only not in _CHOICES):
        raise UsageError(f'`only` is "failed", "todo" or None, not {safe_repr(only, 60)}.')
    if limit is not None and not (_is_whole(limit) and limit >= 1):
        raise UsageError(f"`limit` is a whole number, 1 or more; not {safe_repr(limit, 60)}.")
    at_most = None if limit is None else int(limit)
    return Wanted(_CHOICES[only], _conditions(where), at_most, _ranges(again))


def _conditions(where: Any) -> Sequence[str]:
    conditions = [where] if isinstance(where, str) else where if where is not None else ()
    if not isinstance(conditions, Iterable) or isinstance(conditions, dict):
        conditions = [None]
    texts = list(conditions)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(
            '`where` is a condition, such as "a=2" or "b>0.5", or a list of these; '
            f"not {safe_repr(where, 60)}."
        )
    return tuple(texts)


def _ranges(again: Any) -> Sequence[range] | None:
    if again is None or again is False:
        return None
    if again is True:
        return ()
    numbers = [again] if _is_whole(again) else again
    is_list = isinstance(numbers, Iterable) and not isinstance(numbers, str | bytes)
    items: list[Any] = list(numbers) if is_list else [None]
    if not all(_is_whole(number) and number >= 0 for number in items):
        raise UsageError(
            "`again` is the number of an item, or a list of them, or True for all that `where` "
            f"names; not {safe_repr(again, 60)}."
        )
    if not items:
        raise UsageError("`again` names no item. Leave it out, or write True for all items.")
    return tuple(_together(sorted({int(number) for number in items})))


def _together(numbers: Sequence[int]) -> Iterator[range]:
    """Yield what comes one after the other as one range."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield range(first, last + 1)
            first = number
        last = number
    yield range(first, last + 1)


def pool_size_of(pool_size: Any) -> int | None:
    """Return a number of workers, None for that of the task.

    Raises
    ------
    UsageError
        If it is none.
    """
    if pool_size is None:
        return None
    if isinstance(pool_size, str) and pool_size == "auto":
        return AsManyAsCpus(usable_cpus())
    if not (_is_whole(pool_size) and pool_size >= 1):
        raise UsageError(
            '`pool_size` is the number of workers, 1 or more, or "auto" for one per processor; '
            f"not {safe_repr(pool_size, 60)}."
        )
    return int(pool_size)


def max_failures_of(max_failures: Any) -> Any:
    """Return with how many failures to stop, None for that of the task.

    Raises
    ------
    UsageError
        If it is neither a number nor a share.
    """
    checked = Config()
    try:
        checked.max_failures = max_failures
    except TaskFileError as error:
        raise UsageError(str(error).partition(": ")[2]) from None
    return checked.max_failures


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)
