"""Results as tables of pandas, Arrow, polars and DuckDB: what comes out is what was in."""

from __future__ import annotations

import math
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import psyflow
from psyflow import H5Store, NpzStore, PickleStore
from psyflow.exceptions import (
    StoreError,
    UnknownColumnError,
    UnknownNameError,
    UnsupportedDataError,
    UsageError,
)
from psyflow.results import Results
from psyflow.results.meaning import Meaning

NAN = float("nan")
STORES = {".pkl": PickleStore, ".npz": NpzStore, ".h5": H5Store}


def plain(value: Any) -> Any:
    """Return a value with lists for arrays and tuples, and Python's own numbers; NaN as text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple | pl.Series):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def same(found: Any, expected: Any) -> bool:
    """Tell whether values are the same but for the type that holds them."""
    found, expected = plain(list(found)), plain(list(expected))
    return repr(found) == repr(expected) or (
        found == expected and "True" not in repr(found) and "True" not in repr(expected)
    )


# -- any column that the stores hold --------------------------------------------------------------

NUMPY_TYPES = [
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "bool", ">i4", ">f8", "datetime64[s]", "timedelta64[ms]"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
FLOATS = st.floats(width=64)
ELEMENTS = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "uint": st.integers(0, 2**64 - 1),
    "float": FLOATS,
    "bool": st.booleans(),
    "text": TEXT,
    "bytes": st.binary(max_size=5),
    "list": st.lists(st.integers(-5, 5), max_size=3),
    "texts": st.lists(TEXT, min_size=1, max_size=2),
    "dict": st.fixed_dictionaries({"x": st.integers(-5, 5), "y": TEXT}),
    "array": hnp.arrays("int32", hnp.array_shapes(min_dims=1, max_dims=1, max_side=3)),
}


@st.composite
def columns(draw: st.DrawFn) -> Any:
    n_rows = 4
    if draw(st.booleans()):
        dtype = np.dtype(draw(st.sampled_from(NUMPY_TYPES)))
        shape = draw(st.sampled_from([(), (2,), (3, 2), (1,), (0,)]))
        return draw(hnp.arrays(dtype, (n_rows, *shape)))
    kind = draw(st.sampled_from(sorted(ELEMENTS)))
    values = ELEMENTS[kind]
    if draw(st.booleans()):
        values = values | st.none()
    return draw(st.lists(values, min_size=n_rows, max_size=n_rows))


any_column = given(columns())
patient = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=60,
)


@any_column
@patient
def test_any_column_is_exact_in_arrow_polars_and_duckdb(column: Any) -> None:
    table = Results({"x": column}).to_arrow()
    if not (isinstance(column, np.ndarray) and column.dtype.kind in "mM"):
        assert same(table["x"].to_pylist(), column)
        assert same(pl.from_arrow(table)["x"].to_list(), column)
        assert same(Results({"x": column}).to_polars()["x"].to_list(), column)
        with duckdb.connect() as connection:
            connection.register("told", table)
            found = connection.sql("select x from told").fetchall()
        assert same([value for (value,) in found], column)
    elif column.ndim == 1:
        again = table["x"].to_numpy()
        assert (np.isnat(again) == np.isnat(column)).all()
        assert (again[~np.isnat(again)] == column[~np.isnat(column)]).all()


@pytest.mark.filterwarnings("ignore::psyflow.exceptions.RaggedColumnWarning")
@pytest.mark.parametrize("extension", STORES)
@any_column
@patient
def test_any_column_of_a_store_is_exact_in_other_libraries(
    extension: str, tmp_path: Path, column: Any
) -> None:
    path = tmp_path / f"x{extension}"
    try:
        STORES[extension]().save(path, {"x": column})
    except StoreError:
        return  # What this store cannot hold is no business of ours.
    results = psyflow.load(path)
    if isinstance(results["x"], np.ndarray) and results["x"].dtype.kind in "mM":
        return
    assert same(results.to_arrow()["x"].to_pylist(), results["x"])
    assert same(results.to_polars()["x"].to_list(), results["x"])
    frame = results.to_pandas()["x"]
    for value, original in zip(frame, results["x"], strict=True):
        is_same = same([value], [original])
        assert is_same or (original is None and pd.isna(value)) or value == original


def test_types_in_arrow() -> None:
    columns = {
        "i": np.zeros(2, "int8"),
        "u": [2**63, 1],
        "none": [1, None],
        "flag": [True, NAN],
        "word": ["a", NAN],
        "mixed": [1, 2.5],
        "image": np.zeros((2, 3, 4), "float32"),
        "fixed": [np.zeros(2), None],
        "ragged": [np.zeros(1), np.zeros(2)],
        "list": [[1], [2]],
        "struct": [{"p": 1}, None],
        "nothing": [None, None],
    }
    schema = Results(columns).to_arrow().schema
    assert [str(field.type) for field in schema] == [
        *("int8", "uint64", "int64", "bool", "string", "double"),
        "fixed_size_list<item: fixed_size_list<item: float>[4]>[3]",
        "fixed_size_list<item: double>[2]",
        *("list<item: double>", "list<item: int64>", "struct<p: int64>", "null"),
    ]


def test_nan_is_null_only_where_it_marks_what_is_absent() -> None:
    table = Results({"y": [1.0, NAN, None], "word": ["a", NAN, None], "n": [2**60, NAN, None]})
    assert plain(table.to_arrow().to_pydict()) == {
        "y": [1.0, "NaN", None],
        "word": ["a", None, None],
        "n": [2**60, None, None],
    }


BAD = {
    "complex": ([1j, 2j], "complex numbers"),
    "complex array": (np.zeros(2, complex), "complex numbers"),
    "mixed": ([1, "x"], "several kinds: int, text"),
    "flag or number": ([True, 1], "several kinds: bool, int"),
    "large": ([2**70, 1], "more than 64 bits"),
    "signs": ([2**63, -1], "more than 64 bits"),
    "large among floats": ([2**60 + 1, 0.5], "more than 53 bits"),
    "surrogate": (["\ud800", ""], "not Unicode"),
    "sets": ([{1}, {2}], "class set"),
    "dicts": ([{"a": 1}, {"b": 1}], "dicts of different names"),
    "long double": (np.zeros(2, np.longdouble), "values of type"),
    "records": (np.zeros(2, [("p", int)]), "values of type"),
    "months": (np.zeros(2, "datetime64[M]"), "datetime64"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_exact_is_refused_by_its_name(kind: str) -> None:
    column, words = BAD[kind]
    table = Results({"fine": [1, 2], kind: column})
    with pytest.raises(UnsupportedDataError, match=f"`{kind}` .*{words}"):
        table.to_arrow()
    with pytest.raises(UnsupportedDataError, match=f"`{kind}`"):
        table.to_polars()
    assert table.select("fine").to_arrow().num_rows == 2
    # A data frame holds any objects.
    frame = table.to_pandas()[kind]
    assert all(a == b and type(a) is type(b) for a, b in zip(frame, column, strict=True)) or (
        isinstance(column, np.ndarray)
    )


def test_all_columns_that_are_refused_are_named_at_once() -> None:
    table = Results({f"z{n}": [1j] for n in range(8)} | {"\ud800": [1]})
    with pytest.raises(UnsupportedDataError, match=r"`z0`.*`z4` \(complex numbers\) and 4 more"):
        table.to_arrow()


def test_any_name_is_a_name() -> None:
    names = ["select", "a b", "a.b", 'q"uote', "🙂", "", "\n", "ä"]
    table = Results({name: [n] for n, name in enumerate(names)})
    assert table.to_arrow().column_names == table.to_pandas().columns.tolist() == names
    assert table.to_polars().columns == names
    with duckdb.connect() as connection:
        connection.register("told", table.select(*names).to_arrow())
        found = connection.sql('select "select", "a.b", "🙂" from told').fetchall()
    assert found == [(0, 2, 4)]


# -- pandas ---------------------------------------------------------------------------------------


def test_a_data_frame_has_the_types_of_the_columns() -> None:
    columns = {
        "i": np.arange(2, dtype="int16"),
        "large": [2**60 + 1, None],
        "flag": [True, False],
        "word": ["a", "b"],
        "bad": ["\ud800", "b"],
        "dict": [{}, {"a": 1}],
        "tuple": [(1, 2), (3, 4)],
        "trace": np.zeros((2, 2)),
    }
    frame = Results(columns).to_pandas()
    assert frame["i"].dtype == np.int16 and frame["flag"].dtype == bool
    assert frame["large"][0] == 2**60 + 1 and frame["bad"][0] == "\ud800"
    assert frame["tuple"][1] == (3, 4) and frame["trace"][1].tolist() == [0.0, 0.0]
    assert len(Results({}).to_pandas()) == 0


def test_scalars_make_a_data_frame_as_any_dict_does() -> None:
    table = Results({"a": [1, 2], "y": np.array([0.5, 1.5])}, parameters=["a"])
    assert pd.DataFrame(table).equals(table.to_pandas())
    assert pl.DataFrame(table).rows() == [(1, 0.5), (2, 1.5)]


def test_a_long_frame_has_a_row_for_each_element() -> None:
    columns = {
        "a": [1, 2],
        "trace": np.arange(6.0).reshape(2, 3),
        "spikes": np.arange(6).reshape(2, 3) > 2,
        "word": ["x", "y"],
    }
    meaning = Meaning(
        dims={"trace": ["time"], "spikes": ["time"]}, coords={"time": [0.0, 0.5, 1.0]}
    )
    frame = Results(columns, parameters=["a"], meaning=meaning).to_pandas(arrays="long")
    assert frame.columns.tolist() == ["a", "word", "time", "trace", "spikes"]
    assert frame["a"].tolist() == [1, 1, 1, 2, 2, 2] and frame["time"].tolist() == [0, 0.5, 1] * 2
    assert frame["trace"].tolist() == [*range(6)] and frame["spikes"].dtype == bool


def test_a_long_frame_of_images_counts_along_both_axes() -> None:
    image = np.arange(12).reshape(2, 2, 3)
    frame = Results({"a": [1, 2], "image": image}).to_pandas(arrays="long")
    row = frame[(frame.a == 2) & (frame.image_0 == 1) & (frame.image_1 == 2)]
    assert row["image"].tolist() == [11] and len(frame) == 12


def test_a_long_frame_of_ragged_arrays_has_as_many_rows_as_elements() -> None:
    columns = {
        "a": [1, 2, 3, 4],
        "trace": [np.array([1, 2]), np.array([]), None, np.array([3.5])],
        "t": [np.array([0.0, 0.1]), np.array([]), None, np.array([7.0])],
    }
    meaning = Meaning(dims={"trace": ["time"]}, coords={"time": "t"})
    frame = Results(columns, meaning=meaning).to_pandas(arrays="long")
    assert frame["a"].tolist() == [1, 1, 4] and frame["trace"].tolist() == [1, 2, 3.5]
    assert frame["time"].tolist() == frame["t"].tolist() == [0.0, 0.1, 7.0]


def test_a_long_frame_has_nan_where_one_of_several_arrays_is_absent() -> None:
    columns = {"x": [[1, 2], [3, 4]], "y": [[5.0, 6.0], None]}
    meaning = Meaning(dims={"x": ["k"], "y": ["k"]})
    frame = Results(columns, meaning=meaning).to_pandas(arrays="long")
    assert (
        frame["x"].tolist() == [1, 2, 3, 4]
        and frame["y"].isna().tolist() == [False] * 2 + [True] * 2
    )


def test_a_long_frame_without_arrays_is_the_usual_one() -> None:
    table = Results({"a": [1, 2], "word": ["x", "y"]})
    assert table.to_pandas(arrays="long").equals(table.to_pandas())


def test_arrays_along_other_axes_are_no_long_frame() -> None:
    table = Results({"a": [1, 2], "x": np.zeros((2, 3)), "y": np.zeros((2, 4))}, parameters=["a"])
    with pytest.raises(UsageError, match=r'`x` along x_0; `y` along y_0.*select\("x"\)'):
        table.to_pandas(arrays="long")
    assert len(table.select("y").to_pandas(arrays="long")) == 8
    table.meaning = Meaning(dims={"x": ["k"], "y": ["k"]})
    with pytest.raises(UsageError, match=r"row 0 has `x` \(3,\) and `y` \(4,\)"):
        table.to_pandas(arrays="long")
    table.meaning = Meaning(dims={"x": ["k"]}, coords={"k": [1, 2]})
    with pytest.raises(UsageError, match="2 places along `k`, but there are 3"):
        table.select("x").to_pandas(arrays="long")
    table = Results({"x": np.zeros((2, 3)), "t": [np.zeros(3), None], "n": [1, 2]})
    table.meaning = Meaning(dims={"x": ["k"]}, coords={"k": "t"})
    with pytest.raises(UsageError, match=r"`t` is to have the 3 places along `k`, but has none"):
        table.to_pandas(arrays="long")
    table.meaning = Meaning(dims={"x": ["k"]}, coords={"k": "n"})
    with pytest.raises(UsageError, match=r"`n` has the places along `k`: no arrays"):
        table.select("x", "n").to_pandas(arrays="long")


def test_unknown_words_are_told() -> None:
    table = Results({"trace": [1]})
    with pytest.raises(UnknownNameError, match=r'"lang".*Did you mean "long"'):
        table.to_pandas(arrays="lang")
    with pytest.raises(UnknownColumnError, match='Did you mean "trace"'):
        table.select("trase")
    with pytest.raises(UsageError, match="by the name of the task"):
        table.to_pandas(bookkeeping=True)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("pandas", Results.to_pandas),
        ("pyarrow", Results.to_arrow),
        ("polars", Results.to_polars),
        ("xarray", Results.to_xarray),
    ],
)
def test_a_library_that_is_not_there_is_one_line(
    module: str, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"{module} is not installed.*pip install 'psyflow\["):
        call(Results({"a": [1]}))


def test_parquet_has_what_the_table_has(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    table = Results({"a": [1, 2], "trace": np.arange(6.0).reshape(2, 3), "w": ["x", None]})
    parquet.write_table(table.to_arrow(), tmp_path / "t.parquet")
    again = parquet.read_table(tmp_path / "t.parquet")
    assert again.to_pydict() == table.to_arrow().to_pydict()
    assert again.schema.field("trace").type == pa.list_(pa.float64(), 3)


# -- how it is shown ------------------------------------------------------------------------------

HOSTILE = '<script>alert("x")</script>\x1b[2J\u202e\n'


def test_html_holds_nothing_that_a_browser_takes_for_its_own() -> None:
    table = Results({HOSTILE: [HOSTILE], "a&b": [object()]}, parameters=[HOSTILE])
    shown = table._repr_html_()
    assert "<script" not in shown and "&lt;script" in shown and "a&amp;b" in shown
    assert not set("\x1b\u202e") & set(shown)
    assert Results({})._repr_html_().count("<tr>") == 1


@pytest.mark.parametrize("form", ["__repr__", "_repr_html_"])
def test_large_tables_are_shown_at_their_ends(form: str) -> None:
    wide = Results({f"c{n}": [n] for n in range(10_000)}, parameters=[f"c{n}" for n in range(99)])
    shown = getattr(wide, form)()
    assert "of 10000 columns" in shown and "c9999" in shown and len(shown) < 3000
    long = Results({"a": np.arange(10**6), "text": ["x" * 10**6] * 10**6}, parameters=["a"])
    shown = getattr(long, form)()
    assert "1000000 rows; varied: a" in shown and "999999" in shown and len(shown) < 3000
    arrays = Results({"image": np.zeros((3, 1000, 1000)), "lists": [[0] * 10**6] * 3})
    assert len(getattr(arrays, form)()) < 1000


def test_a_table_that_is_none_is_shown_as_such() -> None:
    table = Results({"a": [1, 2]})
    table["b"] = [1]
    assert "differ in length" in repr(table) and "differ in length" in table._repr_html_()


def test_what_is_varied_is_told() -> None:
    table = Results({"a": [1, 1], "b": ["x", "y"], "o": [threading.Lock(), threading.Lock()]})
    assert "varied" not in repr(table)
    table.parameters = ["a", "b", "o"]
    assert repr(table).splitlines()[0] == "Results: 2 rows; varied: b, o"


def test_values_whose_class_fails_to_show_them_are_shown_all_the_same() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    table = Results({"x": [Broken()]}, parameters=["x"])
    assert "Broken" in repr(table) and "Broken" in table._repr_html_()
