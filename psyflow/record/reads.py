"""Which files of the study the evaluations of a run have read, as its workers have seen it.

A plan's folder has a record of each finding, named by what is in it: workers that find the same
share one. The run's folder has a list of the files that somebody was told about.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import math
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.exceptions import PsyflowWarning
from psyflow.fingerprint import CONF_FILE, FrozenModules
from psyflow.fingerprint.files import is_in_study, study_folders
from psyflow.fingerprint.frozen import FrozenModule
from psyflow.pspace import ParameterSpace
from psyflow.pspace.paths import paths_in
from psyflow.record.layout import Layout, PlanLayout
from psyflow.record.plan import Plan
from psyflow.scheduler.profile import SITE_FILE
from psyflow.system.audit import FilesUsed, Line, watch
from psyflow.system.files import link_new, make_within, write_atomic
from psyflow.system.reading import read_whole

__all__ = [
    "files_edited",
    "forget_edited",
    "files_made",
    "files_read",
    "note_edited",
    "paths_made",
    "note_read",
    "note_told",
    "told",
    "watch_study",
]

_INSTALLED = {"site-packages", "dist-packages"}
_OF_DISTRIBUTIONS = (".dist-info", ".egg-info")


def watch_study(plan: Plan) -> FilesUsed:
    """Watch which files of the study this process uses from now on."""
    folders = study_folders(Path(plan.task_file).parent)
    return watch({*folders, *(folder.resolve() for folder in folders)}, plan.frozen.code)


def note_read(plan: Plan, used: FilesUsed) -> None:
    """Keep which files of the study were read and not written, unless that is known already.

    So are those that psets name, that count with their content, and that were made.
    """
    study = _Study(plan)
    # Copies, for threads of the user's may be at work.
    written = used.written.copy()
    lines = {path: tuple(some) for path, some in used.read.copy().items() if path not in written}
    names = {study.name_of(path) for path, some in lines.items() if study.counts(path, some)}
    made = {name for path in used.made.copy() for name in study.counted(path)}
    if names or made:
        _note(plan.frozen, {"read": sorted(names), "made": sorted(made)}, durable=False)


def note_edited(plan: PlanLayout, files: Collection[str]) -> None:
    """Keep which files were written to before a merge, by others than the task."""
    _note(plan, {"edited": sorted(files)}, durable=True)


def forget_edited(plan: PlanLayout) -> None:
    """Forget what `note_edited` has noted of a plan."""
    for file in plan.reads.glob("*.json"):
        if "edited" in _loaded(file):
            file.unlink()


def _note(plan: PlanLayout, record: Mapping[str, list[str]], *, durable: bool) -> None:
    text = json.dumps(record)
    folder = make_within(plan.folder, plan.reads.name)
    name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    link_new(folder / f"{name}.json", text.encode(), durable=durable)


class _Study:
    """Tells which files are data of a study, and names them from the task folder on."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = Path(plan.task_file).parent
        self._real_folder = os.path.realpath(self._folder)
        root = plan.layout.root
        is_inside = self._folder.is_relative_to(root.parent)
        self._runs = root if is_inside else root.parent

    @functools.cached_property
    def _frozen(self) -> Collection[FrozenModule]:
        return FrozenModules(self._plan.frozen.code, self._folder).modules.values()

    @functools.cached_property
    def _modules(self) -> set[str]:
        return {self.name_of(str(module.original)) for module in self._frozen}

    @functools.cached_property
    def _copies(self) -> dict[str, str]:
        return {str(module.copy): module.file for module in self._frozen}

    def name_of(self, path: str) -> str:
        """Return how a path is written from the task folder on, as its user sees that."""
        if Path(path).parent.name == "__pycache__":
            path = _source_of(path)
        seen = os.path.relpath(path, self._folder)
        # Where a link leads to the task folder, processes know it by its other name.
        behind = os.path.relpath(path, self._real_folder)
        return min(seen, behind, key=lambda name: Path(name).parts.count(os.pardir))

    def counted(self, path: str) -> set[str]:
        """Return by what paths the plan knows a file whose content counts; none if it does not."""
        known = {*(self._plan.contents or ()), *self._plan.stamps}
        return {path, self.name_of(path)} & known if known else known

    def counts(self, path: str, lines: Iterable[Line]) -> bool:
        """Tell whether a file is data that results may depend on."""
        if path.startswith(f"{self._runs}{os.sep}"):
            return False  # as are most: the frozen code
        name = self.name_of(path)
        is_data = self._has(name) and not self._is_known(name) and not self._is_new(name)
        return is_data and any(map(self._is_reached, lines))

    def _has(self, name: str) -> bool:
        """Tell whether it is a file of the study, not hidden, installed or that of a run."""
        path = Path(os.path.normpath(self._folder / name))
        folders = Path(name).parts[:-1]
        is_hidden = any(f.startswith(".") and f != os.pardir for f in folders)
        is_installed = not _INSTALLED.isdisjoint(folders) or path.is_relative_to(sys.prefix)
        is_of_run = path.is_relative_to(self._runs)
        is_foreign = is_hidden or is_installed or is_of_run
        return not is_foreign and is_in_study(path, self._folder) and path.is_file()

    def _is_new(self, name: str) -> bool:
        """Tell whether the run has written a file, of which there may be no other sign."""
        began = self._plan.made_by.get("time", math.inf)
        return bool((self._folder / name).stat().st_mtime > began)

    def _is_known(self, name: str) -> bool:
        is_frozen = name in self._modules or (self._plan.frozen.code / name).is_file()
        is_result = self._folder / name == self._plan.layout.result
        is_setting = Path(name).name in (CONF_FILE, SITE_FILE)
        about = any(part.endswith(_OF_DISTRIBUTIONS) for part in Path(name).parts)
        return is_frozen or is_result or is_setting or about

    def _is_reached(self, place: Line) -> bool:
        """Tell whether `execute` reaches what is in a line, or there is none."""
        file, line = place
        if not file:
            return True
        name = self._written(file)
        parts = self._plan.fingerprint.values()
        return any(_has_line(part, line) for part in parts if part["file"] == name)

    def _written(self, copy: str) -> str:
        return self._copies.get(copy, os.path.relpath(copy, self._plan.frozen.code))


