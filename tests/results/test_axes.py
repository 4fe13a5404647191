"""Results as datasets of xarray: along the axes of the space, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import psyflow
from psyflow import Param, ParameterSpace
from psyflow.exceptions import UsageError
from psyflow.results import Results
from psyflow.results.convert.axes import Places
from psyflow.results.glance import Glance
from psyflow.results.meaning import Meaning
from tests.support.study import Study


class OfSpace(Glance):
    """What is known of a run, of which there is nothing but the space."""

    def __init__(self, space: ParameterSpace) -> None:
        self._space = space

    @property
    def n_items(self) -> int:
        return len(self._space)

    @property
    def n_done(self) -> int:
        return len(self._space)

    @property
    def space(self) -> ParameterSpace:
        return self._space

    def attributes(self) -> dict[str, Any]:
        return {"task": "t"}


def computed(space: ParameterSpace, missing: tuple[int, ...] = (), **outputs: Any) -> Results:
    """Return what a run of a space gives: each item's number as ``y``."""
    items = np.setdiff1d(np.arange(len(space)), missing)
    columns = {**space.take(items), "y": items, **outputs}
    return Results(columns, parameters=space.keys(), glance=OfSpace(space), places=Places(items))


def cells(dataset: xr.Dataset, names: list[str]) -> list[tuple[Any, ...]]:
    """Return the values of each cell that is done, sorted."""
    chosen = [dataset[name].broadcast_like(dataset["done"]) for name in names]
    is_done = dataset["done"].to_numpy()
    columns = [c.transpose(*dataset["done"].dims).to_numpy()[is_done].tolist() for c in chosen]
    return sorted(zip(*columns, strict=True), key=repr)


def rows(results: Results, names: list[str]) -> list[tuple[Any, ...]]:
    columns = [np.asarray(results[name]).tolist() for name in names]
    return sorted(zip(*columns, strict=True), key=repr)


# -- what the dimensions are ----------------------------------------------------------------------


def test_the_factors_of_a_product_are_the_dimensions() -> None:
    dataset = computed(Param(b=[3.0, 4.0]) * Param(a=[7, 8, 9])).to_xarray()
    assert dataset["y"].dims == ("b", "a") and dataset["y"].shape == (2, 3)
    assert dataset["y"].sel(a=9, b=4.0) == 5 and dataset["y"].dtype == np.int64
    assert dataset["done"].all() and dataset.attrs == {"task": "t"}


def test_values_side_by_side_are_coordinates_of_one_dimension() -> None:
    space = Param(a=[1, 2, 3], b=["x", "y", "z"], mode="fast") * Param(c=[5, 6])
    dataset = computed(space).to_xarray()
    assert dataset["y"].dims == ("a_b", "c")
    assert dataset["a"].dims == dataset["b"].dims == ("a_b",)
    assert dataset["mode"].dims == () and dataset["mode"] == "fast"
    assert dataset["y"].sel(b="y", c=6) == dataset["y"].sel(a=2, c=6) == 3


def test_a_list_of_one_value_is_a_dimension_and_a_single_value_is_none() -> None:
    dataset = computed(Param(a=[1]) * Param(b=2)).to_xarray()
    assert dict(dataset.sizes) == {"a": 1} and dataset["b"].dims == ()
    assert computed(Param(b=2)).to_xarray()["y"].dims == ()


def test_part_of_a_product_is_the_product_with_a_mask() -> None:
    square = Param(a=[1, 2, 3]) * Param(b=[1, 2, 3])
    for part in (square.where(lambda a, b: a < b), square - Param(a=[2]), square[2:7:2]):
        dataset = computed(part).to_xarray()
        assert dict(dataset.sizes) == {"a": 3, "b": 3}
        assert dataset["done"].sum() == len(part) == dataset["y"].count()
        assert cells(dataset, ["a", "b", "y"]) == rows(computed(part), ["a", "b", "y"])


def test_part_of_a_product_in_a_product_has_its_factors_as_dimensions() -> None:
    space = (Param(a=[1, 2]) * Param(b=[1, 2])).where(lambda a, b: a <= b) * Param(repeat=range(2))
    assert computed(space).to_xarray()["y"].dims == ("a", "b", "repeat")


