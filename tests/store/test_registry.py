"""Which store is for which file, and what importing costs."""

import pickle
import subprocess
import sys

import pytest

import psyflow.store
from psyflow.exceptions import StoreError, UnsupportedDataError, UsageError
from psyflow.store import (
    AutodetectStore,
    DefaultStore,
    H5Store,
    NpzStore,
    PickleStore,
    as_store,
    known_extensions,
    store_for,
)
from psyflow.store.frame import FrameStore


@pytest.mark.parametrize(
    ("name", "store"),
    [
        ("a.pkl", PickleStore()),
        ("A.NPZ", NpzStore()),
        ("/x/y.z.h5", H5Store()),
        ("calc/database.pk", FrameStore()),
    ],
)
def test_store_is_chosen_by_extension(name, store):
    assert store_for(name) == store
    assert type(store_for(name)) is type(store)


@pytest.mark.parametrize("name", ["a.npy", "a", ".pkl", "a.pkl/b"])
def test_unknown_extension_lists_the_known(name):
    with pytest.raises(UsageError, match=r"\.h5, \.npz, \.pkl"):
        store_for(name)


def test_unknown_extension_suggests():
    with pytest.raises(UsageError, match=r'Did you mean "\.npz"'):
        store_for("a.nzp")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a package with stores for both entry point groups."""

    def install(groups):
        info = tmp_path / "plugin-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(groups)
        (tmp_path / "psy_plugin_for_test.py").write_text(_PLUGIN)
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("psy_plugin_for_test", None)


_PLUGIN = """
import json
class JsonStore:
    ext = ".json"
    def save(self, filename, data):
        with open(filename, "w") as file:
            json.dump(data, file)
    def load(self, filename, row=None):
        with open(filename) as file:
            return json.load(file)
    def append(self, filename, data):
        raise AssertionError
class Broken:
    ext = ".bad"
    def __init__(self):
        raise RuntimeError("not today")
"""


@pytest.mark.parametrize("group", ["psyflow.stores", "psyrun.stores"])
def test_plugins_are_found(plugin, group, tmp_path):
    plugin(f"[{group}]\n.JSON = psy_plugin_for_test:JsonStore\n")
    assert known_extensions() == [".h5", ".json", ".npz", ".pkl"]
    store = store_for("x.json")
    assert store.ext == ".json"
    path = tmp_path / "t.Json"
    AutodetectStore().append(path, {"a": [1]})
    AutodetectStore().append(path, {"a": [2]})
    assert AutodetectStore().load(path) == {"a": [1, 2]}


def test_plugins_do_not_replace_the_built_in(plugin):
    plugin("[psyrun.stores]\n.pkl = psy_plugin_for_test:JsonStore\n")
    assert store_for("a.pkl") == PickleStore()


def test_broken_plugin_is_named(plugin):
    plugin("[psyflow.stores]\n.bad = psy_plugin_for_test:Broken\n.gone = no_such_module:X\n")
    with pytest.raises(StoreError, match=r"\.bad.*psy_plugin_for_test:Broken.*not today"):
        store_for("a.bad")
    with pytest.raises(StoreError, match=r"\.gone.*no_such_module"):
        store_for("a.gone")


def test_autodetect_passes_everything_on(tmp_path):
    store, path = AutodetectStore(), tmp_path / "a.npz"
    store.write(path, [{"a": [1, 2]}, {"a": [3]}])
    assert store.length(path) == 3
    assert store.read(path, 1, 2)["a"].tolist() == [2]
    assert store.load(path, 2, ragged=True)["a"].tolist() == [3]
    with pytest.raises(UnsupportedDataError):
        store.save(path, {"a": [object()]})
    with pytest.raises(UnsupportedDataError):
        store.check({"a": lambda: None})
    store.check({"a": {1, 2}})


def test_default_store():
    assert DefaultStore is PickleStore
    assert AutodetectStore.ext == DefaultStore.ext == ".pkl"


@pytest.mark.parametrize("store", [AutodetectStore(), PickleStore(4), NpzStore(), H5Store("/x")])
def test_stores_are_values(store):
    assert pickle.loads(pickle.dumps(store)) == store
    assert eval(repr(store)) == store
    assert hash(store) == hash(pickle.loads(pickle.dumps(store)))
    assert as_store(store) is store


def test_public_names_exist():
    for name in psyflow.store.__all__:
        assert getattr(psyflow.store, name)
        assert name in dir(psyflow.store)
    with pytest.raises(AttributeError, match="NoStore"):
        psyflow.store.NoStore


def imported_by(code):
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import psyflow.store; psyflow.store.H5Store(); psyflow.store.store_for('a.h5')",
        "from psyflow.store.h5 import H5Store; H5Store().check({'a': 1})",
        "from psyflow.store.npz import NpzStore; NpzStore()",
        "import psyflow.testing",
    ],
)
def test_pytables_and_pytest_are_not_imported(code):
    modules = imported_by(code)
    assert "tables" not in modules and "pytest" not in modules


def test_testing_names():
    code = "from psyflow.testing import StoreTests; import pytest"
    assert "psyflow.testing.stores" in imported_by(code)
