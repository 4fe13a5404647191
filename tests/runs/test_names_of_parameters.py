"""A result with the name of a parameter never takes that one's place without a word."""

from __future__ import annotations

import pytest

from psyflow import Param, map_pspace, map_pspace_hdd_backed, map_pspace_parallel
from psyflow.exceptions import ItemsFailedError, UnsupportedDataError
from tests.support.study import Study

BODY = """
store = "{store}"
pspace = Param(x=[1, 2, 3], v=["a", "b", "c"])
def execute(x, v):
    note(x=x)
    return {{"x": {x}, "v": {v}, "y": 10 * x}}
"""


@pytest.mark.parametrize("store", [".pkl", ".npz", ".h5"])
def test_another_value_is_refused_for_the_item_alone(study: Study, store: str) -> None:
    study.task(BODY.format(store=store, x="x if x < 3 else -x", v="v"))
    study.psy("run", code=1)
    assert list(study.load()["y"]) == [10, 20]
    assert list(study.load()["x"]) == [1, 2]
    shown = study.psy("failures").stdout
    assert 'returned -3 as "x", which is a parameter, and is 3' in shown
    assert '"x_out"' in shown


def test_the_same_value_is_fine_whatever_its_type(study: Study) -> None:
    study.task("import numpy as np\n" + BODY.format(store=".npz", x="float(x)", v="str(v)"))
    study.psy("run")
    table = study.load()
    assert table["x"].dtype.kind == "i"
    assert list(table["y"]) == [10, 20, 30]


def doubled(x: int) -> dict[str, int]:
    return {"x": 2 * x if x else x, "y": 1}


def test_maps_refuse_it_too(tmp_path) -> None:
    space = Param(x=[0, 1])
    with pytest.raises(UnsupportedDataError, match='returned 2 as "x"'):
        map_pspace(doubled, space)
    for call in (
        lambda: map_pspace_parallel(doubled, space, n_jobs=2),
        lambda: map_pspace_hdd_backed(doubled, space, tmp_path / "r.npz"),
    ):
        with pytest.raises(ItemsFailedError, match='returned 2 as "x"') as raised:
            call()
        assert [failure.item for failure in raised.value.failures] == [1]


def test_a_value_that_execute_changes_in_place_is_another(study: Study) -> None:
    study.task(
        "pspace = Param(v=[[1], [2]])\n"
        "def execute(v):\n    v.append(0)\n    return {'v': v, 'y': 1}\n"
    )
    study.psy("run", code=1)
    assert "which is a parameter" in study.psy("failures").stdout
