"""Folders with a task, for `psy run` to be measured in."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.measure import Contender

STORES = ("PickleStore", "NpzStore", "H5Store")

_SQUARE = """\
from psyflow import {store}, Param

pspace = Param(x=range({n}))
pool_size = 2
store = {store}()


def execute(x):
    return {{"y": x**2}}
"""


def square(environment: Environment, name: str, n: int, store: str) -> Path:
    """Make a folder with the task `square` over `n` psets, and return it."""
    return study(environment, name, square_text(n, store))


def square_text(n: int, store: str) -> str:
    """Return the task file `square` over `n` psets."""
    return _SQUARE.format(n=n, store=store)


def study(environment: Environment, name: str, text: str) -> Path:
    """Make a folder with the task `study`, and return it."""
    folder = environment.folder(name)
    (folder / "psy-tasks").mkdir()
    (folder / "psy-tasks" / "task_study.py").write_text(text)
    return folder


def cold_run(environment: Environment, folder: Path) -> Contender:
    """Return `psy run` in `folder`, as if for the first time."""
    return Contender(
        [[environment.psy, "run"]],
        folder,
        before=lambda: set_aside(folder / "psy-work"),
    )


def merged_anew(environment: Environment, folder: Path) -> Contender:
    """Return the merge step in `folder`, of the shards in its folder ``kept``."""
    merge = environment.program("merge.py")
    return Contender([merge], folder, before=lambda: undo_merge(folder))


def undo_merge(folder: Path) -> None:
    """Have the shards in the folder ``kept`` of `folder` where they were before the merge."""
    work = folder / "psy-work" / "study"
    for made in (*work.glob("result*"), *work.glob("items*.npz"), *work.glob("out/*")):
        made.unlink()
    for shard in (folder / "kept").iterdir():
        os.link(shard, work / "out" / shard.name)


def emptied(folder: Path) -> None:
    """Make `folder` an empty one."""
    set_aside(folder)
    folder.mkdir(parents=True)


def set_aside(path: Path) -> None:
    """Give `path`, if it is there, another name.

    It is not removed: shortly after thousands of files were removed, peers that make a file per
    item took two to five times as long (on ext4, which avoids inodes that were just freed).
    """
    if path.exists():
        path.rename(path.with_name(f"{path.name}.{uuid.uuid4().hex}"))
