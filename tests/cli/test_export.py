from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pandas
import pytest
import xarray
from pyarrow import feather, parquet

from psyflow.store import store_for

LIF = """
import numpy as np
from psyflow import Param
pspace = Param(a=[1, 2]) * Param(b=[0.1, 0.2, 0.3])
def execute(a, b):
    return {"y": a * b / 3, "trace": np.arange(4) * b}
"""
HARD = """
from psyflow import Param
pspace = Param(a=[1, 2])
class Thing:
    pass
def execute(a):
    return {"y": a, "thing": Thing(), "z": 1 + 2j, "mixed": "x" if a == 1 else 2}
"""


@pytest.fixture
def lif(place):
    place.task("lif", LIF)
    assert place.psy("run").returncode == 0
    return place


@pytest.mark.parametrize("ext", ["csv", "tsv", "json", "jsonl", "md", "tex"])
def test_text_is_what_show_prints(lif, ext):
    done = lif.psy("export", "lif", f"t.{ext}", "--where", "a=2", "--sort", "-b")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(f"3 rows of 4 columns in t.{ext}.\n")
    shown = lif.psy("show", "lif", "-f", ext, "--where", "a=2", "--sort", "-b")
    assert (lif.folder / f"t.{ext}").read_bytes().decode() == shown.stdout


@pytest.mark.parametrize("ext", ["csv", "parquet", "arrow", "nc", "h5", "npz", "pkl", "json"])
def test_other_libraries_read_the_same_numbers(lif, ext):
    path = lif.folder / f"T.{ext.upper() if ext == 'npz' else ext}"
    done = lif.psy("export", "lif", str(path))
    assert done.returncode == 0, done.stderr
    a, b = np.meshgrid([1, 2], [0.1, 0.2, 0.3], indexing="ij")
    y = a * b / 3
    trace = np.arange(4) * b.reshape(-1, 1)
    if ext == "nc":
        with xarray.open_dataset(path) as found:
            assert found.sizes["a"] == 2 and found.sizes["b"] == 3
            np.testing.assert_array_equal(found["y"], y)
            np.testing.assert_array_equal(found["trace"].to_numpy().reshape(6, 4), trace)
        return
    read = {
        "csv": pandas.read_csv,
        "json": lambda path: pandas.read_json(path, precise_float=True),
        "parquet": pandas.read_parquet,
        "arrow": pandas.read_feather,
    }.get(ext, lambda path: pandas.DataFrame({n: list(c) for n, c in store(path).items()}))
    found = read(path)
    np.testing.assert_array_equal(found["y"], y.ravel())
    texts = found["trace"]
    arrays = [json.loads(t) if isinstance(t, str) else t for t in texts]
    np.testing.assert_array_equal(np.array([list(array) for array in arrays]), trace)


def store(path):
    return store_for(path).load(path)


def test_arrays_in_parquet_are_lists_of_fixed_size_and_it_says_whose_rows_they_are(lif):
    lif.psy("export", "lif", "t.parquet")
    schema = parquet.read_schema(lif.folder / "t.parquet")
    assert str(schema.field("trace").type) == "fixed_size_list<element: double>[4]"
    assert schema.metadata[b"psyflow.task"] == b"lif" and schema.metadata[b"psyflow.run"]
    lif.psy("export", "lif", "t.arrow")
    assert feather.read_table(lif.folder / "t.arrow").schema.metadata[b"psyflow.task"] == b"lif"


def test_every_repetition_is_exported_unless_groups_are_named(place):
    place.task(
        "t",
        "from psyflow import Param\npspace = Param(a=[1, 2]) * Param(repeat=range(3))\n"
        "def execute(a, repeat):\n    return {'y': a + repeat}\n",
    )
    place.psy("run")
    assert place.psy("export", "t", "all.csv").returncode == 0
    assert place.psy("export", "t", "means.csv", "--by", "a").returncode == 0
    assert len((place.folder / "all.csv").read_text().splitlines()) == 7
    rows = list(csv.DictReader(io.StringIO((place.folder / "means.csv").read_text())))
    assert [row["y_mean"] for row in rows] == ["2.0", "3.0"] and rows[0]["y_n"] == "3"


def test_an_export_replaces_an_earlier_one(lif):
    for condition in ("a=1", "a=2"):
        assert lif.psy("export", "lif", "t.csv", "--where", condition).returncode == 0
    rows = list(csv.DictReader(io.StringIO((lif.folder / "t.csv").read_text())))
    assert [row["a"] for row in rows] == ["2"] * 3
    assert {path.name for path in lif.folder.iterdir()} == {"psy-tasks", "psy-work", "t.csv"}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            "t.xlsx",
            'There is no format of a file ".xlsx". Known: .arrow, .csv, .h5, .json, .jsonl',
        ),
        ("t.parqet", 'Did you mean ".parquet"?'),
        ("t", 'There is no format of a file "t"'),
        ("nowhere/t.csv", "There is no folder nowhere for t.csv."),
        ("psy-work/lif/result.pkl", "psyflow's own"),
        ("psy-work/t.csv", "psyflow's own"),
        ("link.pkl", "psyflow's own"),
    ],
)
def test_where_nothing_may_be_written_nothing_is(lif, file, said):
    (lif.folder / "link.pkl").symlink_to(lif.work / "lif" / "result.pkl")
    before = lif.snapshot()
    done = lif.psy("export", "lif", file)
    assert done.returncode == 2 and said in done.stderr
    assert lif.snapshot() == before


def test_results_outside_of_the_work_folder_are_not_replaced_either(place):
    place.task("t", LIF + 'resultfile = "kept.npz"\nstore = ".npz"\n')
    assert place.psy("run").returncode == 0
    before = place.snapshot()
    done = place.psy("export", "t", "kept.npz")
    assert done.returncode == 2 and "psyflow's own" in done.stderr
    shutil.copytree(place.work / "t", place.folder / "sent")
    done = place.psy("export", "kept.npz", "kept.npz")
    assert done.returncode == 2
    assert {k: v for k, v in place.snapshot().items() if k in before and "." in k} == {
        k: v for k, v in before.items() if "." in k
    }


@pytest.mark.parametrize(
    ("ext", "column"),
    [("csv", "thing"), ("json", "thing"), ("parquet", "thing"), ("nc", "thing"), ("npz", "thing")],
)
def test_what_a_format_cannot_hold_is_named_before_anything_is_written(place, ext, column):
    place.task("hard", HARD)
    place.psy("run")
    (place.folder / f"t.{ext}").write_text("as it was")
    before = place.snapshot()
    done = place.psy("export", "hard", f"t.{ext}")
    assert done.returncode == 3 and column in done.stderr and "Traceback" not in done.stderr
    assert place.snapshot() == before
    assert place.psy("export", "hard", f"t.{ext}", "--columns", "a,y").returncode == 0


def test_no_rows_no_file(place):
    place.task("t", LIF.replace("    return", "    assert a == 3\n    return"))
    assert place.psy("export", "t", "t.csv").returncode == 2
    place.psy("run")
    done = place.psy("export", "t", "t.csv")
    assert done.returncode == 1 and "6 of 6 items failed" in done.stderr
    assert not (place.folder / "t.csv").exists()


def test_of_a_copy_without_task_files(lif, tmp_path):
    shutil.copytree(lif.work / "lif", tmp_path / "sent")
    shutil.rmtree(lif.folder / "psy-tasks")
    shutil.rmtree(lif.work)
    assert lif.psy("export", "sent", "t.csv").returncode == 0
    assert lif.psy("export", "sent", "sent/t.csv").returncode == 2
