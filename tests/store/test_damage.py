"""Files that are damaged, foreign, or made to do harm."""

import contextlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest
import tables

from psyflow.exceptions import DamagedFileError, StoreError
from psyflow.store import H5Store, NpzStore, PickleStore
from psyflow.testing.stores import assert_same_table

TABLE = {
    "i": [1, 2, 3],
    "text": ["a", None, "ö"],
    "x": np.arange(12.0).reshape(3, 4),
    "d": np.array(["2020", "NaT", "2021"], "M8[D]"),
}
STORES = [PickleStore(), NpzStore(), H5Store()]


@pytest.fixture(params=STORES, ids=["pkl", "npz", "h5"])
def store(request):
    return request.param


@pytest.fixture
def path(store, tmp_path):
    path = tmp_path / f"table{store.ext}"
    store.save(path, TABLE)
    return path


class Bomb:
    """Unpickling it creates the file `path`."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_altered_bytes_never_go_unnoticed(store, path):
    whole = path.read_bytes()
    chance = random.Random(5)
    noticed = 0
    for position in chance.sample(range(len(whole)), 150):
        altered = bytearray(whole)
        altered[position] ^= 1 << chance.randrange(8)
        path.write_bytes(altered)
        try:
            loaded = store.load(path)
        except DamagedFileError as error:
            assert path.name in str(error)
            noticed += 1
        else:
            # The byte was in a gap, or in a date, or the like.
            assert_same_table(loaded, TABLE)
    assert noticed


def test_altered_values_are_noticed(store, tmp_path):
    path = tmp_path / f"table{store.ext}"
    values = np.arange(1000.0) + 0.125
    store.save(path, {"a": values})
    whole = path.read_bytes()
    start = whole.index(values[:16].tobytes())
    path.write_bytes(whole[: start + 7] + b"\0" + whole[start + 8 :])
    with pytest.raises(DamagedFileError, match=path.name):
        store.load(path)


def test_every_truncation_is_noticed(store, path):
    whole = path.read_bytes()
    for size in {*range(0, len(whole), max(1, len(whole) // 300)), *range(len(whole))[-12:]}:
        path.write_bytes(whole[:size])
        if isinstance(store, PickleStore) and size == len(pickle.dumps(TABLE, store.protocol)):
            # Only the checksum is missing, as in a pickle of somebody else.
            assert_same_table(store.load(path), TABLE)
            continue
        with pytest.raises(DamagedFileError, match=path.name):
            store.load(path)


@pytest.mark.parametrize("other", STORES, ids=["pkl", "npz", "h5"])
def test_file_of_another_store_is_named(store, path, other, tmp_path):
    if other == store:
        return
    other.save(path.with_suffix(other.ext), TABLE)
    path.with_suffix(other.ext).replace(path)
    with pytest.raises(DamagedFileError, match=path.name):
        store.load(path)


def test_what_the_system_says_is_no_damage(store, tmp_path):
    folder = tmp_path / f"folder{store.ext}"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        store.load(folder)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {1: [2]}, {"a": [1], "b": [1, 2]}, None])
def test_pickle_of_something_else(tmp_path, content):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DamagedFileError, match=r"a\.pkl"):
        PickleStore().load(path)


def test_plain_pickle_is_loaded_and_written(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": [1, 2], "b": ("x", "y")}))
    assert_same_table(PickleStore().load(path), {"a": [1, 2], "b": ["x", "y"]})
    PickleStore().save(path, {"a": [3]})
    assert pickle.loads(path.read_bytes()) == {"a": [3]}
    with path.open("rb") as file:
        assert pickle.load(file) == {"a": [3]}


def test_altered_pickle_is_not_even_unpickled(tmp_path):
    path, trace = tmp_path / "a.pkl", tmp_path / "trace"
    PickleStore().save(path, {"a": [Bomb(trace)]})
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedFileError, match="checksum"):
        PickleStore().load(path)
    assert not trace.exists()


def test_pickle_with_a_class_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "gone_soon.py").write_text("class Thing: pass")
    import gone_soon

    PickleStore().save(tmp_path / "a.pkl", {"a": [gone_soon.Thing()]})
    monkeypatch.delitem(sys.modules, "gone_soon")
    (tmp_path / "gone_soon.py").unlink()
    with pytest.raises(StoreError, match=r"a\.pkl.*whole.*gone_soon") as caught:
        PickleStore().load(tmp_path / "a.pkl")
    assert not isinstance(caught.value, DamagedFileError)


# --- NPZ -----------------------------------------------------------------------------------


def load_npz(path):
    with pytest.raises(DamagedFileError, match=path.name) as caught:
        NpzStore().load(path)
    return str(caught.value)


def test_npz_with_pickled_objects_is_not_unpickled(tmp_path):
    path, trace = tmp_path / "a.npz", tmp_path / "trace"
    np.savez(path, a=np.array([Bomb(trace)], dtype=object))
    assert "pickled objects" in load_npz(path)
    with pytest.raises(DamagedFileError):
        NpzStore().length(path)
    assert not trace.exists()


def test_npz_with_pickled_layout_is_not_unpickled(tmp_path):
    path, trace = tmp_path / "a.npz", tmp_path / "trace"
    np.savez(path, psyflow__table=np.array([Bomb(trace)], dtype=object))
    load_npz(path)
    assert not trace.exists()


def test_npz_that_numpy_wrote_is_loaded(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(3), b=np.array(["x", "y", "z"]), c=np.zeros((3, 2)))
    table = NpzStore().load(path)
    assert_same_table(table, {"a": [0, 1, 2], "b": ["x", "y", "z"], "c": np.zeros((3, 2))})
    assert NpzStore().length(path) == 3


def test_npz_can_be_loaded_by_numpy(tmp_path):
    NpzStore().save(tmp_path / "a.npz", {"a": [1, 2], "x": np.zeros((2, 3))})
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["a"].tolist() == [1, 2]
        assert archive["x"].shape == (2, 3)


@pytest.mark.parametrize("arrays", [{"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.float64(1)}])
def test_npz_that_is_no_table(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    load_npz(tmp_path / "a.npz")
    with pytest.raises(DamagedFileError):
        NpzStore().length(tmp_path / "a.npz")


def test_zip_with_other_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    load_npz(tmp_path / "a.npz")


def rewrite_layout(path, change):
    """Change the JSON in an NPZ file, and put it where psyflow had it at first: in an entry."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
        layout = json.loads(b"".join(entry.comment for entry in archive.infolist())[12:])
    change(layout)
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(json.dumps(layout).encode(), np.uint8))
    content["psyflow__table.npy"] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"rows": 4},
        {"rows": -1},
        {"rows": "3"},
        {"columns": None},
        {"columns": [{"name": "i"}]},
        {"version": "x"},
    ],
)
def test_wrong_layout_is_named(tmp_path, changes):
    path = tmp_path / "a.npz"
    NpzStore().save(path, TABLE)
    rewrite_layout(path, lambda layout: layout.update(changes))
    load_npz(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "odd"},
        {"kind": "ragged"},
        {"dtype": "O"},
        {"dtype": "<f4"},
        {"dtype": "odd"},
        {"shape": [1]},
        {"shape": [-1]},
        {"entry": "x"},
        {"masked": True},
    ],
)
def test_wrong_column_layout_is_named(tmp_path, changes):
    path = tmp_path / "a.npz"
    NpzStore().save(path, TABLE)
    rewrite_layout(path, lambda layout: layout["columns"][0].update(changes))
    load_npz(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": "l"},
        {"levels": "lll"},
        {"levels": "xx", "kind": "lists"},
        {"types": ["int"], "levels": ""},
        {"types": ["object"]},
        {"types": ["O"]},
        {"types": ["int", "float"]},
    ],
)
def test_wrong_layout_of_lists_is_named(tmp_path, changes):
    path = tmp_path / "a.npz"
    NpzStore().save(path, {"x": [[[1, 2]], [[3, 4]]]})
    rewrite_layout(path, lambda layout: layout["columns"][0].update(changes))
    load_npz(path)


