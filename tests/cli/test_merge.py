from __future__ import annotations

import numpy as np
import pytest

from psyflow.store import store_for
from tests.support.place import SQUARE


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


def test_merging_again_changes_nothing(place):
    save(place, "out/a.npz", x=[1, 1, 2], y=[5, 5, 6])
    save(place, "all.npz", x=[0], y=[4])
    for _ in range(2):
        place.psy("merge", "out", "all.npz")
        assert load(place, "all.npz") == {"x": [0, 1, 1, 2], "y": [4, 5, 5, 6]}


def test_replacing_keeps_no_row_of_before(place):
    save(place, "out/a.npz", x=[1])
    save(place, "all.npz", x=[0])
    assert place.psy("merge", "--replace", "out", "all.npz").returncode == 0
    assert load(place, "all.npz") == {"x": [1]}


def test_runs_are_gathered_and_the_newest_row_of_a_pset_stays(place):
    repeated = SQUARE.replace("range(4)", "[7, 7, 8]")
    for name, source in (("a", SQUARE), ("b", repeated)):
        place.task(name, source)
    place.psy("run")
    for name in ("a", "b", "b", "a"):
        place.psy("merge", f"psy-work/{name}", "all.pkl")
    assert load(place, "all.pkl") == {"x": [7, 7, 8, 0, 1, 2, 3], "y": [49, 49, 64, 0, 1, 4, 9]}
    place.task("a", SQUARE.replace("x**2", "-x").replace("range(4)", "[3, 4]"))
    place.psy("run", "a")
    place.psy("merge", "psy-work/a", "all.pkl")
    assert load(place, "all.pkl")["y"] == [49, 49, 64, 0, 1, 4, -3, -4]


def test_run_with_an_output_left_out(place):
    place.task("a", "exclude_from_result = ['big']\n" + SQUARE.replace("}", ', "big": [x]}'))
    place.psy("run")
    assert place.psy("merge", "psy-work/a", "all.pkl").returncode == 0
    assert load(place, "all.pkl") == {"x": [0, 1, 2, 3], "y": [0, 1, 4, 9]}


def test_run_with_a_store_of_its_own(place):
    store = """
import json
class Rows:
    ext = ".rows"
    def save(self, filename, data):
        with open(filename, "w") as file:
            json.dump({name: list(column) for name, column in data.items()}, file)
    def load(self, filename, row=None):
        with open(filename) as file:
            return json.load(file)
store = Rows()
"""
    place.task("a", store + SQUARE)
    place.psy("run")
    shown = place.psy("merge", "psy-work/a", "all.pkl")
    assert (shown.returncode, shown.stderr) == (0, "all.pkl has 4 rows.\n")
    assert load(place, "all.pkl") == {"x": [0, 1, 2, 3], "y": [0, 1, 4, 9]}