def test_part_of_one_factor_has_what_there_is_of_it() -> None:
    dataset = computed(Param(a=range(10))[::3] * Param(b=[1, 2])).to_xarray()
    assert dataset["a"].to_numpy().tolist() == [0, 3, 6, 9] and dataset["done"].all()


def test_a_sum_has_the_dimension_item() -> None:
    space = Param(a=[1, 2]) + Param(a=3, b=["u", "v"])
    dataset = computed(space).to_xarray()
    assert dataset["y"].dims == ("item",) and dataset["item"].to_numpy().tolist() == [0, 1, 2, 3]
    assert dataset["a"].to_numpy().tolist() == [1, 2, 3, 3]
    assert dataset["b"].isnull().to_numpy().tolist() == [True, True, False, False]
    twice = computed(space * Param(repeat=range(2))).to_xarray()
    assert twice["y"].dims == ("item", "repeat") and twice["b"].dims == ("item",)


def test_values_that_are_there_twice_are_two_places() -> None:
    dataset = computed(Param(a=[1, 1, 2]) * Param(b=[1, 2])).to_xarray()
    assert dataset["a"].to_numpy().tolist() == [1, 1, 2]
    assert dataset["y"].to_numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert dataset["y"].sel(a=1).shape == (2, 2)


def test_psets_without_a_result_are_not_done() -> None:
    results = computed(Param(a=[1, 2]) * Param(b=[1, 2]), missing=(2,), flag=[True, False, True])
    results["text"] = ["p", "q", "r"]
    dataset = results.to_xarray()
    assert dataset["done"].to_numpy().tolist() == [[True, True], [False, True]]
    assert np.isnan(dataset["y"].sel(a=2, b=1)) and dataset["y"].sel(a=2, b=2) == 3
    assert dataset["flag"].to_numpy().tolist()[0] == [True, False]
    assert dataset["text"].dtype == object and dataset["text"].isnull().sum() == 1


def test_numbers_that_floats_cannot_hold_stay_what_they_are_beside_absent_ones() -> None:
    large = 2**60 + 1
    results = computed(Param(a=[1, 2]), missing=(0,), n=[large])
    assert results.to_xarray()["n"].to_numpy().tolist()[1] == large


def test_parameters_that_are_arrays_are_coordinates_with_axes_of_their_own() -> None:
    space = Param(w=np.arange(6).reshape(3, 2)) * Param(b=[1, 2])
    dataset = computed(space).to_xarray()
    assert dataset["y"].dims == ("w_number", "b") and dataset["w"].dims == ("w_number", "w_0")
    ragged = computed(Param(w=[np.zeros(1), np.zeros(2)]) * Param(b=[1, 2])).to_xarray()
    assert ragged["w"].dims == ("w_number",) and ragged["w"].to_numpy()[1].shape == (2,)


def test_names_of_columns_do_not_meet_names_of_dimensions() -> None:
    space = Param(item=[1, 2]) + Param(item=[5])
    dataset = computed(space, done=[1, 2, 3], trace_0=[1, 2, 3], trace=np.zeros((3, 2)))
    made = dataset.to_xarray()
    assert made["y"].dims == ("item_",) and made["item"].dims == ("item_",)
    assert made["done"].dtype == np.int64 and made["done_"].all()
    assert made["trace"].dims == ("item_", "trace_0_")


def test_names_of_axes_of_outputs_do_not_meet_each_other() -> None:
    results = computed(Param(k=[1, 2]), x=np.zeros((2, 3)), z=np.zeros((2, 4)))
    results.meaning = Meaning(dims={"x": ["k"], "z": ["k_"]})
    dataset = results.to_xarray()
    assert dataset["x"].dims == ("k", "k_") and dataset["z"].dims == ("k", "k__")


# -- rows that were chosen ------------------------------------------------------------------------


def test_rows_that_were_chosen_have_the_levels_that_they_need() -> None:
    results = computed(Param(a=[1, 2, 3]) * Param(b=[1, 2]) * Param(c=[0, 1]))
    chosen = results.where(a=2).sort_by("-y").to_xarray()
    assert dict(chosen.sizes) == {"a": 1, "b": 2, "c": 2}
    assert chosen["y"].to_numpy().ravel().tolist() == [4, 5, 6, 7]
    odd = results.where(lambda a, b: a == b).to_xarray()
    assert dict(odd.sizes) == {"a": 2, "b": 2, "c": 2} and odd["done"].sum() == 4
    assert dict(results.where(a=7).to_xarray().sizes) == {"a": 0, "b": 0, "c": 0}


