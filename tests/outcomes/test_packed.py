"""What stands for small frames, in the file beside a shard, changes nothing of what is read."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psyflow.exceptions import DamagedShardWarning, UntrustedFileError
from psyflow.outcomes import packed
from psyflow.outcomes.beside import packed_file
from psyflow.outcomes.norows import drop_rows
from psyflow.outcomes.reading import read_outcomes
from psyflow.outcomes.records import SKIPPED, UNKNOWN, Failure
from psyflow.outcomes.shard import FAILURE, ROWS, ShardReader, ShardWriter
from psyflow.outcomes.states import State
from psyflow.outcomes.table import Table, merged_blocks
from psyflow.system.trust import trusting
from tests.support.rows import column_values, load, make_rows, same

ANY_DAMAGE = "ignore::psyflow.exceptions.DamagedShardWarning"


@pytest.fixture
def short() -> Iterator[None]:
    """Pack after a few frames."""
    with short_stretches():
        yield


def short_stretches() -> Any:
    return mock.patch.multiple(packed, _STRETCH_FRAMES=4, _LEAST_FRAMES=2)


def write(path: Path, n_items: int, *, failing: int = 7, close: bool = True) -> ShardWriter:
    """Write a frame for each item, as the worker of slow items does; some of them fail."""
    writer = ShardWriter(path)
    writer.__enter__()
    for item in range(n_items):
        if item % failing == failing - 1:
            writer.write_failure(Failure(item, "error", f"E: {item}"))
        else:
            writer.write_rows(make_rows([item], [{"y": item * 0.5, "text": f"t{item}"}]))
        if item % 20 == 9:
            writer.sync()
    if close:
        writer.close()
    return writer


def outcomes(path: Path) -> dict[int, Any]:
    reader = ShardReader(path)
    return load(reader, reader.new_frames(verify=True))


def alone(path: Path) -> dict[int, Any]:
    """Return what a shard holds without the file beside it."""
    with tempfile.TemporaryDirectory() as folder:
        return outcomes(Path(shutil.copy(path, folder)))


def test_many_small_frames_are_read_as_a_few(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write(path, 1000, failing=10_000)
    reader = ShardReader(path)
    frames = reader.new_frames()
    assert len(frames) == 8
    assert all(frame.is_packed and frame.kind == ROWS for frame in frames)
    assert same(load(reader, frames), alone(path))
    assert packed_file(path).stat().st_size < path.stat().st_size / 4


def test_few_frames_and_large_ones_are_not_packed(tmp_path: Path) -> None:
    write(tmp_path / "few.rows", 12, failing=100)
    with ShardWriter(tmp_path / "large.rows") as writer:
        for k in range(20):
            items = range(9 * k, 9 * k + 9)
            writer.write_rows(make_rows(items, [{"y": f"{item}" * 9999} for item in items]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.rows", "large.rows"]


ITEMS = {"rows": 1, "pair": 2, "failure": 1, "skip": 1, "refused": 1, "elsewhere": 1, "large": 1}


def write_kind(writer: ShardWriter, kind: str, items: list[int], values: list[Any]) -> None:
    rows = make_rows(items, [{f"c{i % 3}": values[i % len(values)]} for i in items])
    rows.peak_kib = 100 + items[0] if kind == "pair" else UNKNOWN
    if kind in ("failure", "skip"):
        writer.write_failure(Failure(items[0], SKIPPED if kind == "skip" else "error", "E"))
    elif kind == "refused":
        writer.write_rows(replace(rows, refused_by="a store"))
    elif kind == "elsewhere":
        writer.write_rows(replace(rows, host="there", printed=np.array([[3, items[0] + 4]])))
    elif kind == "large":
        writer.write_rows(replace(rows, columns={**rows.columns, "text": ["x" * 20_000]}))
    else:
        writer.write_rows(rows)


def told(path: Path) -> tuple[Any, ...]:
    """Return all that readers know of a shard: rows with their bookkeeping, failures, skips."""
    found = read_outcomes([path], verify=True)
    n_items = 200
    rows: dict[int, Any] = {}
    with trusting():
        for items, block in merged_blocks(Table.index(found.pieces, n_items)):
            numbers = {n: c.tolist() for n, c in block.bookkeeping.items() if n != "worker"}
            workers = [found.workers.names[w] for w in block.bookkeeping["worker"]]
            for k, item in enumerate(items.tolist()):
                columns = {name: list(column)[k] for name, column in block.columns.items()}
                known = {name: value for name, value in columns.items() if not is_nan(value)}
                rows[item] = known, {n: c[k] for n, c in numbers.items()}, workers[k]
    records = {state: [r.read() for r in some] for state, some in found.records.items()}
    return rows, records, {state: items.tolist() for state, items in found.ended.items()}


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(ITEMS)), max_size=40),
    column_values.filter(bool),
    st.integers(1, 5),
)
def test_whatever_is_packed_reads_as_if_it_were_not(
    kinds: list[str], values: list[Any], syncs: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, short_stretches():
        path = Path(folder) / "a.rows"
        with ShardWriter(path) as writer:
            item = 0
            for number, kind in enumerate(kinds):
                items = list(range(item, item + ITEMS[kind]))
                item += ITEMS[kind]
                write_kind(writer, kind, items, values)
                if number % syncs == 0:
                    writer.sync()
        if not kinds:
            return
        with mock.patch("psyflow.outcomes.shard._PACKED_FROM", 0):
            mine = told(path)
        packed_file(path).unlink(missing_ok=True)
        assert same(list(mine), list(told(path)))


@pytest.mark.filterwarnings(ANY_DAMAGE)
@pytest.mark.usefixtures("short")
def test_no_state_of_the_file_beside_it_changes_what_a_shard_holds(tmp_path: Path) -> None:
    """Killed at any byte, not brought to the disk, damaged, or of another shard."""
    path, other = tmp_path / "a.rows", tmp_path / "b.rows"
    write(path, 60)
    write(other, 50, failing=2)
    whole, content = alone(path), packed_file(path).read_bytes()
    chance = random.Random(1)
    states = [content[:length] for length in range(0, len(content), 101)]
    states += [b"\0" * length + content[length:] for length in range(0, len(content), 397)]
    states += [flipped(content, at) for at in chance.sample(range(len(content)), 40)]
    states += [b"", b"\0" * 5000, packed_file(other).read_bytes(), path.read_bytes()]
    for state in states:
        packed_file(path).write_bytes(state)
        assert outcomes(path) == whole


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :]


@pytest.mark.filterwarnings(ANY_DAMAGE)
@pytest.mark.usefixtures("short")
def test_a_shard_that_lost_its_end_counts_for_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write(path, 60)
    whole, content = outcomes(path), path.read_bytes()
    for length in range(0, len(content), 509):
        path.write_bytes(content[:length])
        expected = alone(path)
        assert outcomes(path) == expected
        assert expected.items() <= whole.items()


@pytest.mark.usefixtures("short")
def test_a_shard_with_damaged_rows_in_it_loses_none_that_are_packed(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write(path, 60, failing=100)
    whole = outcomes(path)
    content = bytearray(path.read_bytes())
    content[60:120] = b"\0" * 60
    path.write_bytes(content)
    assert outcomes(path) == whole


@pytest.mark.usefixtures("short")
def test_a_damaged_failure_in_a_packed_stretch_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write(path, 60)
    reader = ShardReader(path)
    failure = next(frame for frame in reader.new_frames() if frame.kind == FAILURE)
    content = bytearray(path.read_bytes())
    for at in (failure.offset, failure.offset - 30):  # of its payload, and of its head
        content[at] ^= 1
        path.write_bytes(content)
        with pytest.warns(DamagedShardWarning, match=r"a\.rows: the frame .* is damaged"):
            assert failure.items[0] not in outcomes(path)


@pytest.mark.usefixtures("short")
def test_a_reader_that_follows_sees_every_outcome_once(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    seen: list[int] = []
    reader = None
    writer = write(path, 0, close=False)
    for item in range(400):
        writer.write_rows(make_rows([item], [{"y": item}]))
        if item % 5 == 4:
            writer.sync()
        if item % 37 == 36:
            reader = reader or ShardReader(path)
            seen += [int(i) for frame in reader.new_frames() for i in frame.items]
            assert seen == list(range(item + 1))
    writer.close()


@pytest.mark.usefixtures("short")
def test_rows_that_were_dropped_stay_away(tmp_path: Path) -> None:
    """Also if an earlier psyflow has dropped them, which leaves the file beside the shard."""
    path = tmp_path / "a.rows"
    write(path, 60)
    failures = {item: found for item, found in outcomes(path).items() if item % 7 == 6}
    left = packed_file(path).read_bytes()
    drop_rows(path)
    assert list(tmp_path.iterdir()) == [path]
    assert outcomes(path) == failures
    packed_file(path).write_bytes(left)
    with mock.patch("psyflow.outcomes.shard._PACKED_FROM", 0):
        assert outcomes(path) == failures


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", ["disk", "folder", "values"])
def test_what_cannot_be_packed_ends_no_worker(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rows"
    writer = write(path, 3, close=False)
    if trouble == "folder":
        packed_file(path).mkdir()
    elif trouble == "values":
        monkeypatch.setattr(packed, "concatenate", lambda *columns, **lengths: 1 / 0)
    else:
        monkeypatch.setattr(packed, "write_all", lambda fd, data: os.write(fd, data[:50]) and no())
    for item in range(3, 40):
        writer.write_rows(make_rows([item], [{"y": item}]))
        writer.sync()
    writer.close()
    assert set(outcomes(path)) == set(range(40))


def no() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("short")
def test_values_of_classes_are_not_packed(tmp_path: Path) -> None:
    """Should their module be missing one day, the other frames can be read."""
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        for item in range(20):
            value = np.ma.array([item]) if item == 9 else item
            writer.write_rows(make_rows([item], [{"y": value}]))
    with mock.patch("psyflow.outcomes.shard._PACKED_FROM", 0):
        reader = ShardReader(path)
        (single,) = (f for f in reader.new_frames() if not f.is_packed and 9 in f.items)
    assert single.items.tolist() == [9]


def test_what_a_stranger_puts_beside_a_shard_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer, mock.patch.object(packed, "_is_simple", lambda rows: True):
        for item in range(40):
            writer.write_rows(make_rows([item], [{"y": np.ma.array([item])}]))
    reader = ShardReader(path)
    (frame,) = reader.new_frames()
    with pytest.raises(UntrustedFileError, match=r"a\.rows"):
        reader.rows(frame)


def test_states_count_what_is_packed(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write(path, 700)
    found = read_outcomes([path])
    assert found.ended[State.FAILED].tolist() == list(range(6, 700, 7))
    assert sum(len(piece.items) for piece in found.pieces) == 600
    assert len(found.pieces) < 10


def test_no_warning_of_a_shard_whose_file_beside_it_is_of_a_later_psyflow(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    with mock.patch.dict("psyflow.outcomes.frames._VERSION_OF_KIND", {5: 99}):
        write(path, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert outcomes(path) == alone(path)


def test_what_programs_took_is_in_packs_too(tmp_path: Path, short: None) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        for item in range(8):
            took = {"exit_code": np.array([item], dtype=np.int16)} if item % 2 else None
            writer.write_rows(replace(make_rows([item], [{"y": item}]), programs=took))
    assert packed_file(path).exists()
    outcomes = read_outcomes([path])
    ((_, block),) = merged_blocks(Table.index(outcomes.pieces, 8))
    assert block.bookkeeping["exit_code"].tolist()[1::2] == [1, 3, 5, 7]
    assert len(set(block.bookkeeping["exit_code"].tolist()[::2])) == 1
