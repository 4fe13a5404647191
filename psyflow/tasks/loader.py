"""Finding and loading the tasks of a folder."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from psyflow.conventions import TASKDIR, study_of
from psyflow.exceptions import TaskFileError, TaskLoadWarning, UnknownNameError, UsageError
from psyflow.fingerprint import CONF_FILE
from psyflow.system.place import absolute, is_same_file
from psyflow.system.reading import read_whole
from psyflow.system.syntax import parsed
from psyflow.tasks.config import Config
from psyflow.tasks.order import in_order_of_need
from psyflow.tasks.taskdef import TASK_PREFIX, TaskDef

__all__ = ["PackageLoader"]


class PackageLoader:
    """The tasks of a folder: its files ``task_<name>.py``.

    Parameters
    ----------
    taskdir : path-like
        The folder.
    base : path-like, optional
        Where relative paths in task files start from. The working directory if None.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "task_square.py").write_text("def execute(x): ...")
    ...     PackageLoader(folder).names()
    ['square']
    """

    def __init__(
        self,
        taskdir: str | os.PathLike[str] = TASKDIR,
        base: str | os.PathLike[str] | None = None,
    ) -> None:
        self.taskdir = Path(taskdir)
        self.base = base

    def files(self) -> list[Path]:
        """Return the task files, sorted by name.

        Raises
        ------
        UsageError
            If there is no such folder or there are no tasks in it.
        OSError
            If the folder cannot be read.
        """
        advice = "Type psy new-task NAME to make a task, or --taskdir DIR for another folder."
        if not self.taskdir.is_dir():
            what = "is not a folder" if self.taskdir.exists() else "does not exist"
            raise UsageError(f'The task folder "{self.taskdir}" {what}. {advice}{self._nearby()}')
        # Unlike glob, this says so if the folder may not be read.
        found = [path for path in self.taskdir.iterdir() if path.match(f"{TASK_PREFIX}*.py")]
        files = sorted(path for path in found if path.is_file())
        if not files:
            what = f'There is no task in the folder "{self.taskdir}".'
            raise UsageError(f"{what} {advice}{self._nearby()}")
        return files

    def _nearby(self) -> str:
        """Say what may be a task, but is not where, or named as, task files are."""
        inside = sorted(self.taskdir.glob("*.[pP][yY]")) if self.taskdir.is_dir() else []
        if path := next(filter(_has_execute, inside), None):
            name = re.sub("^task[_-]*|[_-]*task$", "", path.stem, flags=re.IGNORECASE)
            return (
                f' "{path}" has an `execute`, but task files are named {TASK_PREFIX}NAME.py: '
                f"rename it, such as {TASK_PREFIX}{name or 'first'}.py."
            )
        if beside := sorted(self.taskdir.parent.glob(f"{TASK_PREFIX}*.py")):
            return f' "{beside[0]}" is no task there: move it into "{self.taskdir}".'
        return ""

    def names(self) -> list[str]:
        """Return the names of the tasks, in the order of their files.

        A task file is only run if its name cannot be read from it.

        Raises
        ------
        UsageError
            As for `files`.
        TaskFileError
            If two files have tasks of one name.
        """
        return list(self._by_name())

    def select(self, patterns: Sequence[str] = ()) -> list[str]:
        """Return the names that match, in the order given and each once; all if none is given.

        Parameters
        ----------
        patterns : sequence of str
            Names, patterns such as ``"circle_*"``, task files, or folders of runs such as
            ``"psy-work/circle"``, as they are named here or in the folder of the study.

        Raises
        ------
        UnknownNameError
            If a pattern matches nothing.
        UsageError
            If it is a task file of another folder.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("circle_a", "circle_b", "digits"):
        ...         Path(folder, f"task_{name}.py").touch()
        ...     PackageLoader(folder).select(["digits", "circle_*"])
        ['digits', 'circle_a', 'circle_b']
        """
        return _matching(self._by_name(), patterns, self._study)

    def load(self, patterns: Sequence[str] = ()) -> tuple[list[TaskDef], list[TaskLoadWarning]]:
        """Load the selected tasks, each after those whose results it needs.

        One that does not load does not stop the others.

        Parameters
        ----------
        patterns : sequence of str
            As for `select`.

        Returns
        -------
        tasks : list of TaskDef
            Those that load.
        failures : list of TaskLoadWarning
            One for each of the others, with its traceback; it is up to the caller to show them.

        Raises
        ------
        TaskFileError
            If ``psy-conf.py`` does not load, two files have tasks of one name, or tasks need each
            other's results.
        UnknownNameError, UsageError
            As for `select` and `files`.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "task_mean.py").write_text("pspace = {'x': [1]}; execute = dict")
        ...     _ = Path(folder, "task_wip.py").write_text("pspace = {'x': [1]}")
        ...     tasks, failures = PackageLoader(folder).load()
        >>> [task.name for task in tasks], [failure.task_name for failure in failures]
        (['mean'], ['wip'])
        """
        files = self._by_name()
        selected = _matching(files, patterns, self._study)
        conf = self._conf()
        tasks, failures = [], []
        for name in selected:
            try:
                tasks.append(TaskDef(files[name], conf, self.base))
            except TaskFileError as error:
                failures.append(_failure(name, error))
        return in_order_of_need(_with_own_results(tasks, failures)), failures

    @property
    def _study(self) -> Path:
        return study_of(absolute(self.taskdir)) if self.base is None else Path(self.base)

    def _conf(self) -> Config:
        path = self.taskdir / CONF_FILE
        return Config.load_from_file(path) if path.is_file() else Config()

    def _by_name(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in self.files():
            name = self.name_of(path)
            if name in found:
                raise TaskFileError(
                    f'Two tasks have the name "{name}": "{found[name]}" and "{path}". '
                    "Rename one of them."
                )
            found[name] = path
        return found

    def name_of(self, path: Path) -> str:
        """Return the name of the task in a file."""
        from_file = path.stem.removeprefix(TASK_PREFIX)
        try:
            name = _name_in(read_whole(path), from_file)
            return TaskDef(path, base=self.base).name if name is None else name
        except (OSError, SyntaxError, ValueError, TaskFileError):
            # Loading the task will tell what is wrong; until then it goes by its file.
            return from_file


def _has_execute(path: Path) -> bool:
    try:
        tree = parsed(read_whole(path))
    except (OSError, SyntaxError, ValueError):
        return False
    return any(isinstance(part, ast.FunctionDef) and part.name == "execute" for part in tree.body)


def _with_own_results(tasks: list[TaskDef], failures: list[TaskLoadWarning]) -> list[TaskDef]:
    """Leave out tasks whose result file is another's already; note them in `failures`."""
    owners: dict[Path, str] = {}
    for task in tasks:
        owner = owners.setdefault(task.resultfile, task.name)
        if owner != task.name:
            message = f'{task.path}: its result file, {task.resultfile}, is that of "{owner}".'
            failures.append(_failure(task.name, TaskFileError(message)))
    return [task for task in tasks if owners[task.resultfile] == task.name]