def rewrite_entry(path, entry, array):
    """Replace an array in an NPZ file."""
    with np.load(path) as arrays:
        content = dict(arrays)
    assert entry in content
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    with zipfile.ZipFile(path, "w") as archive:
        for info in entries:
            buffer = io.BytesIO()
            name = info.filename.removesuffix(".npy")
            np.save(buffer, array if name == entry else content[name])
            archive.writestr(info.filename, buffer.getvalue())
            archive.getinfo(info.filename).comment = info.comment


@pytest.mark.parametrize(
    ("entry", "array"),
    [
        ("psyflow__0_shapes", [2, 1]),
        ("psyflow__0_shapes", [1, -1]),
        ("psyflow__0_shape_ends", [0, 2]),
        ("psyflow__0_ends", [0, 3]),
        ("psyflow__0_tags", [0, 0, 2]),
        ("psyflow__0_tags", [0, 0]),
    ],
)
def test_parts_of_lists_that_do_not_fit_are_named(tmp_path, entry, array):
    path = tmp_path / "a.npz"
    NpzStore().save(path, {"x": [[1], [2, 0.5]]})
    with np.load(path) as arrays:
        dtype = arrays[entry].dtype
    rewrite_entry(path, entry, np.array(array, dtype))
    load_npz(path)


