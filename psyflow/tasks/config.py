"""The documented variables of a task file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from psyflow.conventions import WORKDIR
from psyflow.exceptions import TaskFileError, UnknownNameError
from psyflow.fingerprint.reach import MEANING, PREPARING
from psyflow.system.place import absolute
from psyflow.tasks import meaning, unset
from psyflow.tasks import settings as kinds
from psyflow.tasks.run_file import run_file
from psyflow.tasks.settings import Default, Setting, setting
from psyflow.tasks.spelling import warn_of_misspelt_settings, warn_of_others
from psyflow.tasks.surroundings import Surroundings

if TYPE_CHECKING:
    from psyflow.backend import Backend
    from psyflow.pspace import ParameterSpace
    from psyflow.scheduler import Scheduler
    from psyflow.store import Store

__all__ = ["Config", "REQUIRED"]

REQUIRED = ("pspace", "execute")
"""The variables that a task file has to set."""


class Config:
    """The variables that have a meaning in a task file or in ``psy-conf.py``.

    Each is an attribute: reading gives the value or the default, setting checks the value. Other
    variables of a task file are its own affair.

    Parameters
    ----------
    values : mapping, optional
        Values to set.
    source : str
        Where the values come from, for error messages.

    Attributes
    ----------
    given : set of str
        The names that were set, not left at their defaults.
    file : pathlib.Path or None
        The ``psy-conf.py`` they are from, if they are from one.
    others : list of str
        What is to be said of variables that have the name of a setting and are none.

    Raises
    ------
    UnknownNameError
        If there is no such variable.
    TaskFileError
        If a value is not of the right kind.
    AttributeError
        When `pspace` or `execute` is asked for, and not set.

    Examples
    --------
    >>> Config().max_jobs
    100
    >>> Config({"min_items": 0})
    Traceback (most recent call last):
        ...
    psyflow.exceptions.TaskFileError: Config: `min_items` must be an integer of 1 or more, not 0.
    """

    pspace: ParameterSpace = setting(
        unset.required("pspace"), kinds.SPACE, "The parameter space to explore."
    )
    execute: Callable[..., Mapping[str, Any]] = setting(
        unset.required("execute"),
        kinds.FUNCTION,
        "The function to evaluate: it is called with a pset as keyword arguments and returns "
        "its results as a dict.",
    )
    setup: Callable[[int], Mapping[str, Any]] | None = setting(
        None,
        kinds.FUNCTION_OR_NONE,
        "Called once in each worker with the worker's number; returns a dict of further keyword "
        "arguments for `execute`.",
    )
    store: Store = setting(unset.STORE, kinds.STORE, "The format of the result file.")
    backend: type[Backend] = setting(
        unset.BACKEND,
        kinds.BACKEND,
        "How psets are dealt out to jobs: in fixed batches, or to whichever is free.",
    )
    scheduler: Scheduler = setting(unset.SCHEDULER, kinds.SCHEDULER, "What runs the jobs.")
    scheduler_args: dict[str, Any] = setting(
        Default("{}", dict),
        kinds.NAMED_VALUES,
        "Arguments for the scheduler, such as a time limit. A function is called with the name "
        "of the job and gives the value.",
    )
    max_jobs: int | None = setting(
        100, kinds.POSITIVE_OR_NO_LIMIT, "The most process jobs to submit; None for no limit."
    )
    min_items: int = setting(1, kinds.POSITIVE, "The fewest psets that are worth a job.")
    pool_size: int = setting(
        1,
        kinds.POOL_SIZE,
        'Workers in each job. "auto" takes as many as the job may use CPUs, counted in the job.',
    )
    workdir: Path = setting(
        Default(WORKDIR, lambda: Path(WORKDIR)),
        kinds.PATH,
        "Folder for what runs leave behind. A relative one starts from the study's folder.",
    )
    resultfile: Path | None = setting(
        None,
        kinds.PATH_OR_NONE,
        "The result file, <workdir>/<name>/result<ext> if None. A relative one starts from "
        "the study's folder.",
    )
    exclude_from_result: list[str] = setting(
        Default("[]", list), kinds.NAMES, "Names of parameters and results not to keep."
    )
    file_dep: list[Path] = setting(
        Default("[]", list),
        kinds.PATHS,
        "Files whose content the results depend on, folders and globs. Relative ones start from "
        "the task file.",
    )
    defaults: dict[str, Any] = setting(
        Default("{}", dict),
        kinds.NAMED_VALUES,
        "Values of parameters that do not count for what a pset is: a parameter added later, with "
        "the value that was meant before, leaves the results that are there valid.",
    )
    repeat: int | None = setting(
        None,
        kinds.REPEATS_OR_NONE,
        "How often each pset is evaluated: adds a parameter `repeat`, which counts from 0 and "
        "varies fastest, and which `execute` gets only if it names it.",
    )
    seed: int | None = setting(
        None,
        kinds.COUNT_OR_NONE,
        "Gives `execute` an argument `rng`, a NumPy Generator that depends on the seed and the "
        "pset alone.",
    )
    seed_by: list[str] | None = setting(
        None,
        kinds.NAMES_OR_NONE,
        "The parameters that `rng` depends on, all if None. With fewer, psets that share them "
        "share their random numbers.",
    )
    seed_globals: bool = setting(
        False,
        kinds.BOOLEAN,
        "With a seed: whether each evaluation also begins with the global states of `random`, "
        "`numpy.random` and torch set from it, for code that cannot take `rng`.",
    )
    launcher: str | list[str] | None = setting(
        None, kinds.WORDS_OR_NONE, "What stands before programs of a `Command`, such as srun."
    )
    timeout: float | None = setting(
        None, kinds.SECONDS_OR_NONE, "Seconds that one evaluation may take."
    )
    retries: int = setting(0, kinds.COUNT, "How often a failed evaluation is tried again.")
    retry_on: list[str] = setting(
        Default('["crash", "oom"]', lambda: ["crash", "oom"]),
        kinds.FAILURE_KINDS,
        "Which failures are tried again: an exception (error), the death of the process (crash), "
        "too little memory (oom), or a timeout.",
    )
    max_failures: int | float | None = setting(
        None, kinds.FAILURE_LIMIT, "How many items may fail before the run stops early."
    )
    max_chain: int = setting(
        1,
        kinds.COUNT,
        "How often the jobs of a scheduler are continued by further jobs, without anybody typing "
        "`psy run`, because they were ended before all items had run.",
    )
    max_tasks_per_child: int | None = setting(
        None,
        kinds.POSITIVE_OR_NONE,
        "After how many evaluations a worker is replaced by a fresh one.",
    )
    load_once: bool = setting(
        True, kinds.BOOLEAN, "Whether workers may be forks of a process that has loaded the task."
    )
    overwrite_dirty: bool = setting(
        True, kinds.BOOLEAN, "Whether results of older code may be replaced."
    )
    dims: dict[str, list[str]] = setting(
        Default("{}", dict), meaning.DIMS, "Names of the axes of outputs that are arrays."
    )
    coords: dict[str, Any] = setting(
        Default("{}", dict),
        meaning.COORDS,
        "The places along these axes: values, or the name of a column that has them.",
    )
    units: dict[str, str] = setting(
        Default("{}", dict), meaning.TEXTS, "Units of columns and axes."
    )
    labels: dict[str, str] = setting(
        Default("{}", dict), meaning.TEXTS, "What columns and axes are called in plots."
    )
    derive: dict[str, Callable[..., Any]] = setting(
        Default("{}", dict),
        meaning.FUNCTIONS,
        "Columns that are worked out from others when results are loaded: by name, a function "
        "of columns, which is called row by row. Whatever becomes of it, nothing runs again.",
    )
    python: str | list[str] = setting(
        Default("sys.executable", lambda: sys.executable),
        kinds.PROGRAM,
        "The Python interpreter that runs the jobs: its path, or a command line that ends in one, "
        "such as `apptainer exec ./image.sif python`. Relative paths start from the task file.",
    )
    prologue: list[str] = setting(
        Default("[]", list),
        kinds.SHELL_LINES,
        "Lines for the shell that prepare the node for a job, such as `module load`. If one "
        "fails, the job does not begin.",
    )
    epilogue: list[str] = setting(
        Default("[]", list),
        kinds.SHELL_LINES,
        "Lines for the shell when a job has ended, however it did.",
    )
    job_prefix: str = setting(
        "", kinds.JOB_PREFIX, "What the names of jobs begin with, for the scheduler."
    )
    name: str = setting(
        Default("NAME of task_NAME.py", str),
        kinds.NAME,
        "Name of the task, of its folder and its jobs.",
    )

    def __init__(
        self, values: Mapping[str, object] | None = None, *, source: str = "Config"
    ) -> None:
        self.source = source
        self.file: Path | None = None
        self.import_path: list[str] = []
        self.given: set[str] = set()
        self.others: list[str] = []
        for name, value in (values or {}).items():
            if name not in self.settings():
                raise UnknownNameError("setting", name, self.settings())
            setattr(self, name, value)

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Return the variables by name, in the order of the documentation.

        Examples
        --------
        >>> list(Config.settings())[:4]
        ['pspace', 'execute', 'setup', 'store']
        """
        return {name: value for name, value in vars(Config).items() if isinstance(value, Setting)}

    @classmethod
    def rows(cls) -> list[tuple[str, str, str, str]]:
        """Return name, default, what is allowed, and meaning of each variable, as text.

        Examples
        --------
        >>> [row[:3] for row in Config.rows() if row[0] == "min_items"]
        [('min_items', '1', 'an integer of 1 or more')]
        """
        return [(s.name, s.default_text, s.kind.allowed, s.doc) for s in cls.settings().values()]

    @classmethod
    def describe(cls) -> str:
        r"""Return the documentation of all variables as plain text.

        Examples
        --------
        >>> print("\n".join(Config.describe().splitlines()[-2:]))
        name (default: NAME of task_NAME.py)
            Name of the task, of its folder and its jobs.
        """
        return "\n".join(
            f"{name} (default: {default})\n    {doc}" for name, default, _, doc in cls.rows()
        )

    @classmethod
    def load_from_file(
        cls, filename: str | os.PathLike[str], surroundings: Surroundings | None = None
    ) -> Config:
        """Return the variables that a file such as ``psy-conf.py`` sets.

        Parameters
        ----------
        filename : path-like
        surroundings : Surroundings, optional
            Where its code runs; in its own folder if None.

        Raises
        ------
        TaskFileError
            If the file does not load or a value is not of the right kind.

        Warns
        -----
        UnknownSettingWarning
            If a variable looks like a misspelt setting.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "psy-conf.py")
        ...     _ = file.write_text("timeout = 60")
        ...     conf = Config.load_from_file(file)
        >>> conf.timeout, conf.max_jobs, conf.given
        (60.0, 100, {'timeout'})
        """
        path = absolute(Path(filename))
        surroundings = surroundings or Surroundings(path.parent)
        conf = cls(source=str(path))
        conf.file = path
        module, conf.import_path = run_file(path, surroundings)
        conf.take_module(module)
        if "name" in conf.given:
            raise TaskFileError(f"{path}: `name` cannot be set here: each task has its own.")
        if surroundings.code is None:
            warn_of_misspelt_settings(path.read_bytes(), cls.settings(), path, path.stem)
            warn_of_others(conf.others, path.stem)
        return conf

    def take_module(self, module: ModuleType) -> None:
        """Set what a module sets.

        What only says what columns mean keeps no task from being run: if it is of another kind, it
        is a variable of the file's own, which was there before the setting was.

        Parameters
        ----------
        module : module
        """
        for name in [name for name in self.settings() if name in vars(module)]:
            try:
                setattr(self, name, vars(module)[name])
            except TaskFileError as error:
                if name not in MEANING - PREPARING:
                    raise
                self.others.append(
                    f"{error} So it says nothing of the results. If it is a variable of your own, "
                    "give it another name."
                )

    def take(self, other: Config) -> None:
        """Set what `other` sets.

        Parameters
        ----------
        other : Config

        Examples
        --------
        >>> conf = Config({"timeout": 60, "retries": 1})
        >>> conf.take(Config({"retries": 2}))
        >>> conf.timeout, conf.retries
        (60.0, 2)
        """
        self._take(other, other.given)

    def take_defaults(self, other: Config) -> None:
        """Set what `other` sets, and this does not.

        Parameters
        ----------
        other : Config
        """
        self._take(other, other.given - self.given)

    def _take(self, other: Config, names: Collection[str]) -> None:
        for name in names:
            # The value has been checked under the name of its own file.
            vars(self)[name] = vars(other)[name]
        self.given |= set(names)