def test_rows_in_another_order_are_where_they_belong() -> None:
    results = computed(Param(a=[1, 2, 3]) * Param(b=[1, 2]))
    xr.testing.assert_identical(results.sort_by("-y").to_xarray(), results.to_xarray())
    by_values = Results(results.sort_by("-y"), parameters=["a", "b"], glance=results._glance)
    xr.testing.assert_identical(by_values.to_xarray(), results.to_xarray())


def test_a_summary_has_the_dimensions_that_are_left() -> None:
    space = (Param(a=[1, 2], z=["p", "q"]) * Param(b=[5, 6, 7])).where(lambda a, b: a + b != 8)
    results = computed(space * Param(repeat=range(4)), trace=np.ones((16, 3)))
    summary = results.summary(stats=["mean", "n"]).to_xarray()
    assert summary["y_mean"].dims == ("a_z", "b") and summary["done"].sum() == 4
    assert summary["trace_mean"].dims == ("a_z", "b", "trace_0")
    assert summary["y_mean"].sel(a=2, b=5) == np.mean(results.where(a=2, b=5)["y"])
    assert results.summary(over=["b", "repeat"]).to_xarray()["y_mean"].dims == ("a_z",)
    part = results.summary(over=["a", "repeat"])
    assert part.to_xarray()["z"].to_numpy().tolist() == ["p", "q"]


def test_columns_that_were_left_out_do_not_matter() -> None:
    results = computed(Param(a=[1, 2]) * Param(b=[5, 6]), missing=(1,))
    del results["a"]
    results.parameters.remove("a")
    dataset = results.to_xarray()
    assert dataset["y"].dims == ("a", "b") and dataset["done"].sum() == 3


def test_parameters_that_were_changed_are_what_they_are_now() -> None:
    results = computed(Param(a=[1, 2]) * Param(b=[5, 6]))
    results["a"] = np.asarray(results["a"]) * 1000
    dataset = results.to_xarray()
    assert dataset["a"].to_numpy().tolist() == [1000, 2000] and dataset["y"].shape == (2, 2)


def test_a_table_of_no_run_has_the_values_as_dimensions_if_that_is_exact() -> None:
    table = Results({"a": [2, 1, 2, 1], "b": ["x", "x", "y", "y"], "y": [1, 2, 3, 4]})
    assert table.to_xarray()["y"].dims == ("item",)
    table.parameters = ["a", "b"]
    assert table.to_xarray()["y"].sel(a=1, b="y") == 4
    assert table.where(lambda y: y < 4).to_xarray()["y"].dims == ("item",)
    doubled = table.concat(table)
    assert doubled.to_xarray()["y"].dims == ("item",) and doubled.to_xarray().sizes["item"] == 8
    assert Results({}).to_xarray().sizes == {"item": 0}


def test_what_would_be_almost_empty_is_refused_with_the_way_out() -> None:
    results = computed((Param(a=range(30)) * Param(b=range(30))).where(lambda a, b: a == b))
    with pytest.raises(UsageError, match=r"900 cells, 30 \(a\) × 30 \(b\).*dense=False"):
        results.to_xarray()
    flat = results.to_xarray(dense=False)
    xr.testing.assert_identical(results.to_xarray(dense=None), flat)
    dense = results.where(lambda a: a < 10)
    xr.testing.assert_identical(dense.to_xarray(dense=None), dense.to_xarray())
    assert flat["y"].dims == ("item",) and flat["a"].dims == ("item",)
    assert results.where(lambda a: a < 10).to_xarray()["y"].shape == (10, 10)
    few = computed(Param(a=range(30)) * Param(b=range(30)), missing=tuple(range(1, 900)))
    assert few.to_xarray()["done"].sum() == 1


# -- axes of outputs ------------------------------------------------------------------------------


def traces(meaning: Meaning, **outputs: Any) -> Results:
    results = computed(Param(a=[1, 2]), **outputs)
    results.meaning = meaning
    return results