def test_table_with_lists_says_that_it_is_newer_and_others_do_not(tmp_path):
    versions = []
    for table in ({"x": [[1]]}, {"x": [1]}):
        NpzStore().save(tmp_path / "a.npz", table)
        rewrite_layout(tmp_path / "a.npz", lambda layout: versions.append(layout["version"]))
    assert versions == [2, 1]


def test_file_of_a_newer_psyflow(tmp_path):
    path = tmp_path / "a.npz"
    NpzStore().save(path, TABLE)
    rewrite_layout(path, lambda layout: layout.update(version=4))
    with pytest.raises(StoreError, match=r"a\.npz.*newer psyflow") as caught:
        NpzStore().load(path)
    assert not isinstance(caught.value, DamagedFileError)


# --- HDF5 ----------------------------------------------------------------------------------


def write_as_psyrun(path, table):
    with tables.open_file(path, "w") as file:
        group = file.create_group("/", "psyrun")
        for name, values in table.items():
            atom = tables.Atom.from_dtype(values.dtype)
            array = file.create_earray(group, name, atom, (0, *values.shape[1:]))
            array.append(values)


def all_nodes(file):
    return [file.root, *file.walk_nodes()]


@pytest.mark.parametrize("name", ["harm", "TITLE", "VERSION", "FLAVOR", "FILTERS", "EXTDIM"])
@pytest.mark.parametrize("as_psyrun", [False, True])
def test_h5_attributes_are_never_unpickled(tmp_path, name, as_psyrun):
    path, trace = tmp_path / "a.h5", tmp_path / "trace"
    if as_psyrun:
        write_as_psyrun(path, {"a": np.array([1.5, 2.5])})
    else:
        H5Store().save(path, {"a": [1.5, 2.5]})
    harm = np.bytes_(pickle.dumps(Bomb(trace), 0))
    with tables.open_file(path, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for node in all_nodes(file):
            node._v_attrs._g_setattr(node, name, harm)
    # It is a trap: PyTables by itself walks into it.
    _open_with_pytables(path)
    trace.rmdir()
    assert H5Store().load(path)["a"].tolist() == [1.5, 2.5]
    assert H5Store().length(path) == 2
    H5Store().append(path, {"a": [3.5]})
    assert H5Store().load(path, row=2)["a"].tolist() == [3.5]
    assert not trace.exists()


def _open_with_pytables(path):
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        tables.open_file(path).close()


def test_h5_with_pickled_objects_is_not_unpickled(tmp_path):
    path, trace = tmp_path / "a.h5", tmp_path / "trace"
    with tables.open_file(path, "w") as file:
        array = file.create_vlarray("/psyflow", "a", tables.ObjectAtom(), createparents=True)
        array.append(Bomb(trace))
    with pytest.raises(DamagedFileError, match=r"a\.h5"):
        H5Store().load(path)
    assert not trace.exists()


def test_h5_does_not_follow_links_to_other_files(tmp_path):
    H5Store().save(tmp_path / "secret.h5", {"a": [1]})
    with tables.open_file(tmp_path / "a.h5", "w") as file:
        file.create_external_link("/", "psyflow", f"{tmp_path / 'secret.h5'}:/psyflow")
    with pytest.raises(DamagedFileError, match=r"a\.h5"):
        H5Store().load(tmp_path / "a.h5")


def test_h5_without_the_group(tmp_path):
    H5Store(node="/other").save(tmp_path / "a.h5", {"a": [1]})
    with pytest.raises(DamagedFileError, match=r"no group /psyflow or /psyrun"):
        H5Store().load(tmp_path / "a.h5")


def test_h5_that_psyrun_wrote(tmp_path):
    path = tmp_path / "a.h5"
    write_as_psyrun(
        path, {"a": np.arange(3), "x": np.zeros((3, 2)), "s": np.array([b"x", b"", b"z"])}
    )
    expected = {"a": [0, 1, 2], "s": [b"x", b"", b"z"], "x": np.zeros((3, 2))}
    assert_same_table(H5Store().load(path), expected)
    assert H5Store().length(path) == 3
    assert_same_table(H5Store().read(path, 1, 2), {k: v[1:2] for k, v in expected.items()})
    H5Store().append(path, {"a": [3], "s": [b""], "x": np.ones((1, 2))})
    assert H5Store().load(path)["a"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("node", ["/psyflow", "/psyrun", "/mine"])
@pytest.mark.parametrize("lost", [["psyflow__table"], ["a", "psyflow__table"], ["a"]])
def test_h5_that_lost_arrays_is_damaged_and_not_empty(tmp_path, node, lost):
    path, store = tmp_path / "a.h5", H5Store(node=node)
    store.save(path, {"a": [1, 2]})
    with tables.open_file(path, "a") as file:
        for name in lost:
            file.remove_node(node, name)
    with pytest.raises(DamagedFileError, match=r"a\.h5"):
        store.load(path)
    with pytest.raises(DamagedFileError, match=r"a\.h5"):
        store.append(path, {"a": [3]})


def test_h5_with_columns_of_different_lengths(tmp_path):
    with tables.open_file(tmp_path / "a.h5", "w") as file:
        group = file.create_group("/", "psyflow")
        file.create_array(group, "a", np.zeros(2))
        file.create_array(group, "b", np.zeros(3))
    with pytest.raises(DamagedFileError, match=r"a\.h5.*\[2, 3\] rows"):
        H5Store().length(tmp_path / "a.h5")


# --- kill -9 -------------------------------------------------------------------------------

_APPEND = """
import sys
from psyflow.store import store_for
store = store_for(sys.argv[1])
print("started", flush=True)
while True:
    store.append(sys.argv[1], {"a": [1.0] * 500, "t": ["x"] * 500})
"""


def test_killed_append_leaves_a_whole_file(store, tmp_path):
    path = tmp_path / f"a{store.ext}"
    store.save(path, {"a": [1.0] * 500, "t": ["x"] * 500})
    for delay in (0.01, 0.025, 0.04, 0.07):
        command = [sys.executable, "-c", _APPEND, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
        table = store.load(path)
        assert len(table["a"]) % 500 == 0
        assert table["t"].tolist() == ["x"] * len(table["a"])


_FULL_DISK = """
import resource, sys
import numpy as np
from psyflow.exceptions import StoreError
from psyflow.store import store_for
path = sys.argv[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store_for(path).save(path, {"a": np.arange(float(sys.argv[2])), "t": ["x"] * int(sys.argv[2])})
except (OSError, StoreError) as error:
    print(error)
"""


@pytest.mark.parametrize("rows", [13_000, 500_000])
def test_full_disk_leaves_the_old_file(store, tmp_path, rows):
    path = tmp_path / f"a{store.ext}"
    store.save(path, TABLE)
    command = [sys.executable, "-c", _FULL_DISK, str(path), str(rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    # HDF5 itself says nothing when it fails to write what is left as it closes a file.
    assert "too large" in done.stdout or f"{path} could not be written whole" in done.stdout
    assert_same_table(store.load(path), TABLE)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_wrong_with_a_foreign_file_is_said_in_one_line(store, path):
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DamagedFileError) as caught:
        store.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
