"""Frozen copies of a task's code, those of own modules outside the task folder among them.

Copies of files in the task folder lie as the files do. The others lie in a folder of their own, by
dotted names, with a list that says what they are copies of. Beside them is an archive of
*stand-ins*, for processes that know nothing of psyflow's import hooks; see `psyflow.standin`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.modules import LocalModule
from psyflow.fingerprint.origins import Origin
from psyflow.system.files import make_folder, write_atomic
from psyflow.system.reading import read_whole

__all__ = [
    "STAND_INS",
    "FrozenModule",
    "FrozenModules",
    "copies_in",
    "freeze_modules",
    "name_of",
    "write_stand_ins",
]

_COMPILED = {f".{suffix.rpartition('.')[2]}" for suffix in EXTENSION_SUFFIXES}
_FOLDER = "own-code"  # no module can have a name with a hyphen
_LIST = "modules.json"
STAND_INS = "stand-ins.zip"
_STAND_IN = b"from psyflow.standin import take_place\n\ntake_place(__name__, __file__)\n"


@dataclass(frozen=True)
class FrozenModule:
    """The copy of a module from outside the task folder.

    Attributes
    ----------
    copy, original : pathlib.Path
        Their files, absolute.
    file : str
        How the original is called in records.
    """

    copy: Path
    original: Path
    file: str


class FrozenModules:
    """The own modules outside the task folder of which there are frozen copies.

    Parameters
    ----------
    code : pathlib.Path
        The folder with the frozen code.
    folder : pathlib.Path
        The task folder.
    """

    def __init__(self, code: Path, folder: Path) -> None:
        record = code / _FOLDER / _LIST
        # Without the list, nothing was outside, or the plan is of a psyflow that froze none.
        self.are_listed = record.is_file()
        self.modules = _read(record, folder) if self.are_listed else {}

    def find(self, name: str) -> Origin | None:
        """Return where the frozen copy of the module is, None if there is none."""
        module = self.modules.get(name)
        return Origin(module.copy, module.file) if module else None

    def inside(self, name: str) -> Iterator[str]:
        """Give the dotted names of all frozen modules inside a package."""
        return (inner for inner in self.modules if inner.startswith(f"{name}."))


def copies_in(code: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the copies of sources that are frozen in `code`, and of which files they are.

    Parameters
    ----------
    code : pathlib.Path
    folder : pathlib.Path
        The task folder.
    """
    for module in FrozenModules(code, folder).modules.values():
        yield module.copy, module.original
    for copy in code.rglob("*.py"):
        if not copy.is_relative_to(code / _FOLDER):
            yield copy, folder / copy.relative_to(code)


def freeze_modules(modules: Iterable[LocalModule], code: Path) -> None:
    """Copy own modules from outside the task folder to the folder with the frozen code."""
    entries = {}
    for module in modules:
        copy = Path(*module.name.split("."))
        is_package = module.path.name.startswith("__init__.")
        suffixes = module.path.name.partition(".")[2]
        copy = copy / module.path.name if is_package else copy.with_name(f"{copy.name}.{suffixes}")
        make_folder((code / _FOLDER / copy).parent)
        write_atomic(code / _FOLDER / copy, module.source)
        entries[module.name] = {"copy": copy.as_posix(), "original": module.original}
    if entries:
        text = json.dumps(entries, indent=1, sort_keys=True)
        write_atomic(code / _FOLDER / _LIST, text)


def write_stand_ins(code: Path) -> None:
    """Write a module for each outermost one with a frozen copy, which will take its place.

    They are in one archive, for a file each would be as many more to bring to the disk.
    """
    import zipfile  # slow, and only a run that begins needs it

    names = {n for folder in (code, code / _FOLDER) for n in _outermost(folder)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in sorted(names):
            file.writestr(zipfile.ZipInfo(f"{name}.py"), _STAND_IN)
    write_atomic(code / STAND_INS, archive.getvalue())


def _outermost(folder: Path) -> Iterator[str]:
    """Give the names of the modules in a folder, and of the packages that are no mere folders."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.suffix == ".py":
            yield name_of(entry)
        elif entry.suffix in _COMPILED or any(entry.glob("__init__.*")):
            yield entry.name.partition(".")[0]


def name_of(path: Path) -> str:
    """Return the name of the module that a file is.

    Examples
    --------
    >>> name_of(Path("psy-tasks/task_circle.py")), name_of(Path("psy-tasks/psy-conf.py"))
    ('task_circle', 'psy-conf')
    """
    # A dot would make it a part of a package.
    return path.stem.replace(".", "_")


def _read(record: Path, folder: Path) -> dict[str, FrozenModule]:
    try:
        entries = json.loads(read_whole(record))
        return {
            name: FrozenModule(
                copy=record.parent / entry["copy"],
                original=Path(os.path.normpath(folder / entry["original"])),
                file=entry["original"],
            )
            for name, entry in entries.items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise TaskFileError(
            f'"{record}", the list of frozen modules, is damaged ({error}). The jobs of this run '
            "cannot go on. Type: psy run"
        ) from error
