from __future__ import annotations

import base64
import json
import random
import tempfile
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import psyflow.outcomes.frames
from psyflow.columns import Numbers
from psyflow.exceptions import (
    DamagedFileError,
    DamagedShardWarning,
    StoreError,
    UnsupportedDataError,
)
from psyflow.outcomes.beside import packed_file
from psyflow.outcomes.frames import FAILURE, MAGIC, ROWS, SKIP, Frame
from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import ShardReader, ShardWriter
from psyflow.reprs import pset_repr, safe_repr
from psyflow.system.trust import trusting
from tests.support.processes import eventually, script
from tests.support.rows import column_values, load, make_rows, same, write_frames


def read(path: Path) -> tuple[ShardReader, list[Frame]]:
    reader = ShardReader(path)
    return reader, reader.new_frames()


def read_quietly(path: Path) -> tuple[dict[int, Any], int]:
    """Return what intact frames hold, and how many places were reported as damaged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader, frames = read(path)
    intact = [frame for frame in frames if reader.is_intact(frame)]
    assert all(issubclass(w.category, DamagedShardWarning) for w in caught)
    return load(reader, intact), len(caught) + len(frames) - len(intact)


# --------------------------------------------------------------------------- round trip

whole_numbers = st.integers(-(2**63), 2**63 - 1)
kinds_of_numbers = st.sampled_from(
    [st.booleans(), whole_numbers, st.integers(), st.floats(), st.complex_numbers()]
)


@settings(max_examples=60)
@given(st.lists(kinds_of_numbers, min_size=1, max_size=4), st.integers(1, 30), st.data())
def test_numbers_come_back_with_their_types(
    kinds: list[st.SearchStrategy[Any]], n: int, data: st.DataObject
) -> None:
    columns = [data.draw(st.lists(kind, min_size=n, max_size=n)) for kind in kinds]
    rows = [{f"c{k}": column[i] for k, column in enumerate(columns)} for i in range(n)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.rows"
        with ShardWriter(path) as writer:
            writer.write_rows(make_rows(range(n), rows))
        reader, (frame,) = read(path)
        got = reader.rows(frame).columns
    for k, column in enumerate(columns):
        assert same(list(got[f"c{k}"]), column)


@pytest.mark.parametrize(("n", "is_packed"), [(8, False), (9, True)])
def test_numbers_of_many_rows_are_packed(tmp_path: Path, n: int, is_packed: bool) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        writer.write_rows(make_rows(range(n), [{"y": i, "text": str(i)} for i in range(n)]))
    reader, (frame,) = read(path)
    columns = reader.rows(frame).columns
    assert isinstance(columns["y"], Numbers) is is_packed
    assert type(columns["text"]) is list


# What psyflow wrote when this was the format: ten rows, i = k * k and f = k / 2.
VERSION_1 = (
    "c-pO!PfNov7>AR!wObX@sR!?ZI}P;YLD;~<z(Da2c+;`1sV%HcNmFD8!Hei1H(&iOegd!JC-CmYgNNO;t%-_y+#B"
    "fggoOOwgpQMR#MzmH5k?L|=%j+mdb@vEmq#y8NEKF8%g9hP6)nXXMO(3|SW~>PZV%NN=g^S$fDN-KPNA6K5RRci5"
    "W&PGHL^ff$r{-pZL&`#_KUTSZl}|F*7B-lqNJ_&v`sBlEpu8HwA4R^X3|PUj|-4XaTX<`W_Q3iZRSpSH~=}@^*M|"
    "BneS5$H_*7-LqBWMnifG?Wdk`qF-mA2CM*6HjIXcYAb%c1;%#tUclSN7@<Wh-K5;HV;vEqACRz0|-V-5<A#i?o`q"
    "-KlAy_O@gOxJV?g>GoM3j-sU%$=Y0l~bigqz<N3hMt~M;&YiEENSPryz|a^nlpX7_w84D9=rJ7z^rwn>9ZGNEM`w"
)


def test_the_first_format_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    path.write_bytes(zlib.decompress(base64.b85decode(VERSION_1)))
    reader, (frame,) = read(path)
    assert frame.items.tolist() == list(range(10))
    rows = reader.rows(frame)
    assert same(rows.columns["i"], [k * k for k in range(10)])
    assert same(rows.columns["f"], [k / 2 for k in range(10)])
    assert (rows.host, rows.pid, rows.start[0]) == ("here", 7, 1.5)


@settings(max_examples=60)
@given(st.lists(column_values, min_size=1, max_size=3), st.integers(0, 2**60))
def test_rows_come_back_exactly(columns: list[list[Any]], first: int) -> None:
    n = min(map(len, columns))
    rows = [{f"c{k}": column[i] for k, column in enumerate(columns)} for i in range(n)]
    written = make_rows(range(first, first + n), rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.rows"
        with ShardWriter(path) as writer:
            writer.write_rows(written)
        reader, (frame,) = read(path)
        assert frame.items.tolist() == written.items.tolist()
        with trusting():  # the values are of any class
            got = reader.rows(frame)
    assert list(got.columns) == list(written.columns)
    for name in written.columns:
        assert same(list(got.columns[name]), list(written.columns[name]))
    for name in ("start", "duration", "attempt"):
        assert same(getattr(got, name), getattr(written, name))
    assert (got.host, got.pid) == ("here", 7)


texts = st.text(st.characters(), max_size=8)  # lone surrogates too


records = st.builds(
    Failure,
    item=st.integers(0, 2**62),
    kind=st.sampled_from(["error", "crash", "timeout", "result", "skipped"]),
    exception=texts,
    traceback=texts,
    pset=st.dictionaries(texts, texts, max_size=2),
    start=st.floats(0, 1e12),
    duration=st.floats(0, 1e12),
    attempt=st.integers(1, 100),
    host=texts,
    pid=st.integers(1, 2**22),
    programs=st.none() | st.dictionaries(texts, st.integers(0, 5), max_size=1),
)


@settings(max_examples=60)
@given(records.filter(lambda failure: failure.kind != "skipped"))
def test_failures_come_back_exactly(failure: Failure) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.rows"
        with ShardWriter(path) as writer:
            writer.write_failure(failure)
        reader, (frame,) = read(path)
        assert (frame.kind, frame.items.tolist()) == (FAILURE, [failure.item])
        assert reader.failures(frame) == [failure]


@settings(max_examples=60)
@given(st.lists(records, min_size=1, max_size=6))
def test_failures_and_skips_that_are_written_together_come_back_exactly(
    failures: list[Failure],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.rows"
        with ShardWriter(path) as writer:
            writer.write_failures(failures)
        reader, frames = read(path)
        assert [failure for frame in frames for failure in reader.failures(frame)] == failures
        assert [i for frame in frames for i in frame.items.tolist()] == [f.item for f in failures]
        for frame in frames:
            is_skip = {failure.kind == "skipped" for failure in reader.failures(frame)}
            assert is_skip == {frame.kind == SKIP}


def test_failures_that_are_alike_take_few_bytes_and_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        writer.write_failures([Failure(i, "error", "E: no", "…" * 100) for i in range(100)])
    reader, (frame,) = read(path)
    assert frame.items.tolist() == list(range(100))
    with ShardWriter(tmp_path / "b.rows") as writer:
        writer.write_failures([Failure(i, "skipped", "dull", host="here") for i in range(100)])
    assert (tmp_path / "b.rows").stat().st_size < 5000
    # What is damaged costs these items, and no others.
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    reader = ShardReader(path)
    with pytest.raises(DamagedFileError):
        reader.failures(reader.new_frames()[0])


def test_rows_without_columns_and_frames_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        writer.write_rows(make_rows([4, 5], [{}, {}]))
        writer.write_rows(make_rows([], []))
    reader, frames = read(path)
    assert load(reader, frames) == {4: {}, 5: {}}


def test_a_writer_without_outcomes_leaves_no_file(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "out" / "a.rows") as writer:
        writer.sync()
    assert list(tmp_path.iterdir()) == []


def test_a_shard_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write_frames(path, 2)
    content = path.read_bytes()
    with ShardWriter(path) as second, pytest.raises(FileExistsError):
        second.write_rows(make_rows([0], [{}]))
    assert path.read_bytes() == content


def test_what_cannot_be_pickled_is_not_written_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        writer.write_rows(make_rows([0], [{"y": 1}]))
        with pytest.raises(UnsupportedDataError, match="pickled"):
            writer.write_rows(make_rows([1], [{"y": lambda: 1}]))
        writer.write_rows(make_rows([2], [{"y": 2}]))
    reader, frames = read(path)
    assert load(reader, frames) == {0: {"y": 1}, 2: {"y": 2}}


class Vanishing:
    pass


def test_rows_that_cannot_be_unpickled_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        writer.write_rows(make_rows([0], [{"y": Vanishing()}]))
    monkeypatch.delitem(globals(), "Vanishing")
    reader, (frame,) = read(path)
    assert reader.is_intact(frame)
    with pytest.raises(StoreError, match=r"a\.rows.*Vanishing"):
        reader.rows(frame)


def test_a_later_format_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(psyflow.outcomes.frames._VERSION_OF_KIND, ROWS, 6)
    write_frames(tmp_path / "a.rows", 1)
    monkeypatch.undo()
    with pytest.raises(DamagedFileError, match=r"a\.rows.*format 6"):
        read(tmp_path / "a.rows")


# --------------------------------------------------------------------------- cuts and flips


def test_cut_at_every_byte_everything_before_is_there(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.rows", tmp_path / "cut.rows"
    ends = write_frames(path, 3)
    content = path.read_bytes()
    whole = load(*read(path))
    for length in range(len(content) + 1):
        cut.write_bytes(content[:length])
        kept = [item for end, items in ends if end <= length for item in items]
        reader, frames = read(cut)
        assert load(reader, frames) == {item: whole[item] for item in kept}
        # The rest comes: what was half is read when it is whole.
        with cut.open("ab") as file:
            file.write(content[length:])
        assert load(reader, frames + reader.new_frames()) == whole


def check_flip(path: Path, content: bytes, ends: list[tuple[int, list[int]]], at: int) -> None:
    whole = {item for _, items in ends for item in items}
    touched = next(items for end, items in ends if at < end)
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([content[at] ^ (1 << (at % 8))]))
    outcomes, n_reported = read_quietly(path)
    assert set(outcomes) == whole - set(touched)
    # A broken head of the last frame looks like a torn tail.
    assert n_reported == 1 or (n_reported == 0 and touched == ends[-1][1])


@pytest.mark.parametrize("per_frame", [2, 9], ids=["lists", "packed"])
def test_a_flip_of_any_byte_costs_its_frame_alone(tmp_path: Path, per_frame: int) -> None:
    path = tmp_path / "a.rows"
    ends = write_frames(path, 3, per_frame)
    content = path.read_bytes()
    for at in range(len(content)):
        check_flip(path, content, ends, at)


def test_flips_in_a_large_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    ends = write_frames(path, 60, per_frame=200)
    packed_file(path).unlink()
    content = path.read_bytes()
    rng = random.Random(1)
    for at in rng.sample(range(len(content)), 25):
        check_flip(path, content, ends, at)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=30)), max_size=4))
def test_an_overwritten_head_costs_its_frame_alone(damages: list[tuple[int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.rows"
        ends = write_frames(path, 6)
        begins = [0, *(end for end, _ in ends)]
        content = path.read_bytes()
        changed = bytearray(content)
        for frame, garbage in damages:
            changed[begins[frame] : begins[frame] + len(garbage)] = garbage
        path.write_bytes(changed)
        whole_frames = [
            items
            for k, (end, items) in enumerate(ends)
            if changed[begins[k] : end] == content[begins[k] : end]
        ]
        outcomes, _ = read_quietly(path)
    assert sorted(outcomes) == sorted(item for items in whole_frames for item in items)


def test_a_payload_that_is_damaged_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write_frames(path, 3)
    content = bytearray(path.read_bytes())
    reader, frames = read(path)
    for frame in frames:
        content[frame.offset] ^= 1
    path.write_bytes(content)
    for frame in frames:
        assert not reader.is_intact(frame)
        load_one = reader.failures if frame.kind == FAILURE else reader.rows
        with pytest.raises(DamagedFileError, match=rf"a\.rows.*byte {frame.offset}.*run again"):
            load_one(frame)


def test_damage_of_more_than_one_stretch_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rows"
    n = 9
    ends = write_frames(path, n)
    content = bytearray(path.read_bytes())
    # Everything between the first frame and the last is gone, so the reader has to search.
    content[ends[0][0] : ends[n - 2][0]] = bytes(ends[n - 2][0] - ends[0][0])
    path.write_bytes(content)
    for stretch in range(len(MAGIC), 60):
        monkeypatch.setattr("psyflow.outcomes.frames._SCAN_BYTES", stretch)
        with pytest.warns(DamagedShardWarning, match=f"bytes {ends[0][0]} to {ends[n - 2][0]}"):
            _, frames = read(path)
        assert [f.items.tolist() for f in frames] == [ends[0][1], ends[-1][1]]


def test_shards_inside_of_results_are_no_frames(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.rows", tmp_path / "outer.rows"
    write_frames(inner, 4)
    with ShardWriter(outer) as writer:
        writer.write_rows(make_rows([100], [{"y": inner.read_bytes()}]))
        writer.write_rows(make_rows([101], [{"y": MAGIC * 50}]))
    content = bytearray(outer.read_bytes())
    half = tmp_path / "half.rows"
    half.write_bytes(content[: len(content) // 2])
    assert read(half)[1] == []
    content[3] ^= 1
    outer.write_bytes(content)
    assert set(read_quietly(outer)[0]) == {101}


def test_damage_is_reported_once_and_what_follows_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    ends = write_frames(path, 3)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content[: ends[1][0]])
    reader = ShardReader(path)
    with pytest.warns(DamagedShardWarning) as caught:
        assert len(reader.new_frames()) == 1
    assert len(caught) == 1
    with path.open("ab") as file:
        file.write(content[ends[1][0] :])
    assert len(reader.new_frames()) == 1
    assert reader.new_frames() == []


# --------------------------------------------------------------------------- real processes

WRITER = """
    import sys, time
    import numpy as np
    from pathlib import Path
    from psyflow.outcomes.records import Rows
    from psyflow.outcomes.shard import ShardWriter
    writer = ShardWriter(Path(sys.argv[1]))
    size, k = int(sys.argv[2]), 0
    while True:
        n = k % 3 + 1
        items = np.arange(3 * k, 3 * k + n)
        full = [np.full(size, float(item)) for item in items]
        writer.write_rows(Rows(
            items, {"y": np.array(full)}, np.zeros(n), np.zeros(n), np.ones(n, "i2"), "h", 1
        ))
        if k % 4 == 0:
            writer.sync()
            print(3 * k, flush=True)
        k += 1
