"""`StoreTests`: what every store must do, as a suite to inherit."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psyflow.columns import concatenate, table_length
from psyflow.exceptions import MissingFileError, StoreError, UnsupportedDataError
from psyflow.store import Store, as_store

__all__ = ["StoreTests", "assert_same_table", "assert_same_value"]

_NAN = float("nan")

NUMBERS: dict[str, Any] = {
    "i": [1, -2, 3],
    "f": [0.5, -0.0, float("inf")],
    "b": [True, False, True],
}
COLUMNS: dict[str, Any] = {
    "int": [0, -(2**63), 2**63 - 1],
    "big int": [2**63, 2**64 - 1],
    "huge int": [1, 2**64],
    "float": [0.1, -0.0, _NAN, float("inf")],
    "int and float": [1, 2.5, _NAN],
    "int and float that is not exact": [2**53 + 1, 0.5],
    "bool": [True, False],
    "bool and int": [True, 2],
    "complex": [1j, complex(_NAN, 2.0)],
    "text": ["", "a", "ö≠😀", "a\0b\0", "\0", "line\nbreak", "\udce4"],
    "text and int": ["a", 1],
    "bytes": [b"", b"\0", b"a\0", b"\xff"],
    "text and bytes": ["a", b"a"],
    "None": [None, None],
    "text and None": [None, "a"],
    "text and NaN": ["a", _NAN],
    "int and None": [1, None],
    "bool and None": [None, True],
    "bool and NaN": [_NAN, True],
    "NaN": [_NAN, _NAN],
    "datetime": np.array(["2020-02-29T12", "NaT"], "M8[ns]"),
    "datetime and None": [np.datetime64("2020-02-29"), None],
    "timedelta": np.array([1, -5], "m8[s]"),
    "float16": np.array([1.5, _NAN], np.float16),
    "float32": np.array([0.1, _NAN], np.float32),
    "uint8": np.arange(3, dtype=np.uint8),
    "uint64": np.array([0, 2**64 - 1], np.uint64),
    "big-endian": np.array([1, 2], ">i4"),
    "longdouble": np.array([1, 2], np.longdouble) / 3,
    "arrays": [np.arange(6.0).reshape(2, 3), np.full((2, 3), _NAN)],
    "arrays of int": np.arange(6).reshape(3, 2),
    "arrays of text": [np.array(["a", "bc"]), np.array(["öö", ""])],
    "arrays of bool": np.array([[True, False], [False, False]]),
    "arrays of datetimes": np.array([["2020-01-01", "NaT"]], "M8[D]"),
    "arrays of length 0": [np.zeros(0, np.float32)] * 2,
    "arrays and None": [np.arange(2), None],
    "dict": [{"any": [1, "thing"]}],
    "lists": [[1, 2], [3]],
    "lists of one length": [[1.5, _NAN], [-0.0, 2.0]],
    "lists of int and float": [[0, 0.5], [1]],
    "lists of lists": [[[64], [64, 32]], [], [[]]],
    "lists of text": [["a\0", "ö"], [], [""]],
    "lists of bool and int": [[True, 2], [False]],
    "lists of NumPy numbers": [[np.float32(0.1), 0.1], [np.int8(1)]],
    "lists and None": [[1], None],
    "lists and NaN": [_NAN, ["a"]],
    "lists of None": [[1, None]],
    "lists of many kinds": [["a", 1]],
    "lists of different depths": [[1], [[2]]],
    "lists and numbers": [[1], 2],
    "huge int in a list": [[1], [2**64]],
}
NAMES = ["a", "a b", "b.x", "a/b", "/", "", ".", "ö", "for", "_v_attrs", "__class__", "psyflow"]
NAMES += ["psyflow__table", "psyflow__0_data", "a\0b", "a\nb", "\\", "..", "x" * 300, "A", "file"]


class StoreTests:
    """Tests of a store; inherit them, and give the store as an attribute or as a fixture `store`.

    For each kind of column the store may either give back what was put in, or raise
    `UnsupportedDataError` and leave the old file alone. Numbers may come back as NumPy's.

    Examples
    --------
    In a test file; `pytest` runs what it inherits:

    >>> from psyflow.store import PickleStore
    >>> class TestMyStore(StoreTests):
    ...     store = PickleStore(protocol=4)
    """

    @pytest.fixture
    def tested(self, request: pytest.FixtureRequest) -> Store:
        """Give the store, from the attribute or the fixture."""
        store = getattr(self, "store", None)
        if not hasattr(store, "save"):
            store = request.getfixturevalue("store")
        return as_store(store)

    @pytest.fixture
    def path(self, tested: Store, tmp_path: Path) -> Iterator[Path]:
        """Give the name of a file; its folder must hold nothing else at the end."""
        yield tmp_path / f"table{tested.ext}"
        assert {p.name for p in tmp_path.iterdir()} <= {f"table{tested.ext}"}

    def test_extension_starts_with_a_dot(self, tested: Store) -> None:
        assert tested.ext.startswith(".") and tested.ext == tested.ext.lower()

    def test_can_be_pickled(self, tested: Store, path: Path) -> None:
        tested.save(path, {"a": [1.5]})
        assert_same_table(pickle.loads(pickle.dumps(tested)).load(path), {"a": [1.5]})

    def test_repr_is_the_same_in_every_process(self, tested: Store) -> None:
        assert " at 0x" not in repr(tested)

    def test_loads_numbers(self, tested: Store, path: Path) -> None:
        tested.save(path, NUMBERS)
        assert_same_table(tested.load(path), NUMBERS)

    def test_loads_the_columns_that_are_wanted(self, tested: Store, path: Path) -> None:
        tested.save(path, {"a": [1.5, 2.5], "b": [3.5, 4.5], "c": [5.5, 6.5]})
        seen: list[list[str]] = []

        def wanted(names: list[str]) -> list[str]:
            seen.append(names)
            return ["c", "a", "unknown"]

        found = tested.load_some(path, wanted)
        assert seen == [["a", "b", "c"]]
        assert_same_table(found, {"a": [1.5, 2.5], "c": [5.5, 6.5]})
        assert tested.load_some(path, lambda names: []) == {}

    @pytest.mark.parametrize("kind", COLUMNS)
    def test_column_is_exact_or_refused(self, tested: Store, path: Path, kind: str) -> None:
        tested.save(path, {"old": [1.0]})
        table = {"before": [1] * len(COLUMNS[kind]), "tried": COLUMNS[kind]}
        try:
            tested.save(path, table)
        except UnsupportedDataError as error:
            assert "tried" in str(error)
            table = {"old": [1.0]}
        assert_same_table(tested.load(path), table)

    @pytest.mark.parametrize("kind", COLUMNS)
    def test_check_refuses_what_save_refuses(self, tested: Store, path: Path, kind: str) -> None:
        for value in COLUMNS[kind]:
            row = {"fine": 1.0, "tried": value}
            if not _is_refused(tested, row):
                tested.save(path, {name: [value] for name, value in row.items()})
                continue
            with pytest.raises(UnsupportedDataError, match="tried"):
                tested.save(path, {name: [value] for name, value in row.items()})

    def test_names_are_exact_and_in_order(self, tested: Store, path: Path) -> None:
        table = {name: [float(i), 0.0] for i, name in enumerate(NAMES)}
        tested.save(path, table)
        assert_same_table(tested.load(path), table)

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_does_alone(self, tested: Store, path: Path, name: str) -> None:
        tested.save(path, {name: [1.0]})
        assert_same_table(tested.load(path), {name: [1.0]})

    @pytest.mark.parametrize("table", [{}, {"a": []}, {"a": np.zeros(0), "b": np.zeros((0, 2))}])
    def test_no_rows(self, tested: Store, path: Path, table: dict[str, Any]) -> None:
        tested.save(path, table)
        assert_same_table(tested.load(path), table)
        assert tested.length(path) == 0
        assert_same_table(tested.read(path, 0, 5), table)

    def test_loads_one_row(self, tested: Store, path: Path) -> None:
        tested.save(path, NUMBERS)
        expected = {name: column[1:2] for name, column in NUMBERS.items()}
        assert_same_table(tested.load(path, row=1), expected)
        assert_same_table(tested.load(path, 1), expected)

    @pytest.mark.parametrize("row", [-1, 3])
    def test_row_that_does_not_exist(self, tested: Store, path: Path, row: int) -> None:
        tested.save(path, NUMBERS)
        with pytest.raises(IndexError, match=r"3 rows"):
            tested.load(path, row=row)

    @pytest.mark.parametrize(("start", "stop"), [(0, 3), (1, 2), (1, 9), (2, 2), (3, 4), (0, 0)])
    def test_reads_a_block(self, tested: Store, path: Path, start: int, stop: int) -> None:
        tested.save(path, NUMBERS)
        expected = {name: column[start:stop] for name, column in NUMBERS.items()}
        block = tested.read(path, start, stop)
        assert table_length(block) == len(expected["i"])
        assert_same_table(block, expected)
        assert tested.length(path) == 3

    def test_append_creates_and_extends(self, tested: Store, path: Path) -> None:
        tested.append(path, {"a": [1], "b": [0.5]})
        tested.append(path, {"a": [2, 3], "b": [1.5, 2.5]})
        assert_same_table(tested.load(path), {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5]})

    def test_append_fills_absent_columns_with_nan(self, tested: Store, path: Path) -> None:
        tested.append(path, {"a": [1.0]})
        tested.append(path, {"b": [2.0]})
        assert_same_table(tested.load(path), {"a": [1.0, _NAN], "b": [_NAN, 2.0]})

    def test_writes_blocks_below_each_other(self, tested: Store, path: Path) -> None:
        blocks: list[Any] = [{"a": [i, i + 1], "b": np.array([0.5, i])} for i in range(0, 20, 2)]
        tested.write(path, iter(blocks))
        assert_same_table(tested.load(path), concatenate(blocks))

    def test_writes_no_block(self, tested: Store, path: Path) -> None:
        tested.write(path, [])
        assert tested.load(path) == {}

    def test_blocks_may_differ_in_columns(self, tested: Store, path: Path) -> None:
        tested.write(path, iter([{"a": [1.0]}, {"b": [2.0, 3.0]}, {"a": [4.0], "b": [5.0]}]))
        expected = {"a": [1.0, _NAN, _NAN, 4.0], "b": [_NAN, 2.0, 3.0, 5.0]}
        assert_same_table(tested.load(path), expected)

    def test_save_replaces(self, tested: Store, path: Path) -> None:
        tested.save(path, NUMBERS)
        tested.save(path, {"other": [1.0]})
        assert_same_table(tested.load(path), {"other": [1.0]})

    def test_failed_save_leaves_the_old_file(self, tested: Store, path: Path) -> None:
        tested.save(path, NUMBERS)
        for bad in ({"a": [1], "b": [1, 2]}, {"a": "text"}, {"a": [lambda: None]}):
            with pytest.raises(StoreError):
                tested.save(path, bad)
        assert_same_table(tested.load(path), NUMBERS)

    def test_failed_block_leaves_the_old_file(self, tested: Store, path: Path) -> None:
        def blocks() -> Iterator[dict[str, Any]]:
            yield {"a": [1]}
            raise RuntimeError("no more")

        tested.save(path, NUMBERS)
        with pytest.raises(RuntimeError, match="no more"):
            tested.write(path, blocks())
        assert_same_table(tested.load(path), NUMBERS)

    def test_missing_file_is_named(self, tested: Store, path: Path) -> None:
        for ask in (tested.load, tested.length, lambda p: tested.read(p, 0, 1)):
            with pytest.raises(MissingFileError, match=path.name) as caught:
                ask(path)
            assert isinstance(caught.value, FileNotFoundError)

    def test_missing_folder_is_named(self, tested: Store, path: Path) -> None:
        with pytest.raises(MissingFileError, match="nowhere"):
            tested.save(path.parent / "nowhere" / path.name, NUMBERS)

    def test_file_cut_short_is_named_or_all_there(self, tested: Store, path: Path) -> None:
        tested.save(path, NUMBERS)
        whole = path.read_bytes()
        for size in sorted({*range(0, len(whole), max(1, len(whole) // 40)), len(whole) - 1}):
            path.write_bytes(whole[:size])
            try:
                table = tested.load(path)
            except StoreError as error:
                assert path.name in str(error)
            else:
                # What was cut off was no part of the table.
                assert size > len(whole) // 2
                assert_same_table(table, NUMBERS)

    @pytest.mark.parametrize("content", [b"", b"\0" * 999, b"a,b\n1,2\n", bytes(range(256)) * 9])
    def test_foreign_file_is_named(self, tested: Store, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        for ask in (tested.load, tested.length, lambda p: tested.append(p, NUMBERS)):
            with pytest.raises(StoreError, match=path.name):
                ask(path)
        assert path.read_bytes() == content

    def test_killed_save_leaves_a_whole_file(self, tested: Store, tmp_path: Path) -> None:
        path = tmp_path / f"killed{tested.ext}"
        tested.save(path, {"a": [0.0] * 1000})
        for delay in (0.0, 0.01, 0.03):
            _kill_saving(tested, path, delay)
            table = tested.load(path)
            assert len(table["a"]) == 1000 and len(set(map(float, table["a"]))) == 1


_SAVE_FOR_EVER = """
import itertools, pickle, sys
store, path = pickle.load(sys.stdin.buffer)
store.save(path, {"a": [1.0] * 1000})
print("started", flush=True)
for i in itertools.count(2):
    store.save(path, {"a": [float(i)] * 1000})
