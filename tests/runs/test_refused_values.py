"""What a store cannot hold fails alone, and is kept for another store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psyflow
from psyflow.exceptions import UnsupportedDataError
from psyflow.outcomes.reading import read_outcomes
from psyflow.outcomes.records import Rows
from psyflow.outcomes.shard import REFUSED, ROWS, ShardReader, ShardWriter
from psyflow.store import H5Store, NpzStore, PickleStore, Store
from psyflow.store.holding import Holding
from psyflow.work.acceptance import Acceptance, RefusedError
from tests.support.study import Study

BODY = """
store = "{store}"
{settings}
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    return {{"x2": 2 * x, "y": {y}}}
"""


def write(study: Study, store: str, y: str, n: int = 8, settings: str = "") -> None:
    study.task(BODY.format(store=store, y=y, n=n, settings=settings))


def test_one_value_of_many_fails_alone_and_another_store_only_merges_it(study: Study) -> None:
    y = "2**70 if x == 3 else np.zeros(2, object) if x == 5 else x"
    write(study, ".npz", y, settings="import numpy as np")
    study.psy("run", code=1)
    assert list(study.load()["x"]) == [0, 1, 2, 4, 6, 7]
    shown = " ".join(study.psy("failures").stdout.split())
    assert "It is kept: with another store, `psy run` only merges it." in shown
    assert len(study.calls()) == 8
    write(study, ".h5", y, settings="import numpy as np")
    assert "6 out of 8 rows" in study.psy("status").stdout
    write(study, ".pkl", y, settings="import numpy as np")
    assert "8 out of 8 rows" in study.psy("status").stdout
    assert study.executed(study.psy("run").stdout) == ["t:merge"]
    assert study.calls() == []
    table = study.load()
    assert table["x"] == list(range(8))
    assert table["y"][3] == 2**70 and table["y"][5].dtype == object


def test_a_run_ends_early_if_the_store_holds_none_of_the_first_results(study: Study) -> None:
    write(study, ".npz", "{1: x}", n=100)
    assert "none of the first results can be kept" in study.psy("run", code=1).stderr
    assert "store = PickleStore()" in study.psy("failures").stdout
    assert sorted(study.calls()) == [f"[('x', {x})]" for x in range(3)]
    write(study, ".npz", "{1: x}", n=100, settings='exclude_from_result = ["y"]')
    study.psy("run")
    assert len(study.calls()) == 97
    assert sorted(study.load()) == ["x", "x2"]


@pytest.mark.parametrize("store", [".npz", ".h5"])
def test_what_cannot_be_in_one_column_with_the_others_is_left_out_alone(
    study: Study, store: str
) -> None:
    y = "'bad' if x == 3 else [x] if x == 5 else None if x == 6 else 0.5 * x"
    write(study, store, y)
    said = study.psy("run", code=1).stderr
    assert "2 rows are left out, the first with {'x': 3}" in said
    assert 'Column "y" mixes float and str' in said and "store = PickleStore()" in said
    assert len(study.calls()) == 8
    merged = psyflow.load(study.folder / "psy-work" / "t" / f"result{store}")
    assert merged["x"].tolist() == [0, 1, 2, 4, 6, 7]
    # Nothing is lost, and nothing runs again for it.
    assert list(study.load()["y"]) == [0.0, 0.5, 1.0, "bad", 2.0, [5], None, 3.5]
    study.psy("run", code=1)
    write(study, ".pkl", y)
    assert study.executed(study.psy("run").stdout) == ["t:merge"]
    assert study.calls() == []
    assert list(study.load()["y"])[3] == "bad"


def test_rows_that_are_merged_are_never_left_out_for_those_that_come(study: Study) -> None:
    y = "x if x < 2 else str(x)"
    write(study, ".npz", y, n=2)
    study.psy("run")
    write(study, ".npz", y, n=9)
    assert "7 rows are left out" in study.psy("run", code=1).stderr
    assert list(study.load()["y"]) == [0, 1, *map(str, range(2, 9))]
    merged = psyflow.load(study.folder / "psy-work" / "t" / "result.npz")
    assert merged["y"].tolist() == [0, 1]


def test_parameters_that_cannot_be_in_one_column_are_said_and_nothing_is_left_out(
    study: Study,
) -> None:
    study.task(
        "store = '.npz'\npspace = Param(x=[1, 'a'])\ndef execute(x):\n    return {'y': 1}\n"
    )
    assert 'Column "x" mixes' in study.psy("run", code=3).stderr
    assert list(study.load()["x"]) == [1, "a"]


def test_a_run_goes_on_if_another_worker_has_a_row(study: Study) -> None:
    # The worker that has item 0 waits for the row of item 1, which is written half a second later.
    y = "1 if x == 1 else {1: written(x)}"
    written = """
