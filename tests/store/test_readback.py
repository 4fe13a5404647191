"""What was written is read back: a store that loses something is found out before it counts."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tables

from psyflow import Param, map_pspace_hdd_backed
from psyflow.columns import pack_numbers
from psyflow.exceptions import DamagedFileError, NotWrittenError
from psyflow.store import (
    AutodetectStore,
    H5Store,
    NpzStore,
    PickleStore,
    Store,
    as_store,
    store_for,
)
from psyflow.store.base import append_whole, write_packed
from psyflow.store.comparing import comparable
from psyflow.system.faithful import FaithfulPickler
from psyflow.testing.stores import assert_same_table
from psyflow.utils.example import square

TABLE = {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "t": ["x", "y", "ö"], "z": np.ones((3, 4))}
OLD = {"a": [7], "b": [9.5], "t": ["x"], "z": np.full((1, 4), 2.0)}
OWN = [PickleStore(), NpzStore(), H5Store()]


def without_a_column(table):
    return {name: column for name, column in table.items() if name != "b"}


def without_a_row(table):
    return {name: column[:-1] for name, column in table.items()}


def with_zeros(table):
    return {**table, "a": [0] * len(table["a"])}


def with_zeros_at_the_end(table):
    return {**table, "z": np.append(table["z"][:-1], np.zeros((1, 4)), axis=0)}


def with_empty_text(table):
    return {**table, "t": ["\0"] * len(table["t"])}


def without_anything(table):
    return {}


LOSSES = [
    without_a_column,
    without_a_row,
    with_zeros,
    with_zeros_at_the_end,
    with_empty_text,
    without_anything,
]


def lossy(base, loss):
    """Return a store like those of class `base`, but one that loses something at each save."""

    class Lossy(base):
        def save(self, filename, data):
            base().save(filename, loss(dict(data)))

        def write(self, filename, blocks):
            Store.write(self, filename, blocks)

    return Lossy()


class Psyrun:
    """A store as psyrun has them, that loses something at each save."""

    ext = ".json"

    def __init__(self, loss):
        self.loss = loss

    def save(self, filename, data):
        table = {name: np.asarray(column).tolist() for name, column in self.loss(data).items()}
        Path(filename).write_text(json.dumps(table))

    def load(self, filename):
        table = json.loads(Path(filename).read_text())
        return {name: np.array(c) if name == "z" else c for name, c in table.items()}


@pytest.fixture(params=LOSSES, ids=lambda loss: loss.__name__)
def loss(request):
    return request.param


@pytest.fixture(params=[PickleStore, NpzStore, H5Store, "psyrun"])
def store(request, loss):
    return as_store(Psyrun(loss)) if request.param == "psyrun" else lossy(request.param, loss)


DOORS = {
    "write": lambda store, path, table: write_packed(store, path, [table]),
    "append": lambda store, path, table: append_whole(store, path, table),
    "default append": lambda store, path, table: Store.append(store, path, table),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_store_that_loses_something_is_found_out(store, tmp_path, door):
    path = tmp_path / f"table{store.ext}"
    with pytest.raises(NotWrittenError, match=rf"{path.name} could not be written whole"):
        DOORS[door](store, path, TABLE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("door", DOORS)
def test_the_old_file_stays_if_the_new_one_is_not_whole(store, tmp_path, door):
    path = tmp_path / f"table{store.ext}"
    if store.ext == ".json":
        path.write_text(json.dumps({"a": [7], "b": [1.0], "t": ["x"], "z": [[1.0] * 4]}))
    else:
        store_for(path).save(path, OLD)
    old = path.read_bytes()
    with pytest.raises(NotWrittenError):
        DOORS[door](store, path, TABLE)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_of_psyrun_that_loses_something_is_found_out_at_once(loss, tmp_path):
    with pytest.raises(NotWrittenError):
        as_store(Psyrun(loss)).save(tmp_path / "table.json", TABLE)
    assert list(tmp_path.iterdir()) == []


class Appending(NpzStore):
    """An append of its own, which now and then forgets what was there."""

    def append(self, filename, data):
        self.save(filename, data)


def test_an_append_that_forgets_what_was_there_is_found_out(tmp_path):
    path = tmp_path / "table.npz"
    NpzStore().save(path, TABLE)
    with pytest.raises(NotWrittenError, match="rows"):
        append_whole(Appending(), path, TABLE)
    assert_same_table(NpzStore().load(path), TABLE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_map_keeps_its_shards_until_the_rows_are_read_back(tmp_path):
    path = tmp_path / "squares.npz"
    store = lossy(NpzStore, lambda table: {"x": table["x"], "y": [0] * len(table["x"])})
    with pytest.raises(NotWrittenError):
        map_pspace_hdd_backed(square, Param(x=[1, 2, 3]), path, store=store)
    assert not path.exists()

    def never(x):
        raise AssertionError("it was there")

    found = map_pspace_hdd_backed(never, Param(x=[1, 2, 3]), path, keep=True)
    assert_same_table(found, {"x": [1, 2, 3], "y": [1, 4, 9]})
    assert sorted(tmp_path.iterdir()) == [path, path.with_name("squares.npz.code.json")]


def changing_kinds(data):
    return {
        "a": np.array(data["a"], np.float32),
        "t": [value.encode() for value in data["t"]],
        "d": [str(value) for value in data["d"]],
        "extra": [0] * len(data["a"]),
    }


class Changing(PickleStore):
    """A format that gives back integers as floats, text as bytes, and other things as text."""

    def save(self, filename, data):
        super().save(filename, changing_kinds(data))


def test_a_format_may_change_kinds(tmp_path):
    table = {"a": [1, 2], "t": ["x\0", "ö"], "d": [{"any": 1}, None]}
    write_packed(Changing(), tmp_path / "a.pkl", [table])
    as_store(Psyrun(dict)).save(tmp_path / "a.json", {"a": [1, 2], "t": ["x", "y"]})
    append_whole(as_store(Psyrun(dict)), tmp_path / "a.json", {"a": [0.1], "t": ["z"]})
    assert PickleStore().load(tmp_path / "a.pkl")["d"].tolist() == ["{'any': 1}", "None"]
    assert json.loads((tmp_path / "a.json").read_text())["a"] == [1, 2, 0.1]


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [{}],
        [{"a": []}],
        [{"a": [1]}, {"b": ["x", None]}, {"a": [float("nan")], "b": ["y"]}],
        [{"a": [2**70, 1]}, {"a": [np.zeros(2), np.zeros(3)]}],
        [{"a": np.array(["2020", "NaT"], "M8[D]"), "b": np.zeros((2, 0))}],
        [{"a": [1j, complex(np.nan, 1)], "b": np.array([True, False])}],
    ],
)
def test_blocks_of_all_kinds_are_read_back(tmp_path, blocks):
    class Plugin(PickleStore):
        pass

    path = tmp_path / "a.pkl"
    write_packed(Plugin(), path, iter(blocks))
    assert list(PickleStore().load(path)) == list(dict.fromkeys(n for b in blocks for n in b))


def test_a_plugin_may_say_that_it_reads_back_itself(tmp_path):
    class Trusted(PickleStore):
        reads_back = True

        def load(self, filename, row=None, ragged=False):
            raise AssertionError("needless")

    write_packed(Trusted(), tmp_path / "a.pkl", [TABLE])


def test_autodetection_reads_back(tmp_path, monkeypatch):
    monkeypatch.setattr("psyflow.store.registry.store_for", lambda _: lossy(NpzStore, with_zeros))
    for door in (AutodetectStore().save, AutodetectStore().append):
        with pytest.raises(NotWrittenError):
            door(tmp_path / "a.npz", TABLE)
    assert list(tmp_path.iterdir()) == []


# --- psyflow's own stores, where the system or a library loses something ------------------------


@pytest.fixture
def old(tmp_path):
    for store in OWN:
        store.save(tmp_path / f"table{store.ext}", OLD)
    return tmp_path


def check_refused(store, old):
    path = old / f"table{store.ext}"
    for door in (store.save, store.append, lambda p, t: store.write(p, [t])):
        with pytest.raises(NotWrittenError, match=rf"{path.name} could not be written whole"):
            door(path, TABLE)
    names = {p.name for p in old.iterdir()}
    assert names == {f"table{other.ext}" for other in OWN}


def lose_zeros(append, array, values):
    append(array, np.zeros_like(values))


def lose_rows(append, array, values):
    append(array, values[: len(values) // 2])


def lose_last_bit(append, array, values):
    altered = values.copy()
    altered.reshape(-1).view(np.uint8)[-1] ^= 1
    append(array, altered)


@pytest.mark.parametrize("lose", [lose_zeros, lose_rows, lose_last_bit])
def test_h5_that_writes_something_else_is_found_out(old, monkeypatch, lose):
    append = tables.EArray.append
    with monkeypatch.context() as context:
        context.setattr(tables.EArray, "append", lambda self, a: lose(append, self, a))
        check_refused(H5Store(), old)
    assert_same_table(H5Store().load(old / "table.h5"), OLD)


@pytest.mark.parametrize("lost", ["/psyflow/b", "/psyflow/psyflow__table", "/psyflow"])
def test_h5_that_loses_arrays_is_found_out(old, monkeypatch, lost):
    close = tables.File.close

    def close_without(file):
        if file.mode == "w" and lost in file:
            file.remove_node(lost, recursive=True)
        close(file)

    with monkeypatch.context() as context:
        context.setattr(tables.File, "close", close_without)
        check_refused(H5Store(), old)
    assert_same_table(H5Store().load(old / "table.h5"), OLD)


def test_h5_that_loses_what_is_written_anew_is_found_out(old, monkeypatch):
    # A column that widens is read and written again, so what was lost before would be kept.
    append = tables.EArray.append

    def zeros_at_first(array, values):
        append(array, np.zeros_like(values) if values.dtype == np.int64 else values)

    with monkeypatch.context() as context:
        context.setattr(tables.EArray, "append", zeros_at_first)
        with pytest.raises(NotWrittenError):
            H5Store().write(old / "table.h5", [{"x": np.arange(2_000_000)}, {"x": [0.5]}])
    assert_same_table(H5Store().load(old / "table.h5"), OLD)


def test_npz_that_loses_something_is_found_out(old, monkeypatch):
    close = zipfile.ZipFile.close

    def close_and_lose(archive):
        writes = archive.fp is not None and archive.mode == "x"
        path = archive.filename
        close(archive)
        if writes:
            content = Path(path).read_bytes()
            position = content.index(np.float64(1.5).tobytes())
            Path(path).write_bytes(content[:position] + bytes(8) + content[position + 8 :])

    with monkeypatch.context() as context:
        context.setattr(zipfile.ZipFile, "close", close_and_lose)
        check_refused(NpzStore(), old)
    assert_same_table(NpzStore().load(old / "table.npz"), OLD)


def test_pickle_that_loses_something_is_found_out(old, monkeypatch):
    class Losing(FaithfulPickler):
        def __init__(self, writer, protocol):
            super().__init__(writer, protocol)
            self._writer = writer

        def dump(self, table):
            super().dump(table)
            lose(self._writer)

    def lose(writer):
        # What the store gave is not what the disk got.
        file = writer._file
        file.seek(file.tell() - 5)
        file.write(bytes(5))

    with monkeypatch.context() as context:
        context.setattr("psyflow.store.pickle.FaithfulPickler", Losing)
        check_refused(PickleStore(), old)
    assert_same_table(PickleStore().load(old / "table.pkl"), OLD)


def test_an_empty_archive_is_damaged(tmp_path):
    np.savez(tmp_path / "a.npz")
    with pytest.raises(DamagedFileError, match=r"a\.npz.*empty"):
        NpzStore().load(tmp_path / "a.npz")


@pytest.mark.parametrize("store", OWN, ids=repr)
@pytest.mark.filterwarnings("ignore:.*shapes")
def test_a_table_in_no_file_is_what_it_would_be_from_one(store, tmp_path):
    absent = {"some": [1, None, 2], "ragged": [np.ones(n) for n in (1, 2, 3)], "l": [[1], [2], []]}
    packed = {name: pack_numbers(column) for name, column in (TABLE | absent).items()}
    path = tmp_path / f"table{store.ext}"
    store.save(path, TABLE | absent)
    loaded, given = store.load(path), store.as_loaded(packed)
    assert_same_table(given, loaded)
    # Those who load a result get text as arrays from any store.
    kinds = [type(comparable(table[name])) for table in (loaded, given) for name in loaded]
    assert kinds[: len(loaded)] == kinds[len(loaded) :]
