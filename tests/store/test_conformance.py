"""The suite for plugin authors, on the built-in stores and on a plugin made for psyrun."""

import json
from pathlib import Path

import numpy as np
import pytest

from psyflow.store import AutodetectStore, H5Store, NpzStore, PickleStore, Store, as_store
from psyflow.testing import StoreTests


class TestPickleStore(StoreTests):
    store = PickleStore()


class TestPickleStoreOldProtocol(StoreTests):
    store = PickleStore(protocol=2)


class TestNpzStore(StoreTests):
    store = NpzStore()


class TestH5Store(StoreTests):
    store = H5Store()


class TestH5StoreElsewhere(StoreTests):
    store = H5Store(node="/some/where")


class TestAutodetectStore(StoreTests):
    @pytest.fixture
    def store(self):
        return AutodetectStore()


class PsyrunPlugin:
    """A format as psyrun's guide asks for it: not a subclass of anything, and JSON underneath."""

    ext = ".json"

    def save(self, filename, data):
        columns = {}
        for name, column in data.items():
            column = column.tolist() if isinstance(column, np.ndarray) else column
            if any(type(v) not in (int, float, bool, str, type(None)) for v in column):
                from psyflow.exceptions import UnsupportedDataError

                raise UnsupportedDataError(f'"{name}" is not for JSON')
            columns[name] = column
        Path(filename).write_text(json.dumps(columns))

    def load(self, filename, row=None):
        data = json.loads(Path(filename).read_text())
        return data if row is None else {k: v[row : row + 1] for k, v in data.items()}

    def append(self, filename, data):
        raise AssertionError("not used: it is not safe")


class MinimalStore(Store):
    """No more than the interface asks for."""

    ext = ".json"

    def __init__(self):
        self._plain = as_store(PsyrunPlugin())

    def save(self, filename, data):
        self._plain.save(filename, data)

    def load(self, filename, row=None):
        return self._plain.load(filename, row)

    def __repr__(self):
        return "MinimalStore()"


class _PluginTests(StoreTests):
    # JSON knows no dtype and no shape.
    test_column_is_exact_or_refused = None
    test_check_refuses_what_save_refuses = None
    test_no_rows = None
    test_can_be_pickled = None
    test_killed_save_leaves_a_whole_file = None


class TestMinimalStore(_PluginTests):
    store = MinimalStore()


def test_plugin_for_psyrun_is_adapted(tmp_path):
    store = as_store(PsyrunPlugin())
    path = tmp_path / "a.json"
    store.append(path, {"a": [1, 2]})
    store.append(path, {"a": [3]})
    assert store.load(path) == {"a": [1, 2, 3]}
    assert store.load(path, row=2) == {"a": [3]}
    assert store.read(path, 1, 3) == {"a": [2, 3]}
    assert store.length(path) == 3
    assert store.ext == ".json"
    store.check({"a": 1})
    with pytest.raises(NotImplementedError, match=r'"b".*set.*PickleStore'):
        store.check({"a": 1, "b": {1}})


def test_what_is_no_store_is_refused():
    with pytest.raises(TypeError, match=r"lacks ext, save, load"):
        as_store(object())
    with pytest.raises(TypeError, match="is a class; call it"):
        as_store(PickleStore)