def test_axes_of_outputs_are_named_by_the_task_file_or_counted() -> None:
    trace, image = np.arange(6.0).reshape(2, 3), np.zeros((2, 4, 5))
    meaning = Meaning(
        dims={"trace": ["time"]},
        coords={"time": [0.0, 0.5, 1.0]},
        units={"trace": "mV", "time": "s"},
        labels={"trace": "voltage"},
    )
    dataset = traces(meaning, trace=trace, image=image).to_xarray()
    assert dataset["trace"].dims == ("a", "time")
    assert dataset["image"].dims == ("a", "image_0", "image_1")
    assert dataset["trace"].sel(a=2, time=0.5) == 4.0
    assert dataset["trace"].attrs == {"units": "mV", "long_name": "voltage"}
    assert dataset["time"].attrs == {"units": "s"}


@pytest.mark.parametrize("source", ["t", "time"])
def test_places_along_an_axis_may_be_an_output(source: str) -> None:
    meaning = Meaning(dims={"trace": ["time"]}, coords={"time": source})
    same = {"trace": np.zeros((2, 3)), source: np.array([[0.0, 1.0, 2.0]] * 2)}
    dataset = traces(meaning, **same).to_xarray()
    assert dataset["trace"].dims == ("a", "time")
    assert dataset["time"].to_numpy().tolist() == [0.0, 1.0, 2.0]
    others = same | {source: np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])}
    dataset = traces(meaning, **others).to_xarray()
    assert source in dataset.coords and dataset[source].dims == dataset["trace"].dims
    assert dataset[source].sel(a=2).to_numpy().tolist() == [0.0, 2.0, 4.0]


def test_places_along_an_axis_may_be_a_parameter() -> None:
    space = Param(t=[np.array([0.0, 1.0]), np.array([0.0, 2.0])]) * Param(b=[1, 2, 3])
    results = computed(space, trace=np.zeros((6, 2)))
    results.meaning = Meaning(dims={"trace": ["time"]}, coords={"time": "t"})
    dataset = results.to_xarray()
    assert dataset["trace"].dims == ("t_number", "b", "time")
    assert dataset["t"].dims == ("t_number", "time")


@pytest.mark.parametrize(
    ("meaning", "words"),
    [
        (Meaning(dims={"trace": ["time", "unit"]}), "`dims` of the task file names.*`trace`"),
        (Meaning(dims={"trace": ["t"], "other": ["t"]}), "`trace` and `other` are both along `t`"),
        (
            Meaning(dims={"trace": ["t"]}, coords={"t": [1.0]}),
            "1 places along `t`, but there are 3",
        ),
        (Meaning(dims={"trace": ["t"]}, coords={"t": "y"}), "`y` has the places along `t`"),
    ],
)
def test_what_contradicts_the_arrays_is_refused(meaning: Meaning, words: str) -> None:
    results = traces(meaning, trace=np.zeros((2, 3)), other=np.zeros((2, 4)))
    with pytest.raises(UsageError, match=words):
        results.to_xarray()


def test_arrays_of_different_shapes_are_objects() -> None:
    dataset = traces(Meaning(), ragged=[np.zeros(2), np.ones(3)]).to_xarray()
    assert dataset["ragged"].dims == ("a",) and dataset["ragged"].dtype == object
    assert dataset["ragged"].sel(a=2).item().tolist() == [1.0, 1.0, 1.0]


# -- all spaces -----------------------------------------------------------------------------------

LEVELS = st.lists(st.integers(0, 3), min_size=1, max_size=3)


@st.composite
def spaces(draw: st.DrawFn) -> ParameterSpace:
    factors: list[ParameterSpace] = []
    for names in draw(st.sampled_from([["a"], ["a", "b"], ["ab", "c"], ["a", "b", "c"]])), ["r"]:
        for name in names:
            levels = draw(LEVELS)
            factor = Param(**{n: [10 * k + v for k, v in enumerate(levels)] for n in name})
            form = draw(st.sampled_from(["plain", "sum", "part", "fixed"]))
            if form == "sum":
                factor = factor + Param(**{name[0]: draw(LEVELS)})
            elif form == "part":
                factor = factor[:: draw(st.sampled_from([1, 2, -1]))]
            elif form == "fixed":
                factor = Param(**dict.fromkeys(name, 7))
            factors.append(factor)
    space = factors[0]
    for number, factor in enumerate(factors[1:]):
        if number == len(factors) - 2 and draw(st.booleans()):
            space = space[draw(st.integers(0, 1)) :: draw(st.integers(1, 2))]
        space = space * factor
    return space[:: draw(st.sampled_from([1, 1, -1, 2]))]