"""


def check_frame(reader: ShardReader, frame: Frame) -> None:
    rows = reader.rows(frame)
    assert len(rows.columns["y"]) == len(frame.items)
    assert frame.is_packed or len(frame.items) == frame.items[0] // 3 % 3 + 1
    for item, row in zip(frame.items, rows.columns["y"], strict=True):
        assert np.all(row == item)


def test_a_reader_that_follows_a_writer_never_sees_half_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    writer = script(WRITER, path, 3000, stdout=-3)
    try:
        eventually(path.exists)
        reader, n_frames = ShardReader(path), 0
        deadline = time.monotonic() + 120
        while n_frames < 500 and time.monotonic() < deadline:
            for frame in reader.new_frames():
                check_frame(reader, frame)
                assert frame.items[0] == 3 * n_frames
                n_frames += 1
            if path.stat().st_size > 500 << 20:
                break
        assert n_frames > 20
    finally:
        writer.kill()
        writer.wait()
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_kill_of_a_writer_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.rows"
    writer = script(WRITER, path, 50 * seed, stdout=-1)
    assert writer.stdout is not None
    for _ in range(3):
        acknowledged = int(writer.stdout.readline())
    time.sleep(random.Random(seed).uniform(0, 0.2))
    writer.kill()
    for line in writer.stdout.read().split("\n")[:-1]:
        acknowledged = int(line)
    writer.stdout.close()
    writer.wait()
    reader, frames = read(path)
    for frame in frames:
        check_frame(reader, frame)
    found = {int(item) for frame in frames for item in frame.items}
    assert found >= set(range(0, acknowledged + 1, 3))


def test_a_full_disk_leaves_whole_frames_and_room_makes_it_go_on(tmp_path: Path) -> None:
    source = """
        import json, resource, signal, sys
        import numpy as np
        from pathlib import Path
        from psyflow.outcomes.records import Failure, Rows
        from psyflow.outcomes.shard import ShardWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def rows(item, size):
            one = np.zeros(1)
            return Rows(np.array([item]), {"y": ["x" * size]}, one, one, np.ones(1, "i2"), "h", 1)
        written = []
        with ShardWriter(Path(sys.argv[1])) as writer:
            for item in range(41):
                limit = 5000 if item < 30 else resource.RLIM_INFINITY
                if item == 40:
                    limit = Path(sys.argv[1]).stat().st_size + 60
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    # Large ones do not fit, small ones between them still do for a while.
                    writer.write_rows(rows(item, 3000 if item % 3 == 1 else 10))
                    written.append(item)
                except OSError:
                    pass
        print(json.dumps(written))
    """
    path = tmp_path / "a.rows"
    process = script(source, path, stdout=-1)
    written = json.loads(process.communicate(timeout=120)[0])
    assert process.returncode == 0
    reader, frames = read(path)
    assert [int(frame.items[0]) for frame in frames] == written
    assert all(reader.is_intact(frame) for frame in frames)
    assert 3 < len([item for item in written if item < 30]) < 30
    assert written[-10:] == list(range(30, 40))
    assert path.stat().st_size == frames[-1].offset + frames[-1].length


def test_a_closed_standard_stream_does_not_become_the_shard(tmp_path: Path) -> None:
    source = """
        import os, sys
        from pathlib import Path
        from psyflow.outcomes.records import Failure
        from psyflow.outcomes.shard import ShardWriter
        os.close(0)
        os.close(1)
        with ShardWriter(Path(sys.argv[1])) as writer:
            writer.write_failure(Failure(0, "error", "E"))
            try:
                os.write(1, b"a print of the user's")
            except OSError:
                writer.write_failure(Failure(1, "error", "E"))
    """
    path = tmp_path / "a.rows"
    assert script(source, path).wait(20) == 0
    assert set(load(*read(path))) == {0, 1}


def test_reading_many_frames_is_fast(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    with ShardWriter(path) as writer:
        for item in range(5000):
            writer.write_failure(Failure(item, "error", "E"))
    begin = time.process_time()
    assert len(read(path)[1]) == 5000
    assert time.process_time() - begin < 0.5
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    read(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


# --------------------------------------------------------------------------- texts


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_pset_repr_is_short_and_survives_any_value() -> None:
    texts = pset_repr({"a": 1, "b": "x" * 1000, "c": Unspeakable()}, limit=20)
    assert texts["a"] == "1"
    assert len(texts["b"]) == 20
    assert texts["b"].endswith("…")
    assert texts["c"] == safe_repr(Unspeakable(), 20)
    assert "Unspeakable" in safe_repr(Unspeakable(), 100)
