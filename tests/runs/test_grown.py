"""A space that changed somewhere: only what is new runs, whatever its bookkeeping has suffered."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.study import Study

BODY = """
store = "{store}"
pspace = {space}
def execute(a, b=0):
    note(a=a, b=b)
    return {{"y": 10 * a + b}}
"""
GRID = "Param(a=range(3)) * Param(b=range(3))"
GROWN = {
    "Param(a=range(4)) * Param(b=range(3))": 3,
    "Param(a=range(-1, 3)) * Param(b=range(3))": 3,
    "Param(a=range(3)) * Param(b=range(4))": 3,
    "Param(a=range(3)) * Param(b=[0, 1, 7, 2])": 3,
    f"{GRID} + Param(a=[7], b=[7])": 1,
    f"Param(a=[7], b=[7]) + {GRID}": 1,
    "Param(b=range(3)) * Param(a=range(4))": 3,
}
STORES = [".npz", ".h5", ".pkl"]


def write(study: Study, space: str, store: str = ".npz") -> None:
    study.task(BODY.format(space=space, store=store))


@pytest.mark.parametrize(
    ("space", "n_new", "store"),
    [(space, n, STORES[i % 3]) for i, (space, n) in enumerate(GROWN.items())],
)
def test_only_what_is_new_runs_wherever_a_space_grew(
    study: Study, space: str, n_new: int, store: str
) -> None:
    write(study, GRID, store)
    study.psy("run")
    study.calls()
    write(study, space, store)
    assert f"9 done, {n_new} new" in study.psy("why").stdout
    study.psy("run")
    assert len(study.calls()) == n_new
    table = study.load()
    expected = [10 * a + b for a, b in zip(table["a"], table["b"], strict=True)]
    assert list(table["y"]) == expected


@pytest.mark.parametrize("column", ["key", "duration"])
def test_no_row_is_lost_with_a_part_of_the_bookkeeping(study: Study, column: str) -> None:
    write(study, GRID)
    study.psy("run")
    study.calls()
    items_file = study.work / "t" / "items.npz"
    _damage(items_file, f"{column}.npy")
    write(study, f"{GRID} + Param(a=[7], b=[7])")
    study.psy("run")
    assert study.calls() == ["[('a', 7), ('b', 7)]"]
    assert list(study.load()["y"]) == [0, 1, 2, 10, 11, 12, 20, 21, 22, 77]


def _damage(archive: Path, entry: str) -> None:
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo(entry)
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 30 + len(entry) + info.file_size] ^= 1
    archive.write_bytes(data)