def _source_of(path: str) -> str:
    try:
        return importlib.util.source_from_cache(path)
    except ValueError:
        return path  # it has no such name


def _has_line(part: Mapping[str, Any], line: int) -> bool:
    lines = part["source"].splitlines()
    return bool(part["line"] <= line < part["line"] + len(lines) and lines[line - part["line"]])


def files_read(layout: Layout) -> set[str]:
    """Return the files that workers have read, from the task folder on."""
    return _in_records(layout, "read")


def files_made(layout: Layout) -> set[str]:
    """Return the files that workers have made though their content counts, as psets name them."""
    return _in_records(layout, "made")


def paths_made(layout: Layout, space: ParameterSpace) -> set[str]:
    """Return the paths in psets of the parameters of which workers have made a file.

    All of a parameter's are if one is: workers tell of their first items only.
    """
    made = files_made(layout)
    if not made:
        return set()
    columns = space.take(np.arange(len(space))).values()
    return set().union(*(paths for paths in map(paths_in, columns) if paths & made))


def files_edited(plan: PlanLayout) -> set[str]:
    """Return the files that `note_edited` has noted of a plan, from the task folder on."""
    return _in_records_of(plan, "edited")


def _in_records(layout: Layout, kind: str) -> set[str]:
    plans = (layout.plan(folder.name) for folder in layout.plan_folders())
    return set().union(*(_in_records_of(plan, kind) for plan in plans))


def _in_records_of(plan: PlanLayout, kind: str) -> set[str]:
    records = (_loaded(file) for file in sorted(plan.reads.glob("*.json")))
    return {name for record in records for name in record.get(kind, ())}


def told(layout: Layout) -> set[str]:
    """Return the files that somebody was told about."""
    return set(_loaded(layout.told_file).get("told", ()))


def _loaded(file: Path) -> dict[str, list[str]]:
    """Load a record; an empty one if it is damaged, for there are only hints in it."""
    try:
        record = json.loads(read_whole(file))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        warnings.warn(PsyflowWarning(f"{file} is damaged: {error}."), stacklevel=2)
        return {}
    return record if isinstance(record, dict) else {}


def note_told(layout: Layout, files: Collection[str]) -> None:
    """Note that somebody was told about files."""
    # A run that cannot be written to is no worse for it.
    with contextlib.suppress(OSError):
        write_atomic(layout.told_file, json.dumps({"told": sorted(told(layout).union(files))}))
