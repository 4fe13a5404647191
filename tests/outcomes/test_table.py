from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import psyflow.outcomes.table
from psyflow.columns import from_rows
from psyflow.exceptions import DamagedShardWarning, UnreadableError
from psyflow.outcomes.reading import read_outcomes
from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import ShardReader, ShardWriter
from psyflow.outcomes.table import Block, Piece, Table, merged_blocks
from tests.support.rows import make_rows, same, values

NAN = float("nan")


def make_piece(
    number: int,
    items: list[int],
    rows: list[dict[str, Any]],
    n_bytes: int | None = None,
    loaded: Callable[[int], object] = lambda number: None,
) -> Piece:
    n = len(items)

    def load() -> Block:
        loaded(number)
        bookkeeping = {
            "start": np.full(n, float(number)),
            "worker": np.arange(n, dtype=np.int32),
        }
        return Block(from_rows(rows), bookkeeping)

    return Piece(np.array(items, dtype=np.int64), 100 * n if n_bytes is None else n_bytes, load)


def table_of(blocks: Iterator[tuple[Any, Block]]) -> dict[int, tuple[dict[str, Any], float, int]]:
    """Return row, number of the piece and row in the piece of each item, in the order yielded."""
    table = {}
    for items, block in blocks:
        start, row = block.bookkeeping["start"], block.bookkeeping["worker"]
        assert len(start) == len(row) == len(items)
        assert all(len(column) == len(items) for column in block.columns.values())
        columns = {name: list(column) for name, column in block.columns.items()}
        for k, item in enumerate(items.tolist()):
            assert item not in table
            cells = {name: column[k] for name, column in columns.items()}
            table[item] = (cells, float(start[k]), int(row[k]))
    return table


piece_contents = st.lists(
    st.tuples(
        st.integers(-1, 14),
        st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2),
    ),
    max_size=8,
)


@settings(max_examples=120)
@given(st.lists(piece_contents, max_size=6), st.integers(0, 12))
def test_each_item_once_from_the_first_that_has_it(
    contents: list[list[tuple[int, dict[str, Any]]]], n_items: int
) -> None:
    pieces = [
        make_piece(number, [item for item, _ in content], [row for _, row in content])
        for number, content in enumerate(contents)
    ]
    expected: dict[int, tuple[dict[str, Any], float, int]] = {}
    for number, content in enumerate(contents):
        for k, (item, row) in enumerate(content):
            if 0 <= item < n_items:
                expected.setdefault(item, (row, float(number), k))
    table = Table.index(pieces, n_items)
    assert table.done().tolist() == sorted(expected)
    merged = table_of(merged_blocks(table))
    assert list(merged) == sorted(expected)
    for item, (row, number, k) in expected.items():
        cells, merged_number, merged_k = merged[item]
        assert (merged_number, merged_k) == (number, k)
        assert same({name: cells[name] for name in row}, row)
        assert all(same(cells[name], NAN) for name in cells.keys() - row.keys())


def test_columns_that_some_rows_lack_are_nan_and_arrays_stay_arrays() -> None:
    pieces = [
        make_piece(0, [3, 1], [{"a": np.float64(3)}, {"a": np.float64(1)}]),
        make_piece(1, [0, 2], [{}, {}]),
        make_piece(2, [4], [{"b": "text", "a": np.float64(4)}]),
    ]
    ((items, block),) = merged_blocks(Table.index(pieces, 5))
    assert items.tolist() == [0, 1, 2, 3, 4]
    assert same(list(block.columns["a"]), [NAN, np.float64(1), NAN, np.float64(3), np.float64(4)])
    assert same(list(block.columns["b"]), [NAN, NAN, NAN, NAN, "text"])
    ((_, block),) = merged_blocks(Table.index(pieces[:1], 5))
    assert isinstance(block.columns["a"], np.ndarray)
    assert block.columns["a"].tolist() == [1.0, 3.0]


def test_rows_without_any_column() -> None:
    pieces = [make_piece(0, [1, 0], [{}, {}]), make_piece(1, [2], [{}])]
    ((items, block),) = merged_blocks(Table.index(pieces, 3))
    assert (items.tolist(), block.columns) == ([0, 1, 2], {})
    assert block.bookkeeping["start"].tolist() == [0, 0, 1]


def test_nothing_done() -> None:
    assert list(merged_blocks(Table.index([], 5))) == []
    assert list(merged_blocks(Table.index([make_piece(0, [-1, 9], [{}, {}])], 5))) == []


def test_blocks_keep_to_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psyflow.outcomes.table, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(psyflow.outcomes.table, "BLOCK_ROWS", 7)
    row_bytes = [10, 300, 5000]
    contents = [[*range(30)], [*range(30, 50)], [*range(50, 55)]]
    pieces = [
        make_piece(k, items, [{"y": i} for i in items], row_bytes[k] * len(items))
        for k, items in enumerate(contents)
    ]
    seen = []
    for items, block in merged_blocks(Table.index(pieces, 55)):
        seen += items.tolist()
        n_bytes = sum(row_bytes[int(k)] for k in block.bookkeeping["start"])
        assert len(items) <= 7
        assert n_bytes <= 1000 or len(items) == 1
        assert list(block.columns["y"]) == items.tolist()
    assert seen == list(range(55))


