"""What a `Command` was told, taken apart: the same for all psets."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from psyflow.command.files import FileIn, Template
from psyflow.command.render import Line, ShellLine, Text, Words
from psyflow.exceptions import UnknownNameError, UsageError

__all__ = ["Commands", "Spec", "program_of", "spec_of"]

Commands: TypeAlias = str | Sequence[str | Sequence[str]]
KEEP = ("all", "failed", "none")
_INTERPRETER = re.compile(
    r"((ba|da|k|z)?sh)|(python|pypy|perl|ruby|Rscript|julia|node|octave|lua)[\d.]*"
)
_CODE_FOLLOWS = ("-c", "-e", "-m", "-E", "--eval")
_CODE_FOLLOWS_SHELL = ("-c",)


@dataclass(frozen=True)
class Spec:
    """What a `Command` was told, taken apart.

    Attributes
    ----------
    base : Path
        The task folder: where the command was made.
    lines : tuple of Line
        One for each program that runs, in order.
    programs : tuple of Path
        The files among the programs.
    words : tuple of str
        Those of the lines that are the same for all psets, but for the programs.
    text : str
        The command as it was written.
    """

    base: Path
    lines: tuple[Line, ...]
    programs: tuple[Path, ...]
    cwd: Text | None
    env: Mapping[str, Text]
    stdin: Text | None
    files_in: tuple[FileIn, ...]
    templates: tuple[Template, ...]
    launcher: Words | None
    ok_codes: frozenset[int]
    keep: str | tuple[str, ...]
    resume: tuple[str, ...]
    pack: bool
    version: str | None
    words: tuple[str, ...]
    text: str

    @property
    def names(self) -> set[str]:
        """The parameters that stand somewhere."""
        texts = [*self.lines, *self.env.values(), *self.templates]
        texts += [entry.path for entry in self.files_in]
        texts += [text for text in (self.cwd, self.stdin, self.launcher) if text is not None]
        return {name for text in texts for name in text.names}

    def files(self) -> list[Path]:
        """Return the files and globs, besides the programs, whose content results depend on."""
        files = [entry.counts for entry in self.files_in] + [t.path for t in self.templates]
        return files + ([self.input_file] if self.input_file is not None else [])

    @property
    def input_file(self) -> Path | None:
        """The file in the task folder that is the standard input, if it is one of those."""
        if self.stdin is None or any(self.stdin.pattern == t.target for t in self.templates):
            return None
        if any(Path(self.stdin.pattern).name == e.counts.name for e in self.files_in):
            return None
        return Path(os.path.normpath(self.base / self.stdin.pattern))


def spec_of(command: Commands, base: Path, options: Mapping[str, Any]) -> Spec:
    """Take apart what a `Command` is told.

    Raises
    ------
    UsageError
        If something of it cannot be.
    """
    cwd, shell = options["cwd"], options["shell"]
    lines = [_line(part, shell=shell) for part in _commands(command)]
    here = base if cwd is None else _known_folder(base, os.fspath(cwd))
    found = [_with_files(line, here, is_own=cwd is None) for line in lines]
    templates = _mapping("templates", options["templates"])
    return Spec(
        base=base,
        lines=tuple(line for line, _ in found),
        programs=tuple(path for _, paths in found for path in paths),
        cwd=None if cwd is None else Text(os.fspath(cwd)),
        env=_variables(options["env"]),
        stdin=None if options["stdin"] is None else Text(os.fspath(options["stdin"])),
        files_in=tuple(FileIn(entry, base) for entry in _listed(options["files_in"])),
        templates=tuple(
            Template(source, target, options["delimiter"], base)
            for source, target in templates.items()
        ),
        launcher=Words(options["launcher"]) if options["launcher"] else None,
        ok_codes=_codes(options["ok_codes"]),
        keep=_keep(options["keep"]),
        resume=tuple(_listed(options["resume"])),
        pack=options["pack"],
        version=options["version"],
        words=tuple(_plain_words([line for line, _ in found])),
        text=str(command),
    )


def program_of(line: Line, base: Path, env: Mapping[str, Text] | None = None) -> str | None:
    """Return the program of a line if it can be known, and is not there; None otherwise."""
    program, search = line.plain(0), (env or {}).get("PATH")
    # A folder of PATH may be below that where the program starts, which is not there yet.
    if program is None or (search is not None and os.sep not in program and not _is_whole(search)):
        return None
    if os.sep in program:
        path = base / program
        return None if path.is_file() and os.access(path, os.X_OK) else str(path)
    folders = None if search is None else search.render({})
    return None if shutil.which(program, path=folders) else program


def _is_whole(search: Text) -> bool:
    return not search.names and all(
        part.startswith(os.sep) for part in search.render({}).split(os.pathsep)
    )


def _commands(command: Commands) -> Sequence[str | Sequence[str]]:
    if isinstance(command, str):
        return [command]
    if not isinstance(command, Sequence) or not command:
        raise UsageError(
            "A Command is text, such as './sim --n {n}', or a list of commands that run in order, "
            f"each of them text or a list of words; not {command!r}."
        )
    return command


def _line(command: str | Sequence[str], *, shell: bool) -> Line:
    return ShellLine(command) if shell else Words(command)  # type: ignore[arg-type]


def _known_folder(base: Path, cwd: str) -> Path | None:
    """Return where programs start, if that is the same for all psets and all hosts."""
    text = Text(cwd)
    return None if text.names or "$" in cwd else base / text.render({}, expand=True)


def _with_files(line: Line, here: Path | None, *, is_own: bool) -> tuple[Line, list[Path]]:
    """Find the files among the first words: the program, or what an interpreter runs.

    Where each pset has a folder of its own, their words become whole paths: nothing of that name
    is there.
    """
    if not isinstance(line, Words) or here is None:
        return line, []
    words, files = list(line.words), []
    for index in _of_files(line, here):
        path = Path(os.path.normpath(here / str(line.plain(index))))
        files.append(path)
        if is_own:
            words[index] = (str(path),)
    return Words.of(words), files


def _of_files(line: Words, here: Path) -> list[int]:
    program = line.plain(0)
    if program is None:
        return []
    if os.sep in program:
        return [0]
    if (found := _INTERPRETER.fullmatch(program)) is None:
        return []
    code = _CODE_FOLLOWS_SHELL if found.group(1) else _CODE_FOLLOWS
    for index in range(1, len(line.words)):
        word = line.plain(index)
        if word is None or word in code:
            return []
        if not word.startswith("-"):
            return [index] if (here / word).is_file() else []
    return []


def _plain_words(lines: Sequence[Line]) -> list[str]:
    """Return the words after the programs that are the same for all psets."""
    words = [
        line.plain(i)
        for line in lines
        if isinstance(line, Words)
        for i in range(1, len(line.words))
    ]
    return [word for word in words if word is not None]


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"`{name}` of a Command is a dict, not {value!r}.")
    return value


def _variables(env: Any) -> dict[str, Text]:
    variables = _mapping("env", env)
    for name, value in variables.items():
        if not isinstance(name, str) or not name or {*name} & {"=", "\0"}:
            raise UsageError(f"`env` of a Command: {name!r} is no name of a variable.")
        if value is None:
            raise UsageError(f"`env` of a Command: {name} is None, and a variable is text.")
    return {name: Text(str(value)) for name, value in variables.items()}


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str | os.PathLike) else list(value)


def _codes(value: Any) -> frozenset[int]:
    codes = frozenset([value] if isinstance(value, int) else value)
    if not codes or not all(isinstance(code, int) and 0 <= code <= 255 for code in codes):
        raise UsageError(f"`ok_codes` of a Command are exit codes from 0 to 255, not {value!r}.")
    return codes


def _keep(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value not in KEEP and not set(value) & set("*?[./"):
        raise UsageError(
            f"{UnknownNameError('value of `keep`', value, KEEP)} Or patterns of files, "
            'such as ["*.log"].'
        )
    return value if value in KEEP else tuple(_listed(value))