def _matching(files: Mapping[str, Path], patterns: Sequence[str], study: Path) -> list[str]:
    selected: dict[str, None] = {} if patterns else dict.fromkeys(files)
    for pattern in patterns:
        matching = [pattern] if pattern in files else fnmatch.filter(files, pattern)
        selected.update(dict.fromkeys(matching or [_name_at(Path(pattern), files, study)]))
    return list(selected)


def _name_at(named: Path, files: Mapping[str, Path], study: Path) -> str:
    """Return the name of the task whose file, or the folder of whose run, is at a path."""
    # Whoever is in a subfolder may name it as everybody else does, from the study on.
    path = named if named.exists() else study / named
    if path.is_dir() and path.name in files:
        return path.name
    of_file = [name for name, file in files.items() if is_same_file(file, path)]
    if not of_file and path.is_file() and path.match(f"{TASK_PREFIX}*.py"):
        name = path.stem.removeprefix(TASK_PREFIX)
        raise UsageError(
            f'"{path}" is in another folder than the other tasks. '
            f"Give that folder and the name: --taskdir {path.parent} {name}"
        )
    if not of_file:
        raise UnknownNameError("task", str(named), files)
    return of_file[0]


def _failure(name: str, error: TaskFileError) -> TaskLoadWarning:
    return TaskLoadWarning(name, f'Task "{name}" could not be loaded. {error.report}')


def _name_in(source: bytes, default: str) -> str | None:
    """Return what a task file sets `name` to, `default` if it does not, None if unclear."""
    name: str | None = default
    for statement in parsed(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="name")], value=ast.Constant(value=str(text))):
                name = text
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                name = None if statement.name == "name" else name
            case _ if "name" in _bound(statement):
                name = None
    return name


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Give the names that a statement may bind, and more."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