"""


def _kill_saving(store: Store, path: Path, delay: float) -> None:
    """Kill a process that saves to `path` again and again, `delay` seconds after it began."""
    command = [sys.executable, "-c", _SAVE_FOR_EVER]
    pipe = subprocess.PIPE
    # So that it finds a store that is defined in a test file.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env) as process:
        assert process.stdin and process.stdout
        process.stdin.write(pickle.dumps((store, path)))
        process.stdin.close()
        assert process.stdout.readline() == b"started\n"
        time.sleep(delay)
        process.kill()


def _is_refused(store: Store, row: dict[str, Any]) -> bool:
    try:
        store.check(row)
    except UnsupportedDataError as error:
        assert "tried" in str(error)
        return True
    return False


def assert_same_table(actual: Any, expected: Any) -> None:
    """Raise AssertionError unless both tables hold the same, in the same order.

    Examples
    --------
    >>> assert_same_table({"a": np.array([1, 2])}, {"a": [1, 2]})
    """
    assert list(actual) == list(expected)
    for name, column in expected.items():
        assert isinstance(actual[name], list | np.ndarray)
        _assert_same_column(name, actual[name], column)


def _assert_same_column(name: str, actual: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(actual) == len(expected), f"{name}: {len(actual)} instead of {len(expected)} rows"
    if isinstance(expected, list) and {int, float} == set(map(type, expected)):
        # A documented change: a column with a float in it is a column of floats.
        expected = [float(value) for value in expected]
        actual = [float(value) for value in actual]
    for one, other in zip(_values(actual), _values(expected), strict=True):
        assert_same_value(one, other, name)


def _values(column: Sequence[Any]) -> Sequence[Any]:
    # An array of text stands for Python's text.
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "US":
        column = column.tolist()
    return column


def assert_same_value(actual: Any, expected: Any, name: str = "value") -> None:
    """Raise AssertionError unless both values are equal and of one type.

    NaN is the same as NaN, and Python's numbers are the same as NumPy's of their dtype. Text in
    arrays may be of any width.
    """
    message = f"{name}: {actual!r} instead of {expected!r}"
    if isinstance(expected, list | tuple):
        assert type(actual) is type(expected) and len(actual) == len(expected), message
        for one, other in zip(actual, expected, strict=True):
            assert type(one) is type(other), message
            assert_same_value(one, other, name)
        return
    if not isinstance(expected, bool | int | float | complex | np.generic | np.ndarray):
        assert type(actual) is type(expected) and actual == expected, message
        return
    if isinstance(expected, int) and not -(2**63) <= expected < 2**64:
        assert actual == expected, message
        return
    one, other = np.asarray(actual), np.asarray(expected)
    is_text = one.dtype.kind == other.dtype.kind == "U"
    assert one.shape == other.shape, message
    assert is_text or one.dtype == other.dtype or _are_wide_ints(one, other), message
    assert np.array_equal(one, other, equal_nan=other.dtype.kind in "fcmM"), message


def _are_wide_ints(one: Any, other: Any) -> bool:
    # Python's ints have no dtype; in a column that goes beyond int64 they come back as uint64.
    return {one.dtype, other.dtype} == {np.dtype(np.int64), np.dtype(np.uint64)}
