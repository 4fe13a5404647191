"""A program that stands where a task file has `execute`."""

from __future__ import annotations

import copy
import os
import shlex
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from psyflow.command.call import MANY, Call
from psyflow.command.check import remarks_on, trouble_with
from psyflow.command.parse import Parse
from psyflow.command.place import Folder, folder_of
from psyflow.command.settings import Commands, program_of, spec_of
from psyflow.exceptions import TaskFileError, UsageError

__all__ = ["Command"]

_COUNTS = (
    "command", "cwd", "env", "stdin", "files_in", "templates", "delimiter", "ok_codes", "shell",
    "resume",
)  # fmt: skip
"""What results depend on, with `version`. How they are read, kept and started does not count."""
_VERSION_SECONDS = 60.0


class Command:
    r"""A program, or several, that stands where a task file has `execute`.

    Fields such as ``{lr:.3g}`` are replaced by the parameters of a pset. A command is split into
    words before any value is known, so each value reaches the program as (a part of) exactly one
    argument, whatever is in it. No shell is involved unless you ask for one.

    Parameters
    ----------
    command : str or list
        A command line, or a list of them that run in order until one fails. Each is text, or a
        list of words that are not split. A brace is written ``{{``.
    cwd : path-like, optional
        Where the programs start, with fields, and with variables such as ``$HOME`` that are
        replaced where the program runs. The pset's own folder if None, where every pset finds
        `files_in` and `templates`.
    env : dict, optional
        Variables of the environment besides those that are there; values may have fields.
    stdin : path-like, optional
        The file that is the standard input, in the pset's folder or the task's; nothing if None.
    files_in : list of path-like
        Files of the task folder that are linked to the pset's; those with ``copy:`` before their
        path are copied. Paths may have fields.
    templates : dict of path-like to str, optional
        Files of the task folder, and the names that they get in the pset's, rendered by
        `string.Template`: ``$lr`` or ``${lr}``. One that ends in ``.j2`` is rendered by Jinja2.
    delimiter : str
        What placeholders of `templates` begin with.
    parse : dict, callable or Parse, optional
        What is read from the output, by the name of its column; see `Parse`.
    launcher : str or list of str, optional
        What stands before each program, such as ``"srun -n {n_tasks}"``. That of the task if None.
    ok_codes : int or collection of int
        Exit codes of success.
    keep : str or collection of str
        What stays in the pset's folder: ``"all"``, that of ``"failed"`` psets, ``"none"``, or what
        matches patterns such as ``["*.log"]``, besides all of the failed ones.
    shell : bool
        Whether ``/bin/sh`` runs the command lines. Values are quoted then.
    version : str, optional
        A command line whose output results depend on, such as ``"sim --version"``.
    resume : list of str
        Patterns of files that an earlier attempt may have left in the pset's folder, and that a
        later one finds there. All others are removed before it begins.
    pack : bool
        Whether in a run of more than 200 psets folders with little in them, of psets that have not
        failed, are kept in a few files, from which `psy log` and `psy parse` read.

    Raises
    ------
    UsageError
        If something of it cannot be.

    Examples
    --------
    >>> hello = Command("echo {greeting} {name}", parse=lambda folder: {
    ...     "said": (folder / "stdout").read_text()})
    >>> hello(greeting="Hello,", name="$USER; rm *")
    {'said': 'Hello, $USER; rm *\n'}
    """

    def __init__(
        self,
        command: Commands,
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, Any] | None = None,
        stdin: str | os.PathLike[str] | None = None,
        files_in: Iterable[str | os.PathLike[str]] = (),
        templates: Mapping[str, str] | None = None,
        delimiter: str = "$",
        parse: Mapping[str, Any] | Callable[[Path], Mapping[str, Any]] | Parse | None = None,
        launcher: str | Sequence[str] | None = None,
        ok_codes: int | Collection[int] = (0,),
        keep: str | Collection[str] = "all",
        shell: bool = False,
        version: str | None = None,
        resume: str | Collection[str] = (),
        pack: bool = True,
    ) -> None:
        told = {name: value for name, value in locals().items() if name != "self"}
        self._told = told
        self._spec = spec_of(command, Path.cwd(), told)
        self.parse = parse
        self._parse = None if parse is None else Parse.of(parse)

    @property
    def launcher(self) -> str | Sequence[str] | None:
        """What stands before each program."""
        found: str | Sequence[str] | None = self._told["launcher"]
        return found

    def with_launcher(self, launcher: str | Sequence[str]) -> Command:
        """Return a command that differs in its `launcher`.

        Parameters
        ----------
        launcher : str or list of str
        """
        made = copy.copy(self)
        made._told = self._told | {"launcher": launcher}
        made._spec = spec_of(made._told["command"], self._spec.base, made._told)
        return made

    def with_templates_in(self, folder: Path) -> Command:
        """Return a command that reads its templates from their copies in a folder.

        Parameters
        ----------
        folder : Path
        """
        made = copy.copy(self)
        templates = tuple(template.frozen_in(folder) for template in self._spec.templates)
        made._spec = replace(self._spec, templates=templates)
        return made

    def templates(self) -> dict[str, Path]:
        """Return the files of its templates, by the names that copies of them have."""
        return {template.frozen_name: template.path for template in self._spec.templates}

    def packs(self, n_psets: int) -> bool:
        """Tell whether all small folders are packed in a run of so many psets."""
        return self._spec.pack and n_psets > MANY and not self._spec.resume

    def __call__(self, /, ctx: Folder | None = None, **values: Any) -> dict[str, Any]:
        """Run the programs for a pset, and return what is read from their output.

        Parameters
        ----------
        ctx : psyflow.work.context.Context, optional
            Knows the folder of the pset; a temporary one is taken if None.
        **values
            The pset. From `rng`, the field ``{seed}`` is drawn, unless it is a parameter.

        Raises
        ------
        CommandFailedError
            If a program fails.
        """
        if (rng := values.pop("rng", None)) is not None and "seed" not in values:
            values["seed"] = int(rng.integers(2**31))
        with folder_of(ctx) as folder:
            return Call(self._spec, folder, values).go(self._read)

    def _read(self, folder: Path) -> dict[str, Any]:
        return {} if self._parse is None else self._parse.of_folder(folder)

    def check(self, names: Collection[str], *, may_be_more: bool, source: str) -> list[str]:
        """Find out whether it can run, before it does; return what is odd about it.

        Parameters
        ----------
        names : collection of str
            The parameters.
        may_be_more : bool
            Whether a `setup` may give more.
        source : str
            The task file, for messages.

        Raises
        ------
        TaskFileError
            If it cannot: a field is no parameter, or a file is not there.
        """
        known = {"seed" if name == "rng" else name for name in names}
        if trouble := trouble_with(self._spec, known, may_be_more=may_be_more):
            raise TaskFileError(f"{source}: {trouble}")
        return remarks_on(self._spec, known)

    def absent_program(self) -> str | None:
        """Return a program that is not on this host; None if there is none, or if nobody knows."""
        spec = self._spec
        if spec.launcher is not None:
            # What follows it may be in a container.
            return program_of(spec.launcher, spec.base)
        if spec.cwd is not None and (spec.cwd.names or "$" in spec.cwd.pattern):
            return None
        here = spec.base if spec.cwd is None else spec.base / spec.cwd.render({}, expand=True)
        absent = (program_of(line, here, spec.env) for line in spec.lines)
        return next((program for program in absent if program), None)

    def counts(self) -> dict[str, str]:
        """Return what of it results depend on, by name, each as a line of code."""
        given = {name: self._told[name] for name in _COUNTS}
        usual = dict.fromkeys(_COUNTS) | {
            "files_in": (), "delimiter": "$", "ok_codes": (0,), "shell": False, "resume": (),
        }  # fmt: skip
        lines = {n: f"{n} = {_plain(v)!r}" for n, v in given.items() if v != usual[n]}
        if self._spec.version:
            found = _output_of(self._spec.version, self._spec.base)
            lines["version"] = f"version = {(self._spec.version, found)!r}"
        return lines

    def files(self) -> tuple[list[Path], list[Path]]:
        """Return the files whose content results depend on, and those that do in a study only."""
        return self._spec.files(), [*self._spec.programs]

    def __repr__(self) -> str:
        return f"Command({self._told['command']!r})"


def _plain(value: Any) -> Any:
    """Return a value of which the text is always the same."""
    if isinstance(value, Mapping):
        return {str(key): str(inner) for key, inner in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _output_of(version: str, base: Path) -> str:
    try:
        done = subprocess.run(
            shlex.split(version),
            cwd=base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UsageError(f'version="{version}" of a Command cannot be asked: {error}') from error
    return done.stdout.decode("utf-8", errors="replace").strip()