@given(spaces(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_row_is_in_the_cell_of_its_parameters(space: ParameterSpace, data: Any) -> None:
    n_items = len(space)
    missing = data.draw(st.sets(st.integers(0, max(n_items - 1, 0)), max_size=max(n_items - 1, 0)))
    results = computed(space, tuple(missing))
    order = data.draw(st.permutations(range(results.n_rows)))
    results = results.at(np.array(order, dtype=np.int64))
    names = [*results.parameters, "y"]
    try:
        dataset = results.to_xarray()
    except UsageError as error:
        assert "dense=False" in str(error)
        dataset = results.to_xarray(dense=False)
    assert dataset["done"].sum() == results.n_rows
    expected = [tuple(map(float, row)) for row in rows(results, names)]
    found = [tuple(map(float, row)) for row in cells(dataset, names)]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    assert (dataset["y"].notnull() == dataset["done"]).all()


# -- of runs --------------------------------------------------------------------------------------

TASK = """
from psyflow import Param
{store}
pspace = Param(a=[1, 2, 3]) * Param(b=["x", "y"])
def execute(a, b):
    if a == 3 and b == "x":
        raise ValueError("no")
    return {{"z": a * 10.0, "flag": a > 1, "word": b * a}}
"""


@pytest.mark.parametrize("store", [".pkl", ".npz", ".h5"])
def test_of_a_run_with_its_provenance_and_through_netcdf(
    study: Study, store: str, tmp_path: Path
) -> None:
    study.task(TASK.format(store=f"store = {store!r}"))
    study.psy("run", code=1)
    results = psyflow.load("t", study.tasks, study.folder / "psy-work")
    dataset = results.to_xarray()
    assert dict(dataset.sizes) == {"a": 3, "b": 2} and not dataset["done"].sel(a=3, b="x")
    assert dataset["z"].sel(a=2, b="y") == 20.0
    assert dataset.attrs["task"] == "t" and dataset.attrs["run"] == results.run
    assert (dataset.attrs["n_done"], dataset.attrs["n_items"]) == (5, 6)
    path = tmp_path / "t.nc"
    dataset.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as again:
        xr.testing.assert_equal(again["z"], dataset["z"])
        assert again["done"].dtype == bool and again.attrs["run"] == results.run
        assert again["word"].sel(a=2, b="y").item() == "yy"
    assert results.failures.to_xarray()["kind"].dims == ("a", "b")
    assert results.missing.to_xarray().sizes == {"a": 1, "b": 1}
    frame = results.where(a=2).to_pandas(bookkeeping=True)
    assert frame["item"].tolist() == [2, 3] and (frame["attempt"] == 1).all()


def test_of_a_complete_run_in_a_copied_folder(study: Study, tmp_path: Path) -> None:
    study.task(TASK.format(store="store = '.npz'").replace("a == 3", "a == 4"))
    study.psy("run")
    results = psyflow.load(study.folder / "psy-work" / "t" / "result.npz")
    assert results.to_xarray()["z"].sel(a=3, b="x") == 30.0
    one = psyflow.load("t", study.tasks, study.folder / "psy-work", columns=["z"])
    assert list(one) == ["z"]
    xr.testing.assert_equal(one.to_xarray()["z"], results.to_xarray()["z"])


def test_repetitions_are_a_dimension(study: Study) -> None:
    study.task(
        """
pspace = Param(a=[1, 2, 3]) + Param(a=7)
repeat = 2
units = {"y": "ms"}
def execute(a):
    return {"y": a}
"""
    )
    study.psy("run")
    results = psyflow.load("t", study.tasks, study.folder / "psy-work")
    dataset = results.to_xarray()
    assert dataset["y"].dims == ("item", "repeat") and dataset["y"].attrs == {"units": "ms"}
    assert results.summary().to_xarray()["y_mean"].dims == ("item",)


def test_what_would_be_almost_empty_is_exported_as_items(study: Study) -> None:
    study.task(
        """
pspace = (Param(a=range(20)) * Param(b=range(20))).where(lambda a, b: a == b)
def execute(a, b):
    return {"y": a}
"""
    )
    study.psy("run")
    study.psy("export", "t", "t.nc")
    with xr.open_dataset(study.folder / "t.nc", engine="h5netcdf") as dataset:
        assert dataset["y"].dims == ("item",) and dataset["a"].to_numpy().tolist() == [*range(20)]