pool_size = 2
def written(x):
    while x == 0 and not any(b"psyrow" in p.read_bytes() for p in OUT.glob("*.rows")):
        time.sleep(0.01)
    return x
OUT = Path(__file__).parents[1] / "psy-work" / "t" / "out"
"""
    write(study, ".npz", y, n=12, settings=written)
    study.psy("run", code=1)
    assert len(study.calls()) == 12
    assert list(study.load()["x"]) == [1]


# ------------------------------------------------------------------- frames of refused rows


def rows(item: int, refused_by: str = "", **row: Any) -> Rows:
    one = np.zeros(1)
    columns = {name: [value] for name, value in row.items()}
    attempt = np.ones(1, np.int16)
    return Rows(np.array([item]), columns, one, one, attempt, "host", 1, refused_by=refused_by)


def test_a_worker_may_die_between_refused_rows_and_their_failure(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.rows") as writer:
        writer.write_rows(rows(0, y=1))
        writer.write_rows(rows(1, "NpzStore()", y={}))
    plain = read_outcomes([tmp_path / "a.rows"])
    assert [piece.items.tolist() for piece in plain.pieces] == [[0]]
    assert plain.failed.tolist() == []
    taken = read_outcomes([tmp_path / "a.rows"], takes=lambda reader, frame: True)
    assert [piece.items.tolist() for piece in taken.pieces] == [[0], [1]]
    assert taken.pieces[1].read().columns == {"y": [{}]}


def test_refused_rows_are_of_a_format_that_an_earlier_psyflow_names(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.rows") as writer:
        writer.write_rows(rows(0, y=1))
        writer.write_rows(rows(1, "H5Store(node='/ö')", y={}))
    reader = ShardReader(tmp_path / "a.rows")
    frames = reader.new_frames()
    assert [frame.kind for frame in frames] == [ROWS, REFUSED]
    assert reader.refused_by(frames[1]) == "H5Store(node='/ö')"
    data = (tmp_path / "a.rows").read_bytes()
    starts = [i for i in range(len(data)) if data.startswith(b"\x89psyrow\n", i)]
    assert [data[i + 8] for i in starts] == [4, 4]


@pytest.mark.parametrize("store", [NpzStore(), H5Store()])
def test_who_refuses_what_has_a_name_of_its_own(store: Store) -> None:
    names = {Holding(s, e).name for s in (store, PickleStore()) for e in ([], ["y"], ["x", "y"])}
    assert len(names) == 6
    assert Holding(store, {"y", "x"}).name == Holding(store, ["x", "y"]).name


def test_a_value_that_cannot_be_pickled_is_refused_as_such() -> None:
    acceptance = Acceptance(PickleStore().check)
    with pytest.raises(UnsupportedDataError, match=r'as "y".*cannot be kept'):
        acceptance.taken(("y", type(print)), {"y": lambda: 1}, {})
    with pytest.raises(RefusedError, match="type dict"):
        Acceptance(NpzStore().check).taken(("y", dict), {"y": {}}, {})
    with pytest.raises(UnsupportedDataError, match="parameter"):
        acceptance.taken(("y", int), {"y": 1}, {"y": 2})
