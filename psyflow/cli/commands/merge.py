"""``psy merge``: put result files, or the shards of a run, together into one file."""

from __future__ import annotations

import dataclasses
import itertools
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from psyflow.cli.output import OK, say, shown_path
from psyflow.columns import Columns, unpacked
from psyflow.exceptions import UsageError
from psyflow.files import TEMPORARY_MARK
from psyflow.plan import Plan
from psyflow.sources import recover
from psyflow.steps import MergedTable
from psyflow.store import Store, store_for

__all__ = ["execute"]

ATTEMPTS = 5
ROWS_PER_BLOCK = 1 << 13


def execute(arguments: Namespace) -> int:
    """Put all rows of a folder below those of a file."""
    source, target = Path(arguments.directory), Path(arguments.merged)
    store = store_for(target)
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent} to put {target.name} in.")
    run_folder = _run_folder(source)
    if run_folder is None:
        _merge_files(_result_files(source, target), store, target)
    else:
        _merge_run(run_folder, store, target)
    say(f"{shown_path(target)} has {store.length(target)} rows.")
    return OK


def _run_folder(source: Path) -> Path | None:
    """Return the run's folder if `source` is one, or the shards' folder in one."""
    for folder in (source, source.absolute().parent):
        if (folder / "plan.json").is_file() and source.name in (folder.name, "out"):
            return folder
    return None


def _result_files(source: Path, target: Path) -> list[Path]:
    """Return the files to merge; the numbers in their names are compared as numbers."""
    ext = target.suffix.lower()
    found = [
        path
        for path in source.iterdir()
        if path.suffix.lower() == ext
        and path.is_file()
        and not path.name.startswith(TEMPORARY_MARK)
        and not (target.exists() and path.samefile(target))
    ]
    if not found:
        raise UsageError(f"There are no {ext} files in {source} to merge.")
    return sorted(found, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts ``"9.npz"`` before ``"10.npz"``.

    Examples
    --------
    >>> sorted(["10.npz", "9.npz", "a.npz"], key=_natural)
    ['9.npz', '10.npz', 'a.npz']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _merge_files(files: Iterable[Path], store: Store, target: Path) -> None:
    _put(store, target, itertools.chain.from_iterable(_blocks(store, file) for file in files))


def _merge_run(folder: Path, store: Store, target: Path) -> None:
    for _ in range(ATTEMPTS):
        try:
            _put(store, target, _rows_so_far(folder))
            return
        except FileNotFoundError as error:
            # The run has ended meanwhile: its shards are in its result now.
            missing = error
    raise missing


def _rows_so_far(folder: Path) -> Iterator[Columns]:
    """Yield parameters and outputs of what is done, in item order."""
    plan = _plan_in(folder)
    frozen = plan.load_space()
    earlier = store_for(plan.result)
    recovered = recover(plan.layout, frozen, earlier, verify=True)
    yield from map(unpacked, MergedTable(recovered, frozen, frozenset(plan.exclude)).blocks())


def _plan_in(folder: Path) -> Plan:
    """Read the plan of a run, whose folder may have been moved since."""
    plan = Plan.read(folder / "plan.json")
    assert plan is not None
    root, result = folder.absolute(), Path(plan.result)
    if result.is_relative_to(plan.root):
        result = root / result.relative_to(plan.root)
    return dataclasses.replace(plan, root=str(root), result=str(result))


def _put(store: Store, target: Path, blocks: Iterable[Columns]) -> None:
    """Make `target` hold its rows and those of `blocks`, as one step."""
    before: Iterable[Columns] = ()
    if target.exists():
        before = _blocks(store, target)
        say(f"{shown_path(target)} exists; rows are appended to its {store.length(target)}.")
    store.write(target, itertools.chain(before, blocks))


def _blocks(store: Store, file: Path) -> Iterator[Columns]:
    # A store that cannot read some rows reads all of them, so that has to happen once only.
    if type(store).read is Store.read:
        yield store.load(file)
        return
    for start in range(0, store.length(file), ROWS_PER_BLOCK):
        yield store.read(file, start, start + ROWS_PER_BLOCK)
