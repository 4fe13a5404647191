from __future__ import annotations

import numpy as np
import pytest

from psyflow.store import store_for

from .conftest import SQUARE


def save(place, name: str, **columns: object) -> None:
    path = place.folder / name
    path.parent.mkdir(exist_ok=True)
    store_for(path).save(path, columns)


def load(place, name: str) -> dict[str, list[object]]:
    path = place.folder / name
    return {name: list(column) for name, column in store_for(path).load(path).items()}


@pytest.mark.parametrize("ext", [".npz", ".h5", ".pkl"])
def test_files_are_merged_in_the_order_of_their_names(place, ext):
    for number in (10, 9, 1):
        save(place, f"out/{number}{ext}", x=[number, number], y=[0.5, 1.5])
    save(place, "out/2.pkl" if ext != ".pkl" else "out/2.npz", x=[2], y=[0.0])
    (place.folder / "out" / "notes.txt").touch()
    shown = place.program("merge", "out", f"all{ext}")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == f"all{ext} has 6 rows.\n"
    assert load(place, f"all{ext}") == {"x": [1, 1, 9, 9, 10, 10], "y": [0.5, 1.5] * 3}


def test_rows_are_appended_to_an_existing_file(place):
    save(place, "out/a.npz", x=[3, 4])
    save(place, "all.npz", x=[1, 2])
    shown = place.psy("merge", "out", "all.npz")
    assert shown.stderr == "all.npz exists; rows are appended to its 2.\nall.npz has 4 rows.\n"
    assert load(place, "all.npz") == {"x": [1, 2, 3, 4]}


def test_the_merged_file_may_be_in_the_same_folder(place):
    save(place, "out/a.npz", x=[1])
    assert place.psy("merge", "out", "out/all.npz").returncode == 0
    save(place, "out/b.npz", x=[2])
    (place.folder / "out" / "a.npz").unlink()
    assert place.psy("merge", "out", "out/all.npz").returncode == 0
    assert load(place, "out/all.npz") == {"x": [1, 2]}


def test_a_damaged_file_is_named_and_the_merged_file_stays(place):
    save(place, "out/a.npz", x=[3])
    (place.folder / "out" / "b.npz").write_bytes(b"not an archive")
    save(place, "all.npz", x=[1, 2])
    shown = place.psy("merge", "out", "all.npz")
    assert shown.returncode == 3
    assert "b.npz" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert load(place, "all.npz") == {"x": [1, 2]}
    assert {path.name for path in place.folder.iterdir()} == {"out", "all.npz"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere", "all.npz"], "nowhere is not a folder"),
        (["empty", "all.npz"], "There are no .npz files in empty to merge"),
        (["empty", "no/where/all.npz"], "There is no folder no/where"),
        (["empty", "all.nbz"], 'There is no store for ".nbz" files'),
        (["empty", "all"], "A file needs an extension"),
    ],
)
def test_nothing_to_merge(place, words, expected):
    (place.folder / "empty").mkdir()
    shown = place.psy("merge", *words)
    assert shown.returncode == 2
    assert expected in shown.stderr


@pytest.mark.parametrize("folder", ["psy-work/square", "psy-work/square/out"])
def test_the_rows_of_a_run_in_part(place, folder):
    place.task("square", SQUARE.replace("x**2", "10 // (x - 2)") + "pool_size = 2\n")
    assert place.psy("run").returncode == 1
    before = {k: v for k, v in place.snapshot().items() if "psy-work" in k}
    assert place.psy("merge", folder, "part.h5").returncode == 0
    assert {k: v for k, v in place.snapshot().items() if "psy-work" in k} == before
    assert load(place, "part.h5") == {"x": [0, 1, 3], "y": [-5, -10, 10]}


def test_the_rows_of_a_run_that_is_done_and_was_moved(place):
    place.task("square", SQUARE + 'exclude_from_result = ["y"]\n')
    place.psy("run")
    place.work.rename(place.folder / "moved")
    assert place.psy("merge", "moved/square", "all.npz").returncode == 0
    merged = store_for("a.npz").load(place.folder / "all.npz")
    assert list(merged) == ["x"]
    np.testing.assert_array_equal(merged["x"], [0, 1, 2, 3])
