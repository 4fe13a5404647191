"""Site profiles: what ``site.yaml`` says of the place where tasks run.

It gives defaults for `scheduler`, `scheduler_args`, `launcher`, and for what prepares a node. Task
files and ``psy-conf.py`` come before it, and results never depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import PsyflowError, TaskFileError, UnknownNameError
from psyflow.system.reading import read_whole

if TYPE_CHECKING:
    from psyflow.scheduler import Scheduler

__all__ = ["SITE_FILE", "VARIABLE", "Site", "find_site", "user_site_file"]

SITE_FILE = "site.yaml"
VARIABLE = "PSYFLOW_SITE"
"""Environment variable with the path of the profile; empty: there is none."""
_SCHEDULER, _ARGS = "scheduler", "scheduler_args"
_LAUNCHER = "launcher"
_PREPARING = ("prologue", "epilogue", "job_prefix")
_KNOWN = (_SCHEDULER, _ARGS, _LAUNCHER, *_PREPARING)


@dataclass(frozen=True)
class Site:
    """A site profile.

    Attributes
    ----------
    path : Path
    scheduler : str
        Its name.
    options : mapping
        Arguments of its constructor.
    scheduler_args : mapping
    launcher : str or list of str, optional
        What stands before each program of a `Command`.
    preparing : mapping
        Of the settings `prologue`, `epilogue` and `job_prefix`, those that are given.
    """

    path: Path
    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    scheduler_args: Mapping[str, Any] = field(default_factory=dict)
    launcher: str | list[str] | None = None
    preparing: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Site:
        """Read a profile.

        Raises
        ------
        TaskFileError
            If it is not what a profile can be; it names the file.
        """
        content = _read_yaml(path)
        if not isinstance(content, dict):
            raise TaskFileError(f"{path}: it has to be a mapping with `scheduler`.")
        for name in content:
            if name not in _KNOWN:
                raise TaskFileError(f"{path}: {UnknownNameError('setting', str(name), _KNOWN)}")
        if content.get(_SCHEDULER) is None:
            raise TaskFileError(f"{path}: `scheduler` is missing, such as: scheduler: slurm")
        name, options = _name_and_options(path, content[_SCHEDULER])
        args = _mapping(path, _ARGS, content.get(_ARGS))
        preparing = {n: content[n] for n in _PREPARING if content.get(n) is not None}
        return cls(path, name, options, args, _words(path, content.get(_LAUNCHER)), preparing)

    def make_scheduler(self) -> Scheduler:
        """Return a new scheduler of the site.

        Raises
        ------
        TaskFileError
            If there is none of that name, or it takes other arguments.
        """
        try:
            return self.kind()(**self.options)
        except (PsyflowError, TypeError) as error:
            raise TaskFileError(f"{self.path}: `scheduler`: {error}") from error

    def kind(self) -> type[Scheduler]:
        """Return the class of the site's scheduler."""
        from psyflow.scheduler import scheduler_by_name

        try:
            return scheduler_by_name(self.scheduler)
        except PsyflowError as error:
            raise TaskFileError(f"{self.path}: `scheduler`: {error}") from error

    def with_defaults(
        self, scheduler: Scheduler, scheduler_args: Mapping[str, object]
    ) -> dict[str, object]:
        """Return the arguments of a task, with those of the site that it does not give.

        Parameters
        ----------
        scheduler : Scheduler
            Of the task. The site's arguments are for one of its own kind only.
        scheduler_args : mapping
        """
        if not isinstance(scheduler, self.kind()):
            return dict(scheduler_args)
        return self._joined(scheduler, self.scheduler_args, scheduler_args)

    def above(
        self, scheduler: Scheduler, scheduler_args: Mapping[str, object]
    ) -> dict[str, object]:
        """Return the arguments of the site, with further ones that it does not give.

        Parameters
        ----------
        scheduler : Scheduler
            Of the site's kind.
        scheduler_args : mapping
        """
        return self._joined(scheduler, scheduler_args, self.scheduler_args)

    def _joined(
        self, scheduler: Scheduler, low: Mapping[str, object], high: Mapping[str, object]
    ) -> dict[str, object]:
        """Return the arguments in `high`, and those in `low` that are not in it."""
        try:
            for name in self.scheduler_args:
                _canonical(scheduler, name)
        except PsyflowError as error:
            raise TaskFileError(f"{self.path}: `scheduler_args`: {error}") from error
        try:
            given = {_canonical(scheduler, name) for name in high}
            rest = {n: v for n, v in low.items() if _canonical(scheduler, n) not in given}
        except PsyflowError:
            # It is a mistake of the task's, and whoever checks its arguments says so.
            return dict(high)
        return {**rest, **high}


def _read_yaml(path: Path) -> object:
    import yaml  # slow to import, and most have no profile

    class Loader(yaml.SafeLoader):
        """Takes ``2:00:00`` for what it looks like, not for the number 7200."""

    def number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
        plain = yaml.SafeLoader.yaml_constructors[node.tag]
        return node.value if ":" in node.value else plain(loader, node)

    for kind in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", number)
    try:
        return yaml.load(read_whole(path), Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TaskFileError(f"{path}: it is not YAML: {error}") from None


def _canonical(scheduler: Scheduler, name: str) -> str:
    from psyflow.scheduler.checked import CheckedScheduler

    return scheduler.canonical_arg(name) if isinstance(scheduler, CheckedScheduler) else name


def _name_and_options(path: Path, value: object) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        return str(name), _mapping(path, f"{_SCHEDULER}: {name}", options)
    raise TaskFileError(
        f"{path}: `scheduler` has to be a name, such as slurm, or a name with arguments, such as "
        "{ssh: {hosts: {node1: 8}}}."
    )


def _mapping(path: Path, name: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TaskFileError(f"{path}: `{name}` has to be a mapping of names and values.")
    return value


def _words(path: Path, value: object) -> str | list[str] | None:
    is_list = isinstance(value, list) and all(isinstance(word, str) for word in value)
    if value is None or isinstance(value, str) or is_list:
        return value  # type: ignore[return-value]
    raise TaskFileError(f"{path}: `{_LAUNCHER}` has to be a command line, or a list of its words.")


def user_site_file() -> Path:
    """Return where the profile of a user is, whether it exists or not."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(configuration, "psyflow", SITE_FILE).expanduser()


def find_site(folder: Path, code: Path | None = None) -> Site | None:
    """Return the site profile that holds for the tasks of a folder, if there is one.

    The file that the variable ``PSYFLOW_SITE`` names, ``site.yaml`` in the task folder,
    or ``~/.config/psyflow/site.yaml``; frozen tasks have the one that was frozen with them.

    Parameters
    ----------
    folder : Path
        The task folder.
    code : Path, optional
        Where the frozen copy of its code is.

    Raises
    ------
    TaskFileError
        If it is not what a profile can be.
    """
    path = _site_file(folder, code)
    return None if path is None else Site.read(path)


def _site_file(folder: Path, code: Path | None) -> Path | None:
    if code is not None:
        places = [code / SITE_FILE]
    elif (named := os.environ.get(VARIABLE)) is not None:
        if named and not Path(named).is_file():
            raise TaskFileError(f"{named}, which the variable {VARIABLE} names, is not a file.")
        places = [Path(named).absolute()] if named else []
    else:
        places = [folder / SITE_FILE, user_site_file()]
    return next((path for path in places if path.is_file()), None)