@pytest.mark.parametrize("cache_bytes", [0, 450, 10**9])
def test_pieces_are_kept_only_as_far_as_they_fit(
    monkeypatch: pytest.MonkeyPatch, cache_bytes: int
) -> None:
    monkeypatch.setattr(psyflow.outcomes.table, "CACHE_BYTES", cache_bytes)
    monkeypatch.setattr(psyflow.outcomes.table, "BLOCK_ROWS", 10)
    loads: list[int] = []
    # Two workers take turns: blocks need two pieces at once, each of them for five blocks.
    contents = [
        [i for i in range(start, start + 100) if i % 2 == half]
        for start in (0, 100, 200)
        for half in (0, 1)
    ]
    pieces = [
        make_piece(k, items, [{"y": i} for i in items], 200, loads.append)
        for k, items in enumerate(contents)
    ]
    merged = table_of(merged_blocks(Table.index(pieces, 300)))
    assert [row["y"] for row, _, _ in merged.values()] == list(range(300))
    assert len(loads) == (60 if cache_bytes == 0 else 6)


def test_memory_does_not_grow_with_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psyflow.outcomes.table, "BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(psyflow.outcomes.table, "CACHE_BYTES", 1 << 20)
    with ShardWriter(tmp_path / "a.rows") as writer:
        for k in range(80):
            rows = [{"y": np.full(1000, float(i))} for i in range(50 * k, 50 * k + 50)]
            writer.write_rows(make_rows(range(50 * k, 50 * k + 50), rows))
    assert (tmp_path / "a.rows").stat().st_size > 30 << 20
    outcomes = read_outcomes([tmp_path / "a.rows"])
    table = Table.index(outcomes.pieces, 4000)
    tracemalloc.start()
    for items, block in merged_blocks(table):
        assert same(block.columns["y"][:, 7], items.astype(float))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


def test_a_million_items_in_many_pieces_are_indexed_fast() -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(1_000_000)
    pieces = [Piece(items, 10, lambda: Block({}, {})) for items in np.split(order, 1000)]
    table = Table.index(pieces, 1_000_000)
    assert np.array_equal(table.done(), np.arange(1_000_000))
    assert np.array_equal(order.reshape(1000, 1000)[table.piece_of, table.row_of], table.done())


# --------------------------------------------------------------------------- shards


def write_shards(folder: Path) -> list[Path]:
    paths = [folder / "a.rows", folder / "b.rows", folder / "c.rows"]
    with ShardWriter(paths[0]) as writer:
        writer.write_rows(make_rows([0, 2], [{"y": 0}, {"y": 2}]))
        writer.write_failure(Failure(1, "error", "E: first"))
    with ShardWriter(paths[1]) as writer:
        writer.write_failure(Failure(3, "crash", "killed"))
        writer.write_rows(make_rows([1, 4], [{"y": 1}, {"y": 4}]))
    paths[2].touch()
    return paths


def test_read_outcomes_tells_results_and_failures(tmp_path: Path) -> None:
    outcomes = read_outcomes(write_shards(tmp_path))
    assert [piece.items.tolist() for piece in outcomes.pieces] == [[0, 2], [1, 4]]
    assert outcomes.failed.tolist() == [1, 3]
    assert [(f.item, f.read().kind) for f in outcomes.failures] == [(1, "error"), (3, "crash")]
    ((items, block),) = merged_blocks(Table.index(outcomes.pieces, 5))
    assert items.tolist() == [0, 1, 2, 4]
    assert list(block.columns["y"]) == [0, 1, 2, 4]
    assert outcomes.workers.names == ["here 7 "]
    assert block.bookkeeping["worker"].tolist() == [0] * 4
    assert {n: c.dtype.str[1:] for n, c in block.bookkeeping.items()} == {
        "start": "f8",
        "duration": "f8",
        "attempt": "i2",
        "worker": "i4",
        "peak_kib": "i4",
    }


def test_rows_that_printed_nothing_beside_rows_that_did(tmp_path: Path) -> None:
    silent, loud = make_rows([0, 2], [{"y": 0}] * 2), make_rows([1, 3], [{"y": 1}] * 2)
    loud.printed = np.array([[0, 5], [-1, -1]])
    with ShardWriter(tmp_path / "a.rows") as writer:
        writer.write_rows(silent)
        writer.write_rows(loud)
    outcomes = read_outcomes([tmp_path / "a.rows"])
    ((_, block),) = merged_blocks(Table.index(outcomes.pieces, 4))
    assert block.bookkeeping["log_start"].tolist() == [-1, 0, -1, -1]
    assert block.bookkeeping["log_stop"].tolist() == [-1, 5, -1, -1]
    assert block.bookkeeping["log_stop"].dtype == np.int64


def test_shards_of_another_space_are_renumbered(tmp_path: Path) -> None:
    paths = write_shards(tmp_path)
    to_present = np.array([10, -1, -1, 7, 0])
    outcomes = read_outcomes(paths, lambda shard: to_present if shard.name == "b.rows" else None)
    assert [piece.items.tolist() for piece in outcomes.pieces] == [[0, 2], [-1, 0]]
    assert outcomes.failed.tolist() == [1, 7]
    assert [(f.item, f.read().item) for f in outcomes.failures] == [(1, 1), (7, 3)]
    no_more = read_outcomes(paths, lambda shard: np.full(5, -1))
    assert no_more.failed.tolist() == []
    assert [f.item for f in no_more.failures] == [-1, -1]


def test_verifying_leaves_out_what_is_damaged(tmp_path: Path) -> None:
    paths = write_shards(tmp_path)
    frame = ShardReader(paths[0]).new_frames()[0]
    content = bytearray(paths[0].read_bytes())
    content[frame.offset + 5] ^= 1
    paths[0].write_bytes(content)
    with pytest.warns(DamagedShardWarning, match=r"a\.rows.* 2 items run again"):
        verified = read_outcomes(paths, verify=True)
    assert [piece.items.tolist() for piece in verified.pieces] == [[1, 4]]
    unverified = read_outcomes(paths)
    assert len(unverified.pieces) == 2
    with pytest.raises(UnreadableError, match=r"a\.rows"):
        list(merged_blocks(Table.index(unverified.pieces, 5)))
