"""A plan as it travels to where its items are evaluated: the frozen code, space and settings."""

from __future__ import annotations

import glob
import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.record.layout import Layout, PlanLayout
from psyflow.record.plan import Plan
from psyflow.system.files import make_folder
from psyflow.system.unpacking import extract
from psyflow.tasks.programs import take_command

__all__ = ["LEASES", "STUDY", "Parcel", "pack", "unpack"]

STUDY, LEASES = "study", "leases"
_FILES = "files-of-programs"


@dataclass(frozen=True)
class Parcel:
    """A plan as bytes.

    Attributes
    ----------
    digest : str
        Of these.
    data : bytes
    """

    digest: str
    data: bytes


def pack(plan: Plan, execute: Callable[..., Any]) -> Parcel:
    """Return what workers need that see nothing of the run's folder.

    Parameters
    ----------
    plan : Plan
    execute : callable
        If it is a `Command`, its programs and files go along that are in the task folder.
    """
    frozen = plan.frozen
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        files = [frozen.plan_file, frozen.space]
        files += sorted(path for path in frozen.code.rglob("*") if path.is_file())
        for file in files:
            _add(archive, str(file.relative_to(frozen.folder)), file.read_bytes())
        if plan.needs_code:
            # That it is there says so; what it holds nobody asks for.
            _add(archive, frozen.keys.name, b"")
        base = Path(plan.task_file).parent
        for file in _files_of_programs(execute, base):
            name = f"{_FILES}/{file.relative_to(base)}"
            _add(archive, name, file.read_bytes(), file.stat().st_mode)
    data = buffer.getvalue()
    return Parcel(hashlib.blake2b(data, digest_size=16).hexdigest(), data)


def _files_of_programs(execute: Callable[..., Any], base: Path) -> list[Path]:
    command = take_command(execute)
    if command is None:
        return []
    files, programs = command.files()
    named = (found for file in [*files, *programs] for found in glob.glob(str(file)))  # noqa: PTH207
    found = {inner for path in map(Path, named) for inner in (path, *path.rglob("*"))}
    return sorted(path for path in found if path.is_file() and path.is_relative_to(base))


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def unpack(data: bytes, run_id: str, task: str, folder: Path) -> Plan:
    """Lay a plan out in a private folder, and return it as of there.

    Parameters
    ----------
    data : bytes
    run_id, task : str
        Of the plan.
    folder : Path
    """
    layout = Layout(folder / task, task, folder / task / "result")
    frozen = layout.plan(run_id)
    make_folder(frozen.folder)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        extract(archive, frozen.folder)
    plan = Plan.read(frozen.plan_file)
    assert plan is not None
    study = folder / STUDY
    if (frozen.folder / _FILES).is_dir():
        (frozen.folder / _FILES).rename(study)
    make_folder(study)
    _note_how_many_are_pending(plan, frozen)
    return replace(
        plan,
        # Paths of the study mean nothing here: its code runs in an empty folder.
        task_file=str(study / Path(plan.task_file).name),
        conf_file=plan.conf_file and str(study / Path(plan.conf_file).name),
        base=str(study),
        result=str(layout.root / Path(plan.result).name),
    )


def _note_how_many_are_pending(plan: Plan, frozen: PlanLayout) -> None:
    # Only their number is asked for.
    np.save(frozen.pending, np.zeros(plan.n_pending, dtype=np.int8))
