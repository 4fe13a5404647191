"""Rows and shards: any values, exact comparison, reading and writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from psyflow.columns import from_rows
from psyflow.outcomes.records import Failure, Rows
from psyflow.outcomes.shard import FAILURE, ROWS, ShardReader, ShardWriter
from psyflow.system.trust import trusting

_DTYPES = ["?", "i1", "u2", "i4", "i8", "f2", "f4", "f8", "c16", "M8[D]", "m8[s]", ">i4"]


def _scalars(dtype: str) -> st.SearchStrategy[Any]:
    raw = st.integers(0, 100)
    return raw.map(lambda n: np.array([n]).astype(dtype)[0])


def _arrays(dtype: str) -> st.SearchStrategy[Any]:
    shapes = st.sampled_from([(), (0,), (2,), (2, 3), (1, 0)])
    return shapes.map(lambda shape: np.full(shape, 3).astype(dtype))


class Half(float):
    """A float of a type of its own."""


python_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.integers(), st.text(max_size=2)),
    st.floats().map(Half),
    st.just(np.ma.array([1, 2], mask=[True, False])),
    st.just(np.str_("text")),
    st.just(np.array(["a", "bc"])),
    st.just(np.array([None, 1], dtype=object)),
)
values = st.one_of(
    python_values,
    st.sampled_from(_DTYPES).flatmap(_scalars),
    st.sampled_from(_DTYPES).flatmap(_arrays),
)
# Columns of one kind are packed, others are not, so both have to come up.
column_values = st.one_of(
    st.lists(values, max_size=8),
    st.sampled_from(_DTYPES).flatmap(lambda d: st.lists(_scalars(d), max_size=8)),
    st.sampled_from(_DTYPES).flatmap(lambda d: st.lists(_arrays(d), max_size=8)),
)


def same(a: Any, b: Any) -> bool:
    """Whether two values are of exactly the same type, dtype, shape and content (NaN = NaN)."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and same(np.asarray(a).tolist(), np.asarray(b).tolist())
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    return bool(a == b or (a != a and b != b))


def make_rows(items: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> Rows:
    n = len(items)
    return Rows(
        items=np.array(items, dtype=np.int64),
        columns=from_rows(rows),
        start=np.arange(n, dtype=float),
        duration=np.full(n, 0.5),
        attempt=np.ones(n, dtype=np.int16),
        host="here",
        pid=7,
    )


def write_frames(path: Path, n_frames: int, per_frame: int = 2) -> list[tuple[int, list[int]]]:
    """Write frames of rows, each third one of a failure; return the end and items of each."""
    ends = []
    with ShardWriter(path) as writer:
        for k in range(n_frames):
            items = [k * per_frame + j for j in range(per_frame)]
            if k % 3 == 2:
                items = items[:1]
                writer.write_failure(Failure(items[0], "error", "E: no", pset={"a": str(k)}))
            else:
                writer.write_rows(make_rows(items, [{"y": i * 0.5, "k": k} for i in items]))
            ends.append((path.stat().st_size, items))
    return ends


def load(reader: ShardReader, frames: Sequence[Any]) -> dict[int, Any]:
    """Return the row (a dict) or the Failure of each item, and check that none comes twice."""
    outcomes: dict[int, Any] = {}
    for frame in frames:
        if frame.kind == FAILURE:
            found = {failure.item: failure for failure in reader.failures(frame)}
            assert list(found) == frame.items.tolist()
        else:
            assert frame.kind == ROWS
            with trusting():  # the tests' own values may be of any class
                rows = reader.rows(frame)
            names, columns = tuple(rows.columns), list(rows.columns.values())
            table = zip(*columns, strict=True) if columns else [()] * len(rows.items)
            dicts = (dict(zip(names, row, strict=True)) for row in table)
            found = dict(zip(rows.items.tolist(), dicts, strict=True))
        assert not found.keys() & outcomes.keys()
        outcomes.update(found)
    return outcomes
