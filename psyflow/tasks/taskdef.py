"""One loaded task file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import (
    TaskFileError,
    did_you_mean,
)
from psyflow.scheduler.profile import find_site
from psyflow.system.place import absolute
from psyflow.tasks.agreement import check_agreement
from psyflow.tasks.config import REQUIRED, Config
from psyflow.tasks.interpreter import interpreter_words
from psyflow.tasks.programs import (
    command_parts,
    take_command,
    with_frozen_templates,
    with_launcher,
)
from psyflow.tasks.repeating import add_repeats
from psyflow.tasks.run_file import run_file
from psyflow.tasks.signature import takes_keyword
from psyflow.tasks.spelling import warn_of_misspelt_settings, warn_of_others
from psyflow.tasks.surroundings import Surroundings

if TYPE_CHECKING:
    from psyflow.fingerprint import Origins, Part
    from psyflow.fingerprint.watched import Watched

__all__ = ["TASK_PREFIX", "TaskDef"]

TASK_PREFIX = "task_"
"""What the names of task files begin with."""


class TaskDef(Config):
    r"""A task: what a task file says, over what ``psy-conf.py`` says, over the defaults.

    Making one runs the task file, in its folder.

    Parameters
    ----------
    path : path-like
        The task file.
    conf : Config or path-like, optional
        Defaults. Those of ``psy-conf.py`` beside the task file, if there is one, if None.
    base : path-like, optional
        Where a relative `workdir` or `resultfile` starts from. The working directory if None.

    Attributes
    ----------
    path : pathlib.Path
        The task file, absolute.
    conf_path : pathlib.Path or None
        The ``psy-conf.py`` whose defaults the task has.
    site_path : pathlib.Path or None
        The site profile whose defaults the task has.
    base : pathlib.Path
    name : str
    workdir, resultfile : pathlib.Path
        As in `Config`, but absolute.
    file_dep : list of pathlib.Path
        As in `Config`, but absolute.
    interpreter : list of str
        `python` as the words of a command, with absolute paths.
    digests : FileDigests
        Of the files that the results depend on.
    folder : pathlib.Path
        Where the task keeps its run: ``<workdir>/<name>``.

    Raises
    ------
    TaskFileError
        If a file does not load, sets a variable to what it cannot be, or lacks one it has to set.

    Warns
    -----
    UnknownSettingWarning
        If a variable looks like a misspelt setting.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "task_square.py")
    ...     _ = file.write_text("pspace = {'x': [1, 2]}\ndef execute(x): return {'y': x * x}\n")
    ...     task = TaskDef(file)
    >>> task.name, len(task.pspace), task.execute(x=3)
    ('square', 2, {'y': 9})
    """

    name: str
    workdir: Path
    resultfile: Path

    def __init__(
        self,
        path: str | os.PathLike[str],
        conf: Config | str | os.PathLike[str] | None = None,
        base: str | os.PathLike[str] | None = None,
    ) -> None:
        self._load(absolute(path), None, conf, base)

    @classmethod
    def load_frozen(
        cls,
        code: str | os.PathLike[str],
        path: str | os.PathLike[str],
        conf: Config | str | os.PathLike[str] | None = None,
        base: str | os.PathLike[str] | None = None,
    ) -> TaskDef:
        """Load a task as `psyflow.fingerprint.freeze_code` froze it.

        The code of the task file, of ``psy-conf.py`` and of the local modules is that of the
        copies, which tracebacks show; their ``__file__`` are those of the originals, so that they
        find the data files beside them.

        Parameters
        ----------
        code : path-like
            Folder with the copies.
        path, conf, base
            As for `TaskDef`, with the paths of the originals.
        """
        task = cls.__new__(cls)
        task._load(absolute(path), absolute(code), conf, base)
        return task

    def reload(self) -> TaskDef:
        """Load the task once more, with its ``psy-conf.py``."""
        task = type(self).__new__(type(self))
        conf = self.conf_path or self._conf
        # The classes of this one stay those that values are made of.
        with self.importable():
            task._load(self.path, self._surroundings.code, conf, self.base)
        task.digests = self.digests
        return task

    def _load(
        self,
        path: Path,
        code: Path | None,
        conf: Config | str | os.PathLike[str] | None,
        base: str | os.PathLike[str] | None,
    ) -> None:
        from psyflow.fingerprint.files import FileDigests

        super().__init__(source=str(path))
        self.path = path
        self.digests = FileDigests()
        self.base = absolute(base or ".")
        self._surroundings = Surroundings(path.parent, code)
        self._conf = _conf_of(conf, self._surroundings)
        self.conf_path = self._conf.file
        self.take(self._conf)
        module, self._import_path = run_file(path, self._surroundings)
        self._modules = self._surroundings.modules()
        self._take_module(module)
        self._take_site()
        self.execute = with_launcher(self.execute, self.launcher)
        self.execute = with_frozen_templates(self.execute, code)
        self._resolve()
        add_repeats(self)
        if code is None:
            # Who froze the task has been warned.
            warn_of_misspelt_settings(path.read_bytes(), self.settings(), path, self.name)
            warn_of_others(self.others, self.name)

    def _take_module(self, module: ModuleType) -> None:
        self.take_module(module)
        if "name" not in self.given:
            self._take_name_of_file()
        missing = [name for name in REQUIRED if name not in self.given]
        if missing:
            public = [name for name in vars(module) if not name.startswith("_")]
            raise TaskFileError(
                f"{self.source}: `{missing[0]}` is not set.{did_you_mean(missing[0], public)}"
            )

    def _take_name_of_file(self) -> None:
        try:
            self.name = self.path.stem.removeprefix(TASK_PREFIX)
        except TaskFileError as error:
            raise TaskFileError(
                f"{error} It is from the name of the file: rename that, or set `name`."
            ) from None

    def _take_site(self) -> None:
        site = find_site(self._surroundings.folder, self._surroundings.code)
        self.site_path = None if site is None else site.path
        if site is None:
            return
        if "launcher" not in self.given and isinstance(self.scheduler, site.kind()):
            self.launcher = site.launcher
        if "scheduler" not in self.given:
            self.scheduler = site.make_scheduler()
        if isinstance(self.scheduler, site.kind()):
            self.take_defaults(Config(site.preparing, source=str(site.path)))
        self.scheduler_args = site.with_defaults(self.scheduler, self.scheduler_args)

    def _resolve(self) -> None:
        self.interpreter = interpreter_words(self.python, self.path.parent)
        self.workdir = absolute(self.base / self.workdir)
        self.folder = self.workdir / self.name
        self.file_dep = [absolute(self.path.parent / file) for file in self.file_dep]
        if self.resultfile is None:
            self.resultfile = self.folder / f"result{self.store.ext}"
        else:
            self.resultfile = absolute(self.base / self.resultfile)
            self._fit_store()
        if self.resultfile.is_dir():
            raise TaskFileError(f"{self.source}: `resultfile` {self.resultfile} is a folder.")

    def _fit_store(self) -> None:
        """See to it that the store is the one for the result file's extension."""
        from psyflow.store import AutodetectStore, known_extensions, store_for

        ext = self.resultfile.suffix.lower()
        if ext not in known_extensions():
            return
        if "store" not in self.given:
            self.store = store_for(self.resultfile)
        elif ext != self.store.ext.lower() and not isinstance(self.store, AutodetectStore):
            raise TaskFileError(
                f"{self.source}: `resultfile` ends in {ext}, but `store` writes "
                f'{self.store.ext} files. Leave one of them out, or set store = "{ext}".'
            )

    @property
    def code_path(self) -> Path:
        """The file whose code is run: the task file, or its frozen copy."""
        return self._surroundings.source_of(self.path)

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Be for a while where the task's code runs: its folder, also first on `sys.path`."""
        return self._surroundings.inside()

    @contextlib.contextmanager
    def importable(self) -> Iterator[None]:
        """Have names of the task's modules mean those that it has, whatever was loaded since.

        What is an instance of their classes can then be pickled, also if the file was edited, or
        if a task of another folder has modules of the same names.
        """
        others = {name: sys.modules.get(name) for name in self._modules}
        sys.modules.update(self._modules)
        try:
            yield
        finally:
            for name, module in others.items():
                if module is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = module

    def enter(self) -> None:
        """Be where the task's code runs for the rest of the process, as its workers are."""
        self._surroundings.enter(self._import_path)

    def check_execute(self) -> None:
        """Raise an error if `execute` or `setup` cannot be called as they will be.

        `execute` has to take the names of the parameter space as keyword arguments, and, unless
        there is a `setup` to give more, to need no others. The store has to hold the first pset,
        for otherwise nobody would know before all items have run and are merged.

        Raises
        ------
        TaskFileError
            If a call could not be made, or not where it is to be.
        UnknownNameError
            If `seed_by` has a name that is no parameter.
        UnsupportedDataError
            If the store cannot hold the parameters.
        """
        check_agreement(self)

    @property
    def function(self) -> Callable[..., Any]:
        """What evaluates a pset: `execute`, with the global random states set, if so wanted."""
        from psyflow.pspace.streams import GloballySeeded

        if self.seed is None or not self.seed_globals:
            return self.execute
        return GloballySeeded(self.execute, takes_keyword(self.execute, "rng"))

    def fingerprint(self) -> dict[str, Part]:
        """Return what the results depend on: the code of `execute` and `setup`, and `file_dep`."""
        from psyflow.fingerprint import file_parts, fingerprint_code

        parts = fingerprint_code(self.code_path, self._roots, self.modules_elsewhere())
        own = (self.workdir, *self._results())
        if (command := take_command(self.execute)) is not None:
            parts |= command_parts(command, self.path, own, self.digests)
        parts |= file_parts(self.file_dep, self.path.parent, own, self.digests)
        return parts | self._random_parts()

    @property
    def _roots(self) -> list[str]:
        """The names whose code results depend on."""
        # The statement that makes a command says also how it is read, and that does not count.
        return ["setup"] if take_command(self.execute) else ["execute", "setup"]

    def contents(self, paths: Iterable[str]) -> dict[str, str]:
        """Return what counts of the files that psets name: see `contents_of`."""
        from psyflow.fingerprint import contents_of

        own = (self.folder, *self._results())
        return contents_of(paths, self.path.parent, own, self.digests)

    def _results(self) -> tuple[Path, Path]:
        new = self.resultfile.with_name(f"{self.resultfile.stem}.new{self.resultfile.suffix}")
        return self.resultfile, new

    def _random_parts(self) -> dict[str, Part]:
        from psyflow.fingerprint.parts import Part, digest

        if self.seed is None:
            return {}
        lines = [f"seed = {self.seed!r}", f"seed_by = {self.seed_by!r}"]
        lines += ["seed_globals = True"] if self.seed_globals else []
        return {
            line.partition(" ")[0]: Part(digest(line), line, 0, self.path.name) for line in lines
        }

    def space_fingerprint(self) -> dict[str, Part]:
        """Return what the code of the parameter space depends on."""
        from psyflow.fingerprint import space_part

        return space_part(self.code_path, self.modules_elsewhere())

    def watched(self) -> Watched:
        """Return what of the code that the results depend on is watched, and what is not."""
        from psyflow.fingerprint.watched import watched

        return watched(self.code_path, self._roots, self.modules_elsewhere())

    def modules_elsewhere(self) -> Origins:
        """Return what knows the own modules outside the task folder: frozen ones, or as they are.

        They are looked up where the files of the task have left `sys.path`.
        """
        from psyflow.fingerprint import FrozenModules, SearchPath

        code, folder = self._surroundings.code, self._surroundings.folder
        frozen = FrozenModules(code, folder) if code else None
        if frozen and frozen.are_listed:
            return frozen
        path = [*self._import_path, *self._conf.import_path]
        return SearchPath([entry for entry in path if entry != str(code)], folder)


def _conf_of(conf: Config | str | os.PathLike[str] | None, surroundings: Surroundings) -> Config:
    if isinstance(conf, Config):
        return conf
    from psyflow.fingerprint import CONF_FILE

    path = absolute(conf) if conf is not None else surroundings.folder / CONF_FILE
    if conf is None and not surroundings.source_of(path).is_file():
        return Config()
    return Config.load_from_file(path, surroundings)
